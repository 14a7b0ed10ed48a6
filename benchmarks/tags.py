"""What tags cost: requests for 20 scattered tags, link cycle over the library's raw round trip, ``map check`` of 2,000 tags.

    .venv/bin/python benchmarks/tags.py [--seconds 10] [--json]

The PLC is simulated in a process of its own; requests are counted as frames on the wire, by a relay between. Link and raw
library take turns of half a second, so that a machine which does other things slows both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from snap7 import AsyncClient

from gateway.core.tags import ModbusAddress, S7Address, Scalar, Span
from gateway.plc.driver import PlcDriver
from gateway.plc.extra import ExtraReader
from gateway.plc.link import Link
from gateway.plc.listener import TraceImage, UpImage
from gateway.plc.maps import LoadedMap, load_map
from simulators.plant import PlcInputs
from simulators.plc import PlcLogic
from simulators.plc_modbus import ModbusServer
from simulators.plc_s7 import S7Server

MAPS = Path(__file__).resolve().parents[1] / "plc_maps"
PROTOCOLS = ("s7", "modbus")
TURN_S = 0.5
TAGS = 2000
#: Twenty tags: blocks × tags in each × bytes from one to the next.
SCATTERED = {
    "in one block, 10 bytes apart": (1, 20, 10),
    "in four blocks": (4, 5, 40),
    "in one block, 200 bytes apart": (1, 20, 200),
}


# -- the PLC, in a process of its own ---------------------------------------------------------------------------------------


def extra_blocks(protocol: str, blocks: int, tags: int, step: int) -> str:
    """Return the map text of further blocks."""
    text = ""
    for b in range(blocks):
        where = f"db: {200 + b}" if protocol == "s7" else f"at: HR:{1000 + 5000 * b}"
        text += f"  - {where}\n    name: Extra{b}\n    dir: plc->gw\n    tags:\n"
        text += "".join(
            f"      - {{name: V{b}_{i}, type: Real, at: {i * step}, role: process, unit: kN, range: [0, 100]}}\n"
            for i in range(tags)
        )
    return text


def map_with(folder: Path, protocol: str, *shape: int) -> Path:
    """Write the demo's map with further blocks."""
    file = folder / f"{protocol}_{'_'.join(map(str, shape))}.yaml"
    demo = (MAPS / f"demo_{protocol}.yaml").read_text().rstrip()
    file.write_text(f"{demo}\n{extra_blocks(protocol, *shape) if shape else ''}")
    return file


async def serve(file: Path) -> None:
    """Run the simulated PLC of a map; print its port; end when stdin ends."""
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it shows its last frames whenever a client goes
    loaded = load_map(file)
    logic = PlcLogic(loaded, camera_to_gate=20_000, gate_window=300)
    extra = zip(loaded.map.extra, logic.extra, strict=True)
    up, down = loaded.map.up.base, loaded.map.down.base
    server: S7Server | ModbusServer
    if isinstance(up, S7Address) and isinstance(down, S7Address):
        server = S7Server(up.db, logic.up, down.db, logic.down, extra=extra)
    else:
        server = ModbusServer(loaded.map, logic.up, logic.down, extra=extra)
    print(await server.start(), flush=True)
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not ended.done():
        logic.scan(PlcInputs(now_ms=time.monotonic() * 1e3, encoder=0, latches=()))
        await asyncio.sleep(0.01)
    await server.stop()


@dataclass(slots=True)
class Relay:
    """Counts the requests that go through it."""

    protocol: str
    requests: int = 0
    port: int = 0
    _rest: bytearray = field(default_factory=bytearray)

    def count(self, data: bytes) -> None:
        """Count whole frames: TPKT has its length at byte 2, MBAP that of its rest at byte 4."""
        self._rest += data
        while len(self._rest) >= 6:
            head = self._rest
            length = int.from_bytes(head[2:4], "big") if self.protocol == "s7" else 6 + int.from_bytes(head[4:6], "big")
            if len(head) < length:
                return
            del self._rest[:length]
            self.requests += 1


