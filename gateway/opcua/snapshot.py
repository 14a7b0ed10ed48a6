"""Everything the server would serve of its stations, taken from one that is built and never listens.

So an export is made of the configuration alone, and of the same nodes that clients will find. Keys and users that a server
needs are made in a folder that is gone afterwards. It must not know a file format.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AddressSpace
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from gateway.opcua.server import OpcUaServer, StationNodes
from gateway.opcua.tree import NS

HIERARCHY = {ObjectIds.HasComponent, ObjectIds.HasProperty, ObjectIds.Organizes, ObjectIds.HasOrderedComponent}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedNode:
    """One node of ours: attributes by name (absent ones left out) and references, the one from its parent first."""

    id: ua.NodeId
    node_class: ua.NodeClass
    attributes: dict[str, Any]
    references: tuple[ua.ReferenceDescription, ...]
    value: ua.Variant | None
    """Of a property, which says something of its node; None for a value that changes, and for none."""

    @property
    def parent(self) -> Any:
        """Return the node that it hangs on, None for none."""
        return next((r.NodeId for r in self.references if _is_up(r)), None)

    @property
    def type(self) -> Any:
        """Return its type definition, None for none."""
        kind = ObjectIds.HasTypeDefinition
        return next((r.NodeId for r in self.references if r.IsForward and _number(r.ReferenceTypeId) == kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The nodes of our namespace by id, parents before children, the namespaces, and when the standard served was published."""

    namespaces: tuple[str, ...]
    nodes: dict[ua.NodeId, ServedNode]
    models: dict[str, tuple[str, str]]
    """Version and publication date (UTC, ISO 8601) of each namespace that says so."""


async def take(stations: Sequence[StationNodes], nodesets: Sequence[Path] = ()) -> Snapshot:
    """Build the server of these stations and return what it would serve.

    Raises ConfigError as :meth:`OpcUaServer.start` does.
    """
    with tempfile.TemporaryDirectory(prefix="gateway-opcua-") as name:
        folder = Path(name)
        server = OpcUaServer(
            stations,
            host="127.0.0.1",
            port=0,
            application_uri="urn:vision-gateway",
            pki=folder / "pki",
            users=folder / "users.json",
            nodesets=nodesets,
        )
        try:
            built = await server.build()
            return _snapshot(built.iserver.aspace)
        finally:
            await server.stop()


def _snapshot(aspace: AddressSpace) -> Snapshot:
    array = _read(aspace, ua.NodeId(ua.Int32(ObjectIds.Server_NamespaceArray)), AttributeIds.Value)
    ids = sorted((n for n in aspace.keys() if n.NamespaceIndex == NS), key=lambda n: str(n.Identifier))
    return Snapshot(namespaces=tuple(array), nodes={id: _node(aspace, id) for id in ids}, models=_models(aspace))


def _node(aspace: AddressSpace, id: ua.NodeId) -> ServedNode:
    data = aspace[id]
    attributes = {}
    for number, held in data.attributes.items():
        told = held.value
        if number != AttributeIds.Value and told is not None and told.Value is not None:
            attributes[AttributeIds(number).name] = told.Value.Value
    references = sorted(data.references, key=lambda r: not _is_up(r))
    node = ServedNode(
        id=id,
        node_class=ua.NodeClass(attributes["NodeClass"]),
        attributes=attributes,
        references=tuple(references),
        value=None,
    )
    if node.type is None or _number(node.type) != ObjectIds.PropertyType:
        return node
    told = data.attributes[AttributeIds.Value].value
    value = told.Value if told is not None and told.Value is not None and told.Value.Value is not None else None
    return replace(node, value=value)


def _models(aspace: AddressSpace) -> dict[str, tuple[str, str]]:
    models = {}
    for r in aspace[ua.NodeId(ua.Int32(ObjectIds.Server_Namespaces))].references:
        if not r.IsForward or _number(r.ReferenceTypeId) != ObjectIds.HasComponent:
            continue
        children = [c for c in aspace[r.NodeId].references if c.IsForward]
        told = {c.BrowseName.Name: _read(aspace, c.NodeId, AttributeIds.Value) for c in children}
        date = told.get("NamespacePublicationDate")
        if told.get("NamespaceUri") and date:
            models[told["NamespaceUri"]] = (told.get("NamespaceVersion") or "", f"{date:%Y-%m-%dT%H:%M:%SZ}")
    return models


def _read(aspace: AddressSpace, node: ua.NodeId, attribute: AttributeIds) -> Any:
    told = aspace.read_attribute_value(node, attribute)
    return told.Value.Value if told.Value is not None else None


def _is_up(reference: ua.ReferenceDescription) -> bool:
    return not reference.IsForward and _number(reference.ReferenceTypeId) in HIERARCHY


def _number(node: ua.NodeId) -> int:
    """Return the number of a node of the standard's, 0 for any other."""
    return int(node.Identifier) if node.NamespaceIndex == 0 and isinstance(node.Identifier, int) else 0
