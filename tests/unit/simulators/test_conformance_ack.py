"""The suite's checks of the classic exchange and of commands, against one more gateway of a few lines and its faults."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.plc.maps import load_map
from simulators.conformance import ack, commands
from simulators.conformance.__main__ import Result, all_checks, name_of, run_check
from simulators.conformance.bench import (
    ACQUISITION_ERROR,
    BUFFER_OVERRUN,
    BUFFER_RESULTS,
    CLEAR_EXPOSURE_COMPLETE,
    COMMAND_COMPLETED,
    COMMAND_FAILED,
    EXECUTE_COMMAND,
    EXPOSURE_COMPLETE,
    INSPECTION_COMPLETED,
    ONLINE,
    RESULTS_ACK,
    RESULTS_VALID,
    TEST_RUN_READY,
    TRIGGER,
    TRIGGER_ACK,
    TRIGGER_ENABLE,
    TRIGGER_READY,
    Bench,
    Limits,
)
from simulators.plc_tracking import expected_check
from simulators.storm.loop import run_virtual
from tests.unit.simulators.test_conformance import MAP, NOT_INSPECTED, PASS, Gateway


class AckGateway(Gateway):
    """The same with triggers, buffered results and commands."""

    def __init__(self, bench: Bench, fault: str = "") -> None:
        super().__init__(bench, fault)
        self.acquisition = self.inspection = 0
        self.last = -1
        self.bits = self.extra = 0
        self.queue: list[int] = []
        self.answer, self.online, self.recipe, self.judged, self.run_ms = 0, True, 1, 0, -1e9

    def rose(self, bit: int) -> bool:
        return self.last >= 0 and bool(self.control & ~self.last & bit)

    def put(self, part: int, verdict: int) -> None:
        slot = self.bench.down.ring("ring.token")[part % 8]
        slot["PartId"].set(part)
        slot["Verdict"].set(verdict)
        slot["Check"].set(expected_check(part, verdict, self.nonce))

    def parts(self) -> None:
        self.control = self.bench.up.role("control").integer()
        if not self.owned or self.bench.down.role("owner.epoch").integer() != self.nonce:
            self.last, self.bits, self.queue, self.answer = -1, 0, [], 0  # a first read is a baseline
            if self.fault == "takes a found command":
                self.last = 0
        self.command()
        self.trigger()
        self.results()
        self.last = self.control

    def trigger(self) -> None:
        armed = self.control & TRIGGER_ENABLE or self.fault == "not disarmed"
        if self.rose(TRIGGER):
            part = self.head = self.bench.up.role("part.id").integer()
            if armed and self.online:
                self.acquisition += self.fault != "no AcquisitionId"
                self.bits = self.bits & ~ACQUISITION_ERROR | TRIGGER_ACK | EXPOSURE_COMPLETE
                self.take(part)
            elif self.fault != "no AcquisitionError":
                self.bits |= ACQUISITION_ERROR
        elif self.head != (head := self.bench.up.role("part.id").integer()) and not self.control & TRIGGER and self.ms % 20 < 4:
            self.head = head
            self.put(head, NOT_INSPECTED)
        if not self.control & TRIGGER:
            self.bits &= ~TRIGGER_ACK
        if self.control & CLEAR_EXPOSURE_COMPLETE or self.fault == "exposure not held":
            self.bits &= ~EXPOSURE_COMPLETE
        self.armed = armed

    def take(self, part: int) -> None:
        if self.fault != "no token":
            self.put(part, PASS)
        self.judged = 1 if self.fault == "another recipe judged" else self.recipe
        if not self.control & BUFFER_RESULTS:
            self.queue, self.bits = [], self.bits & ~RESULTS_VALID
        if len(self.queue) < (9 if self.fault == "a buffer too many" else 8):
            self.queue.append(part)
        elif self.fault != "no overrun":
            self.bits |= BUFFER_OVERRUN

    def results(self) -> None:
        down = self.bench.down
        if self.rose(RESULTS_ACK) and self.queue:
            self.queue.pop(0)
            self.bits &= ~RESULTS_VALID
            return
        if self.queue and not self.bits & RESULTS_VALID and not self.control & RESULTS_ACK:
            self.inspection += 1
            down.role("inspection.id").set(self.inspection)
            down.role("result.part.id").set(self.queue[0])
            self.bits |= RESULTS_VALID
            self.bits ^= 0 if self.fault == "no toggle" else INSPECTION_COMPLETED
        if self.fault == "not frozen" and self.queue:
            down.role("result.part.id").set(self.queue[-1])

    def command(self) -> None:
        if self.fault == "answer not held" and self.ms - self.run_ms > 100:
            self.answer = 0
        if not self.control & EXECUTE_COMMAND:
            self.answer = 0
        elif self.rose(EXECUTE_COMMAND):
            number, arg = self.bench.up.role("command").integer(), self.bench.up.role("command.arg").integer()
            done = number in (1, 2, 4) or (number == 3 and (arg in (1, 2) or self.fault == "any recipe"))
            self.answer = COMMAND_COMPLETED if done or self.fault == "completes everything" else COMMAND_FAILED
            self.run_ms = self.ms
            if number in (1, 2) and self.fault != "stays online":
                self.online = number == 1
            if number == 3 and done:
                self.recipe = arg
            if number == 4 and self.fault == "tokens for golden pictures":
                self.put(5, PASS)

    def say(self) -> None:
        super().say()
        down = self.bench.down
        ready = (TRIGGER_READY if self.armed else 0) | ONLINE if self.online else 0
        down.role("acquisition.id").set(self.acquisition)
        down.role("recipe.current").set(self.recipe)
        down.role("recipe.judgment").set(self.judged)
        down.role("status1").set(ready | self.bits | self.answer)
        down.role("status2").set(TEST_RUN_READY | (1 if self.bits & RESULTS_VALID else 0))


CHECKS = [*ack.CHECKS, *commands.CHECKS, *commands.NEEDS_RECIPE, *commands.NEEDS_GOLDEN]


def results(folder: Path, fault: str, *names: str) -> dict[str, Result]:
    tag_map = folder / "map.yaml"
    tag_map.write_text(MAP.read_text().replace("handshake: ring", "handshake: ack"))

    async def main() -> dict[str, Result]:
        bench = Bench(load_map(tag_map), Limits(ready=2.0, part=0.5, command=2.0, spacing=0.05), recipe=2)
        found = {}
        async with bench.scanned():
            gateway = asyncio.create_task(AckGateway(bench, fault).run())
            for check in CHECKS:
                if not names or name_of(check) in names:
                    found[name_of(check)] = await run_check(check, bench)
            gateway.cancel()
            await asyncio.gather(gateway, return_exceptions=True)
        return found

    return run_virtual(main())


def test_a_gateway_that_keeps_the_contract_passes(tmp_path: Path) -> None:
    found = results(tmp_path, "")
    assert len(found) == len(CHECKS)
    assert {name: r.detail for name, r in found.items() if not r.passed} == {}


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("not disarmed", "ack-arm"),
        ("no AcquisitionId", "ack-exchange"),
        ("exposure not held", "ack-exchange"),
        ("no token", "ack-exchange"),
        ("no toggle", "ack-exchange"),
        ("not disarmed", "ack-missed-trigger"),
        ("no AcquisitionError", "ack-missed-trigger"),
        ("not frozen", "ack-buffered-results"),
        ("no overrun", "ack-overrun"),
        ("a buffer too many", "ack-overrun"),
        ("completes everything", "unknown-command"),
        ("answer not held", "unknown-command"),
        ("takes a found command", "command-found-on-the-first-read"),
        ("stays online", "offline-and-online"),
        ("any recipe", "recipe-change"),
        ("another recipe judged", "recipe-change"),
        ("tokens for golden pictures", "test-run"),
    ],
)
def test_a_gateway_that_breaks_it_is_found(fault: str, check: str, tmp_path: Path) -> None:
    result = results(tmp_path, fault, check)[check]
    assert not result.passed
    assert result.detail


def test_which_checks_are_run() -> None:
    ring = [name_of(c) for c in all_checks("ring", recipe=False, golden=False)]
    assert not [n for n in ring if n.startswith("ack-") or n in ("recipe-change", "test-run")]
    everything = [name_of(c) for c in all_checks("ack", recipe=True, golden=True)]
    assert len(everything) == len(set(everything)) == len(ring) + 5 + 2
