"""The control process as it runs: the real module, model, journal and ring, on a simulated PLC over S7 and over Modbus.

The test stands for capture: it writes pictures into the ring and announces them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.control.config import ControlConfig
from gateway.core.commands import AdjustParameter, Answer, answer_from_json, command_to_json
from gateway.core.errors import GatewayError
from gateway.core.events import LineState, PartJudged, Record
from gateway.core.frame import FrameStamp
from gateway.core.handshake import OfflineReason, Status1, Status2
from gateway.frames import FrameRing
from gateway.frames.stamps import stamp_to_json, status_to_json
from gateway.record.journal import JournalReader
from gateway.yaml_source import read_yaml
from simulators.plant import AckInputs
from tests.integration.plc_stand import PROTOCOLS, REPO, Stand, plc_stand, until

MODEL = REPO / "models" / "demo_surface"
INPUT = read_yaml(MODEL / "1" / "manifest.yaml").data["input"]
SHAPE = (INPUT["height"], INPUT["width"], INPUT["channels"])
START_S = 60.0
"""How long a process may take to load its model on a machine that does other things."""


@dataclass(slots=True)
class Control:
    """The process, its PLC, and what the test does in capture's place."""

    plc: Stand
    folder: Path
    config: ControlConfig
    ring: FrameRing
    code: str = ""
    """What runs in the module's place; it gets the folder as its argument."""
    process: asyncio.subprocess.Process | None = None
    sock: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    counter: int = 0
    noise: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    async def start(self) -> None:
        what = ["-c", self.code, str(self.folder)] if self.code else ["-m", "gateway.control.main"]
        with (self.folder / "stderr").open("ab") as stderr:
            self.process = await asyncio.create_subprocess_exec(sys.executable, *what, stdin=-1, stdout=-1, stderr=stderr)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(self.config.model_dump_json().encode() + b"\n")
        async with asyncio.timeout(START_S):
            line = await self.process.stdout.readline()
        assert json.loads(line or "{}") == {"event": "ready"}, self.log()

    async def ready(self) -> None:
        """Wait until the line is ready; the camera must say for itself that it is there."""
        self.tell(status_to_json("top", True))
        await until(lambda: self.status1() & Status1.TRIGGER_READY, "TriggerReady", 10)

    async def stop(self) -> int:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(20):
            return await self.process.wait()

    def tell(self, data: bytes) -> None:
        self.sock.sendto(data, str(self.config.frames_socket))

    async def part(self, *, picture: bool = True, frozen: bool = False) -> int:
        """Let a part pass the photo-eye and be photographed; return its id. A frozen camera repeats one picture."""
        before = len(self.plc.seen("assigned"))
        encoder = self.plc.pass_part()
        await until(lambda: len(self.plc.seen("assigned")) > before, "the part has an id")
        if picture:
            image = np.full(SHAPE, 99, np.uint8) if frozen else self.noise.integers(0, 256, SHAPE, np.uint8)
            slot, generation = self.ring.write(image)
            self.counter += 1
            now = time.monotonic_ns()
            self.tell(
                stamp_to_json(
                    FrameStamp(
                        camera="top",
                        frame_counter=self.counter,
                        t_exposed_ns=now,
                        t_available_ns=now,
                        encoder=(encoder + 500) % (1 << 32),
                        slot=slot,
                        generation=generation,
                        height=SHAPE[0],
                        width=SHAPE[1],
                        channels=SHAPE[2],
                    )
                )
            )
        return self.plc.seen("assigned")[-1].part_id

    def latched(self) -> dict[int, str]:
        return {e.part_id: e.verdict for e in self.plc.seen("latched")}

    def _down(self, role: str) -> int:
        return self.plc.logic._down.role(role).integer()

    def status1(self) -> int:
        return self._down("status1")

    def status2(self) -> int:
        return self._down("status2")

    def records(self) -> list[Record]:
        return JournalReader(self.config.journal).since(0)

    def parts(self) -> dict[int, PartJudged]:
        found = [r for r in self.records() if isinstance(r, PartJudged)]
        assert len({r.part_id for r in found}) == len(found), "a part with two records"
        return {r.part_id: r for r in found}

    def log(self) -> str:
        return (self.folder / "stderr").read_text()


