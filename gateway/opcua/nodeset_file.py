"""Reads NodeSet2 files that a user supplies, and says all that is wrong with them before a server sees one.

Such a file may add namespaces of its own, nothing else: no node of the standard's, of ours, or of another file's. A document
type declaration is refused, since entities can stand for gigabytes. It must not know a server.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET  # noqa: S405 - used to hold elements; reading is by expat below, without entities
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from gateway.core.errors import ConfigError, Problem
from gateway.opcua.mv.ids import FACTS
from gateway.opcua.mv.namespace import URI as MV
from gateway.opcua.mv.spec.facts import Fact

STANDARD = "http://opcfoundation.org/UA/"
SCHEMA = "http://opcfoundation.org/UA/2011/03/UANodeSet.xsd"
TYPES = "http://opcfoundation.org/UA/2008/02/Types.xsd"
MAX_BYTES = 16 << 20
MAX_NODES = 20_000
MAX_DEPTH = 100
_CLASSES = ("Object", "Variable", "Method", "ObjectType", "VariableType", "DataType", "ReferenceType", "View")
_NODES = {f"{{{SCHEMA}}}UA{name}" for name in _CLASSES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that a file brings, or needs: its namespace and when it was published (ISO 8601 in UTC, or empty)."""

    uri: str
    date: str


@dataclass(slots=True, kw_only=True)
class NodeSet:
    """One file, read and found to be a node set."""

    path: Path
    root: ET.Element
    uris: list[str]
    """Its namespaces; index 0 is the standard's."""
    brings: list[Model] = field(default_factory=list)
    needs: list[Model] = field(default_factory=list)
    lines: dict[int, int] = field(default_factory=dict)
    """Line by position of the node under the root."""

    def nodes(self) -> list[tuple[ET.Element, str, int]]:
        """Return each node with the namespace of its id and its line; the namespace is empty when the file declares none."""
        told = []
        for i, element in enumerate(self.root):
            if element.tag in _NODES:
                index = _namespace(element.get("NodeId", ""))
                told.append((element, self.uris[index] if 0 <= index < len(self.uris) else "", self.lines.get(i, 0)))
        return told

    @property
    def defines(self) -> set[str]:
        """Return the namespaces that its nodes are in."""
        return {uri for _, uri, _ in self.nodes()}

    def is_machine_vision(self) -> bool:
        """Return whether this is the specification that the gateway builds itself."""
        return self.defines == {MV}


def read_nodesets(paths: Sequence[Path], own: str) -> list[NodeSet]:
    """Read and check the files; return them in the order of their needs, without one that only says what is built anyway.

    ``own`` is the gateway's namespace. Raises ConfigError with every problem.
    """
    problems: list[Problem] = []
    sets = []
    for path in paths:
        try:
            sets.append(_read(path))
        except ConfigError as error:
            problems += error.problems
    for nodeset in sets:
        problems += _foreign(nodeset, own)
    problems += _twice(sets)
    if not problems:
        sets = [s for s in sets if not s.is_machine_vision()]
        sets, missing = _in_order(sets)
        problems += missing
    if problems:
        raise ConfigError(problems)
    return sets


def _problem(path: Path, message: str, line: int = 0, column: int = 0) -> Problem:
    return Problem(file=str(path), line=line, column=column or int(line > 0), path="", message=message)


def _read(path: Path) -> NodeSet:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            what = f"{size / 1e6:.0f} MB; a node set may have {MAX_BYTES >> 20} MiB: leave out what no client needs"
            raise ConfigError([_problem(path, what)])
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError([_problem(path, f"cannot be read: {error.strerror}; give the path of a NodeSet2 file")]) from None
    root, lines = _parse(path, data)
    if root.tag != f"{{{SCHEMA}}}UANodeSet":
        raise ConfigError(
            [_problem(path, f"is no NodeSet2 file: it begins with {root.tag.rpartition('}')[2]}, not UANodeSet", 1)]
        )
    uris = [STANDARD, *(u.text or "" for u in root.iterfind(f"{{{SCHEMA}}}NamespaceUris/{{{SCHEMA}}}Uri"))]
    nodeset = NodeSet(path=path, root=root, uris=uris, lines=lines)
    for model in root.iterfind(f"{{{SCHEMA}}}Models/{{{SCHEMA}}}Model"):
        nodeset.brings.append(_model(model))
        nodeset.needs += [_model(m) for m in model.iterfind(f"{{{SCHEMA}}}RequiredModel")]
    return nodeset