@contextlib.asynccontextmanager
async def plc(protocol: str, file: Path) -> AsyncIterator[tuple[LoadedMap, Relay]]:
    """Run a simulated PLC behind a relay; the loaded map names the PLC's own port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve", str(file), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    if process.stdout is None or process.stdin is None:
        raise RuntimeError("no pipes")
    port = int(await process.stdout.readline())
    relay = Relay(protocol)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)

        async def back() -> None:
            while data := await far_reader.read(65536):
                writer.write(data)

        backwards = asyncio.create_task(back())
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                relay.count(data)
                far_writer.write(data)
        backwards.cancel()
        far_writer.close()
        writer.close()

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    loaded = load_map(file)
    loaded.plc.port = port  # type: ignore[union-attr]
    try:
        yield loaded, relay
    finally:
        server.close()
        process.stdin.close()
        await process.wait()


# -- requests -----------------------------------------------------------------------------------------------------------------


def relayed(loaded: LoadedMap, relay: Relay) -> PlcDriver:
    """Return a driver that goes through the relay."""
    return loaded.plc.model_copy(update={"port": relay.port}).build(loaded.map)


async def requests_for_scattered(folder: Path, protocol: str, shape: tuple[int, int, int]) -> int:
    """Return the requests that one reading of the tags costs on the wire."""
    async with plc(protocol, map_with(folder, protocol, *shape)) as (loaded, relay):
        driver = relayed(loaded, relay)
        await driver.connect()
        before = relay.requests
        reader = ExtraReader(loaded.map)
        await reader.read_once(driver.read)
        if len(reader.values) != shape[0] * shape[1]:
            raise RuntimeError(f"{len(reader.values)} values read")
        await driver.close()
        return relay.requests - before


async def requests_for_token(folder: Path, protocol: str) -> int:
    """Return the requests that writing the whole token ring costs on the wire."""
    async with plc(protocol, map_with(folder, protocol)) as (loaded, relay):
        driver = relayed(loaded, relay)
        await driver.connect()
        before = relay.requests
        ring = loaded.map.roles["ring.token"]
        await driver.write(Span(block=loaded.map.down, offset=ring.offset, length=ring.size), bytes(ring.size))
        await driver.close()
        return relay.requests - before


# -- the link's cycle ---------------------------------------------------------------------------------------------------------


class Ear:
    """A line that notes when an image came."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.up = asyncio.Event()

    def on_state(self, state: str, detail: str) -> None:
        """Note that the link is up."""
        if state == "up":
            self.up.set()

    def on_owner_lost(self, reason: str) -> None:
        """Ignore."""

    def on_baseline(self, up: UpImage) -> None:
        """Ignore."""

    def on_up(self, up: UpImage) -> None:
        """Note the time."""
        self.at.append(time.perf_counter())

    def trace_wanted(self) -> bool:
        """Ask for none."""
        return False

    def on_trace(self, image: TraceImage) -> None:
        """Ignore."""

    def tokens(self) -> Sequence[tuple[int, int, int]]:
        """Return an empty ring."""
        return [(0, 0, 0)] * 8

    def on_tokens_acked(self, part_ids: frozenset[int], t_mono_ns: int) -> None:
        """Ignore."""

    def on_status_written(self) -> None:
        """Ignore."""

    def alive(self) -> bool:
        """Return that all is well."""
        return True

    def status(self) -> Mapping[str, Scalar]:
        """Return an unchanging status."""
        return {"status1": 1}


