"""Loads users' NodeSet2 files into the server, after our own namespaces and before any station.

The library's importer does it; around it stands what it lacks (see the comments). Structures of a file are told to clients,
with their definitions; the server itself never has a value of one, so no code is made from a file's names.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET  # noqa: S405 - writes what nodeset_file has read
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from asyncua import ua
from asyncua.common.xmlimporter import XmlImporter
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError

from gateway.core.errors import ConfigError
from gateway.opcua.mv.namespace import NS as MV_NS
from gateway.opcua.nodeset_file import SCHEMA, STANDARD, TYPES, NodeSet, read_nodesets

_log = structlog.get_logger("opcua")
HAS_TYPE_DEFINITION = "i=40"
PARENTHOOD = {"i=35", "i=38", "i=45", "i=46", "i=47"}
"""References from a parent: Organizes, HasEncoding, HasSubtype, HasProperty, HasComponent."""
_UNLOADABLE = (UaError, ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError, AssertionError)
"""What the importer is known to raise for a file that says something it does not understand."""


async def load_nodesets(server: Server, paths: Sequence[Path], own: str) -> None:
    """Load the files into namespaces from 4 on, in the order of their needs.

    Raises ConfigError, naming each file and what to do.
    """
    for nodeset in read_nodesets(paths, own):
        await _check_standard(server, nodeset)
        _prepare(nodeset)
        importer: Any = XmlImporter(server, strict_mode=True, auto_load_definitions=False)
        try:
            nodes = await importer.import_xml(xmlstring=ET.tostring(nodeset.root, encoding="unicode"))
        except _UNLOADABLE as error:
            said = f"{type(error).__name__}: {error}"[:300]
            raise ConfigError(f"{nodeset.path}: cannot be loaded ({said}); take it off opcua.nodesets") from error
        await _check_loaded(server, nodeset)
        definitions = _Definitions(server)
        for node in nodes:
            await definitions.complete(node)
        _log.info("loaded a node set", file=str(nodeset.path), nodes=len(nodes), namespaces=sorted(nodeset.defines))


async def _check_standard(server: Server, nodeset: NodeSet) -> None:
    """Refuse a file that needs a newer standard than the library's."""
    date = ua.NodeId(ua.Int32(ObjectIds.OPCUANamespaceMetadata_NamespacePublicationDate))
    have = (await server.get_node(date).read_value()).strftime("%Y-%m-%dT%H:%M:%SZ")
    for need in nodeset.needs:
        if need.uri == STANDARD and need.date > have:
            what = f"needs the OPC UA standard of {need.date}, and this server has that of {have}"
            raise ConfigError(f"{nodeset.path}: {what}; take a file for an older version")


def _prepare(nodeset: NodeSet) -> None:
    """Take out what has been checked better already and default values that the importer cannot make; tell parents to nodes."""
    for model in nodeset.root.iterfind(f"{{{SCHEMA}}}Models/{{{SCHEMA}}}Model"):
        for required in model.findall(f"{{{SCHEMA}}}RequiredModel"):
            model.remove(required)
    aliases = {a.get("Alias", ""): a.text or "" for a in nodeset.root.iterfind(f"{{{SCHEMA}}}Aliases/{{{SCHEMA}}}Alias")}
    references = {
        e.get("NodeId", ""): e.findall(f"{{{SCHEMA}}}References/{{{SCHEMA}}}Reference") for e, _, _ in nodeset.nodes()
    }
    parents: dict[str, tuple[str, str]] = {}
    for node, told in references.items():
        for reference in told:
            by = aliases.get(reference.get("ReferenceType", ""), reference.get("ReferenceType", ""))
            if by == HAS_TYPE_DEFINITION:
                reference.set("ReferenceType", "HasTypeDefinition")  # the importer knows it by this name alone
            elif by in PARENTHOOD and reference.get("IsForward", "true") == "true":
                parents.setdefault((reference.text or "").strip(), (by, node))
    for element, _, _ in nodeset.nodes():
        value = element.find(f"{{{SCHEMA}}}Value")
        if value is not None and any(
            (i.text or "").strip().startswith("ns=") for i in value.iterfind(f".//{{{TYPES}}}TypeId/{{{TYPES}}}Identifier")
        ):
            element.remove(value)
        node = element.get("NodeId", "")
        if node in parents and all(r.get("IsForward", "true") == "true" for r in references[node]):
            by, parent = parents[node]
            holder = element.find(f"{{{SCHEMA}}}References")
            if holder is None:
                holder = ET.SubElement(element, f"{{{SCHEMA}}}References")
            ET.SubElement(holder, f"{{{SCHEMA}}}Reference", ReferenceType=by, IsForward="false").text = parent


async def _check_loaded(server: Server, nodeset: NodeSet) -> None:
    """Refuse a file of which the importer has left something out, which it may do without a word."""
    served = await server.get_namespace_array()
    for element, uri, line in nodeset.nodes():
        node = ua.NodeId.from_string(element.get("NodeId", ""))
        if ua.NodeId(node.Identifier, ua.Int16(served.index(uri))) not in server.iserver.aspace:
            what = f"{element.get('NodeId')} cannot be added: it has no parent that is known; give it a reference to one"
            raise ConfigError(f"{nodeset.path}:{line}: {what}")


class _Definitions:
    """Gives every structure its inherited fields and its binary encoding: the importer takes a file's words as they are."""

    def __init__(self, server: Server) -> None:
        self._server, self._aspace = server, server.iserver.aspace
        self._done: set[ua.NodeId] = set()

    async def complete(self, node: ua.NodeId) -> None:
        """Complete a data type, its bases first; anything else, and what is not from a file, stays as it is."""
        base = self._end(node, ObjectIds.HasSubtype, forward=False)
        if node in self._done or node.NamespaceIndex <= MV_NS or base is None:
            return
        self._done.add(node)
        await self.complete(base)
        told, inherited = self._of(node), self._of(base)
        if told is None and inherited is None:
            return
        told = told or ua.StructureDefinition(BaseDataType=base, StructureType=inherited.StructureType)
        own = {f.Name for f in told.Fields}
        more = [f for f in inherited.Fields if f.Name not in own] if inherited is not None else []
        told.Fields = [*more, *told.Fields]
        if any(f.IsOptional for f in told.Fields) and told.StructureType == ua.StructureType.Structure:
            told.StructureType = ua.StructureType.StructureWithOptionalFields
        told.DefaultEncodingId = self._end(node, ObjectIds.HasEncoding, name="Default Binary") or ua.NodeId()
        value = ua.DataValue(ua.Variant(told, ua.VariantType.ExtensionObject))
        await self._server.write_attribute_value(node, value, AttributeIds.DataTypeDefinition)

    def _end(self, node: ua.NodeId, by: int, *, forward: bool = True, name: str = "") -> Any:
        """Return the other end of the node's first such reference, None when there is none."""
        for r in self._aspace[node].references:
            if r.ReferenceTypeId == ua.NodeId(ua.Int32(by)) and r.IsForward is forward:
                if not name or self._read(r.NodeId, AttributeIds.BrowseName).Name == name:
                    return r.NodeId
        return None

    def _of(self, node: ua.NodeId) -> Any:
        told = self._read(node, AttributeIds.DataTypeDefinition)
        return told if isinstance(told, ua.StructureDefinition) else None

    def _read(self, node: ua.NodeId, attribute: AttributeIds) -> Any:
        told = self._aspace.read_attribute_value(node, attribute)
        return told.Value.Value if told.Value is not None else None
