"""The conformance suite against gateways of a few lines: one that keeps the contract, and one for each way to break it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.plc.maps import load_map
from simulators.conformance.__main__ import Result, name_of, run_check
from simulators.conformance.bench import (
    ALARM_ACTIVE,
    CLEAR_ERROR,
    MODE_MANUAL,
    ONLINE,
    SET_OFFLINE,
    TRIGGER_READY,
    Bench,
    Limits,
)
from simulators.conformance.checks import CHECKS
from simulators.plc_tracking import expected_check
from simulators.storm.loop import run_virtual

MAP = Path(__file__).parents[3] / "plc_maps" / "demo_s7.yaml"
PASS, NOT_INSPECTED = 0xA55A, 0x3CC3
STEP_S = 0.004


class Gateway:
    """Reads and writes the bench's memory in place of a wire. ``fault`` names the one thing that it does wrong."""

    def __init__(self, bench: Bench, fault: str = "") -> None:
        self.bench, self.fault = bench, fault
        self.nonce, self.owned, self.head, self.beat, self.ms = 0x1000_0001, False, 0, 0, 0.0
        self.claimed_ms, self.plc_beat, self.plc_beat_ms = -1e9, -1, 0.0
        self.alarm, self.alarm_ms, self.control = False, 0.0, 0

    async def run(self) -> None:
        while True:
            self.step()
            self.ms += STEP_S * 1e3
            await asyncio.sleep(STEP_S)

    def step(self) -> None:
        up = self.bench.up
        if up.role("interface.checksum").integer() != self.bench.loaded.checksum and self.fault != "any interface":
            self.owned = False
            return
        if (beat := up.role("plc.heartbeat").integer()) != self.plc_beat:
            self.plc_beat, self.plc_beat_ms = beat, self.ms
        if self.ms - self.plc_beat_ms > 300 and self.fault != "talks to a PLC in STOP":
            return
        echo = up.role("owner.echo").integer()
        if echo != self.nonce and not (self.fault == "ignores another owner" and self.owned and echo):
            self.claim(echo)
            return
        if not self.owned:
            self.owned, self.head = True, up.role("part.id").integer()
            if self.fault == "edge on the first read":
                self.head = max(0, self.head - 2)
        self.parts()
        self.say()

    def claim(self, echo: int) -> None:
        down = self.bench.down
        if self.owned:
            self.owned = False
            self.nonce += self.fault != "the same nonce again"
            self.claimed_ms = -1e9
        if self.ms - self.claimed_ms > 250:
            if self.claimed_ms > 0 and not echo:
                self.nonce += self.fault != "the same nonce again"
            self.claimed_ms = self.ms
            down.role("claim.nonce").set(self.nonce)
        if self.fault == "speaks without a grant":
            self.say()

    def parts(self) -> None:
        up = self.bench.up
        ring, tokens = up.ring("ring.trigger"), self.bench.down.ring("ring.token")
        control = up.role("control").integer()
        while self.head != up.role("part.id").integer():
            self.head = 1 if self.head == 0xFFFFFFFF and self.fault != "no wrap" else self.head + 1
            if self.head > 0xFFFFFFFF:
                return
            seen = ring[self.head % 8]["PartId"].integer() == self.head
            sees = not control & (SET_OFFLINE | MODE_MANUAL) or self.fault == "inspects offline"
            if not seen and self.fault != "no alarm":
                self.alarm, self.alarm_ms = True, self.ms
            good = (seen and sees) or self.fault == "guesses"
            verdict = PASS if good and self.fault != "never inspects" else NOT_INSPECTED
            slot = tokens[(self.head + (self.fault == "wrong slot")) % 8]
            check = expected_check(self.head, verdict, 0 if self.fault == "check without epoch" else self.nonce)
            slot["PartId"].set(self.head)
            slot["Verdict"].set(verdict)
            slot["Check"].set(check)

    def say(self) -> None:
        up, down = self.bench.up, self.bench.down
        control = up.role("control").integer()
        if control & ~self.control & CLEAR_ERROR or (self.fault == "alarm not latched" and self.ms - self.alarm_ms > 200):
            self.alarm = False
        self.control = control
        self.beat += self.fault != "no heartbeat" and int(self.ms) % 100 < 4
        offline = bool(control & SET_OFFLINE) and self.fault != "deaf to SetOffline"
        down.role("status1").set(5 << 4 if offline else TRIGGER_READY | ONLINE)
        down.role("status2").set(ALARM_ACTIVE if self.alarm else 0)
        down.role("owner.epoch").set(self.nonce)
        down.role("gateway.heartbeat").set(self.beat & 0xFFFF)


def results(fault: str, *names: str) -> dict[str, Result]:
    async def main() -> dict[str, Result]:
        bench = Bench(load_map(MAP), Limits(ready=2.0, part=0.5, spacing=0.05))
        found = {}
        async with bench.scanned():
            gateway = asyncio.create_task(Gateway(bench, fault).run())
            for check in CHECKS:
                if not names or name_of(check) in names:
                    found[name_of(check)] = await run_check(check, bench)
            gateway.cancel()
            await asyncio.gather(gateway, return_exceptions=True)
        return found

    return run_virtual(main())


def test_a_gateway_that_keeps_the_contract_passes() -> None:
    found = results("")
    assert len(found) == len(CHECKS)
    assert {name: r.detail for name, r in found.items() if not r.passed} == {}


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("no heartbeat", "claim"),
        ("speaks without a grant", "no-grant-no-word"),
        ("the same nonce again", "a-found-claim-is-drawn-anew"),
        ("any interface", "wrong-interface"),
        ("edge on the first read", "baseline"),
        ("check without epoch", "token"),
        ("wrong slot", "token"),
        ("never inspects", "token"),
        ("no wrap", "part-id-wraps"),
        ("guesses", "missed-trigger"),
        ("no alarm", "missed-trigger"),
        ("alarm not latched", "missed-trigger"),
        ("ignores another owner", "another-owner"),
        ("talks to a PLC in STOP", "plc-in-stop"),
        ("deaf to SetOffline", "set-offline"),
        ("inspects offline", "set-offline"),
        ("inspects offline", "manual"),
    ],
)
def test_a_gateway_that_breaks_it_is_found(fault: str, check: str) -> None:
    result = results(fault, check)[check]
    assert not result.passed
    assert result.detail


def test_without_a_gateway_nothing_passes() -> None:
    assert {r.passed for r in results("any interface is none").values()} == {True}, "a fault of no meaning changes nothing"

    async def main() -> list[Result]:
        bench = Bench(load_map(MAP), Limits(ready=0.5))
        async with bench.scanned():
            return [await run_check(check, bench) for check in CHECKS]

    assert {r.passed for r in run_virtual(main())} == {False}