async def raw_reader(loaded: LoadedMap) -> tuple[Callable[[], Awaitable[Any]], Callable[[], None]]:
    """Return the library's own read of the up block, and how to end it."""
    base, size, config = loaded.map.up.base, loaded.map.up.size, loaded.plc
    if isinstance(base, ModbusAddress):
        modbus = AsyncModbusTcpClient("127.0.0.1", port=config.port)  # type: ignore[union-attr]
        await modbus.connect()
        register = base.register
        return lambda: modbus.read_holding_registers(register, count=size // 2, device_id=1), modbus.close
    s7, db = AsyncClient(), base.db
    await s7.connect("127.0.0.1", 0, 1, tcp_port=config.port)  # type: ignore[union-attr]
    return lambda: s7.db_read(db, 0, size), lambda: s7.connection._writer.transport.abort()  # noqa: SLF001


async def cycles(folder: Path, protocol: str, seconds: float) -> tuple[float, float]:
    """Return the medians of the raw round trip and of the link's cycle, in ms, from alternating turns."""
    raw_ms: list[float] = []
    link_ms: list[float] = []
    async with plc(protocol, map_with(folder, protocol)) as (loaded, _):
        for _ in range(max(2, round(seconds / 2 / TURN_S))):
            read, end = await raw_reader(loaded)
            until = time.perf_counter() + TURN_S
            while (begun := time.perf_counter()) < until:
                await read()
                raw_ms.append((time.perf_counter() - begun) * 1e3)
            end()
            ear = Ear()
            link = Link(loaded.plc.build(loaded.map), loaded.map, loaded.checksum, ear, mono_ns=time.monotonic_ns, poll_ms=0.0)
            running = asyncio.create_task(link.run())
            await ear.up.wait()
            ear.at.clear()
            await asyncio.sleep(TURN_S)
            link_ms += [(b - a) * 1e3 for a, b in zip(ear.at, ear.at[1:], strict=False)]
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    return statistics.median(raw_ms), statistics.median(link_ms)


# -- map check ----------------------------------------------------------------------------------------------------------------


def check_seconds(folder: Path, repeat: int) -> tuple[float, float]:
    """Return the median of loading and checking a map of 2,000 tags: seconds by the clock, and of the processor."""
    file = map_with(folder, "s7", TAGS // 50, 50, 4)
    clock, processor = [], []
    for _ in range(repeat):
        at, cpu = time.perf_counter(), time.process_time()
        loaded = load_map(file)
        clock.append(time.perf_counter() - at)
        processor.append(time.process_time() - cpu)
    if sum(len(b.tags) for b in loaded.map.extra) != TAGS:
        raise RuntimeError("the map has another number of tags")
    return statistics.median(clock), statistics.median(processor)


async def measure(folder: Path, seconds: float) -> list[dict[str, Any]]:
    """Return every figure: name, value, what it should be."""
    rows: list[dict[str, Any]] = []
    clock, processor = check_seconds(folder, 5)
    rows.append({"figure": f"map check of {TAGS} tags, s", "value": round(clock, 3), "wanted": "≤ 1"})
    rows.append({"figure": f"map check of {TAGS} tags, s of processor time", "value": round(processor, 3), "wanted": ""})
    for protocol in PROTOCOLS:
        for name, shape in SCATTERED.items():
            wanted = str(shape[0]) if shape[2] < 100 else ""
            value = await requests_for_scattered(folder, protocol, shape)
            rows.append({"figure": f"{protocol}: requests for 20 tags {name}", "value": value, "wanted": wanted})
        value = await requests_for_token(folder, protocol)
        rows.append({"figure": f"{protocol}: requests for a token write", "value": value, "wanted": "1"})
    for protocol in PROTOCOLS:
        raw, link = await cycles(folder, protocol, seconds)
        rows.append({"figure": f"{protocol}: raw round trip, ms", "value": round(raw, 3), "wanted": ""})
        rows.append({"figure": f"{protocol}: link cycle, ms", "value": round(link, 3), "wanted": ""})
        rows.append({"figure": f"{protocol}: link cycle ÷ raw round trip", "value": round(link / raw, 2), "wanted": "≤ 1.5"})
    return rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=10.0, help="of cycles, for each protocol")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        asyncio.run(serve(args.serve))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure(Path(folder), args.seconds))
    if args.json:
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    width = max(len(row["figure"]) for row in rows)
    for row in rows:
        print(f"{row['figure']:<{width}}  {row['value']:>8}  {row['wanted']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
