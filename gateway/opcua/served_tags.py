"""The flat tags of a snapshot as rows, for those who plan a client: id, path, type, access, unit, range, meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.ua.object_ids import ObjectIdNames, ObjectIds

from gateway.opcua.snapshot import ServedNode, Snapshot
from gateway.opcua.tree import MAX_FLOAT, NS

FOLDER = "Tags"
"""Beneath a station, whatever else it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTag:
    """One variable."""

    id: str
    """NodeId: ``ns=2;s=Line1.Cam1.Tags.Result.Seq``."""
    path: tuple[str, ...]
    """Browse names from the station's on."""
    data_type: str
    length: int | None
    """Of a one-dimensional array, 0 for any length; None for a scalar."""
    writable: bool
    """By whoever has the role."""
    unit: str
    range: tuple[float, float] | None
    """EURange; None when the tag map gives none."""
    about: str
    texts: tuple[str, ...]
    """Of the values 0, 1, …"""


def served_tags(snapshot: Snapshot) -> Iterator[ServedTag]:
    """Yield each tag of each station, by id."""
    properties: dict[ua.NodeId, dict[str, Any]] = {}
    for node in snapshot.nodes.values():
        if node.value is not None:
            properties.setdefault(node.parent, {})[node.attributes["BrowseName"].Name] = node.value.Value
    for node in snapshot.nodes.values():
        path = _path(snapshot, node)
        is_property = node.type == ua.NodeId(ua.Int32(ObjectIds.PropertyType))
        if node.node_class == ua.NodeClass.Variable and not is_property and path[1:2] == (FOLDER,):
            yield _row(node, path, properties.get(node.id, {}))


def _row(node: ServedNode, path: tuple[str, ...], told: dict[str, Any]) -> ServedTag:
    attributes = node.attributes
    unit, limits = told.get("EngineeringUnits"), told.get("EURange")
    dimensions = attributes.get("ArrayDimensions") or [0]
    return ServedTag(
        id=node.id.to_string(),
        path=path,
        data_type=ObjectIdNames[attributes["DataType"].Identifier],
        length=int(dimensions[0]) if attributes["ValueRank"] == 1 else None,
        writable=bool(attributes["AccessLevel"] & 2),
        unit=str(unit.DisplayName.Text or "") if unit is not None else "",
        range=(float(limits.Low), float(limits.High)) if limits is not None and limits.High < MAX_FLOAT else None,
        about=str(attributes["Description"].Text or "") if "Description" in attributes else "",
        texts=tuple(str(text.Text) for text in told.get("EnumStrings", ())),
    )


def _path(snapshot: Snapshot, node: ServedNode) -> tuple[str, ...]:
    names: list[str] = []
    at: ServedNode | None = node
    while at is not None:
        names.insert(0, str(at.attributes["BrowseName"].Name))
        at = snapshot.nodes.get(at.parent) if at.parent is not None and at.parent.NamespaceIndex == NS else None
    return tuple(names)
