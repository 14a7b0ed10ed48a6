"""The TraceBlock: a part's texts, and PartId last, in the block that the map has them in; nothing where it has none."""

from __future__ import annotations

import struct

import pytest

from gateway.core.tags import Block, S7Address, Tag
from simulators.plant import Trace
from tests.unit.simulators.plc_rig import Rig

TRACE = Block(
    name="Trace",
    base=S7Address(db=102, byte=0),
    direction="plc->gw",
    size=34,
    tags=(
        Tag(name="TracePart", datatype="UDInt", offset=0, size=4, role="trace.part"),
        Tag(name="Serial", datatype="String[14]", offset=4, size=16, role="trace.serial"),
        Tag(name="Lot", datatype="String[6]", offset=20, size=8, role="trace.lot"),
        Tag(name="Pressure", datatype="Real", offset=28, size=4, role="process"),
    ),
)


def test_the_texts_come_with_their_part() -> None:
    rig = Rig(extra=(TRACE,)).cleared()
    data = rig.plc.extra[0]
    assert bytes(data) == bytes(34)
    rig.scan(rig.encoder, trace=Trace(serial="SN0000042", lot="L1", product="no tag for it"))
    assert bytes(data[:28]) == struct.pack(">I", 1) + b"\x0e\x09SN0000042" + bytes(5) + b"\x06\x02L1" + bytes(4)
    rig.scan()
    assert struct.unpack_from(">I", data) == (1,), "they stay until the next part"
    rig.scan(rig.encoder, trace=Trace(serial="SN7"))
    assert bytes(data[:28]) == struct.pack(">I", 2) + b"\x0e\x03SN7" + bytes(11) + b"\x06\x00" + bytes(6)


def test_a_part_without_a_read_leaves_no_texts_of_another() -> None:
    rig = Rig(extra=(TRACE,)).cleared()
    rig.scan(rig.encoder, trace=Trace(serial="SN1"))
    rig.scan(rig.encoder)
    assert bytes(rig.plc.extra[0][:6]) == bytes(4) + b"\x0e\x00"


def test_a_restart_clears_the_block() -> None:
    rig = Rig(extra=(TRACE,)).cleared()
    rig.scan(rig.encoder, trace=Trace(serial="SN1"), process={"Pressure": 4.5})
    rig.plc.restart()
    assert bytes(rig.plc.extra[0]) == bytes(34)


def test_measured_values_of_a_further_block_are_written() -> None:
    rig = Rig(extra=(TRACE,)).cleared()
    rig.scan(process={"Pressure": 4.5})
    assert struct.unpack_from(">f", rig.plc.extra[0], 28) == (pytest.approx(4.5),)


def test_a_map_without_a_trace_block_takes_no_texts() -> None:
    rig = Rig().cleared()
    rig.scan(rig.encoder, trace=Trace(serial="SN1"))
    assert rig.plc.extra == ()