@contextlib.asynccontextmanager
async def control(protocol: str, code: str = "", map_file: Path | None = None, **changes: Any) -> AsyncIterator[Control]:
    async with plc_stand(protocol, map_file=map_file) as plc:
        with tempfile.TemporaryDirectory(prefix="vg-") as name:
            folder = Path(name)
            text = Path(plc.loaded.map.file).read_text()
            port = "port: 102" if protocol == "s7" else "port: 502"
            (folder / "map.yaml").write_text(text.replace(port, f"port: {plc.port}"))
            line = {
                "name": "press",
                "plc": folder / "map.yaml",
                "cameras": [{"kind": "simulated", "name": "top", "port": 5000, "channels": SHAPE[2], "offset": 500}],
                "model": MODEL,
                "bind": {"window": 300},
                "rate": {"parts_per_s": 20},
                "gate_deadline_ms": 2000,
                "frame_wait_ms": 500,
            }
            config = ControlConfig.model_validate(
                {
                    "line": line | changes,
                    "journal": folder / "journal.db",
                    "records_socket": folder / "records",
                    "commands_socket": folder / "commands",
                    "frames_socket": folder / "frames",
                    "rings": {"top": folder / "ring"},
                    "capture_sockets": {"top": folder / "capture"},
                }
            )
            with contextlib.closing(FrameRing.create(folder / "ring", slots=8, slot_bytes=1 << 20)) as ring:
                made = Control(plc=plc, folder=folder, config=config, ring=ring, code=code)
                try:
                    await made.start()
                    yield made
                finally:
                    made.sock.close()
                    if made.process is not None and made.process.returncode is None:
                        made.process.kill()
                        await made.process.wait()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_parts_are_seen_judged_told_and_recorded(protocol: str) -> None:
    async with control(protocol) as c:
        await c.ready()
        assert c.status2() & Status2.SIMULATED
        ids = [await c.part() for _ in range(4)]
        unseen = await c.part(picture=False)
        await until(lambda: set(c.latched()) == {*ids, unseen}, "every part has its token", 10)
        assert c.latched()[unseen] == "NOT_INSPECTED"
        assert set(c.latched().values()) <= {"PASS", "FAIL", "NOT_INSPECTED"}
        assert await c.stop() == 0
        parts = c.parts()
        assert {p: r.disposition for p, r in parts.items()} == c.latched()
        for i, part_id in enumerate(ids):
            record = parts[part_id]
            assert (record.frame_counter, record.token, record.camera) == (i + 1, "acked", "top")
            assert record.model_id == "demo_surface/1"
            assert record.epoch == c.plc.seen("latched")[0].epoch
            assert abs(sum(record.scores.values()) - 1) < 0.01
            assert record.latency_ms is not None
        assert [r.seq for r in c.records()] == list(range(1, len(c.records()) + 1))


async def test_an_orderly_stop_tells_the_plc_and_closes_every_record() -> None:
    async with control("s7") as c:
        await c.ready()
        waiting = await c.part(picture=False)
        await asyncio.sleep(0.05)
        assert await c.stop() == 0
        assert not c.status1() & Status1.TRIGGER_READY
        assert c.status1() >> 4 & 0b111 == 7
        assert c.parts()[waiting].disposition == "NOT_INSPECTED"
        states = [r for r in c.records() if isinstance(r, LineState)]
        assert "STOPPING" in [s.offline_reason for s in states]


async def test_a_killed_process_gives_no_token_and_its_successor_resumes_by_itself() -> None:
    async with control("s7") as c:
        await c.ready()
        first = await c.part()
        await until(lambda: first in c.latched(), "a token")
        assert c.process is not None
        c.process.kill()
        await c.process.wait()
        orphan = await c.part(picture=False)
        await until(lambda: [e.detail for e in c.plc.seen("owner")][-1] == "lost", "the PLC's watchdog trips")
        c.plc.logic._down.role("status1").set(0)  # the dead gateway's last word
        await c.start()
        await c.ready()
        second = await c.part()
        await until(lambda: second in c.latched(), "a token of the successor")
        assert orphan not in c.latched()
        epochs = {e.part_id: e.epoch for e in c.plc.seen("latched")}
        assert epochs[first] != epochs[second]
        assert await c.stop() == 0
        assert [r.seq for r in c.records()] == list(range(1, len(c.records()) + 1))


async def test_a_camera_of_which_nothing_is_heard_any_more() -> None:
    async with control("modbus") as c:
        assert c.status1() >> 4 & 0b111 in (0, 2)
        await c.ready()
        await until(lambda: not c.status1() & Status1.TRIGGER_READY, "silence for more than 3 s", 10)
        assert c.status1() >> 4 & 0b111 == 2
        await c.ready()


async def test_a_plc_that_was_restarted_is_taken_up_again() -> None:
    async with control("s7") as c:
        await c.ready()
        before = await c.part()
        await until(lambda: before in c.latched(), "a token")
        c.plc.logic.restart()
        await until(lambda: len([e for e in c.plc.seen("owner") if e.detail == "granted"]) == 2, "claimed again")
        await c.ready()
        assert await c.part() == before, "the PLC counts anew"
        await until(lambda: len(c.plc.seen("latched")) == 2, "a token of the new epoch")
        assert len({e.epoch for e in c.plc.seen("latched")}) == 2


async def ask(c: Control, text: bytes) -> Answer:
    reader, writer = await asyncio.open_unix_connection(str(c.config.commands_socket))
    try:
        writer.write(text)
        async with asyncio.timeout(10):
            return answer_from_json(await reader.readline())
    finally:
        writer.close()


