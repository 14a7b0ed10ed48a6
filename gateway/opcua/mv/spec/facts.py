"""The words in which the tables of the companion specification are written: one fact a node, children inside it.

Names of types stand for their nodes, a leading ``0:`` in a browse name for the standard's namespace. A table says only what
the specification says; how nodes are made is :mod:`gateway.opcua.mv.types`, and this must not know a server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

NodeClass: TypeAlias = Literal["Object", "Variable", "Method", "ObjectType", "VariableType", "DataType", "ReferenceType"]
Value: TypeAlias = bool | int | str | datetime

M, O, PLACEHOLDER = "Mandatory", "Optional", "OptionalPlaceholder"  # noqa: E741 - as the specification abbreviates them


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A reference beside the tree: its type, the path or id of the other node, and whether it leads there or from there."""

    by: str
    to: str | int
    forward: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One node of the specification, with the nodes beneath it."""

    id: int
    node_class: NodeClass
    name: str
    by: str
    """The type of the reference from the parent."""
    parent: str = ""
    """The standard's node that a fact without a parent here hangs on; a type hangs on its base."""
    type: str = ""
    """The type definition of an object or a variable; the parent of a type."""
    data_type: str = ""
    rank: int = -1
    dimensions: tuple[int, ...] = ()
    rule: str = ""
    abstract: bool = False
    value: Value | tuple[Value, ...] | None = None
    values: tuple[tuple[str, int], ...] = ()
    """The texts and numbers of an enumeration."""
    arguments: str = ""
    """What a method takes or gives: ``Name: DataType, Names: DataType[]``."""
    links: tuple[Link, ...] = ()
    children: tuple[Fact, ...] = ()

    @property
    def browse_name(self) -> str:
        """Return the name without its namespace."""
        return self.name.removeprefix("0:")


def walk(facts: tuple[Fact, ...], path: str = "") -> Iterator[tuple[str, Fact]]:
    """Yield each fact with its path (``RecipeType.Handle.Open``), parents first."""
    for fact in facts:
        above = path or fact.parent
        here = f"{above}.{fact.browse_name}" if above else fact.browse_name
        yield here, fact
        yield from walk(fact.children, here)


def object_type(id: int, name: str, base: str, *children: Fact, abstract: bool = False) -> Fact:
    """Return an object type; an event type is one too."""
    return Fact(id=id, node_class="ObjectType", name=name, by="HasSubtype", type=base, abstract=abstract, children=children)


def obj(id: int, name: str, type: str, rule: str, *children: Fact, links: tuple[Link, ...] = ()) -> Fact:
    """Return a component that is an object."""
    component = "HasComponent"
    return Fact(id=id, node_class="Object", name=name, by=component, type=type, rule=rule, links=links, children=children)


def var(
    id: int,
    name: str,
    data_type: str,
    rule: str,
    *children: Fact,
    type: str = "BaseDataVariableType",
    dimensions: tuple[int, ...] = (),
) -> Fact:
    """Return a component that is a variable; ``dimensions`` makes it an array."""
    return Fact(
        id=id,
        node_class="Variable",
        name=name,
        by="HasComponent",
        type=type,
        data_type=data_type,
        rank=1 if dimensions else -1,
        dimensions=dimensions,
        rule=rule,
        children=children,
    )


def prop(
    id: int,
    name: str,
    data_type: str,
    rule: str,
    *,
    value: Value | tuple[Value, ...] | None = None,
    rank: int = -1,
    dimensions: tuple[int, ...] = (),
) -> Fact:
    """Return a property; ``dimensions`` makes it an array."""
    return Fact(
        id=id,
        node_class="Variable",
        name=name,
        by="HasProperty",
        type="PropertyType",
        data_type=data_type,
        rank=1 if dimensions else rank,
        dimensions=dimensions,
        rule=rule,
        value=value,
    )


def arguments(id: int, name: str, text: str) -> Fact:
    """Return the property with the arguments of a method."""
    return Fact(
        id=id,
        node_class="Variable",
        name=f"0:{name}",
        by="HasProperty",
        type="PropertyType",
        data_type="Argument",
        rank=1,
        dimensions=(text.count(":"),),
        rule=M,
        arguments=text,
    )
