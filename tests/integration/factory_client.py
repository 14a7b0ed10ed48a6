"""The factory's process on one side, a hand-made gateway on the other: a camera client and the gateway's own link."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.core.handshake import VerdictRing
from gateway.core.tags import Scalar
from gateway.core.verdict import Disposition
from gateway.plc.link import Link, UpImage
from gateway.plc.maps import load_map
from tests.integration.plc_stand import REPO, until

HEADER = struct.Struct(">4sIqIBBHH")


@dataclass
class Factory:
    """A running factory process."""

    process: asyncio.subprocess.Process
    ledger_path: Path
    protocol: str
    said: list[dict[str, Any]] = field(default_factory=list)
    errors: bytearray = field(default_factory=bytearray)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [s for s in self.said if s["event"] == event]

    @property
    def ready(self) -> dict[str, Any]:
        return self.of("ready")[0]

    def ledger(self, kind: str = "") -> list[dict[str, Any]]:
        events = [json.loads(line) for line in self.ledger_path.read_text().splitlines()]
        return [e for e in events if not kind or e["kind"] == kind]

    async def end(self) -> int:
        """Close stdin and return the exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(10):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def factory(tmp_path: Path, *, wait_ready: bool = True, **config: object) -> AsyncIterator[Factory]:
    """Start ``python -m simulators.factory`` with this configuration."""
    protocol = str(config.get("protocol", "s7"))
    ledger = tmp_path / "ledger.jsonl"
    settings = {
        "line": "Press",
        "map": str(REPO / "plc_maps" / f"demo_{protocol}.yaml"),
        "protocol": protocol,
        "parts": 20,
        "parts_per_s": 20.0,
        "ledger": str(ledger),
    } | config
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.factory", stdin=pipe, stdout=pipe, stderr=pipe, cwd=REPO
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    running = Factory(process=process, ledger_path=ledger, protocol=protocol)

    async def listen(stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            running.said.append(json.loads(line))

    async def complain(stream: asyncio.StreamReader) -> None:
        while data := await stream.read(4096):
            running.errors += data

    readers = [asyncio.create_task(listen(process.stdout)), asyncio.create_task(complain(process.stderr))]
    try:
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        await process.stdin.drain()
        if wait_ready:
            await until(lambda: running.of("ready") or process.returncode is not None, "ready", 20)
            assert running.of("ready"), running.errors.decode()
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await asyncio.gather(*readers)


@dataclass
class Camera:
    """Every frame received: (counter, t_exposed_ns, encoder, height, width, channels, pixels)."""

    frames: list[tuple[int, int, int, int, int, int, bytes]] = field(default_factory=list)
    connections: int = 0


@contextlib.asynccontextmanager
async def camera_client(port: int) -> AsyncIterator[Camera]:
    """Receive frames, and connect again when cut off."""
    camera = Camera()

    async def receive() -> None:
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            camera.connections += 1
            try:
                while True:
                    head = await reader.readexactly(HEADER.size)
                    magic, counter, exposed, encoder, latched, channels, height, width = HEADER.unpack(head)
                    assert (magic, latched) == (b"VGF1", 1)
                    pixels = await reader.readexactly(height * width * channels)
                    camera.frames.append((counter, exposed, encoder, height, width, channels, pixels))
            except (ConnectionError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.01)
            finally:
                writer.close()

    task = asyncio.create_task(receive())
    try:
        yield camera
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Passer:
    """A link's listener that passes every part it sees, at once and blindly, but for those that it is told to fail."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.ring = VerdictRing()
        self.ready = True
        self.head: int | None = None
        self.up: UpImage | None = None
        self.fails: frozenset[int] = frozenset()
        self.outcomes: dict[int, int] = {}

    def on_state(self, state: str, detail: str) -> None:
        pass

    def on_owner_lost(self, reason: str) -> None:
        self.ring.clear()

    def on_baseline(self, up: UpImage) -> None:
        self.head = up.part_id

    def on_up(self, up: UpImage) -> None:
        self.up = up
        self.outcomes.update(up.outcomes)
        while self.head is not None and self.head != up.part_id:
            self.head += 1
            assert self.link is not None
            verdict = Disposition.FAIL if self.head in self.fails else Disposition.PASS
            self.ring.put(self.head, verdict, self.link.epoch)
            self.link.tokens_changed()

    def tokens(self) -> Sequence[tuple[int, int, int]]:
        return self.ring.words()

    def on_tokens_acked(self, part_ids: frozenset[int], t_mono_ns: int) -> None:
        pass

    def on_status_written(self) -> None:
        pass

    def alive(self) -> bool:
        return True

    def status(self) -> Mapping[str, Scalar]:
        return {"status1": 1 if self.ready else 0}


@contextlib.asynccontextmanager
async def passing_gateway(running: Factory, *, ready: bool = True) -> AsyncIterator[Passer]:
    """Own the factory's PLC over its real protocol and pass every part."""
    loaded = load_map(REPO / "plc_maps" / f"demo_{running.protocol}.yaml")
    plc = loaded.plc.model_copy(update={"port": running.ready["plc_port"]})
    passer = Passer()
    passer.ready = ready
    link = Link(plc.build(loaded.map), loaded.map, loaded.checksum, passer, mono_ns=time.monotonic_ns, seed=1)
    passer.link = link
    task = asyncio.create_task(link.run())
    try:
        yield passer
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task  # raises what ended the link, if something did
