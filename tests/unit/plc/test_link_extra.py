"""The link and the map's further blocks: their values join the image, slowly; nothing of it delays or ends the handshake."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import DeviceRefused
from gateway.core.tags import Span
from gateway.plc.link import Link
from gateway.plc.maps import load_map
from gateway.plc.memory import Memory, MemoryDriver
from gateway.plc.verify import verify_interface
from simulators.plant import Settings
from simulators.plc import PlcLogic
from simulators.storm.loop import now_ns, run_virtual
from tests.unit.plc.test_link import MAP, Ear, Plant, until

EXTRA = """
  - db: 110
    name: DB_Oven
    dir: plc->gw
    tags:
      - {name: Oven, type: Real, role: process}
      - {name: Door, type: Bool, role: process}
  - db: 111
    name: DB_Dryer
    dir: plc->gw
    tags:
      - {name: Dryer, type: Int, role: process, scale: {raw: [0, 27648], eng: [0, 100]}}
"""


def plant_test(tmp_path: Path, body: Callable[[Plant], Coroutine[Any, Any, None]], missing: str = "") -> None:
    """Run ``body`` with a plant whose map has two further blocks; the PLC lacks the block ``missing``."""

    async def main() -> None:
        file = tmp_path / "m.yaml"
        file.write_text(MAP.read_text() + EXTRA)
        loaded = load_map(file)
        leaping = Settings(scan_ms=0.05)  # the belt leaps from part to part: counts are never taken for lost
        logic = PlcLogic(loaded, camera_to_gate=20_000, gate_window=300, settings=leaping)
        extra = dict(zip((b.name for b in loaded.map.extra), logic.extra, strict=True))
        if missing:
            extra[missing] = bytearray()
        plant = Plant(loaded=loaded, logic=logic, memory=Memory("press", logic.up, logic.down, extra))
        scanning = asyncio.create_task(plant.scan())
        try:
            await body(plant)
        finally:
            scanning.cancel()
            await asyncio.gather(scanning, return_exceptions=True)
            del Memory.plcs["press"]

    run_virtual(main())


def test_values_of_further_blocks_join_the_image(tmp_path: Path) -> None:
    async def body(plant: Plant) -> None:
        plant.memory.extra["DB_Oven"][:] = bytes.fromhex("42f6e9790100")
        plant.memory.extra["DB_Dryer"][:] = bytes.fromhex("3600")
        async with plant.gateway() as (link, _):
            await until(lambda: link.state == "up", "up")
            values = (await link.next_image()).values
            assert values["Oven"] == pytest.approx(123.456)
            assert (values["Door"], values["Dryer"]) == (True, 50)
            assert {"PressForce", "LineSpeed", "ToolWear"} <= set(values)
            plant.memory.extra["DB_Oven"][4] = 0
            await asyncio.sleep(0.25)
            assert (await link.next_image()).values["Door"] is False

    plant_test(tmp_path, body)


def test_a_further_block_is_read_ten_times_a_second_and_never_twice_between_two_polls(tmp_path: Path) -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, _):
            await until(lambda: link.state == "up", "up")
            reads: list[str] = []
            driver = plant.drivers[0]
            plain = driver.read

            async def noted(span: Span) -> bytes:
                reads.append(span.block.name)
                return await plain(span)

            driver.read = noted  # type: ignore[method-assign]
            await asyncio.sleep(2)
            assert 17 <= reads.count("DB_Oven") <= 20
            assert 17 <= reads.count("DB_Dryer") <= 20
            polls = [name == "DB_VisionUp" for name in reads]
            assert all(a or b for a, b in zip(polls, polls[1:], strict=False)), "two further requests side by side"

    plant_test(tmp_path, body)


def test_a_watcher_reads_further_blocks_too(tmp_path: Path) -> None:
    """It writes no token, so that no further request may wait for one."""

    async def body(plant: Plant) -> None:
        ear = Ear()
        link = Link(MemoryDriver("press"), plant.loaded.map, plant.loaded.checksum, ear, mono_ns=now_ns, monitor_only=True)
        ear.link = link
        task = asyncio.create_task(link.run())
        try:
            await until(lambda: link.state == "up", "up")
            for door in (1, 0, 1):
                plant.memory.extra["DB_Oven"][4] = door
                plant.part()
                await asyncio.sleep(0.25)
                assert (await link.next_image()).values["Door"] is bool(door)
            assert ear.head == 3, "it was asked for tokens"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    plant_test(tmp_path, body)


def test_a_further_block_that_is_not_there_refuses_the_map_before_it_claims(tmp_path: Path) -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "refused", "refused")
            assert (
                "the map's block DB_Oven (Oven to Door) cannot be read: press: read: DB_Oven has only 0 bytes"
                in ear.states[-1][1]
            )
            assert not plant.seen("owner")
            plant.memory.extra["DB_Oven"] = plant.logic.extra[0]
            await until(lambda: link.state == "up", "up, once it is there")

    plant_test(tmp_path, body, missing="DB_Oven")


def test_a_further_block_that_goes_while_the_line_runs_is_told_and_not_passed_over(tmp_path: Path) -> None:
    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, ear):
            await until(lambda: link.state == "up", "up")
            plant.memory.extra["DB_Dryer"] = bytearray()
            await until(lambda: link.state == "refused", "refused")
            assert "block DB_Dryer (Dryer) cannot be read" in ear.states[-1][1]

    plant_test(tmp_path, body)


def test_silence_is_the_link_s_affair_and_old_values_do_not_outlive_it(tmp_path: Path) -> None:
    async def body(plant: Plant) -> None:
        plant.memory.extra["DB_Oven"][4] = 1
        async with plant.gateway() as (link, _):
            await until(lambda: link.state == "up", "up")
            plant.memory.reachable = False
            await until(lambda: link.state == "down", "down")
            plant.memory.extra["DB_Oven"][4] = 0
            plant.memory.reachable = True
            await until(lambda: link.state == "up", "up again")
            first = (await link.next_image()).values
            assert first.get("Door") is not True, "a value from before the connection broke"
            await asyncio.sleep(0.2)
            assert (await link.next_image()).values["Door"] is False

    plant_test(tmp_path, body)


def test_tokens_go_first(tmp_path: Path) -> None:
    """With an answer that takes 30 ms, parts still get their tokens and the heartbeat its turn."""

    async def body(plant: Plant) -> None:
        async with plant.gateway() as (link, _):
            await until(lambda: link.state == "up", "up")
            plant.drivers[0].takes_s = 0.03
            await asyncio.sleep(0.5)
            for _ in range(5):
                plant.part()
                await asyncio.sleep(1.0)
            assert len(plant.seen("latched")) == 5
            assert "lost" not in {e.detail for e in plant.seen("owner")}

    plant_test(tmp_path, body)


# -- what a checksum can say ---------------------------------------------------------------------------------------------------


def checksum_said(tmp_path: Path, in_plc: str) -> str:
    """Return what is said when the PLC has the blocks of the text ``in_plc`` and the map has all of them."""
    file = tmp_path / "m.yaml"
    file.write_text(in_plc)
    plc = load_map(file)
    file.write_text(MAP.read_text() + EXTRA)
    here = load_map(file)
    values = {"SentinelDWord": 0x12345678, "SentinelReal": 123.456, "InterfaceChecksum": plc.checksum}
    with pytest.raises(DeviceRefused) as caught:
        verify_interface(values, here.map, here.checksum)
    return str(caught.value)


def test_the_checksum_tells_which_tag_or_block_the_plc_does_not_know(tmp_path: Path) -> None:
    whole = MAP.read_text() + EXTRA
    said = checksum_said(tmp_path, MAP.read_text())
    assert "the PLC's program knows none of the further blocks (DB_Oven, DB_Dryer)" in said
    assert "the PLC's program does not know block DB_Dryer" in checksum_said(tmp_path, whole.split("  - db: 111")[0])
    wear = next(line for line in whole.splitlines(keepends=True) if "name: ToolWear" in line)
    assert "the PLC's program does not know ToolWear of block DB_VisionUp" in checksum_said(tmp_path, whole.replace(wear, ""))
    door = next(line for line in whole.splitlines(keepends=True) if "name: Door" in line)
    assert "the PLC's program does not know Door of block DB_Oven" in checksum_said(tmp_path, whole.replace(door, ""))
    other = checksum_said(tmp_path, whole.replace("name: Oven, type: Real", "name: Oven, type: DInt"))
    assert "block DB_VisionUp or DB_VisionDown or DB_Oven or DB_Dryer was changed on one side only" in other


def test_a_checksum_that_was_never_set(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(MAP.read_text())
    here = load_map(file)
    values = {"SentinelDWord": 0x12345678, "SentinelReal": 123.456, "InterfaceChecksum": 0}
    with pytest.raises(DeviceRefused, match="the PLC's constant is 0, it was never set"):
        verify_interface(values, here.map, here.checksum)


def test_another_word_order_is_told_with_its_remedy(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text((MAP.parent / "demo_modbus.yaml").read_text().replace("order: CDAB", "order: ABCD"))
    here = load_map(file)
    real = struct.unpack(">f", bytes.fromhex("e97942f6"))[0]
    values = {"SentinelDWord": 0x56781234, "SentinelReal": real, "InterfaceChecksum": 0}
    with pytest.raises(DeviceRefused, match=r"reads 16#56781234, not 16#12345678; both sentinels .* plc\.order: CDAB: correct"):
        verify_interface(values, here.map, here.checksum)
    values["SentinelReal"] = 0.0
    with pytest.raises(DeviceRefused, match="reads 16#56781234, not 16#12345678: the block's address in"):
        verify_interface(values, here.map, here.checksum)
