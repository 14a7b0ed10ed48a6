"""The companion specification as data, a file a subject; :mod:`gateway.opcua.mv.spec.facts` has the words it is written in."""

from __future__ import annotations

from gateway.opcua.mv.spec.configurations import CONFIGURATIONS
from gateway.opcua.mv.spec.data_types import DATA_TYPES
from gateway.opcua.mv.spec.events import EVENTS
from gateway.opcua.mv.spec.facts import Fact
from gateway.opcua.mv.spec.machines import MACHINES
from gateway.opcua.mv.spec.recipes import RECIPES
from gateway.opcua.mv.spec.results import RESULTS
from gateway.opcua.mv.spec.system import SYSTEM

SPECIFICATION: tuple[Fact, ...] = (
    *DATA_TYPES,
    *EVENTS,
    *CONFIGURATIONS,
    *RECIPES,
    *RESULTS,
    *MACHINES,
    *SYSTEM,
)
"""Every node of the specification, as trees."""
