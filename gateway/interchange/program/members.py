"""Members of types and blocks as TIA Portal lays them out: reserves fill what the map leaves free.

A data block has no addresses of its own: where a member lies follows from those before it. It knows the S7 rules and the map's
tags; it does not know what a member means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.core.tags import Block, Field, Tag
from gateway.interchange.program.dialect import RESERVED, TIA_TYPES

_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*")
_ONE_BYTE = ("Byte", "SInt", "USInt", "Char")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One line of a declaration."""

    name: str
    type: str
    """As in the map: ``Real``, ``String[20]``, ``Array[0..7] of Token``."""
    bit: int
    """Its first bit from the start of the block: 8 x byte + bit."""
    comment: str = ""
    is_reserve: bool = False
    """It fills a gap; the map has no such tag."""


def type_text(item: Tag | Field) -> str:
    """Return the type as the map writes it."""
    return f"Array[{item.low}..{item.low + item.count - 1}] of {item.datatype}" if item.count else item.datatype


def comment_of(tag: Tag) -> str:
    """Return what a person should know of a tag: description, unit, range, scaling."""
    parts = [tag.description] if tag.description else []
    if tag.unit:
        parts.append(tag.unit)
    if tag.range:
        parts.append(f"{tag.range[0]:g} to {tag.range[1]:g}")
    if tag.scale:
        (r0, r1), (e0, e1) = tag.scale.raw, tag.scale.eng
        parts.append(f"raw {r0:g} to {r1:g} stands for {e0:g} to {e1:g}")
    return ", ".join(parts).replace("\n", " ")


def members_of(blocks: Sequence[Block], starts: Sequence[int]) -> list[Member]:
    """Return the members of a data block that holds ``blocks``, each from its first byte on, reserves included."""
    placed = sorted(
        ((8 * (start + t.offset) + t.bit, t) for b, start in zip(blocks, starts, strict=True) for t in b.tags),
        key=lambda p: p[0],
    )
    members: list[Member] = []
    at = 0
    for wanted, tag in placed:
        for reserve in _reserves(at, wanted, tag):
            members.append(reserve)
            at = reserve.bit + _bits(reserve.type)
        members.append(Member(name=tag.name, type=type_text(tag), bit=wanted, comment=comment_of(tag)))
        at = wanted + (1 if tag.datatype == "Bool" and not tag.count else 8 * tag.size)
    return members


def udts_of(blocks: Iterable[Block]) -> dict[str, tuple[Field, ...]]:
    """Return the types that the blocks use, by name; a type stands behind those that it is made of."""
    found: dict[str, tuple[Field, ...]] = {}
    for block in blocks:
        for tag in block.tags:
            _collect(tag, found)
    return found


def quoted(name: str) -> str:
    """Return a name for TIA Portal, in quotes where it is a word of the language."""
    return name if _PLAIN_NAME.fullmatch(name) and name.upper() not in RESERVED else f'"{name}"'


def tia_type(text: str, udts: Mapping[str, object]) -> str:
    """Return a type of the map in TIA Portal's words."""
    array, of, element = text.rpartition(" of ")
    kind = f'"{element}"' if element in udts else TIA_TYPES.get(element, element)
    return f"{array}{of}{kind}"


def _collect(item: Tag | Field, found: dict[str, tuple[Field, ...]]) -> None:
    for member in item.fields:
        _collect(member, found)
    if item.fields:
        found.setdefault(item.datatype, item.fields)


def _natural(at: int, item: Tag | str) -> int:
    """Return the bit at which TIA Portal puts what comes next behind bit ``at``."""
    datatype, single = (item, True) if isinstance(item, str) else (item.datatype, not item.count and not item.fields)
    if datatype == "Bool" and single:
        return at
    step = 8 if datatype in _ONE_BYTE and single else 16
    return -(-at // step) * step


def _bits(reserve: str) -> int:
    if reserve == "Bool":
        return 1
    if reserve in ("Byte", "Word"):
        return 8 if reserve == "Byte" else 16
    return 16 * (int(reserve.split("..")[1].split("]")[0]) + 1)


def _reserves(at: int, wanted: int, tag: Tag) -> Iterator[Member]:
    while (natural := _natural(at, tag)) != wanted:
        if natural > wanted:
            raise ValueError(f"{tag.name}: no data block has it at byte {wanted // 8}, bit {wanted % 8}")
        byte = -(-at // 8) * 8
        words = (wanted - _natural(at, "Word")) // 16
        if words > 0:
            kind, bit = f"Array[0..{words - 1}] of Word" if words > 1 else "Word", _natural(at, "Word")
        elif wanted - byte >= 8:
            kind, bit = "Byte", byte
        else:
            kind, bit = "Bool", at
        yield Member(
            name=f"Reserve_{bit // 8}" + (f"_{bit % 8}" if kind == "Bool" else ""),
            type=kind,
            bit=bit,
            comment="not used",
            is_reserve=True,
        )
        at = bit + _bits(kind)
