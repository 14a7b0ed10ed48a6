"""Two whole gateways on the same two lines, over S7 and over Modbus: one owns them, the other is a hot standby.

The owner is stopped and woken again, then the new owner is killed; each time the other one takes over. One long run, because
every start of a gateway costs seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from gateway.core.tags import ModbusAddress, S7Address
from gateway.frames import ring_folder
from gateway.frames.folder import sweep
from gateway.opcua.security import own_certificate
from gateway.plc.exchange import Exchange
from gateway.plc.maps import load_map
from simulators.demo_files import LINES, DemoLine
from simulators.ledger import read_ledger
from simulators.program import Program
from simulators.records import read_journal
from simulators.score import score_line
from simulators.stand import Stand, StandOptions
from tests.integration.plc_stand import REPO
from tests.integration.wire import proxy

APPLICATION = "urn:vision-gateway:test"
NOT_OWNER = 1
ON_THE_WIRE = ("acked", "late", "unknown")

pytestmark = pytest.mark.timeout(240)


@dataclass(slots=True)
class Gateway:
    """One of the two, seen from outside: its data folder."""

    data: Path
    program: Program

    def pids(self) -> dict[str, int]:
        found: dict[str, int] = json.loads((self.data / "pids.json").read_text())
        return found

    def send(self, sig: signal.Signals, *kinds: str) -> None:
        """Send a signal to its processes of these kinds, the supervisor first; to all when none is named."""
        pids = self.pids()
        for name in sorted(pids, key=lambda name: name != "supervisor"):
            if not kinds or name.partition(":")[0] in kinds:
                os.kill(pids[name], sig)

    def records(self, line: str) -> list[dict[str, Any]]:
        return read_journal(self.data / line / "journal.db")

    def links(self, line: str) -> list[str]:
        return [r["link"] for r in self.records(line) if r["kind"] == "line"]

    def acked(self, line: str) -> list[dict[str, Any]]:
        return [r for r in self.records(line) if r["kind"] == "part" and r["token"] == "acked"]

    def is_everywhere(self, link: str) -> bool:
        return all(links and links[-1] == link for links in (self.links(line.name) for line in LINES))

    def works(self, parts: int) -> Callable[[], bool]:
        """Return a question: has it given so many more parts of each line their token, and its link is up?"""
        before = {line.name: len(self.acked(line.name)) for line in LINES}
        return lambda: self.is_everywhere("up") and all(len(self.acked(n)) >= b + parts for n, b in before.items())


@contextlib.asynccontextmanager
async def both(folder: Path) -> AsyncIterator[tuple[Stand, Gateway, Gateway, dict[str, Any], dict[str, Any]]]:
    """Run the lines, their owner, and a standby that reaches the PLCs through recording wires."""
    stand = Stand(StandOptions(folder=folder, scenario="steady", parts=0, parts_per_s=12, seed=5))
    standby: Program | None = None
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stand.start()
            first = Gateway(stand.data, stand.gateway)
            await wait(first.works(1), "the first works")
            ports = {line.name: stand.factories[line.name].said[":ready"]["plc_port"] for line in LINES}
            wires = {line.name: await stack.enter_async_context(proxy(ports[line.name])) for line in LINES}
            standby, services = await stand.start_standby({name: wire.port for name, wire in wires.items()})
            yield stand, first, Gateway(folder / "standby" / "data", standby), wires, services
        finally:
            if standby is not None:
                await standby.stop()
            await stand.stop()


async def wait(condition: Callable[[], object], why: str, timeout_s: float = 40) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, f"not within {timeout_s:g} s: {why}"
        await asyncio.sleep(0.1)


async def test_a_standby_takes_over_from_a_frozen_and_from_a_killed_owner(tmp_path: Path) -> None:
    async with both(tmp_path) as (stand, first, second, wires, services):
        await wait(lambda: second.is_everywhere("readonly"), "the second is read-only")
        await wait(first.works(20), "the first goes on")
        assert all("up" not in second.links(line.name) for line in LINES)
        await tells_that_it_is_no_owner(services, tmp_path)
        for line in LINES:
            written = set(writes(line, b"".join(wires[line.name].sent)))
            assert written == {claim_of(line)}, f"{line.name}: it wrote more than its claim"

        first.send(signal.SIGSTOP)
        try:
            await wait(second.works(15), "the second has taken over")
        finally:
            first.send(signal.SIGCONT)
        await wait(lambda: first.is_everywhere("readonly"), "the woken one has turned read-only")
        await wait(second.works(15), "the second stays the owner")
        assert second.is_everywhere("up")
        for line in LINES:
            assert len(set(writes(line, b"".join(wires[line.name].sent)))) > 1, "tokens and status are seen on the wire"

        second.send(signal.SIGKILL, "supervisor", "control")
        await wait(first.works(15), "the first has taken over again")
        await stand.clear(10)
    sweep(ring_folder())  # as the next start of any gateway does, after that of the killed one's last process
    for line in LINES:
        check(line, stand, first, second)


async def tells_that_it_is_no_owner(services: dict[str, Any], folder: Path) -> None:
    """Ask over OPC UA, as a SCADA system does."""
    client = Client(services["opcua"], timeout=10)
    client.session_timeout = 600_000
    own = own_certificate(folder / "pki", APPLICATION, "127.0.0.1")
    client.application_uri = APPLICATION
    client.set_user("viewer")
    client.set_password(Path(services["viewer_password_file"]).read_text().strip())
    await client.set_security(SecurityPolicyBasic256Sha256, own.certificate, own.key)
    async with client:
        for line in LINES:
            tags = f"ns=2;s={line.name}.Cam1.Tags"
            names = ("Status.Online", "Status.Ready", "Status.ErrorCode", "Plc.LinkUp", "Status.ErrorText")
            *values, text = [await client.get_node(f"{tags}.{name}").read_value() for name in names]
            assert values == [False, False, NOT_OWNER, False]
            assert "owns the line" in text


def check(line: DemoLine, stand: Stand, first: Gateway, second: Gateway) -> None:
    """Hold both journals against what really happened on one line."""
    events = list(read_ledger(stand.ledger(line.name)))
    records = {"first": first.records(line.name), "second": second.records(line.name)}
    score = score_line(line.protocol, events, [*records["first"], *records["second"]])
    assert score["parts"] > 100
    for what in ("escapes_by_fault", "mis_tracked", "contradicted", "passed_without_token", "orphan_records"):
        assert score[what] == 0, (what, score)
    assert score["double_disposition"] == 0, "a part was judged by both gateways, or twice by one"
    sent = Counter(r["part_id"] for part in records.values() for r in part if r["kind"] == "part" and r["token"] in ON_THE_WIRE)
    assert max(sent.values()) == 1, "a part had two tokens"
    granted = [e["epoch"] for e in events if e["kind"] == "owner" and e["detail"] == "granted"]
    assert len(granted) == len(set(granted)) == 3, "the first, the second, the first again"
    acked = {name: [r for r in part if r["kind"] == "part" and r["token"] == "acked"] for name, part in records.items()}
    epochs = {name: {r["epoch"] for r in part} for name, part in acked.items()}
    assert epochs == {"first": {granted[0], granted[2]}, "second": {granted[1]}}
    latched = {e["part_id"]: e for e in events if e["kind"] == "latched"}
    for r in [*acked["first"], *acked["second"]]:
        if r["part_id"] in latched:
            assert (latched[r["part_id"]]["epoch"], latched[r["part_id"]]["verdict"]) == (r["epoch"], r["disposition"])


# -- what a gateway has written, from the bytes on its wire -------------------------------------------------------------------


def claim_of(line: DemoLine) -> tuple[int, int]:
    """Return where the claim of this line's map lies: (byte or register, bytes)."""
    loaded = load_map(REPO / "plc_maps" / line.map)
    span, _ = Exchange(loaded.map).section("claim", {"claim.nonce": 1})
    base = span.block.base
    if isinstance(base, ModbusAddress):
        return base.register + span.offset // 2, span.length
    assert isinstance(base, S7Address)
    return base.byte + span.offset, span.length


def writes(line: DemoLine, stream: bytes) -> Iterator[tuple[int, int]]:
    """Yield (byte or register, bytes) of every write that a client sent."""
    while stream:
        if line.protocol == "s7":
            length = int.from_bytes(stream[2:4], "big")
            unit, stream = stream[4:length], stream[length:]
            request = unit[3:]
            if unit[1] == 0xF0 and request[10] == 5:
                assert request[11] == 1, "one item a request"
                count, _db, _area, address = struct.unpack(">HHB3s", request[16:24])
                yield int.from_bytes(address, "big") >> 3, count
        else:
            length = 6 + int.from_bytes(stream[4:6], "big")
            request, stream = stream[7:length], stream[length:]
            assert request[0] in (3, 16), f"function {request[0]}"
            if request[0] == 16:
                register, count = struct.unpack(">HH", request[1:5])
                yield register, 2 * count
