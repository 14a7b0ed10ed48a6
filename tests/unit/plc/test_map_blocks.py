"""Blocks, types and addresses of a map beyond the handshake: where everything lies, and every mistake one can make there."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gateway.core.errors import ConfigError
from gateway.core.tags import ModbusAddress, S7Address, TagMap, interface_checksum
from gateway.plc.maps import load_map
from gateway.yaml_source import read_yaml

MAPS = Path(__file__).resolve().parents[3] / "plc_maps"
S7 = (MAPS / "demo_s7.yaml").read_text()
MODBUS = (MAPS / "demo_modbus.yaml").read_text()


def loaded(tmp_path: Path, blocks: str, base: str = S7, types: str = "") -> TagMap:
    file = tmp_path / "press.yaml"
    file.write_text(base.replace("blocks:\n", f"{types}blocks:\n") + blocks)
    return load_map(file).map


def said(tmp_path: Path, blocks: str, base: str = S7, types: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, blocks, base, types)
    return [f"{p.path}: {p.message}" for p in caught.value.problems]


def s7_block(*tags: str, head: str = "db: 110", name: str = "DB_Process", direction: str = "plc->gw") -> str:
    lines = "".join(f"      - {{{tag}}}\n" for tag in tags)
    return f"  - {head}\n    name: {name}\n    dir: {direction}\n    tags:\n{lines}"


def modbus_block(*tags: str, area: str = "HR", at: str = "400", name: str = "Process") -> str:
    return s7_block(*tags, head=f"area: {area}\n    at: {at}", name=name)


# -- what is right ---------------------------------------------------------------------------------------------------------


def test_every_type_lies_where_the_s7_rules_put_it(tmp_path: Path) -> None:
    types = "  Pair: [{name: On, type: Bool}, {name: Off, type: Bool}, {name: Level, type: Int}]\n"
    types += "  Cell: [{name: A, type: 'Array[1..3] of Byte'}, {name: P, type: Pair}, {name: S, type: 'String[5]'}]\n"
    block = s7_block(
        "name: B, type: Bool",
        "name: C, type: Char",
        "name: S, type: 'String[7]'",
        "name: Y, type: Byte",
        "name: W, type: 'WString[2]'",
        "name: T, type: Time",
        "name: L, type: LTime",
        "name: D, type: Date",
        "name: O, type: TOD",
        "name: X, type: DT",
        "name: Z, type: DTL",
        "name: A, type: 'Array[-1..1] of Byte'",
        "name: K, type: Byte",
        "name: N, type: 'Array[1..2] of Cell'",
        "name: V, type: 'Array[0..1] of String[3]'",
        "name: M, type: WChar",
    )
    [extra] = loaded(tmp_path, block, types=types).extra
    assert {t.name: (t.offset, t.size) for t in extra.tags} == {
        "B": (0, 0),
        "C": (1, 1),
        "S": (2, 9),
        "Y": (11, 1),
        "W": (12, 8),
        "T": (20, 4),
        "L": (24, 8),
        "D": (32, 2),
        "O": (34, 4),
        "X": (38, 8),
        "Z": (46, 12),
        "A": (58, 3),
        "K": (62, 1),
        "N": (64, 32),
        "V": (96, 12),
        "M": (108, 2),
    }
    places = {leaf.name: (leaf.offset, leaf.bit) for leaf in extra.tag("N").leaves()}
    assert places["N[1].A[1]"] == (64, 0)
    assert (places["N[1].P.On"], places["N[1].P.Off"], places["N[1].P.Level"]) == ((68, 0), (68, 1), (70, 0))
    assert (places["N[1].S"], places["N[2].A[1]"], places["N[2].S"]) == ((72, 0), (80, 0), (88, 0))
    assert (extra.size, extra.base) == (110, S7Address(db=110, byte=0))


def test_s7_addresses_and_a_block_within_a_data_block(tmp_path: Path) -> None:
    block = s7_block(
        "name: A, type: Real, at: DB110.DBD44",
        "name: B, type: Bool, at: DBX48.3",
        "name: C, type: Int, at: DBW50",
        "name: D, type: Byte, at: DBB53",
        "name: E, type: 'String[8]', at: P#DB110.DBX54.0",
        "name: F, type: Bool, at: 30",
        head="at: DB110.DBX40.0",
    )
    [extra] = loaded(tmp_path, block).extra
    assert extra.base == S7Address(db=110, byte=40)
    assert [(t.name, t.offset, t.bit) for t in extra.tags] == [
        ("A", 4, 0),
        ("B", 8, 3),
        ("C", 10, 0),
        ("D", 13, 0),
        ("E", 14, 0),
        ("F", 30, 0),
    ]


def test_modbus_areas_and_addresses(tmp_path: Path) -> None:
    blocks = modbus_block(
        "name: A, type: Real, at: 'HR:402'",
        "name: B, type: Bool, at: HR:400.3",
        "name: C, type: Bool, at: HR:400.11",
        "name: D, type: Int, at: 400406",
        "name: E, type: DInt, at: '40407', order: ABCD",
    )
    blocks += modbus_block("name: F, type: Int", "name: G, type: Real", area="IR", at="300001", name="Inputs")
    blocks += modbus_block(
        "name: H, type: Bool",
        "name: I, type: Bool, at: 9",
        "name: J, type: 'Array[0..2] of Bool'",
        area="CO",
        at="5",
        name="Coils",
    )
    blocks += s7_block("name: K, type: Bool, at: '10012'", head="at: DI:9", name="Switches")  # fmt: skip
    tag_map = loaded(tmp_path, blocks, MODBUS)
    process, inputs, coils, switches = tag_map.extra
    assert [(t.name, t.offset, t.bit, t.order) for t in process.tags] == [
        ("A", 4, 0, None),
        ("B", 1, 3, None),  # the low byte of a register is its second one
        ("C", 0, 3, None),
        ("D", 10, 0, None),
        ("E", 12, 0, "ABCD"),
    ]
    assert inputs.base == ModbusAddress(area="IR", register=0)
    assert [t.offset for t in inputs.tags] == [0, 2]
    assert (coils.base, coils.bits, coils.size) == (ModbusAddress(area="CO", register=5), 13, 2)
    assert [(leaf.offset, leaf.bit) for t in coils.tags for leaf in t.leaves()] == [(0, 0), (1, 1), (1, 2), (1, 3), (1, 4)]
    assert switches.base == ModbusAddress(area="DI", register=9)
    assert (switches.tag("K").offset, switches.tag("K").bit) == (0, 2)


def test_a_bit_of_a_register_is_that_bit_on_the_wire_in_every_order(tmp_path: Path) -> None:
    """Orders that swap the bytes of a register swap where its bits lie among the bytes."""
    for order, want in (("CDAB", 1), ("BADC", 0), ("DCBA", 0)):
        base = MODBUS.replace("order: CDAB", f"order: {order}")
        [extra] = loaded(tmp_path, modbus_block("name: B, type: Bool, at: HR:400.3"), base).extra
        assert (extra.tag("B").offset, extra.tag("B").bit) == (want, 3)


def test_the_checksum_covers_further_blocks_and_is_unchanged_without(tmp_path: Path) -> None:
    tag_map = loaded(tmp_path, s7_block("name: A, type: Real"))
    assert load_map(tmp_path / "press.yaml").checksum == interface_checksum(tag_map.up, tag_map.down, *tag_map.extra)
    assert load_map(MAPS / "demo_s7.yaml").checksum == interface_checksum(tag_map.up, tag_map.down)


def test_the_handshake_s_block_is_found_wherever_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "press.yaml"
    file.write_text(S7.replace("blocks:\n", "blocks:\n" + s7_block("name: A, type: Real")))
    tag_map = load_map(file).map
    assert (tag_map.up.name, [b.name for b in tag_map.extra]) == ("DB_VisionUp", ["DB_Process"])


def test_ack_and_descriptions(tmp_path: Path) -> None:
    block = s7_block("name: A, type: Real, description: the oven") + "    description: further values\n"
    tag_map = loaded(tmp_path, block, S7.replace("handshake: ring", "handshake: ack"))
    assert tag_map.handshake == "ack"
    assert (tag_map.extra[0].description, tag_map.extra[0].tag("A").description) == ("further values", "the oven")


TRACE = ("name: TracePart, type: UDInt, role: trace.part", "name: Serial, type: 'String[20]', role: trace.serial")


def test_the_parts_papers(tmp_path: Path) -> None:
    tag_map = loaded(tmp_path, s7_block(*TRACE))
    assert (tag_map.roles["trace.part"].offset, tag_map.roles["trace.serial"].size) == (0, 22)
    assert [t.name for t in tag_map.process_tags()] == ["PressForce", "LineSpeed", "ToolWear"]


# -- one mistake each --------------------------------------------------------------------------------------------------------

E = "blocks.2"
S7_MISTAKES = [
    (["name: A, type: Real, at: DB111.DBD0"], f"{E}.tags.0.at: A: DB111.DBD0 is not in DB110, where the block lies"),
    (["name: A, type: Real, at: DBW0"], f"{E}.tags.0.at: A: DBW0 is no place for Real, which has 4 bytes; write DBD0"),
    (["name: A, type: LReal, at: DBD0"], f"{E}.tags.0.at: A: DBD0 is no place for LReal, which has 8 bytes; write DBX0.0"),
    (["name: A, type: Bool, at: DBB1"], f"{E}.tags.0.at: A: DBB1: which bit? write DBX1.0 to DBX1.7"),
    (["name: A, type: Int, at: DBX4.3"], f"{E}.tags.0.at: A: DBX4.3 is no place for Int, which has 2 bytes; write DBW4"),
    (["name: A, type: Int, at: DBW3"], f"{E}.tags.0.at: A: at: 3 is odd; Int begins on an even byte"),
    (["name: A, type: Int, at: nowhere"], f"{E}.tags.0.at: A: 'nowhere' is no S7 address; write DB100.DBX4.3, DBW6, DBD8"),
    (["name: A, type: Int, at: 1.5"], f"{E}.tags.0.at: a place is a whole number, or an address such as"),
    (["name: A, type: Int", "name: B, type: Bool, at: DBX1.7"], f"{E}.tags.1.at: B: overlaps A at byte 1; give each its own"),
    (["name: A, type: Int, order: CDAB"], f"{E}.tags.0.order: A cannot have an order of its own: only Modbus has word orders"),
    (["name: A, type: 'String[254]'"], f"{E}.tags.0.type: String[254] has 256 bytes, one request carries 222; shorten it"),
    (["name: A, type: 'String[9]', range: [0, 1]"], f"{E}.tags.0.range: String[9] has no range; remove it"),
    (
        ["name: A, type: DTL, scale: {raw: [0, 1], eng: [0, 2]}"],
        f"{E}.tags.0.scale: scaling needs two different raw values and",
    ),
    (["name: A, type: DInt, range: [0, 2147483648]"], f"{E}.tags.0.range: 0 … 2.14748e+09 does not fit into DInt"),
    (["name: A, type: Real, role: part.id"], f"{E}.tags.0.role: part.id is the role of another tag (line 20)"),
    (["name: A, type: Real, role: trace.lott"], f"{E}.tags.0.role: unknown role 'trace.lott' in a plc->gw block, did you mean"),
    (["name: LineSpeed, type: Real"], f"{E}.tags.0.name: LineSpeed is the name of another tag (line 32)"),
    (
        ["name: A, type: Real, role: param, unit: kN, range: [0, 9], step: 1, rate_per_min: 1"],
        f"{E}.tags.0.role: parameters lie in the handshake's plc->gw block",
    ),
    ([TRACE[1]], f"{E}.tags.0.role: trace.serial: trace.part (UDInt) is missing"),
    ([TRACE[0].replace("UDInt", "DInt"), TRACE[1]], f"{E}.tags.0.type: role trace.part has type UDInt, not DInt"),
    ([TRACE[0], TRACE[1].replace("'String[20]'", "Char")], f"{E}.tags.1.type: role trace.serial has type String[n], not Char"),
    ([TRACE[0], TRACE[1] + ", at: 400"], f"{E}: the trace tags span 422 bytes, one request carries 222; move or shorten them"),
]


@pytest.mark.parametrize(("tags", "message"), S7_MISTAKES, ids=[m[1][:50] for m in S7_MISTAKES])
def test_one_mistake_in_a_further_s7_block(tmp_path: Path, tags: list[str], message: str) -> None:
    found = said(tmp_path, s7_block(*tags))
    assert found[0].startswith(message), found
    assert len(found) == (2 if "role of another" in message else 1), found


MODBUS_MISTAKES = [
    (
        modbus_block("name: A, type: Int", at="40101"),
        f"{E}.at: 40101 can be meant in two ways: write '40101' in quotes, or 100",
    ),
    (modbus_block("name: A, type: Int", at="400000"), f"{E}.at: 400000: such addresses count from 1"),
    (modbus_block("name: A, type: Int", at="HR:400.1"), f"{E}.at: HR:400.1: a block begins with a whole register"),
    (modbus_block("name: A, type: Int", at="IR:400"), f"{E}.at: IR:400: is in IR, the area is HR"),
    (modbus_block("name: A, type: Int", at="-1"), f"{E}.at: must be greater than or equal to 0"),
    (
        modbus_block("name: A, type: Int, at: 40402"),
        f"{E}.tags.0.at: A: 40402 can be meant in two ways: write '40402' in quotes",
    ),
    (modbus_block("name: A, type: Bool, at: 10002", area="DI"), f"{E}.tags.0.at: A: 10002 can be meant in two ways"),
    (modbus_block("name: A, type: Int, at: IR:400"), f"{E}.tags.0.at: A: IR:400 is in IR, the block lies in HR"),
    (modbus_block("name: A, type: Int, at: HR:399"), f"{E}.tags.0.at: A: HR:399 lies before the block"),
    (modbus_block("name: A, type: Bool, at: HR:400"), f"{E}.tags.0.at: A: HR:400: which bit? write HR:400.0 to HR:400.15"),
    (modbus_block("name: A, type: Int, at: HR:400.2"), f"{E}.tags.0.at: A: HR:400.2: a bit is no place for Int"),
    (modbus_block("name: A, type: Int", area="CO"), f"{E}.tags.0: A: coils and discrete inputs hold Bool alone, not Int"),
    (
        modbus_block("name: A, type: Bool", "name: B, type: Bool, at: 0", area="CO"),
        f"{E}.tags.1.at: B: overlaps A at bit 0 (CO:400); give each its own bits",
    ),
    (modbus_block("name: A, type: Byte, order: ABCD"), f"{E}.tags.0.order: A cannot have an order of its own: it has no whole"),
    (modbus_block("name: A, type: Real", at="65535"), f"{E}.at: the block ends beyond register 65535"),
    (
        modbus_block("name: A, type: Int", at="10"),
        f"{E}.at: Process (HR:10 to 10) overlaps DB_VisionUp (HR:0 to 89), A on SentinelReal: one register in two",
    ),
    (
        modbus_block("name: A, type: Int", at="200"),
        f"{E}.at: Process (HR:200 to 200) overlaps DB_VisionDown (HR:200 to 273), A on Status1: two",
    ),
    (s7_block("name: A, type: Int"), f"{E}: a Modbus block needs area (HR) and at (first register, 0-based)"),
]


@pytest.mark.parametrize(("block", "message"), MODBUS_MISTAKES, ids=[m[1][:50] for m in MODBUS_MISTAKES])
def test_one_mistake_in_a_further_modbus_block(tmp_path: Path, block: str, message: str) -> None:
    found = said(tmp_path, block, MODBUS)
    assert found[0].startswith(message), found
    assert len(found) == (2 if "needs area" in message else 1), found


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (s7_block("name: A, type: Int", direction="gw->plc"), f"{E}.dir: a second gw->plc block"),
        (
            s7_block("name: A, type: Int", name="db_VisionUp"),
            f"{E}.name: db_VisionUp and DB_VisionUp (line 13) are one name on a",
        ),
        (s7_block("name: A, type: Int", name="DB_VisionUp"), f"{E}.name: DB_VisionUp is the name of another block (line 13)"),
        (s7_block("name: A, type: Int", head="db: 101"), f"{E}.db: both blocks lie in DB101: one block a direction"),
        (
            s7_block("name: A, type: Int", head="db: 100"),
            f"{E}: DB_Process overlaps DB_VisionUp in DB100 (bytes 0 to 1), A on Control",
        ),
        (s7_block("name: A, type: Int", head="db: 110\n    at: 3"), f"{E}.at: 3: a block begins on an even byte"),
        (s7_block("name: A, type: Int", head="db: 110\n    at: DB9.DBB4"), f"{E}.at: DB9.DBB4 is not in DB110"),
        (s7_block("name: A, type: Int", head="at: 4"), f"{E}: an S7 block needs db (its number)"),
        (s7_block("name: A, type: Int", head="db: 110\n    at: 65536"), f"{E}.at: the block ends beyond byte 65535"),
        (s7_block("name: A, type: Int") + "    descripton: x\n", f"{E}.descripton: unknown key 'descripton', did you mean"),
    ],
)
def test_one_mistake_with_a_block(tmp_path: Path, block: str, message: str) -> None:
    found = said(tmp_path, block)
    assert found[0].startswith(message), found


def test_trace_roles_in_two_blocks(tmp_path: Path) -> None:
    blocks = s7_block(TRACE[0]) + s7_block(TRACE[1], head="db: 111", name="Other")
    assert said(tmp_path, blocks) == [
        "blocks.3.tags.0.role: trace.serial lies in another block than trace.part; they are read as one"
    ]


def test_a_handshake_s_block_within_a_data_block(tmp_path: Path) -> None:
    base = S7.replace("  - db: 101\n", "  - db: 101\n    at: 10\n")
    assert said(tmp_path, "", base) == ["blocks.1.at: the handshake's DB_VisionDown begins at byte 0 of its data block"]


def test_udts_that_hold_themselves_and_what_uses_them(tmp_path: Path) -> None:
    types = "  A: [{name: b, type: B}]\n  B: [{name: a, type: 'Array[0..1] of A'}]\n"
    found = said(tmp_path, s7_block("name: X, type: A", "name: Y, type: Int"), types=types)
    assert found == ["types.A: A > B > A: a UDT cannot hold itself"]


def test_mistakes_of_every_kind_are_told_at_once(tmp_path: Path) -> None:
    """What pydantic finds does not hide what the layout finds, nor is anything said twice."""
    block = s7_block(
        "name: Oven Temp, type: Real",
        "name: A, type: Reall",
        "name: B, type: Int, range: [0, x]",
        "name: C, type: Int, range: [9, 1]",
        "name: D, type: Int, at: DBX1",
        "name: E, type: Int, unitt: mm",
    )
    assert [m.split(": ")[0] for m in said(tmp_path, block)] == [
        f"{E}.tags.0.name",
        f"{E}.tags.1.type",
        f"{E}.tags.2.range.1",
        f"{E}.tags.3.range",
        f"{E}.tags.4.at",
        f"{E}.tags.5.unitt",
    ]


WHOLE = S7 + s7_block(*TRACE, "name: A, type: 'Array[1..3] of Int', at: DBX40.0", "name: B, type: Real, range: [0, 9]")
JUNK = [None, True, -1, 10**30, 1.5, float("nan"), "", "x", "Array[1..", "DB1.DBX9.9", "HR:1", [], {}, [[]], {"name": 1}]


def places_in(node: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(place for key, inner in items for place in places_in(inner, (*at, key)))]


PLACES = places_in(read_yaml(MAPS / "demo_s7.yaml").data) + [("blocks", 2, *p) for p in places_in({"tags": [{"at": 0}]})]


@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(JUNK)), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_whatever_stands_there_ends_in_a_map_or_in_errors_with_places(
    changes: list[tuple[tuple[str | int, ...], object]],
) -> None:
    data: Any = YAML(typ="safe", pure=True).load(WHOLE)
    for place, junk in changes:
        node = data
        for key in place[:-1]:
            inside = (
                key in node if isinstance(node, dict) else isinstance(node, list) and isinstance(key, int) and key < len(node)
            )
            if not inside:
                break
            node = node[key]  # type: ignore[index]
        else:
            if place and (
                isinstance(node, dict) or (isinstance(node, list) and isinstance(place[-1], int) and place[-1] < len(node))
            ):
                node[place[-1]] = junk
    text = io.StringIO()
    YAML().dump(data, text)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "m.yaml"
        file.write_text(text.getvalue())
        try:
            load_map(file)
        except ConfigError as error:
            assert error.problems
            assert all(p.message and p.file == str(file) for p in error.problems)
            assert len({(p.path, p.message) for p in error.problems}) == len(error.problems), "said twice"
