"""Writes what is served of the stations as a NodeSet2 file, for tools that plan against a server before there is one.

The types that it needs are not in it: it names the models that have them. Values are written of properties alone, and of the
standard's types.
"""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET  # noqa: S405 - writes, reads nothing
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from asyncua import ua
from asyncua.ua.object_ids import ObjectIdNames

from gateway.opcua.nodeset_file import SCHEMA, TYPES
from gateway.opcua.snapshot import ServedNode, Snapshot
from gateway.opcua.tree import NS

#: Structures that properties hold → the id of their XML encoding.
_XML_ENCODING = {"Range": 885, "EUInformation": 888, "Argument": 297, "EnumValueType": 7616}
OLDEST = ("1.04", "2018-05-15T00:00:00Z")
"""The standard that will do, which is older than the library's: older tools shall take the file too."""
_DEFAULTS: dict[str, Any] = {
    "IsAbstract": False,
    "Symmetric": False,
    "EventNotifier": 0,
    "ValueRank": -1,
    "ArrayDimensions": None,
    "AccessLevel": 1,
    "UserAccessLevel": 1,
    "MinimumSamplingInterval": 0.0,
    "Historizing": False,
    "Executable": True,
    "UserExecutable": True,
}
"""Attributes of the format, with the value that it takes a missing one for."""


def nodeset(snapshot: Snapshot, *, version: str, published: datetime) -> str:
    """Return the file's text; ``version`` and ``published`` are those of the model that it is."""
    ET.register_namespace("", SCHEMA)
    ET.register_namespace("uax", TYPES)
    return _Writer(snapshot).text(version, published)


