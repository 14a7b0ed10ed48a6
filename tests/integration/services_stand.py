"""The real services process, a journal and a record sender to feed it, and a control that answers as a test wants."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from gateway.core.commands import AdjustParameter, Answer, Command, answer_to_json, command_from_json
from gateway.core.events import LineState, PartJudged, ProcessValues, Record
from gateway.frames import FrameRing
from gateway.opcua.security import own_certificate
from gateway.record.journal import Journal
from gateway.record.ops import read_actions
from gateway.record.stream import RecordSender

LINE = "Press"
TAG = "PressForce"
BASELINE = {
    "level": {"median": 120, "low": 110, "high": 130},
    "contrast": {"median": 30, "low": 25, "high": 35},
    "sharpness": {"median": 0.5, "low": 0.4, "high": 0.6},
}
RULE = {"tag": TAG, "step": 4, "baseline": {"parts": 2000, "defects": 20}, "settle_parts": 5, "verify_parts": 50}


def confirm(command: Command) -> Answer | None:
    """Answer as a control whose PLC takes everything."""
    if not isinstance(command, AdjustParameter):
        return Answer(id=command.id, result="confirmed")
    return Answer(id=command.id, result="confirmed", old=command.expected_old, new=command.value)


class FakeControl:
    """Listens on the commands socket as control does; ``answer`` returns None to say nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answer: Callable[[Command], Answer | None] = confirm
        self.commands: list[Any] = []
        self.probes = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.transport.abort()
            await self._server.wait_closed()
            self.path.unlink(missing_ok=True)
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while text := await reader.readline():
                try:
                    command = command_from_json(text)
                except ValueError as error:
                    self.probes += 1
                    answer: Answer | None = Answer(id="", result=f"blocked: {error}")
                else:
                    self.commands.append(command)
                    answer = self.answer(command)
                if answer is not None:
                    writer.write(answer_to_json(answer).encode() + b"\n")
        except ConnectionError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()


