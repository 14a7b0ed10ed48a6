"""The nodes of the specification by their paths: ``of("ResultManagementType.GetResultById")`` is ``ns=3;i=7026``.

The numbers are in the tables of :mod:`gateway.opcua.mv.spec`, once; here they get names.
"""

from __future__ import annotations

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

from gateway.opcua.mv.namespace import mv
from gateway.opcua.mv.spec import SPECIFICATION
from gateway.opcua.mv.spec.facts import Fact, walk

FACTS: dict[str, Fact] = dict(walk(SPECIFICATION))
"""What the specification says of each node, by its path."""


def of(path: str) -> ua.NodeId:
    """Return the node with this path (``VisionStateMachineType.Halted``). KeyError when the specification has none."""
    return mv(FACTS[path].id)


def named(name: str) -> ua.NodeId:
    """Return the type with this name, of the specification or of the standard. KeyError when neither has one."""
    fact = FACTS.get(name)
    if fact is not None:
        return mv(fact.id)
    number = getattr(ObjectIds, name, None)
    if number is None:
        raise KeyError(name)
    return ua.NodeId(ua.Int32(number))
