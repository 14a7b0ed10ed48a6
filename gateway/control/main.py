"""The control process of one line: builds the parts of ``line.py``, feeds them frames and commands, and stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from gateway.control.ack import AckResults, RingResults
from gateway.control.clock import Clock
from gateway.control.config import ControlConfig, LineConfig, config_checksum, tracker_config
from gateway.control.eye import Eye
from gateway.control.golden import first_serving, load_recipe, remember_in, remember_offline_in
from gateway.control.line import Line
from gateway.control.pictures import PictureWatch
from gateway.control.recipes import Recipes
from gateway.control.watch import LoopWatch
from gateway.control.writer import Writer
from gateway.core.commands import Answer, answer_to_json, command_from_json
from gateway.core.errors import ConfigError, GatewayError
from gateway.core.events import AlarmChanged, CommandEnded, LineState, Record
from gateway.core.tracker import Tracker
from gateway.core.verdict import JudgeRule
from gateway.frames.stamps import stamp_from_json, status_from_json
from gateway.plc.link import Link
from gateway.plc.maps import load_map
from gateway.plc.read_only import ReadOnly
from gateway.plc.trace import PART
from gateway.process import log_to_stderr, read_config, stop_requested
from gateway.record.journal import Journal
from gateway.record.stream import RecordSender

JOURNAL_MAX_PENDING = 256
JOURNAL_MAX_AGE_S = 1.0
NOTHING_PASSES = JudgeRule(passes=frozenset(), thresholds={}, labels=())
"""The rule while no recipe is in force."""
MAX_CONNECTIONS = 8
"""To the commands socket: services needs two. What waits in them is bounded by their buffers of 64 KiB."""

log = structlog.get_logger()


class Recorder:
    """Every record goes to the journal, which numbers it, and then to services, which may not be there."""

    def __init__(self, journal: Journal, sender: RecordSender) -> None:
        """Take both ways."""
        self._journal = journal
        self._sender = sender
        self._lost = 0

    def __call__(self, record: Record) -> None:
        """Record; a journal that refuses is counted and shows in :meth:`trouble`."""
        if isinstance(record, LineState):
            log.info("line state", link=record.link, ready=record.ready, why=record.offline_reason, detail=record.detail)
        elif isinstance(record, AlarmChanged):
            say = log.warning if record.active else log.info
            say("alarm", code=record.code, active=record.active, detail=record.detail, count=record.count)
        elif isinstance(record, CommandEnded):
            say = log.info if record.done else log.warning
            say("command", command=record.command, arg=record.arg, by=record.by, done=record.done, detail=record.detail)
        try:
            seq = self._journal.append(record)
        except GatewayError as error:
            if not self._lost:
                log.error("records are being lost", error=str(error))
            self._lost += 1
            if isinstance(record, LineState | AlarmChanged):
                self._sender.send(record)  # how things stand now is worth showing, even if nobody can look it up later
            return
        if self._lost:
            log.error("the journal takes records again", lost=self._lost)
            self._lost = 0
        self._sender.send(replace(record, seq=seq))

    def trouble(self) -> str:
        """Return why no part may pass for the journal's sake, or ''."""
        if self._journal.failed:
            return f"the journal cannot be written: {self._journal.failed}"
        count, age_s = self._journal.pending()
        if count > JOURNAL_MAX_PENDING or age_s > JOURNAL_MAX_AGE_S:
            return f"the journal lags: {count} records, the oldest {age_s:.1f} s old"
        return ""


def simulated(line: LineConfig) -> bool:
    """Return whether any picture of this line comes from a simulation or from files: such verdicts are about no real part."""
    return any(c.kind in ("simulated", "folder") or (c.kind == "video" and Path(str(c.source)).is_file()) for c in line.cameras)