class ServicesStand:
    """One line and its services process."""

    def __init__(self, **config: Any) -> None:
        # Socket paths are short by nature; a test's own folder may be deep.
        self.folder = Path(tempfile.mkdtemp(prefix="vg-test-"))
        self.data = self.folder / "data"
        self.control = FakeControl(self.folder / "commands")
        self.sender = RecordSender(self.folder / "records")
        self.journal: Journal | None = None
        self.ring: FrameRing | None = None
        self.value = 100.0
        self.part_id = 0
        self.ready: dict[str, Any] = {}
        self.process: asyncio.subprocess.Process | None = None
        line = {
            "name": LINE,
            "cameras": ["Cam1"],
            "journal": str(self.folder / "journal.db"),
            "records_socket": str(self.folder / "records"),
            "commands_socket": str(self.folder / "commands"),
            "rings": {"Cam1": str(self.folder / "ring")},
            "params": [{"name": TAG, "unit": "kN", "range": [80, 120], "step": 4}],
            "process_tags": ["Speed"],
            "model_id": "m/1",
            "adjust": [RULE],
            "imaging_baseline": BASELINE,
        }
        self.config: dict[str, Any] = {"data_dir": str(self.data), "lines": [line], "opcua": {"port": 0}, **config}

    # -- the process ----------------------------------------------------------------------------------------------------------

    async def spawn(self) -> asyncio.subprocess.Process:
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway.services.main",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(self.config).encode() + b"\n")
        return self.process

    async def start(self) -> None:
        process = await self.spawn()
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        assert line, self.log()
        self.ready = json.loads(line)
        assert self.ready["event"] == "ready"

    async def stop(self) -> int:
        """End stdin and return the exit status."""
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(10):
            return await self.process.wait()

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    def log(self) -> str:
        return (self.folder / "log").read_text()

    async def clean_up(self) -> None:
        if self.process is not None and self.process.returncode is None:
            await self.kill()
        await self.control.stop()
        self.sender.close()
        if self.journal is not None:
            self.journal.close()
        if self.ring is not None:
            self.ring.close()
        shutil.rmtree(self.folder)

    # -- what control would record --------------------------------------------------------------------------------------------

    def record(self, record: Record) -> int:
        if self.journal is None:
            self.journal = Journal(self.folder / "journal.db")
        seq = self.journal.append(record)
        self.sender.send(replace(record, seq=seq))
        return seq

    def line_ready(self, **change: Any) -> None:
        state: dict[str, Any] = {"link": "up", "ready": True, "offline_reason": "NONE", "camera_up": True, "model_id": "m/1"}
        self.record(LineState(line=LINE, t_utc_ns=time.time_ns(), **{**state, **change}))

    def values(self) -> None:
        self.record(ProcessValues(line=LINE, t_utc_ns=time.time_ns(), values={TAG: self.value, "Speed": 12.0}, permit=True))

    def part(self, defect: str = "", *, age_s: float = 0, picture: bool = False, serial: str = "") -> int:
        self.part_id += 1
        frame: dict[str, Any] = {}
        if picture:
            if self.ring is None:
                self.ring = FrameRing.create(self.folder / "ring", slots=4, slot_bytes=1 << 16)
            slot, generation = self.ring.write(np.full((48, 64, 1), self.part_id % 256, np.uint8))
            frame = {"frame_slot": slot, "frame_generation": generation, "frame_shape": (48, 64, 1), "frame_counter": 1}
        return self.record(
            PartJudged(
                line=LINE,
                t_utc_ns=time.time_ns() - int(age_s * 1e9),
                part_id=self.part_id,
                epoch=1,
                disposition="FAIL" if defect else "PASS",
                defect=defect,
                label=defect or "good",
                scores={"good": 0.1 if defect else 0.9, "scratch": 0.9 if defect else 0.1},
                token="acked",
                stats={"level": 120.0, "contrast": 30.0, "sharpness": 0.5},
                model_id="m/1",
                camera="Cam1",
                serial=serial,
                **frame,
            )
        )

    async def warm_up(self) -> None:
        """Bring the line to a state in which a step would be taken, and wait until services knows it."""
        self.line_ready()
        self.values()
        for _ in range(30):
            self.part()
        await self.processed()
        await until(lambda: self.control.probes > 0, "control is asked whether it is there")

    async def bad(self, parts: int = 40) -> None:
        """Feed a rise: every fourth part is defective, at some 200 parts/s."""
        for i in range(parts):
            self.part("scratch" if i % 4 == 3 else "")
            if i % 10 == 0:
                self.values()
            await asyncio.sleep(0.005)

    # -- what services made of it ---------------------------------------------------------------------------------------------

    def actions(self) -> list[dict[str, Any]]:
        return read_actions(self.data / "ops.db")

    def states(self) -> list[str]:
        return [a["state"] for a in self.actions()]

    def state(self, key: str) -> Any:
        return json.loads(self._ask("SELECT value FROM states WHERE key = ?", f"{key}.{LINE}") or "null")

    def cursor(self) -> int:
        return int(self._ask("SELECT seq FROM cursors WHERE line = ?", LINE) or 0)

    def _ask(self, sql: str, arg: str) -> Any:
        import sqlite3

        db = sqlite3.connect(f"file:{self.data / 'ops.db'}?mode=ro", uri=True, timeout=5)
        try:
            row = db.execute(sql, (arg,)).fetchone()
        finally:
            db.close()
        return row[0] if row else None

    async def processed(self) -> None:
        assert self.journal is not None
        last = self.journal.last_seq
        await until(lambda: self.cursor() >= last, f"record {last} is processed")

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """Connect a client."""
        own = own_certificate(self.folder / "client", "urn:client", "127.0.0.1")
        client = Client(self.ready["opcua"], timeout=5)
        client.session_timeout = 600_000
        client.application_uri = "urn:client"
        client.set_user("viewer")
        client.set_password((self.data / "opcua-users-viewer-password.txt").read_text().strip())
        await client.set_security(SecurityPolicyBasic256Sha256, own.certificate, own.key)
        async with client:
            yield client

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Callable[..., Any]]:
        """Connect a client; the function that it yields reads tags as (value, status code)."""
        async with self.connected() as client:

            async def read(*tags: str) -> list[tuple[Any, int]]:
                nodes = [client.get_node(f"ns=2;s={LINE}.Cam1.Tags.{tag}") for tag in tags]
                values = await client.read_attributes(nodes, ua.AttributeIds.Value)
                return [(v.Value.Value if v.Value is not None else None, v.StatusCode.value) for v in values]

            yield read


@asynccontextmanager
async def services_stand(**config: Any) -> AsyncIterator[ServicesStand]:
    """Yield a stand whose process is not yet started; whatever runs at the end is ended."""
    stand = ServicesStand(**config)
    try:
        yield stand
    finally:
        await stand.clean_up()


async def until(condition: Callable[[], object], why: str, timeout_s: float = 20.0) -> None:
    """Wait for a condition, bounded."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {timeout_s} s: {why}"
        await asyncio.sleep(0.02)
