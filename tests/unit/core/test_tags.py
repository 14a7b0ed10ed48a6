"""Tags as data: what a map's tags, blocks and roles answer, and the checksum by which both sides know the same map."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest

from gateway.core.tags import Block, Direction, Field, S7Address, Tag, TagMap, extent_of, interface_checksum, size_of


def block(*tags: Tag, name: str = "Up", direction: Direction = "plc->gw") -> Block:
    return Block(name=name, base=S7Address(db=100, byte=0), direction=direction, tags=tags, size=64)


HEARTBEAT = Tag(name="Heartbeat", datatype="UInt", offset=0, size=2, role="heartbeat")
FORCE = Tag(name="Force", datatype="Real", offset=4, size=4, role="param")
SPEED = Tag(name="Speed", datatype="Real", offset=8, size=4, role="param")
TORQUE = Tag(name="Torque", datatype="Real", offset=12, size=4, role="process")
SPARE = Tag(name="Spare", datatype="Int", offset=16, size=2)
UP = block(SPEED, HEARTBEAT, FORCE, TORQUE, SPARE)
DOWN = block(Tag(name="Status", datatype="Word", offset=0, size=2), name="Down", direction="gw->plc")
MAP = TagMap(name="press", order="ABCD", up=UP, down=DOWN)


def leaves(tag: Tag) -> list[tuple[str, str, int, int]]:
    return [(leaf.name, leaf.datatype, leaf.offset, leaf.bit) for leaf in tag.leaves()]


def test_a_scalar_is_one_value() -> None:
    assert leaves(FORCE) == [("Force", "Real", 4, 0)]


def test_an_array_counts_from_zero() -> None:
    tag = Tag(name="Limits", datatype="Int", offset=10, size=6, count=3)
    assert leaves(tag) == [("Limits[0]", "Int", 10, 0), ("Limits[1]", "Int", 12, 0), ("Limits[2]", "Int", 14, 0)]


def test_an_array_of_bools_packs_across_bytes() -> None:
    tag = Tag(name="Doors", datatype="Bool", offset=5, bit=6, size=2, count=4)
    assert [(byte, bit) for _, _, byte, bit in leaves(tag)] == [(5, 6), (5, 7), (6, 0), (6, 1)]
    assert [name for name, *_ in leaves(tag)] == ["Doors[0]", "Doors[1]", "Doors[2]", "Doors[3]"]


def test_a_structure_has_its_fields_and_an_array_of_structures_repeats_them() -> None:
    fields = (Field(name="PartId", datatype="UDInt", offset=0), Field(name="Verdict", datatype="Word", offset=4))
    one = Tag(name="Token", datatype="Token", offset=20, size=6, fields=fields)
    assert leaves(one) == [("Token.PartId", "UDInt", 20, 0), ("Token.Verdict", "Word", 24, 0)]
    two = replace(one, count=2, size=12)
    assert [(name, offset) for name, _, offset, _ in leaves(two)] == [
        ("Token[0].PartId", 20),
        ("Token[0].Verdict", 24),
        ("Token[1].PartId", 26),
        ("Token[1].Verdict", 30),
    ]


def test_arrays_may_begin_anywhere_and_structures_hold_arrays_and_structures() -> None:
    inner = (Field(name="On", datatype="Bool", offset=0), Field(name="Off", datatype="Bool", offset=0, bit=1))
    fields = (
        Field(name="In", datatype="Inner", offset=0, fields=inner),
        Field(name="L", datatype="Int", offset=2, count=2, low=-1),
        Field(name="S", datatype="String[3]", offset=6, count=2, low=1),
        Field(name="B", datatype="Bool", offset=18, count=9),
    )
    two = Tag(name="T", datatype="Outer", offset=4, size=40, count=2, low=5, fields=fields)
    assert leaves(two)[:7] == [
        ("T[5].In.On", "Bool", 4, 0),
        ("T[5].In.Off", "Bool", 4, 1),
        ("T[5].L[-1]", "Int", 6, 0),
        ("T[5].L[0]", "Int", 8, 0),
        ("T[5].S[1]", "String[3]", 10, 0),
        ("T[5].S[2]", "String[3]", 16, 0),
        ("T[5].B[0]", "Bool", 22, 0),
    ]
    assert leaves(two)[15:17] == [("T[6].In.On", "Bool", 24, 0), ("T[6].In.Off", "Bool", 24, 1)]


def test_sizes_by_hand() -> None:
    assert [size_of(t) for t in ("Bool", "Char", "WChar", "Date", "TOD", "DT", "DTL", "String[20]", "WString[20]")] == [
        0, 1, 2, 2, 4, 8, 12, 22, 44,
    ]  # fmt: skip
    assert (extent_of("Bool", (), 0), extent_of("Bool", (), 17), extent_of("Byte", (), 3), extent_of("DTL", (), 0)) == (
        1,
        4,
        3,
        12,
    )
    with pytest.raises(KeyError):
        size_of("Reall")
    with pytest.raises(KeyError):
        size_of("Text[3]")


def test_further_blocks_are_blocks_and_their_values_process_values() -> None:
    level = Tag(name="Level", datatype="Int", offset=0, size=2)
    serial = Tag(name="Serial", datatype="String[8]", offset=2, size=10, role="trace.serial")
    extra = block(level, serial, name="Extra")
    more = replace(MAP, extra=(extra,))
    assert more.blocks == (UP, DOWN, extra)
    assert more.process_tags() == (SPEED, FORCE, TORQUE, SPARE, level)
    assert interface_checksum(*more.blocks) != interface_checksum(*MAP.blocks)


def test_a_block_finds_its_tags_by_name() -> None:
    assert UP.tag("Torque") is TORQUE
    with pytest.raises(KeyError, match="Pressure"):
        UP.tag("Pressure")


def test_parameters_keep_the_map_s_order_since_requests_name_them_by_index() -> None:
    assert MAP.params() == (SPEED, FORCE)


def test_process_tags_are_all_that_is_no_part_of_the_handshake() -> None:
    assert MAP.process_tags() == (SPEED, FORCE, TORQUE, SPARE)


def test_the_up_block_comes_first() -> None:
    assert MAP.blocks == (UP, DOWN)


def test_the_checksum_is_the_crc_of_the_sorted_lines() -> None:
    up = block(Tag(name="B", datatype="Int", offset=2, size=2), Tag(name="A", datatype="Bool", offset=1, bit=3, size=0))
    lines = "Down|0.0|Word|Status|gw->plc\nUp|1.3|Bool|A|plc->gw\nUp|2.0|Int|B|plc->gw"
    assert interface_checksum(up, DOWN) == zlib.crc32(lines.encode())


@pytest.mark.parametrize("change", [{"name": "Force2"}, {"datatype": "DInt"}, {"offset": 6}])
def test_the_checksum_tells_another_map(change: dict[str, object]) -> None:
    other = block(SPEED, HEARTBEAT, replace(FORCE, **change), TORQUE, SPARE)  # type: ignore[arg-type]
    assert interface_checksum(other, DOWN) != interface_checksum(UP, DOWN)


def test_the_checksum_does_not_know_the_order_in_which_tags_are_written() -> None:
    assert interface_checksum(block(FORCE, SPEED), DOWN) == interface_checksum(block(SPEED, FORCE), DOWN)
