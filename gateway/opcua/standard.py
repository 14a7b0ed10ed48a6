"""What the library has wrong in the standard's own nodes, put right before anything is built on them.

A variable whose data type the standard leaves open (BaseDataType) is a String in the library's address space. That matters
where its type is looked up: the Ids of states and transitions are NodeIds. It must not know our own nodes.
"""

from __future__ import annotations

from asyncua import ua
from asyncua.server.address_space import AddressSpace
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

OWNERS = (
    ObjectIds.StateVariableType,
    ObjectIds.TransitionVariableType,
    ObjectIds.TransitionEventType_Transition,
    ObjectIds.TransitionEventType_FromState,
    ObjectIds.TransitionEventType_ToState,
)
"""Whose property Id is of BaseDataType."""


def repair(aspace: AddressSpace) -> None:
    """Give each of these properties the data type that the standard gives it."""
    for owner in OWNERS:
        for reference in aspace[_id(owner)].references:
            if reference.IsForward and reference.BrowseName.Name == "Id":
                any_type = ua.DataValue(ua.Variant(_id(ObjectIds.BaseDataType), ua.VariantType.NodeId))
                aspace[reference.NodeId].attributes[AttributeIds.DataType].value = any_type


def _id(number: int) -> ua.NodeId:
    return ua.NodeId(ua.Int32(number))
