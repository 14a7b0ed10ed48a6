"""How many requests the further blocks cost, what is in them, and whose mistake it is when they are not there."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.codec import encode_section
from gateway.core.errors import DeviceRefused
from gateway.core.tags import Block, ModbusAddress, S7Address, Span, Tag, TagMap
from gateway.plc.extra import GAP_BYTES, ExtraReader, coalesce

UP = Block(name="U", base=S7Address(db=1, byte=0), direction="plc->gw", tags=(), size=2)


def map_of(*extra: Block) -> TagMap:
    roles = {t.role: t for b in extra for t in b.tags if t.role}
    return TagMap(name="press", order="ABCD", up=UP, down=UP, extra=extra, roles=roles)


def reals(*offsets: int, db: int = 10) -> Block:
    tags = tuple(Tag(name=f"V{db}_{o}", datatype="Real", offset=o, size=4) for o in offsets)
    return Block(name=f"B{db}", base=S7Address(db=db, byte=0), direction="plc->gw", tags=tags, size=max(offsets) + 4)


# -- the pure function ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ranges", "joined"),
    [
        ([], []),
        ([(0, 4)], [(0, 4)]),
        ([(4, 8), (0, 4)], [(0, 8)]),
        ([(0, 4), (14, 18)], [(0, 18)]),  # a gap of 10
        ([(0, 4), (16, 20)], [(0, 4), (16, 20)]),  # a gap of 12
        ([(1, 2), (5, 6)], [(0, 6)]),  # even at both ends
        ([(0, 20), (4, 6)], [(0, 20)]),  # one within the other
        ([(0, 60), (60, 100), (100, 102)], [(0, 100), (100, 102)]),  # no more than 100 in one
        ([(0, 400), (400, 404)], [(0, 400), (400, 404)]),
    ],
)
def test_ranges_are_joined(ranges: list[tuple[int, int]], joined: list[tuple[int, int]]) -> None:
    assert coalesce(ranges, gap=10, most=100) == joined


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 50)).map(lambda p: (p[0], p[0] + p[1])), max_size=40),
    st.integers(0, 80),
)
@settings(max_examples=200, deadline=None)
def test_every_range_is_within_one_that_is_even_sorted_and_no_larger_than_allowed(
    ranges: list[tuple[int, int]], gap: int
) -> None:
    joined = coalesce(ranges, gap=gap, most=222)
    assert all(any(a <= start and end <= b for a, b in joined) for start, end in ranges)
    assert joined == sorted(joined)
    for a, b in joined:
        assert a % 2 == b % 2 == 0
        assert b - a <= 222
        inside = sorted((s, e) for s, e in ranges if a <= s and e <= b)
        reach = a
        for start, end in inside:
            assert start - reach <= gap + 2  # both ends were rounded to even
            reach = max(reach, end)


# -- requests ------------------------------------------------------------------------------------------------------------


def requests(*extra: Block) -> list[tuple[str, int, int]]:
    return [(r.span.block.name, r.span.offset, r.span.length) for r in ExtraReader(map_of(*extra)).runs]


def test_twenty_scattered_tags_of_one_block_are_one_request() -> None:
    assert requests(reals(*range(0, 200, 10))) == [("B10", 0, 194)]


def test_a_block_costs_one_request_and_two_blocks_two() -> None:
    assert requests(reals(0, 4, db=10), reals(8, db=11)) == [("B10", 0, 8), ("B11", 8, 4)]


def test_a_hole_that_is_too_large_and_a_block_that_is_too_long_are_split() -> None:
    assert requests(reals(0, 4 + GAP_BYTES + 2)) == [("B10", 0, 4), ("B10", 70, 4)]
    assert requests(reals(*range(0, 400, 4))) == [("B10", 0, 220), ("B10", 220, 180)]


def test_an_array_longer_than_a_request_is_split_between_its_elements() -> None:
    tag = Tag(name="A", datatype="LReal", offset=0, size=800, count=100)
    block = Block(name="L", base=ModbusAddress(area="IR", register=0), direction="plc->gw", tags=(tag,), size=800)
    assert requests(block) == [("L", 0, 248), ("L", 248, 248), ("L", 496, 248), ("L", 744, 56)]


def test_bits_are_read_as_bytes_of_bits() -> None:
    tags = tuple(Tag(name=f"b{i}", datatype="Bool", offset=i // 8, bit=i % 8, size=0) for i in range(20))
    block = Block(name="C", base=ModbusAddress(area="CO", register=3), direction="plc->gw", tags=tags, size=4, bits=20)
    assert requests(block) == [("C", 0, 4)]


# -- reading -------------------------------------------------------------------------------------------------------------


PAPERS = (
    Tag(name="Part", datatype="UDInt", offset=20, size=4, role="trace.part"),
    Tag(name="Serial", datatype="String[8]", offset=24, size=10, role="trace.serial"),
)


def test_values_are_there_once_they_were_read_and_gone_when_forgotten() -> None:
    block = reals(0, 6)
    image = encode_section(block.tags, {"V10_0": 1.5, "V10_6": -2.0}, "ABCD")
    asked: list[Span] = []

    async def read(span: Span) -> bytes:
        asked.append(span)
        return image[span.offset : span.offset + span.length]

    async def main() -> None:
        reader = ExtraReader(map_of(block))
        assert reader.values == {}
        await reader.read_once(read)
        assert reader.values == {"V10_0": 1.5, "V10_6": -2.0}
        assert len(asked) == 1
        reader.forget()
        assert reader.values == {}

    asyncio.run(main())


def test_papers_are_looked_for_once_and_are_no_values() -> None:
    block = Block(name="T", base=S7Address(db=12, byte=0), direction="plc->gw", tags=PAPERS, size=34)
    asked: list[tuple[int, int]] = []

    async def read(span: Span) -> bytes:
        asked.append((span.offset, span.length))
        return bytes(span.length)

    async def main() -> None:
        reader = ExtraReader(map_of(block))
        assert reader.runs == ()
        await reader.read_once(read)
        assert (asked, reader.values) == ([(20, 14)], {})

    asyncio.run(main())


def test_a_refusal_names_block_and_tags() -> None:
    async def refuse(span: Span) -> bytes:
        raise DeviceRefused("press", "read", "DB10: no such object")

    async def main() -> None:
        with pytest.raises(DeviceRefused, match=r"the map's block B10 \(V10_0 to V10_8\) cannot be read: .*no such object"):
            await ExtraReader(map_of(reals(0, 4, 8))).read_once(refuse)

    asyncio.run(main())