async def test_commands_are_answered_and_their_socket_is_private() -> None:
    async with control("s7") as c:
        await c.ready()
        assert c.config.commands_socket.stat().st_mode & 0o777 == 0o600
        assert c.config.frames_socket.stat().st_mode & 0o777 == 0o600
        command = AdjustParameter(id="c1", line="press", tag="PressForce", value=102.0, expected_old=100.0)
        line = command_to_json(command).encode() + b"\n"
        answer = await ask(c, line)
        assert (answer.id, answer.result, answer.old, answer.new) == ("c1", "confirmed", 100.0, 102.0)
        assert await ask(c, line) == answer
        other = await ask(c, command_to_json(replace(command, id="c2", line="molding")).encode() + b"\n")
        assert other.result == "blocked: this is line press, not molding"
        assert (await ask(c, b"nonsense\n")).result.startswith("blocked: ")
        unknown = (await ask(c, b'{"kind":"erase"}\n')).result
        assert unknown == "blocked: kind: only 'adjust', 'recipe', 'test', 'clear', 'acknowledge' are commands"
        reader, writer = await asyncio.open_unix_connection(str(c.config.commands_socket))
        writer.write(b"x" * 200_000)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b"", "a line without an end is cut off"
        writer.close()
        assert (await ask(c, line)) == answer, "and the next is served"


async def test_a_frame_of_an_unknown_camera_is_a_bug_that_ends_the_process() -> None:
    """Nothing that goes wrong in a callback may be logged and forgotten: the supervisor restarts it, in the safe state."""
    async with control("s7") as c:
        await c.ready()
        c.tell(status_to_json("side", True))
        assert c.process is not None
        async with asyncio.timeout(20):
            assert await c.process.wait() == 1
        assert "unknown camera side" in c.log()


async def test_the_end_of_the_supervisor_however_sudden_ends_the_process() -> None:
    async with control("s7") as c:
        await c.ready()
        assert c.process is not None
        c.process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.2)
        assert c.process.returncode is None, "Ctrl-C is the supervisor's affair"
        c.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await c.process.wait() == 0


@pytest.mark.parametrize(
    ("changes", "code", "why"),
    [
        (lambda folder: {"model": folder / "none"}, 1, "there is no such model package"),
        (lambda folder: {"plc": folder / "none.yaml"}, 2, "there is no such file"),
        (
            lambda folder: {"cameras": [{"kind": "simulated", "name": "top", "port": 5000, "channels": 3}]},
            1,
            "the model demo_surface/1 wants 1",
        ),
    ],
)
async def test_a_mistake_ends_the_process_before_it_claims_anything(
    tmp_path: Path, changes: Callable[[Path], dict[str, Any]], code: int, why: str
) -> None:
    async with plc_stand("s7") as plc:
        line = {
            "name": "press",
            "plc": str(plc.loaded.map.file),
            "cameras": [{"kind": "simulated", "name": "top", "port": 5000, "channels": SHAPE[2]}],
            "model": str(MODEL),
            "bind": {"window": 300},
            "rate": {"parts_per_s": 20},
        }
        line |= {k: str(v) if isinstance(v, Path) else v for k, v in changes(tmp_path).items()}
        sockets = {k: str(tmp_path / k) for k in ("journal", "records_socket", "commands_socket", "frames_socket")}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.control.main", stdin=-1, stdout=-1, stderr=-1
        )
        async with asyncio.timeout(START_S):
            out, err = await process.communicate(json.dumps({"line": line, **sockets, "rings": {}}).encode() + b"\n")
        assert process.returncode == code
        assert why in err.decode()
        assert out == b""
        assert not plc.seen("owner")


async def test_a_second_process_on_one_journal_is_refused() -> None:
    async with control("s7") as c:
        with pytest.raises((AssertionError, GatewayError)):
            second = replace(c, process=None)
            await second.start()
        assert "another process writes it" in c.log()
        await c.ready()


def test_this_test_s_pictures_fit_the_model() -> None:
    assert SHAPE[2] in (1, 3)
    assert os.access(MODEL / "1" / "model.xml", os.R_OK)


async def test_on_the_last_good_configuration_nothing_passes_until_the_plc_clears_the_error() -> None:
    async with control("s7") as made:
        assert await made.stop() == 0
        made.config = made.config.model_copy(update={"rejected": "gateway.yaml:3:5: lines: is missing; add it"})
        await made.start()
        made.tell(status_to_json("top", True))

        def reason() -> OfflineReason:
            return OfflineReason(made.status1() >> 4 & 0b111)

        await until(lambda: reason() is OfflineReason.CONFIG_REJECTED, "the PLC is told", 10)
        part = await made.part()
        await until(lambda: part in made.parts(), "the part is judged", 10)
        assert made.parts()[part].disposition == "NOT_INSPECTED"
        assert made.status1() & Status1.ERROR
        assert not made.status1() & Status1.TRIGGER_READY
        made.plc.wishes = AckInputs(clear_error=True)
        await made.ready()
        assert reason() is OfflineReason.NONE
        assert not made.status1() & Status1.ERROR
        part = await made.part()
        await until(lambda: part in made.parts(), "the part is judged", 10)
        assert made.parts()[part].model_id
