"""Bytes and values: every type in every order there and back, and against bytes worked out by hand."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.codec import BlockCodec, encode_section, reorder, to_engineering, to_raw
from gateway.core.tags import ELEMENTARY, Block, Field, ModbusAddress, S7Address, Scalar, Scale, Tag, WordOrder
from gateway.core.texts import is_text

ORDERS: list[WordOrder] = ["ABCD", "CDAB", "BADC", "DCBA"]
orders = st.sampled_from(ORDERS)
NUMBERS = [k for k in ELEMENTARY if not is_text(k)]
INTEGERS = {"B": (0, 8), "b": (1, 8), "H": (0, 16), "h": (1, 16), "I": (0, 32), "i": (1, 32), "Q": (0, 64), "q": (1, 64)}


def values_of(datatype: str) -> st.SearchStrategy[Scalar]:
    """Return values that the type holds exactly."""
    size, code = ELEMENTARY[datatype]
    if datatype == "Bool":
        return st.booleans()
    if code in INTEGERS:
        signed, bits = INTEGERS[code]
        return st.integers(-(1 << bits - 1) if signed else 0, (1 << bits - signed) - 1)
    return st.floats(allow_nan=False, allow_infinity=False, width=8 * size)  # type: ignore[arg-type]


def block_of(*tags: Tag) -> Block:
    end = max(t.offset + max(1, t.size) for t in tags)
    return Block(name="B", base=S7Address(db=1, byte=0), direction="gw->plc", tags=tags, size=end + end % 2)


def tag(name: str, datatype: str, offset: int, **more: object) -> Tag:
    return Tag(name=name, datatype=datatype, offset=offset, size=ELEMENTARY[datatype][0], **more)  # type: ignore[arg-type]


def image_of(block: Block, values: dict[str, Scalar], order: WordOrder) -> bytes:
    data = encode_section(block.tags, values, order)
    return data + bytes(block.size - len(data))


# -- by hand --------------------------------------------------------------------------------------------------------------

DWORD = 0x01020304
REAL = 123.456  # 42 F6 E9 79
LREAL = 1.5  # 3F F8 00 00 00 00 00 00
BY_HAND: dict[WordOrder, str] = {
    #       Word  SInt Byte DWord    Real     Bools .0 .9 .15 in a Word of bits, Bool 16
    "ABCD": "a55a fe 07 01020304 42f6e979 01 82 01 00 0102030405060708",
    "CDAB": "a55a fe 07 03040102 e97942f6 01 82 01 00 0708050603040102",
    "BADC": "5aa5 07 fe 02010403 f64279e9 82 01 00 01 0201040306050807",
    "DCBA": "5aa5 07 fe 04030201 79e9f642 82 01 00 01 0807060504030201",
}


def hand_block() -> Block:
    return block_of(
        tag("Word", "Word", 0),
        tag("SInt", "SInt", 2),
        tag("Byte", "Byte", 3),
        tag("DWord", "DWord", 4),
        tag("Real", "Real", 8),
        tag("B0", "Bool", 12),
        tag("B9", "Bool", 13, bit=1),
        tag("B15", "Bool", 13, bit=7),
        tag("B16", "Bool", 14),
        tag("ULInt", "ULInt", 16),
    )


HAND_VALUES: dict[str, Scalar] = {
    "Word": 0xA55A,
    "SInt": -2,
    "Byte": 7,
    "DWord": DWORD,
    "Real": REAL,
    "B0": True,
    "B9": True,
    "B15": True,
    "B16": True,
    "ULInt": 0x0102030405060708,
}


@pytest.mark.parametrize("order", ORDERS)
def test_bytes_worked_out_by_hand(order: WordOrder) -> None:
    want = bytes.fromhex(BY_HAND[order])
    assert encode_section(hand_block().tags, HAND_VALUES, order) == want
    decoded = BlockCodec(hand_block(), order).decode(want)
    assert decoded.pop("Real") == pytest.approx(REAL, rel=1e-7)
    assert decoded == {k: v for k, v in HAND_VALUES.items() if k != "Real"}


@pytest.mark.parametrize(
    ("order", "two", "four", "eight"),
    [
        ("ABCD", "0102", "01020304", "0102030405060708"),
        ("CDAB", "0102", "03040102", "0708050603040102"),
        ("BADC", "0201", "02010403", "0201040306050807"),
        ("DCBA", "0201", "04030201", "0807060504030201"),
    ],
)
def test_reorder_by_hand_and_is_its_own_inverse(order: WordOrder, two: str, four: str, eight: str) -> None:
    for size, want in ((2, two), (4, four), (8, eight)):
        straight = bytes(range(1, size + 1))
        assert reorder(straight, order) == bytes.fromhex(want)
        assert reorder(reorder(straight, order), order) == straight


def test_an_array_of_udts_by_hand() -> None:
    fields = (
        Field(name="PartId", datatype="UDInt", offset=0),
        Field(name="Verdict", datatype="Word", offset=4),
        Field(name="Check", datatype="Word", offset=6),
    )
    tokens = Tag(name="T", datatype="Token", offset=0, count=2, fields=fields, size=16)
    values: dict[str, Scalar] = {"T[0].PartId": 1, "T[1].PartId": 0x00020003, "T[1].Verdict": 0xA55A, "T[1].Check": 9}
    assert encode_section([tokens], values, "ABCD").hex() == "0000000100000000" + "00020003a55a0009"
    assert encode_section([tokens], values, "CDAB").hex() == "0001000000000000" + "00030002a55a0009"


# -- there and back ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("datatype", NUMBERS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_every_type_survives_in_every_order(datatype: str, order: WordOrder, data: st.DataObject) -> None:
    value = data.draw(values_of(datatype))
    other = data.draw(st.integers(0, 255))
    block = block_of(tag("X", datatype, 2), tag("Before", "Byte", 0), tag("After", "Byte", 12))
    image = image_of(block, {"X": value, "Before": other, "After": other}, order)
    assert BlockCodec(block, order).decode(image) == {"X": value, "Before": other, "After": other}


@given(
    order=orders,
    kinds=st.lists(st.sampled_from([k for k in NUMBERS if k != "Bool"]), min_size=1, max_size=12),
    gaps=st.lists(st.integers(0, 5), min_size=12, max_size=12),
    data=st.data(),
)
@settings(max_examples=100, deadline=None)
def test_blocks_of_anything_survive_gaps_and_all(
    order: WordOrder, kinds: list[str], gaps: list[int], data: st.DataObject
) -> None:
    tags, at = [tag("First", "Word", 0)], 2
    for i, kind in enumerate(kinds):
        at += gaps[i]
        at += at % 2 if ELEMENTARY[kind][0] > 1 else 0
        tags.append(tag(f"T{i}", kind, at))
        at += ELEMENTARY[kind][0]
    tags.append(tag("Last", "Word", at + at % 2))
    block = block_of(*tags)
    values = {t.name: data.draw(values_of(t.datatype)) for t in tags}
    assert BlockCodec(block, order).decode(image_of(block, values, order)) == values


@given(order=orders, bits=st.lists(st.booleans(), min_size=16, max_size=16), count=st.integers(1, 16))
@settings(max_examples=100, deadline=None)
def test_bits_survive_alone_and_in_arrays(order: WordOrder, bits: list[bool], count: int) -> None:
    alone = [tag(f"b{i}", "Bool", i // 8, bit=i % 8) for i in range(16)]
    array = Tag(name="A", datatype="Bool", offset=2, count=count, size=2)
    block = block_of(*alone, array)
    values: dict[str, Scalar] = {f"b{i}": b for i, b in enumerate(bits)}
    values |= {f"A[{i}]": bits[15 - i] for i in range(count)}
    assert BlockCodec(block, order).decode(image_of(block, values, order)) == values


# -- scaling ----------------------------------------------------------------------------------------------------------------

SCALE = Scale(raw=(0, 27648), eng=(-20, 120))


def test_scaling_by_hand() -> None:
    assert to_engineering(0, SCALE) == -20
    assert to_engineering(27648, SCALE) == 120
    assert to_engineering(13824, SCALE) == 50
    assert to_raw(50, SCALE) == 13824
    falling = Scale(raw=(4000, 20000), eng=(100, 0))
    assert to_engineering(12000, falling) == 50
    assert to_raw(75, falling) == 8000


@given(
    raw=st.tuples(st.integers(-32768, 32767), st.integers(-32768, 32767)).filter(lambda r: abs(r[0] - r[1]) > 10),
    eng=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).filter(lambda e: abs(e[0] - e[1]) > 1e-3),
    share=st.floats(0, 1),
    order=orders,
)
@settings(max_examples=100, deadline=None)
def test_a_scaled_value_comes_back_within_half_a_count(
    raw: tuple[int, int], eng: tuple[float, float], share: float, order: WordOrder
) -> None:
    scale = Scale(raw=raw, eng=eng)
    value = eng[0] + share * (eng[1] - eng[0])
    block = block_of(tag("X", "Int", 0, scale=scale))
    back = BlockCodec(block, order).decode(image_of(block, {"X": value}, order))["X"]
    half = abs((eng[1] - eng[0]) / (raw[1] - raw[0])) / 2
    assert abs(float(back) - value) <= half * 1.001 + 1e-6


def test_a_scaled_value_beyond_its_type_is_refused_by_name() -> None:
    block = block_of(tag("Level", "Int", 0, scale=SCALE))
    with pytest.raises(ValueError, match=r"Level: 200.0 does not fit into Int"):
        encode_section(block.tags, {"Level": 200.0}, "ABCD")


# -- what is refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("datatype", [k for k in NUMBERS if k != "Bool"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_never_written(datatype: str, value: float) -> None:
    with pytest.raises(ValueError, match="Force: .* is no number that a PLC may be given"):
        encode_section([tag("Force", datatype, 0)], {"Force": value}, "ABCD")


@pytest.mark.parametrize("datatype", [k for k in ELEMENTARY if ELEMENTARY[k][1] in INTEGERS])
def test_integers_beyond_their_type_are_refused_by_name(datatype: str) -> None:
    signed, bits = INTEGERS[ELEMENTARY[datatype][1]]
    low, high = -(1 << bits - 1) if signed else 0, (1 << bits - signed) - 1
    for fits in (low, high):
        encode_section([tag("N", datatype, 0)], {"N": fits}, "ABCD")
    for beyond in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"N: {beyond} does not fit into {datatype}"):
            encode_section([tag("N", datatype, 0)], {"N": beyond}, "ABCD")


def test_large_integers_keep_every_digit() -> None:
    """A detour through float would round them."""
    block = block_of(tag("N", "ULInt", 0))
    for value in ((1 << 53) + 1, (1 << 64) - 1):
        assert BlockCodec(block, "ABCD").decode(image_of(block, {"N": value}, "ABCD")) == {"N": value}


def test_a_real_beyond_its_type_and_a_fraction_for_an_integer() -> None:
    with pytest.raises(ValueError, match=r"R: 1e\+39 does not fit into Real"):
        encode_section([tag("R", "Real", 0)], {"R": 1e39}, "ABCD")
    with pytest.raises(ValueError, match=r"N: 1\.5 is no whole number, the type is UInt"):
        encode_section([tag("N", "UInt", 0)], {"N": 1.5}, "ABCD")
    assert encode_section([tag("N", "UInt", 0)], {"N": 2.0}, "ABCD") == b"\0\2"


@pytest.mark.parametrize("length", [0, 1, 19, 21, 1000])
def test_an_image_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"{length} bytes for a block of 24"):
        BlockCodec(hand_block(), "ABCD").decode(bytes(length))


def test_a_section_begins_on_an_even_byte() -> None:
    with pytest.raises(ValueError, match="B: a section begins on an even byte, not 3"):
        encode_section([tag("B", "Byte", 3)], {"B": 1}, "BADC")


def test_leaves_without_a_value_are_zero_and_sections_are_cut_to_size() -> None:
    tags = [tag("A", "Word", 64), tag("B", "Real", 66), tag("C", "Word", 72)]
    assert encode_section(tags, {"C": 0x1234}, "ABCD") == bytes(8) + b"\x12\x34"


@given(st.binary(min_size=24, max_size=24), orders)
@settings(max_examples=100, deadline=None)
def test_any_image_of_the_right_length_decodes(image: bytes, order: WordOrder) -> None:
    decoded = BlockCodec(hand_block(), order).decode(image)
    assert set(decoded) == set(HAND_VALUES)
    assert struct.pack(">Q", int(decoded["ULInt"])) == reorder(image[16:24], order)


# -- texts, orders of their own, parts of a block -----------------------------------------------------------------------------


def test_a_text_is_no_number_and_a_number_no_text() -> None:
    with pytest.raises(ValueError, match="N: '7' is text, the type is Int"):
        encode_section([tag("N", "Int", 0)], {"N": "7"}, "ABCD")
    with pytest.raises(ValueError, match="C: 7 is no text, the type is Char"):
        encode_section([tag("C", "Char", 0)], {"C": 7}, "ABCD")
    with pytest.raises(ValueError, match="C: 'AB' does not fit into Char: it is one character"):
        encode_section([tag("C", "Char", 0)], {"C": "AB"}, "ABCD")


def test_durations_are_whole_numbers() -> None:
    """Time: milliseconds in a DInt; LTime: nanoseconds in a LInt."""
    values: dict[str, Scalar] = {"T": -1500, "L": 86_400_000_000_000}
    block = block_of(tag("T", "Time", 0), tag("L", "LTime", 4))
    image = encode_section(block.tags, values, "ABCD")
    assert image == struct.pack(">iq", -1500, 86_400_000_000_000)
    assert BlockCodec(block, "ABCD").decode(image) == values


def test_an_order_of_its_own_turns_one_tag_alone() -> None:
    block = block_of(tag("A", "DWord", 0), tag("B", "DWord", 4, order="DCBA"))
    values: dict[str, Scalar] = {"A": DWORD, "B": DWORD}
    image = encode_section(block.tags, values, "CDAB")
    assert image.hex() == "0304010204030201"
    assert BlockCodec(block, "CDAB").decode(image) == values


def test_bits_of_a_bit_area_have_no_order() -> None:
    bits = tuple(tag(f"b{i}", "Bool", i // 8, bit=i % 8) for i in range(10))
    block = Block(name="C", base=ModbusAddress(area="CO", register=7), direction="plc->gw", tags=bits, size=2, bits=10)
    for order in ORDERS:
        decoded = BlockCodec(block, order).decode(bytes([0b0000_0001, 0b0000_0010]))
        assert [name for name, value in decoded.items() if value] == ["b0", "b9"]


@pytest.mark.parametrize("order", ORDERS)
def test_a_part_of_a_block_decodes_what_lies_wholly_in_it(order: WordOrder) -> None:
    block = hand_block()
    image = bytes.fromhex(BY_HAND[order])
    part = BlockCodec(block, order, start=2, length=12).decode(image[2:14])
    whole = BlockCodec(block, order).decode(image)
    assert part == {name: whole[name] for name in ("SInt", "Byte", "DWord", "Real", "B0", "B9", "B15")}
    with pytest.raises(ValueError, match="11 bytes for a block of 12"):
        BlockCodec(block, order, start=2, length=12).decode(image[2:13])