class _Writer:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        # Ours is number 1 in the file; the application's own is in none.
        self._uris = [snapshot.namespaces[NS], *snapshot.namespaces[NS + 1 :]]
        self._used: set[int] = set()
        self._aliases: dict[str, str] = {}

    def text(self, version: str, published: datetime) -> str:
        nodes = [self._node(node) for node in self._snapshot.nodes.values()]
        root = ET.Element(_tag("UANodeSet"))
        uris = ET.SubElement(root, _tag("NamespaceUris"))
        for uri in self._uris:
            ET.SubElement(uris, _tag("Uri")).text = uri
        models = ET.SubElement(root, _tag("Models"))
        stamp = f"{published.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        model = ET.SubElement(models, _tag("Model"), ModelUri=self._uris[0], Version=version, PublicationDate=stamp)
        for index in sorted({0, *self._used} - {int(NS)}):
            uri = self._snapshot.namespaces[index]
            told = OLDEST if index == 0 else self._snapshot.models.get(uri, ("", ""))
            required = ET.SubElement(model, _tag("RequiredModel"), ModelUri=uri)
            for key, value in zip(("Version", "PublicationDate"), told, strict=True):
                if value:
                    required.set(key, value)
        aliases = ET.SubElement(root, _tag("Aliases"))
        for name, id in sorted(self._aliases.items()):
            ET.SubElement(aliases, _tag("Alias"), Alias=name).text = id
        root.extend(nodes)
        ET.indent(root)
        return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'

    def _id(self, node: ua.NodeId) -> str:
        index = node.NamespaceIndex
        self._used.add(int(index))
        plain = f"i={node.Identifier}" if isinstance(node.Identifier, int) else f"s={node.Identifier!s}"
        return f"ns={index - NS + 1};{plain}" if index else plain

    def _alias(self, node: ua.NodeId) -> str:
        """Return the name of a node of the standard's, noted as an alias, or else its id."""
        name = ObjectIdNames.get(node.Identifier) if node.NamespaceIndex == 0 and isinstance(node.Identifier, int) else None
        if name is None:
            return self._id(node)
        self._aliases[name] = self._id(node)
        return name

    def _name(self, name: ua.QualifiedName) -> str:
        return f"{name.NamespaceIndex - NS + 1}:{name.Name}" if name.NamespaceIndex else str(name.Name)

    def _node(self, node: ServedNode) -> ET.Element:
        told = node.attributes
        element = ET.Element(_tag(f"UA{node.node_class.name}"), NodeId=self._id(node.id))
        element.set("BrowseName", self._name(told["BrowseName"]))
        if node.parent is not None and node.node_class in (ua.NodeClass.Object, ua.NodeClass.Variable, ua.NodeClass.Method):
            element.set("ParentNodeId", self._id(node.parent))
        if "DataType" in told:
            element.set("DataType", self._alias(told["DataType"]))
        for name, default in _DEFAULTS.items():
            value = told.get(name, default)
            if value != default and value is not None:
                element.set(name, _text(value))
        ET.SubElement(element, _tag("DisplayName")).text = told["DisplayName"].Text
        if (about := told.get("Description")) is not None and about.Text:
            ET.SubElement(element, _tag("Description")).text = about.Text
        references = ET.SubElement(element, _tag("References"))
        for r in node.references:
            reference = ET.SubElement(references, _tag("Reference"), ReferenceType=self._alias(r.ReferenceTypeId))
            if not r.IsForward:
                reference.set("IsForward", "false")
            reference.text = self._id(r.NodeId)
        if node.value is not None and _is_standard(node.value):
            self._value(element, node.value)
        return element

    def _value(self, element: ET.Element, value: ua.Variant) -> None:
        kind = value.VariantType.name
        holder = ET.SubElement(element, _tag("Value"))
        if isinstance(value.Value, list):
            items = ET.SubElement(holder, _type(f"ListOf{kind}"))
            for item in value.Value:
                self._fill(ET.SubElement(items, _type(kind)), kind, item)
        else:
            self._fill(ET.SubElement(holder, _type(kind)), kind, value.Value)

    def _fill(self, element: ET.Element, kind: str, value: Any) -> None:
        match kind:
            case "LocalizedText":
                if value.Locale:
                    ET.SubElement(element, _type("Locale")).text = value.Locale
                ET.SubElement(element, _type("Text")).text = value.Text
            case "NodeId":
                ET.SubElement(element, _type("Identifier")).text = self._id(value)
            case "ExtensionObject":
                self._structure(element, value)
            case "ByteString":
                element.text = base64.b64encode(value).decode()
            case "DateTime":
                element.text = f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"
            case _:
                element.text = _text(value)

    def _structure(self, element: ET.Element, value: Any) -> None:
        name = type(value).__name__
        identifier = ET.SubElement(ET.SubElement(element, _type("TypeId")), _type("Identifier"))
        identifier.text = f"i={_XML_ENCODING[name]}"
        body = ET.SubElement(ET.SubElement(element, _type("Body")), _type(name))
        match value:
            case ua.Range():
                fields: list[tuple[str, str, Any]] = [("Low", "Double", value.Low), ("High", "Double", value.High)]
            case ua.EUInformation():
                fields = [("NamespaceUri", "String", value.NamespaceUri), ("UnitId", "Int32", value.UnitId)]
                fields += [("DisplayName", "LocalizedText", value.DisplayName)]
                fields += [("Description", "LocalizedText", value.Description)]
            case ua.Argument():
                fields = [("Name", "String", value.Name), ("DataType", "NodeId", value.DataType)]
                fields += [("ValueRank", "Int32", value.ValueRank)]
            case _:
                fields = [("Value", "Int64", value.Value), ("DisplayName", "LocalizedText", value.DisplayName)]
        for field, kind, content in fields:
            self._fill(ET.SubElement(body, _type(field)), kind, content)


def _is_standard(value: ua.Variant) -> bool:
    """Return whether every tool can read the value: one of another model's structures wants that model's classes."""
    items = value.Value if isinstance(value.Value, list) else [value.Value]
    return value.VariantType != ua.VariantType.ExtensionObject or all(type(i).__name__ in _XML_ENCODING for i in items)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(str(int(n)) for n in value)
    return str(int(value)) if isinstance(value, IntEnum) else str(value)


def _tag(name: str) -> str:
    return f"{{{SCHEMA}}}{name}"


def _type(name: str) -> str:
    return f"{{{TYPES}}}{name}"
