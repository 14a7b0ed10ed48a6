"""The classic exchange as it runs: the real control process on a simulated PLC that follows it, over S7 and over Modbus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.core.handshake import Status1
from simulators.plant import AckInputs
from tests.integration.plc_stand import PROTOCOLS, REPO, until
from tests.integration.test_control_process import Control, control


@contextlib.asynccontextmanager
async def ack_control(protocol: str, folder: Path, **changes: Any) -> AsyncIterator[Control]:
    """Run a line whose map says ``handshake: ack``, and wait until the PLC may raise a trigger."""
    text = (REPO / "plc_maps" / f"demo_{protocol}.yaml").read_text()
    tag_map = folder / "ack.yaml"
    tag_map.write_text(text.replace("handshake: ring", "handshake: ack"))
    async with control(protocol, map_file=tag_map, rate={"parts_per_s": 10}, **changes) as c:
        await c.ready()
        yield c


async def through(c: Control) -> int:
    """Let a part pass, and wait until its trigger is done with."""
    missed = len(c.plc.seen("missed"))
    part = await c.part()
    # Trigger is up from the part's scan on; it and TriggerAck are down again when the next may come.
    await until(lambda: c.status1() & Status1.TRIGGER_READY and not c.status1() & Status1.TRIGGER_ACK, "TriggerReady", 10)
    await asyncio.sleep(0.1)
    assert len(c.plc.seen("missed")) == missed
    return part


@pytest.mark.parametrize("buffered", [False, True], ids=["unbuffered", "buffered"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_plc_takes_every_result_by_the_exchange(protocol: str, buffered: bool, tmp_path: Path) -> None:
    async with ack_control(protocol, tmp_path) as c:
        c.plc.wishes = AckInputs(buffered=buffered)
        ids = [await through(c) for _ in range(6)]
        await until(lambda: [e.part_id for e in c.plc.seen("result")] == ids, "every result, once and in order", 10)
        assert [e.kind for e in c.plc.events if e.kind in ("missed", "refused", "overrun", "error")] == []
        assert len(c.plc.seen("exposed")) == 6
        latched = c.latched()
        assert set(latched) == set(ids)
        assert await c.stop() == 0
        assert {p: r.disposition for p, r in c.parts().items()} == latched
        assert {r.token for r in c.parts().values()} == {"acked"}
        scores = {e.part_id: float(e.detail.rpartition("score ")[2]) for e in c.plc.seen("result")}
        for part_id, record in c.parts().items():
            assert scores[part_id] == pytest.approx(record.scores[record.label], abs=1e-5), "its own payload"


async def test_a_part_without_a_trigger_is_not_inspected_and_the_error_clears(tmp_path: Path) -> None:
    async with ack_control("s7", tmp_path) as c:
        c.plc.wishes = AckInputs(trigger_enable=False)
        await until(lambda: not c.status1() & Status1.TRIGGER_READY, "disarmed")
        missed = await c.part()
        await until(lambda: c.status1() & Status1.ACQUISITION_ERROR, "AcquisitionError")
        await until(lambda: c.latched().get(missed) == "NOT_INSPECTED", "its result", 10)
        c.plc.wishes = replace(c.plc.wishes, trigger_enable=True)
        await until(lambda: c.status1() & Status1.TRIGGER_READY, "armed again")
        good = await through(c)
        await until(lambda: good in c.latched(), "the next part", 10)
        assert not c.status1() & Status1.ACQUISITION_ERROR
        assert await c.stop() == 0
        assert c.parts()[missed].reasons == ("no Trigger of its own came for it",)
        assert c.parts()[good].disposition != "NOT_INSPECTED"


async def test_a_restarted_plc_begins_the_exchange_anew(tmp_path: Path) -> None:
    async with ack_control("modbus", tmp_path) as c:
        await through(c)
        await until(lambda: c.plc.seen("result"), "a result", 10)
        c.plc.logic.restart()
        await until(lambda: len([e for e in c.plc.seen("owner") if e.detail == "granted"]) == 2, "claimed again")
        await c.ready()
        await asyncio.sleep(0.2)
        again = await through(c)
        await until(lambda: len(c.plc.seen("result")) == 2, "a result of the new epoch", 10)
        assert c.plc.seen("result")[1].part_id == again
        assert c.plc.seen("refused") == []