def _parse(path: Path, data: bytes) -> tuple[ET.Element, dict[int, int]]:
    """Return the root and the lines of its children; expat itself, since only it tells a declaration before acting on it."""
    builder, parser = ET.TreeBuilder(), expat.ParserCreate(namespace_separator="}")
    lines: dict[int, int] = {}
    depth = nodes = 0

    def refuse(message: str) -> None:
        raise ConfigError([_problem(path, message, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1)])

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, nodes
        if depth == 1:
            lines[len(lines)] = parser.CurrentLineNumber
            nodes += 1
            if nodes > MAX_NODES:
                refuse(f"has more than {MAX_NODES} nodes; leave out what no client needs")
        depth += 1
        if depth > MAX_DEPTH:
            refuse(f"has elements more than {MAX_DEPTH} deep; this is no node set")
        builder.start(_clark(name), {_clark(k): v for k, v in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_clark(name))

    def declared(*_: object) -> None:
        refuse("has a document type declaration, which a node set needs none of; remove it")

    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = declared
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        what = f"is no XML: {expat.ErrorString(error.code)}; take the file anew from whoever made it"
        raise ConfigError([_problem(path, what, error.lineno, error.offset + 1)]) from None
    except (UnicodeError, LookupError) as error:
        raise ConfigError([_problem(path, f"is no XML: {error}; save it as UTF-8")]) from None
    return builder.close(), lines


def _clark(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def _model(element: ET.Element) -> Model:
    return Model(uri=element.get("ModelUri", ""), date=element.get("PublicationDate", ""))


def _namespace(node_id: str) -> int:
    """Return the namespace index of an id, -1 for none that a file may have."""
    head, _, _ = node_id.strip().partition(";")
    if not head.startswith("ns="):
        return 0
    return int(head[3:]) if head[3:].isascii() and head[3:].isdecimal() and len(head) < 9 else -1


def _foreign(nodeset: NodeSet, own: str) -> list[Problem]:
    """Return what is wrong with the nodes themselves."""
    if nodeset.is_machine_vision():
        return _unlike_ours(nodeset)
    problems = []
    seen: set[str] = set()
    whose = {STANDARD: "the standard's", own: "the gateway's own", MV: "Machine Vision's, which the gateway builds itself"}
    for element, uri, line in nodeset.nodes():
        node = element.get("NodeId", "").strip()
        if not uri:
            problems.append(
                _problem(nodeset.path, f"{node or 'a node'}: its namespace is not among the file's NamespaceUris", line)
            )
        elif uri in whose:
            what = f"{node} is one of {whose[uri]} nodes; a file may only add namespaces of its own: remove the node"
            problems.append(_problem(nodeset.path, what, line))
        elif node in seen:
            problems.append(_problem(nodeset.path, f"{node} is there twice; remove one", line))
        seen.add(node)
    if not seen:
        problems.append(_problem(nodeset.path, "has no nodes; take it off opcua.nodesets"))
    return problems[:20]


def _unlike_ours(nodeset: NodeSet) -> list[Problem]:
    """Compare the official file with what is built: ids, classes, names and ranks."""
    theirs, lines = {}, {}
    for element, _, line in nodeset.nodes():
        number = element.get("NodeId", "").rpartition("i=")[2]
        rank = element.get("ValueRank", "-1").strip()
        theirs[number] = (element.tag.rpartition("}UA")[2], element.get("BrowseName", "").rpartition("1:")[2], rank)
        lines[number] = line
    ours = {str(fact.id): _ours(fact) for fact in FACTS.values()}
    problems = []
    for number in sorted({*ours, *theirs}, key=lambda n: (len(n), n)):
        if ours.get(number) != theirs.get(number):
            what = f"i={number} is {theirs.get(number)} here and {ours.get(number)} in the model that the gateway builds"
            problems.append(_problem(nodeset.path, f"{what}; take the file off opcua.nodesets", lines.get(number, 0)))
    return problems[:20]


def _ours(fact: Fact) -> tuple[str, str, str]:
    return fact.node_class, fact.browse_name, str(fact.rank)


def _twice(sets: Sequence[NodeSet]) -> list[Problem]:
    first: dict[str, Path] = {}
    problems = []
    for nodeset in sets:
        for uri in sorted(nodeset.defines - {""}):
            if uri in first:
                problems.append(_problem(nodeset.path, f"{uri} is in {first[uri]} already; keep one of the two files"))
            first.setdefault(uri, nodeset.path)
    return problems


def _in_order(sets: Sequence[NodeSet]) -> tuple[list[NodeSet], list[Problem]]:
    """Return the files so that each comes after those it needs, and what is missing. The standard is checked by the server."""
    date = {model.uri: model.date for nodeset in sets for model in nodeset.brings}
    date |= {uri: date.get(uri, "") for nodeset in sets for uri in nodeset.defines}
    problems = []
    for nodeset in sets:
        for need in nodeset.needs:
            if need.uri in (STANDARD, MV):
                continue
            if need.uri not in date:
                problems.append(_problem(nodeset.path, f"needs {need.uri}; add the file that has it to opcua.nodesets"))
            elif date[need.uri] < need.date:
                have = date[need.uri] or "unknown"
                what = f"needs {need.uri} of {need.date} or later, and the one given is of {have}; give a newer file"
                problems.append(_problem(nodeset.path, what))
    ordered: list[NodeSet] = []
    there = {STANDARD, MV}
    waiting = list(sets)
    while waiting and not problems:
        ready = [s for s in waiting if all(n.uri in there | s.defines for n in s.needs)]
        if not ready:
            names = ", ".join(str(s.path) for s in waiting)
            problems.append(
                _problem(waiting[0].path, f"these files need one another in a circle: {names}; give one of them up")
            )
        ordered += ready
        for nodeset in ready:
            there |= nodeset.defines
            waiting.remove(nodeset)
    return ordered, problems
