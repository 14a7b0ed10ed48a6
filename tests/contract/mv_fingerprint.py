"""What a node of the Machine Vision namespace is, in one line: from a server, and from the official file.

``mv:`` stands for the namespace of the specification, ``ua:`` for the standard's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AddressSpace
from lxml import etree

NS = 3
ONE_WAY = {"ua:40", "ua:37"}
"""HasTypeDefinition and HasModellingRule: nobody keeps them at their target too."""
UNTOLD = {"ByteString"}
"""Values that may differ: the dictionaries. Default values of structures are left out too."""

Lines = dict[str, str]


def from_server(aspace: AddressSpace) -> Lines:
    """Return the line of each node of the namespace, and of each of the standard's that refers to one, by its id."""
    lines = {}
    for node in aspace.keys():
        refs = [
            f"{'+' if r.IsForward else '-'}{_of(r.ReferenceTypeId)}>{_of(r.NodeId)}"
            for r in aspace[node].references
            if (NS in (node.NamespaceIndex, r.NodeId.NamespaceIndex)) and (r.IsForward or _of(r.ReferenceTypeId) not in ONE_WAY)
        ]
        if node.NamespaceIndex == NS:
            lines[_of(node)] = " | ".join([*_server_facts(aspace, node), _refs(refs)])
        elif refs:
            lines[_of(node)] = _refs(refs)
    return lines


def _server_facts(aspace: AddressSpace, node: ua.NodeId) -> Iterator[str]:
    def read(name: str) -> Any:
        value = aspace.read_attribute_value(node, getattr(ua.AttributeIds, name))
        return value.Value.Value if value.StatusCode.is_good() and value.Value is not None else None

    name = read("BrowseName")
    yield ua.NodeClass(read("NodeClass")).name
    yield f"{'mv' if name.NamespaceIndex == NS else 'ua'}:{name.Name}"
    assert read("DisplayName").Text == name.Name
    if read("NodeClass") in (ua.NodeClass.Variable, ua.NodeClass.VariableType):
        yield f"{_of(read('DataType'))} rank {read('ValueRank')} {[*(read('ArrayDimensions') or [])]}"
    if read("IsAbstract"):
        yield "abstract"
    told = read("DataTypeDefinition")
    if isinstance(told, ua.StructureDefinition):
        yield f"structure {told.StructureType.name} of {_of(told.BaseDataType)} encoded {_of(told.DefaultEncodingId)}"
        for f in told.Fields:
            yield _field(f.Name, _of(f.DataType), f.ValueRank, [*(f.ArrayDimensions or [])], f.IsOptional)
    elif isinstance(told, ua.EnumDefinition):
        yield ",".join(f"{f.Name}={f.Value}" for f in told.Fields)
    value = read("Value")
    if value is not None and not isinstance(value, bytes):
        yield _server_value(value)


def _server_value(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], ua.Argument):
        return ",".join(_field(a.Name, _of(a.DataType), a.ValueRank, [*(a.ArrayDimensions or [])], False) for a in value)
    if isinstance(value, list) and value and isinstance(value[0], ua.EnumValueType):
        return ",".join(f"{v.DisplayName.Text}={v.Value}" for v in value)
    if hasattr(value, "strftime"):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def from_nodeset(path: Path) -> Lines:
    """Return the same of the official file."""
    return _Official(path).lines()


