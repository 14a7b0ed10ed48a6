"""Which event types there are, which fields each has, and what goes on the wire for them: read from the address space.

The library gives an event only those fields whose declaration has a default value, so most go out as null and untyped, and it
knows no type's subtypes. Here a field is what the type and its supertypes declare, with its path and its built-in type. Types
are read once each: they are there before the first client. It must not know a filter, a subscription or a condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asyncua import ua
from asyncua.server.address_space import AddressSpace, NodeData
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

Path = tuple[tuple[int, str], ...]
"""Browse names from the event down to the field: (namespace, name) each."""

MAX_DEPTH = 4


def standard(number: int) -> ua.NodeId:
    """Return a node id of the standard's namespace."""
    return ua.NodeId(ua.Int32(number))


BASE_EVENT = standard(ObjectIds.BaseEventType)
_PARTS = {standard(n) for n in (ObjectIds.HasProperty, ObjectIds.HasComponent, ObjectIds.HasOrderedComponent)}
_SUBTYPE = standard(ObjectIds.HasSubtype)
_CLASSES = (ua.NodeClass.Variable, ua.NodeClass.Object)
_CODED = {ObjectIds.Enumeration: ua.VariantType.Int32, ObjectIds.Structure: ua.VariantType.ExtensionObject}
_ANY = {ObjectIds.BaseDataType, ObjectIds.Number, ObjectIds.Integer, ObjectIds.UInteger}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an event type."""

    path: Path
    variant: ua.VariantType | None
    """How its value travels; None when the type leaves that open."""
    data_type: ua.NodeId
    array: bool


class EventTypes:
    """The event types of one server."""

    def __init__(self, aspace: AddressSpace) -> None:
        """Take where the types are."""
        self._aspace = aspace
        self._above: dict[ua.NodeId, tuple[ua.NodeId, ...]] = {}
        self._own: dict[ua.NodeId, list[tuple[str, Field]]] = {}
        self._fields: dict[ua.NodeId, Mapping[str, Field]] = {}
        self._paths: dict[ua.NodeId, frozenset[Path]] = {}

    def known(self, type_id: ua.NodeId) -> bool:
        """Return whether it is an event type."""
        return BASE_EVENT in self.supertypes(type_id)

    def is_a(self, type_id: ua.NodeId, wanted: ua.NodeId) -> bool:
        """Return whether ``type_id`` is ``wanted`` or one of its subtypes."""
        return wanted in self.supertypes(type_id)

    def supertypes(self, type_id: ua.NodeId) -> tuple[ua.NodeId, ...]:
        """Return the type and all it descends from, nearest first; empty for what is no type."""
        if type_id not in self._above:
            chain: list[ua.NodeId] = []
            here: ua.NodeId | None = type_id
            while here is not None and here not in chain and (node := self._aspace.get(here)) is not None:
                chain.append(here)
                here = next((r.NodeId for r in node.references if not r.IsForward and r.ReferenceTypeId == _SUBTYPE), None)
            if not chain:
                return ()  # not remembered: a client may ask for any number of unknown ids
            self._above[type_id] = tuple(chain)
        return self._above[type_id]

    def fields(self, type_id: ua.NodeId) -> Mapping[str, Field]:
        """Return the type's fields by name, those below another as ``EnabledState/Id``; KeyError for what is no event type."""
        if type_id not in self._fields:
            if not self.known(type_id):
                raise KeyError(f"{type_id.to_string()} is no event type of this server")
            found: dict[str, Field] = {}
            for each in self.supertypes(type_id):
                for name, field in self._declared(each):
                    found.setdefault(name, field)  # the nearest declaration is the one in force
            self._fields[type_id] = found
        return self._fields[type_id]

    def path_known(self, path: Path, type_id: ua.NodeId) -> bool:
        """Return whether events of the type or its subtypes may have this field; KeyError for what is no event type."""
        if type_id not in self._paths:
            self._paths[type_id] = frozenset().union(*(self._paths_of(each) for each in self._descendants(type_id)))
        return path in self._paths[type_id]

    def _paths_of(self, type_id: ua.NodeId) -> set[Path]:
        return {field.path for field in self.fields(type_id).values()}

    def _descendants(self, type_id: ua.NodeId) -> list[ua.NodeId]:
        found, waiting = [], [type_id]
        while waiting:
            here = waiting.pop()
            if here in found or (node := self._aspace.get(here)) is None:
                continue
            found.append(here)
            waiting += [r.NodeId for r in node.references if r.IsForward and r.ReferenceTypeId == _SUBTYPE]
        return found

    def _declared(self, type_id: ua.NodeId) -> list[tuple[str, Field]]:
        if type_id not in self._own:
            self._own[type_id] = self._below(type_id, (), 0)
        return self._own[type_id]

    def _below(self, node_id: ua.NodeId, path: Path, depth: int) -> list[tuple[str, Field]]:
        node = self._aspace.get(node_id)
        if node is None or depth > MAX_DEPTH:
            return []
        found = []
        for reference in node.references:
            if not reference.IsForward or reference.ReferenceTypeId not in _PARTS or reference.NodeClass not in _CLASSES:
                continue
            name = reference.BrowseName
            here: Path = (*path, (int(name.NamespaceIndex), str(name.Name)))
            part = self._aspace.get(reference.NodeId)
            if reference.NodeClass == ua.NodeClass.Variable and part is not None:
                plain = "/".join(n for _, n in here)
                found.append((plain, self._field(here, part)))
            found += self._below(reference.NodeId, here, depth + 1)
        return found

    def _field(self, path: Path, node: NodeData) -> Field:
        held = node.attributes[AttributeIds.DataType].value
        declared = held.Value.Value if held is not None and held.Value is not None else None
        data_type = standard(ObjectIds.BaseDataType) if declared is None else declared
        return Field(path=path, variant=self._variant(data_type), data_type=data_type, array=_rank(node) >= 0)

    def _variant(self, data_type: ua.NodeId) -> ua.VariantType | None:
        for each in self.supertypes(data_type):
            if each.NamespaceIndex != 0:
                continue
            number = int(each.Identifier)
            if number in _ANY:
                return None
            if number in _CODED:
                return _CODED[number]
            if number <= ObjectIds.DiagnosticInfo:
                return ua.VariantType(number)
        return None


def _rank(node: NodeData) -> int:
    held = node.attributes[AttributeIds.ValueRank].value
    return -1 if held is None or held.Value is None or held.Value.Value is None else int(held.Value.Value)
