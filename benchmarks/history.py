"""History: how long a client takes to read one hour of one tag at ten parts a second, and how late the server's loop gets.

    .venv/bin/python benchmarks/history.py [--parts 36000] [--write]

The journal has what such an hour records: a judgement, an outcome and process values a part. The client (asyncua, another
process, Basic256Sha256, SignAndEncrypt) asks for all of it and takes the pages that it is given. *Loop late* is how much later
than asked for a sleep of 5 ms ends in the server's event loop meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asyncua import Client
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from report import DOCS, write_section

from gateway.core.events import PartJudged, PartOutcome, ProcessValues, Record
from gateway.opcua.counters import Counters
from gateway.opcua.flat import Param
from gateway.opcua.security import own_certificate
from gateway.opcua.server import OpcUaServer, StationNodes
from gateway.record.journal import Journal, JournalReader
from gateway.record.ops import OpsDatabase
from gateway.services.archive import JournalArchive
from gateway.services.config import LineServices
from gateway.services.marks import HistoryMarks

TAGS = ("Result.Score", "Result.ResultId", "Counters.Total", "Params.Temp")
T0 = 1_790_000_000 * 10**9
STEP_NS = 10**8
SLEEP_S = 0.005


def records(part: int) -> list[Record]:
    """Return what one part leaves in the journal."""
    t, mono = T0 + part * STEP_NS, 10**12 + part * STEP_NS
    judged = PartJudged(
        line="Line1", t_utc_ns=t, part_id=part, epoch=1, disposition="PASS", token="acked", label="good",  # noqa: S106
        scores={"good": 0.9, "scratch": 0.1}, stats={"level": 120.0, "contrast": 30.0, "sharpness": 0.5}, model_id="m/1",
        camera="Cam1", frame_counter=part, t_exposed_mono_ns=mono, t_trigger_mono_ns=mono, t_frame_mono_ns=mono + 4_000_000,
        t_acked_mono_ns=mono + 20_000_000,
    )  # fmt: skip
    outcome = PartOutcome(line="Line1", t_utc_ns=t + 40_000_000, part_id=part, outcome="PASSED", epoch=1)
    values = ProcessValues(line="Line1", t_utc_ns=t + 50_000_000, values={"Temp": 180.0 + part % 7})
    return [judged, outcome, values]


def fill(line: LineServices, ops: OpsDatabase, parts: int) -> None:
    """Record an hour, as control and services do."""
    journal, marks, counters = Journal(line.journal), HistoryMarks("Line1", ops, state_seq=0), Counters()
    reader = JournalReader(line.journal)
    identity = reader.identity()
    for part in range(parts):
        while journal.pending()[0] > 4000:
            time.sleep(0.01)
        for record in records(part):
            seq = journal.append(record)
            object.__setattr__(record, "seq", seq)
            marks.take(record, identity, counters)
            counters.count(record)
    with ops.transaction():
        marks.save()
    journal.close()
    reader.close()


async def late(into: list[float]) -> None:
    """Measure how late a sleep ends, until cancelled."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(SLEEP_S)
        into.append((time.perf_counter() - before - SLEEP_S) * 1e3)


async def client(url: str, folder: Path, tag: str, parts: int) -> None:
    """Read one tag's hour; print how long it took. In a process of its own."""
    own = own_certificate(folder / "client", "urn:client", "127.0.0.1")
    one = Client(url, timeout=20, watchdog_intervall=60.0)
    one.session_timeout = 600_000
    one.application_uri = "urn:client"
    one.set_user("viewer")
    one.set_password((folder / "users-viewer-password.txt").read_text().strip())
    await one.set_security(SecurityPolicyBasic256Sha256, own.certificate, own.key)
    begin = datetime.fromtimestamp(T0 / 1e9, UTC) - timedelta(seconds=1)
    async with one:
        node = one.get_node(f"ns=2;s=Line1.Cam1.Tags.{tag}")
        before = time.perf_counter()
        values = await node.read_raw_history(begin, begin + timedelta(seconds=parts / 10 + 2), return_bounds=False)
        print(json.dumps({"values": len(values), "seconds": time.perf_counter() - before}))


async def measure(parts: int) -> list[str]:
    """Return the rows of the table."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="history-") as name:
        folder = Path(name)
        line = LineServices(
            name="Line1", cameras=["Cam1"], journal=folder / "j.db", records_socket=folder / "r", commands_socket=folder / "c",
            params=[{"name": "Temp", "unit": "°C"}],  # type: ignore[list-item]
        )  # fmt: skip
        ops = OpsDatabase(folder / "ops.db")
        fill(line, ops, parts)
        archive = JournalArchive([line], ops, clock=time.time_ns)
        stations = [StationNodes(id="Line1.Cam1", params=(Param(name="Temp", unit="°C"),))]
        server = OpcUaServer(
            stations, host="127.0.0.1", port=0, application_uri="urn:vision-gateway:bench", pki=folder / "pki",
            users=folder / "users.json", archive=archive,
        )  # fmt: skip
        await server.start()
        own = own_certificate(folder / "client", "urn:client", "127.0.0.1")
        (folder / "pki/trusted/certs/client.der").write_bytes(own.certificate.read_bytes())
        gc.collect()
        gc.freeze()
        for tag in TAGS:
            rows.append(await one(server.url, folder, tag, parts))
            print(rows[-1])
        await server.stop()
        archive.close()
        ops.close()
    return rows


async def one(url: str, folder: Path, tag: str, parts: int) -> str:
    """Return a tag's row."""
    arguments = [str(Path(__file__)), "--client", url, str(folder), tag, "--parts", str(parts)]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    delays: list[float] = []
    watching = asyncio.create_task(late(delays))
    said, _ = await process.communicate()
    watching.cancel()
    told: dict[str, Any] = json.loads(said.splitlines()[-1])
    delays.sort()
    p99, worst = delays[int(0.99 * len(delays))], delays[-1]
    per_s = told["values"] / told["seconds"]
    return f"| {tag} | {told['values']} | {told['seconds']:.1f} | {per_s:.0f} | {p99:.1f} / {worst:.1f} |"


def main() -> None:
    """Measure and print, or write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=36_000)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--client", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.client:
        asyncio.run(client(args.client[0], Path(args.client[1]), args.client[2], args.parts))
        return
    load = os.getloadavg()[0]
    rows = asyncio.run(measure(args.parts))
    head = "| tag | values | s | values/s | loop late p99 / max, ms |\n|---|---|---|---|---|\n"
    text = f"{head}{chr(10).join(rows)}\n\nLoad average when it began: {load:.1f}."
    if args.write:
        write_section(DOCS / "benchmarks.md", "opcua-history", text, "python benchmarks/history.py")


if __name__ == "__main__":
    main()