class _Official:
    def __init__(self, path: Path) -> None:
        root = etree.parse(str(path)).getroot()
        for element in root.iter(etree.Element):
            element.tag = etree.QName(element).localname
        self.alias = {a.get("Alias"): a.text for a in root.find("Aliases")}
        self.nodes = {self.id(e.get("NodeId")): e for e in root if e.tag.startswith("UA")}
        self.refs: dict[str, set[str]] = defaultdict(set)
        triples = set()
        for node, e in self.nodes.items():
            for r in e.iterfind("References/Reference"):
                ends = node, self.id(r.text)
                source, target = ends if r.get("IsForward", "true") == "true" else ends[::-1]
                triples.add((source, self.id(r.get("ReferenceType")), target))
        for source, by, target in triples:
            self.refs[source].add(f"+{by}>{target}")
            if by not in ONE_WAY:
                self.refs[target].add(f"-{by}>{source}")
        self.base = {target: source for source, by, target in triples if by == "ua:45"}

    def lines(self) -> Lines:
        lines = {node: " | ".join([*self.facts(node, e), _refs(self.refs[node])]) for node, e in self.nodes.items()}
        return lines | {node: _refs(refs) for node, refs in self.refs.items() if node.startswith("ua:")}

    def id(self, text: str) -> str:
        text = self.alias.get(text.strip(), text.strip())
        return text.replace("ns=1;i=", "mv:") if text.startswith("ns=1") else text.replace("i=", "ua:")

    def facts(self, node: str, e: Any) -> Iterator[str]:
        yield e.tag.removeprefix("UA")
        name = e.get("BrowseName")
        yield f"mv:{name[2:]}" if name.startswith("1:") else f"ua:{name}"
        if e.tag in ("UAVariable", "UAVariableType"):
            dimensions = [int(n) for n in e.get("ArrayDimensions", "").split(",") if n]
            yield f"{self.id(e.get('DataType', 'i=24'))} rank {e.get('ValueRank', '-1')} {dimensions}"
        if e.get("IsAbstract") == "true":
            yield "abstract"
        fields = self.fields(node)
        if fields and fields[0].get("Value") is not None:
            yield ",".join(f"{f.get('Name')}={f.get('Value')}" for f in fields)
        elif fields:
            optional = any(f.get("IsOptional") == "true" for f in fields)
            (encoding,) = (
                r.partition(">")[2] for r in self.refs[node] if r.startswith("+ua:38>") and self.is_binary(r.partition(">")[2])
            )
            kind = "StructureWithOptionalFields" if optional else "Structure"
            yield f"structure {kind} of {self.base[node]} encoded {encoding}"
            for f in fields:
                dimensions = [int(n) for n in f.get("ArrayDimensions", "").split(",") if n]
                data_type = self.id(f.get("DataType", "i=24"))
                yield _field(f.get("Name"), data_type, f.get("ValueRank", "-1"), dimensions, f.get("IsOptional") == "true")
        yield from self.value(e)

    def is_binary(self, encoding: str) -> bool:
        return bool(self.nodes[encoding].get("BrowseName") == "Default Binary")

    def fields(self, node: str) -> list[Any]:
        """Return the fields of a definition, those of the base first: the file has only the new ones."""
        definition = self.nodes[node].find("Definition") if node in self.nodes else None
        if definition is None:
            return []
        return [*self.fields(self.base[node]), *definition]

    def value(self, e: Any) -> Iterator[str]:
        value = e.find("Value")
        if value is None or value[0].tag in UNTOLD:
            return
        if arguments := [*value.iter("Argument")]:
            yield ",".join(self.argument(a) for a in arguments)
        elif values := [*value.iter("EnumValueType")]:
            yield ",".join(f"{v.findtext('DisplayName/Text')}={v.findtext('Value')}" for v in values)
        elif value[0].tag == "ListOfInt32":
            yield str([int(n.text) for n in value[0]])
        elif value[0].tag != "ExtensionObject":
            yield value[0].text

    def argument(self, a: Any) -> str:
        dimensions = [int(n.text) for n in a.find("ArrayDimensions")]
        return _field(
            a.findtext("Name"), self.id(a.findtext("DataType/Identifier")), a.findtext("ValueRank"), dimensions, False
        )


def _field(name: str, data_type: str, rank: object, dimensions: list[int], optional: bool) -> str:
    return f"{name}:{data_type}:{rank}:{dimensions}{'?' if optional else ''}"


def _of(node: ua.NodeId) -> str:
    return f"{ {0: 'ua', NS: 'mv'}[node.NamespaceIndex] }:{node.Identifier}"


def _refs(refs: Iterable[str]) -> str:
    return " ".join(sorted(refs))