async def run(config: ControlConfig) -> None:
    """Run one line until stdin ends."""
    stop = stop_requested()
    line_config = config.line
    loaded = load_map(line_config.plc)
    remembered, offline = config.journal.with_name("recipe"), config.journal.with_name("offline")
    serving, why_none = first_serving(line_config, remembered)
    clock = Clock()
    journal = Journal(config.journal)
    sender = RecordSender(config.records_socket)
    recorder = Recorder(journal, sender)
    writer = Writer(loaded.map, mono_ns=clock.mono_ns, monitor_only=config.monitor_only)
    writer.status.config_checksum = config_checksum(line_config)
    writer.status.model_version = serving.version if serving is not None else 0
    writer.status.simulated = simulated(line_config)
    rule = serving.rule if serving is not None else NOTHING_PASSES
    recipes = Recipes(
        serving,
        table=line_config.recipes,
        authority=line_config.recipe_authority,
        load=partial(load_recipe, line_config),
        remember=remember_in(remembered),
        trouble=why_none,
        mono_ns=clock.mono_ns,
    )
    rois = {c.name: c.positions for c in line_config.cameras}
    frames = _socket(config.frames_socket)
    triggered = [c.name for c in line_config.cameras if getattr(c, "trigger", "") == "software"]
    positions = max(1, len(line_config.cameras[0].positions))
    scan_ns = int(line_config.rate.plc_scan_ms * 1e6)
    results = RingResults(writer.status)
    if loaded.map.handshake == "ack" and not config.monitor_only:  # who only watches takes part in no exchange
        results = AckResults(
            writer.status, scan_ns=scan_ns, positions=positions, mono_ns=clock.mono_ns, changed=writer.status_changed
        )

    def ask(camera: str, word: bytes) -> bool:
        path = config.capture_sockets.get(camera)
        with contextlib.suppress(OSError):  # it is not there, or busy: the parts' missing frames show it
            return path is not None and frames.sendto(word, str(path)) > 0
        return False

    def on_admitted(count: int) -> None:
        for camera in triggered * max(1, count // positions):
            ask(camera, b"trigger")

    def reopen(camera: str, why: str) -> None:
        asked = ask(camera, b"reopen")
        log.warning("camera is to be opened anew", camera=camera, why=why, asked=asked, count=pictures.reopened)

    pictures = PictureWatch(reopen, mono_ns=clock.mono_ns)
    engine, model_id = (serving.engine, serving.model_id) if serving is not None else (None, "")
    eye = Eye(engine, model_id, config.rings, rois, rule.passes, mono_ns=clock.mono_ns, saw=pictures.saw)
    del serving, engine  # who serves first need not serve for ever
    line = Line(
        line_config.name,
        cameras=[c.name for c in line_config.cameras],
        tracker=Tracker(tracker_config(line_config)),
        eye=eye,
        rule=rule,
        writer=writer,
        record=recorder,
        journal_trouble=recorder.trouble,
        on_admitted=on_admitted,
        clock=clock,
        outcome_settle_ns=scan_ns,
        journal_alive=lambda: journal.alive,
        traced=PART in loaded.map.roles,
        pictures=pictures,
        config_rejected=config.rejected,
        recipes=recipes,
        offline=offline.exists(),
        remember_offline=remember_offline_in(offline),
        results=results,
    )
    driver = loaded.plc.build(loaded.map)
    link = Link(
        ReadOnly(driver) if config.monitor_only else driver,
        loaded.map,
        loaded.checksum,
        line,
        mono_ns=clock.mono_ns,
        poll_ms=line_config.poll_ms,
        monitor_only=config.monitor_only,
    )
    writer.link = link
    asyncio.get_running_loop().add_reader(frames.fileno(), _take_frames, frames, line)
    commands = CommandSocket(line, line_config.name)
    await commands.open(config.commands_socket)
    gc.collect()
    gc.freeze()
    print('{"event":"ready"}', flush=True)
    watch = LoopWatch()
    watch.start()
    running = asyncio.create_task(line.run(link))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            with contextlib.suppress(TimeoutError, GatewayError):
                await line.stop(link)
    finally:
        stopping.cancel()
        running.cancel()
        await commands.close()
        asyncio.get_running_loop().remove_reader(frames.fileno())
        frames.close()
        # The crash of the line, if it was one, must come out of here and end the process.
        try:
            await running
        except asyncio.CancelledError:
            pass
        finally:
            watch.stop()
            journal.close()
            sender.close()
            eye.close()


def _socket(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(str(path))
    os.chmod(path, 0o600)
    return sock


def _take_frames(sock: socket.socket, line: Line) -> None:
    """Take what capture says. Nobody awaits this callback: what goes wrong here must end the line by itself."""
    try:
        for _ in range(64):
            try:
                data = sock.recv(4096)
            except BlockingIOError:
                return
            status = status_from_json(data)
            if status is not None:
                line.on_camera(*status)
            else:
                line.on_frame(stamp_from_json(data))
    except Exception as bug:
        line.crash(bug)
        raise


class CommandSocket:
    """Takes commands from services, one JSON object a line, and answers each."""

    def __init__(self, line: Line, name: str) -> None:
        """Answer for this line alone."""
        self._line = line
        self._name = name
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}
        self._refused = 0

    async def open(self, path: Path) -> None:
        """Listen; only this user may connect."""
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(path), limit=1 << 16)
        os.chmod(path, 0o600)

    async def close(self) -> None:
        """Close every connection, and wait until what served it has ended."""
        if self._server is not None:
            self._server.close()
        serving = [task for task in self._open if task is not None]
        for writer in self._open.values():
            writer.close()
        await asyncio.gather(*serving, return_exceptions=True)  # a bug in one of them has gone to the line

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            self._refused += 1
            log.warning("too many connections to the commands socket", refused=self._refused)
            writer.close()
            return
        me = asyncio.current_task()
        self._open[me] = writer
        try:
            while text := await reader.readline():
                writer.write(answer_to_json(await _answer(text, self._line, self._name)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # services went away, or a line had no end
        except Exception as bug:
            self._line.crash(bug)
            raise
        finally:
            writer.close()
            del self._open[me]


async def _answer(text: bytes, line: Line, name: str) -> Answer:
    try:
        command = command_from_json(text)
    except ValueError as error:
        return Answer(id="", result=f"blocked: {error}")
    if command.line != name:
        return Answer(id=command.id, result=f"blocked: this is line {name}, not {command.line}")
    return await line.command(command)


def main() -> int:
    """Run the process; 2 for a mistake in the configuration, 1 for a device or model that cannot be used."""
    config = ControlConfig.model_validate_json(read_config())
    log_to_stderr(process="control", line=config.line.name)
    sys.setswitchinterval(1e-4)  # the journal's thread and OpenVINO's callbacks must not hold the loop for 5 ms
    try:
        import uvloop

        uvloop.run(run(config))
    except ConfigError as error:
        log.error("configuration", error=str(error))
        return 2
    except GatewayError as error:
        log.error("cannot run", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
