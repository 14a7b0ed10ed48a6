"""A block at the end of what the PLC has: the part of it that is there is read, and what was not read is named."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, cast

from gateway.core.errors import DeviceRefused
from gateway.core.tags import ModbusAddress, Span
from gateway.doctor.probe import Probe, probe
from gateway.doctor.search import expected
from gateway.doctor.wire import Reader
from gateway.plc.maps import load_map

REPO = Path(__file__).resolve().parents[3]
END = 402
"""Registers that the PLC has."""


class Registers:
    """A PLC that refuses a read that reaches beyond its last register, as a real one does."""

    def __init__(self) -> None:
        self.data = bytearray(2 * END)

    async def connect(self) -> None:
        return

    async def read(self, span: Span) -> bytes:
        base = span.block.base
        assert isinstance(base, ModbusAddress)
        first = 2 * base.register + span.offset
        if first + span.length > len(self.data):
            raise DeviceRefused("plc", "read", "exception 2: illegal data address")
        return bytes(self.data[first : first + span.length])


async def look(tmp_path: Path, at: int, wanted: str) -> Probe:
    """Search a Real that stands in the last two registers (400, 401) by a map that has it at ``at``."""
    file = tmp_path / "m.yaml"
    more = f"  - {{area: HR, at: {at}, name: Last, dir: plc->gw, tags: [{{name: A, type: Real}}]}}\n"
    file.write_text((REPO / "plc_maps" / "demo_modbus.yaml").read_text().rstrip() + "\n" + more)
    plc = Registers()
    a, b = struct.unpack(">2s2s", struct.pack(">f", 2.0))
    plc.data[800:804] = b + a  # CDAB
    return await probe(load_map(file), Reader(cast(Any, plc)), ["A"], expected(wanted))


async def test_off_by_one_at_the_end_is_found_at_the_neighbour_before(tmp_path: Path) -> None:
    found = await look(tmp_path, 401, "2.0")
    assert found.readings[0].trouble.endswith("illegal data address")
    assert (found.places[0].address, found.places[0].order, found.places[0].shift) == ("HR:400", "CDAB", -2)


async def test_what_was_not_read_is_named(tmp_path: Path) -> None:
    found = await look(tmp_path, 401, "3.0")
    assert not found.places
    assert found.unread == ("A", "what lies behind Last")


async def test_wrong_unit_or_block_gives_no_verdict_on_sentinels(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text((REPO / "plc_maps" / "demo_modbus.yaml").read_text().replace("at: 0\n", "at: 5000\n", 1))
    found = await probe(load_map(file), Reader(cast(Any, Registers())))
    assert found.sentinels == "they could not be read"
