"""The trace block over both protocols: every record has its own part's texts, and nonsense in it costs no part."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.core.events import PartJudged
from simulators.plant import Trace
from tests.integration.fault_line import FaultLine, fault_line
from tests.integration.plc_stand import PROTOCOLS, REPO, plc_stand, until

PLACE = {"s7": "db: 102", "modbus": "area: HR\n    at: 400"}
BLOCK = """
  - {place}
    name: DB_Trace
    dir: plc->gw
    tags:
      - {{ name: SerialNumber, type: "String[20]", role: trace.serial }}
      - {{ name: LotId, type: "String[9]", role: trace.lot }}
      - {{ name: ProductCode, type: "String[10]", role: trace.product }}
      - {{ name: CarrierId, type: "String[4]", role: trace.carrier }}
      - {{ name: TracePart, type: UDInt, role: trace.part }}
"""


def traced_map(protocol: str, folder: Path) -> Path:
    path = folder / f"{protocol}.yaml"
    text = (REPO / "plc_maps" / f"demo_{protocol}.yaml").read_text()
    path.write_text(text.rstrip() + BLOCK.format(place=PLACE[protocol]))
    return path


async def passes(line: FaultLine, count: int, serial: str) -> list[PartJudged]:
    """Let parts pass with serials of their own; return their records, in their order."""
    first = len(line.encoders)
    for n in range(first + 1, first + count + 1):
        line.line.on_camera("cam", True)
        line.plc.trace = Trace(serial=serial.format(n), lot="L7/ä", product="housing", carrier=f"C{n % 10}")
        line.part()
        await asyncio.sleep(0.04)
    new = line.encoders[first:]
    await until(lambda: sum(r.encoder in new for r in line.records if isinstance(r, PartJudged)) == count, "their records")
    return [r for r in line.records if isinstance(r, PartJudged) and r.encoder in new]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_each_record_has_the_texts_of_its_own_part(protocol: str, tmp_path: Path) -> None:
    async with plc_stand(protocol, map_file=traced_map(protocol, tmp_path)) as plc, fault_line(plc, plc.port) as line:
        await line.up()
        first = len(line.encoders)
        records = await passes(line, 20, "SN-{:05}")
        numbers = {encoder: n for n, encoder in enumerate(line.encoders, 1)}
        known = [r for r in records if r.serial]
        for r in known:
            n = numbers[r.encoder]
            assert (r.serial, r.lot, r.product, r.carrier) == (f"SN-{n:05}", "L7/ä", "housing", f"C{n % 10}")
        # Two parts between two reads, on a machine that does other things, leave the first one's texts unknown.
        assert len(known) >= 15
        assert [r.serial for r in await passes(line, 3, "NOREAD")] == [""] * 3
        assert len(line.encoders) == first + 23


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_bytes_that_are_no_text_cost_no_part(protocol: str, tmp_path: Path) -> None:
    async with plc_stand(protocol, map_file=traced_map(protocol, tmp_path)) as plc, fault_line(plc, plc.port) as line:
        await line.up()
        [block] = plc.logic.extra
        show = plc.logic._head.show

        def show_nonsense(part_id: int, encoder: int, trace: Trace | None) -> None:
            show(part_id, encoder, trace)
            block[1] = 250  # the length of the serial, which holds 20 characters

        plc.logic._head.show = show_nonsense  # type: ignore[method-assign]
        records = await passes(line, 10, "SN{}")
        assert {r.serial for r in records} == {""}
        assert sum(r.carrier != "" for r in records) >= 7, "the other texts are there"
        assert sum(r.token == "acked" for r in records) >= 9
        assert line.link.state == "up"
