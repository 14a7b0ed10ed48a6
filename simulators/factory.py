"""The process of one simulated line: ``python -m simulators.factory``, its configuration one JSON line on stdin.

It says on stdout, a JSON object a line, when its ports are open (``ready``), how it goes once a second (``progress``) and
when the last part has left the gate (``done``); then it goes on serving until stdin ends. A line ``halt`` on stdin ends the
making of parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import select
import signal
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import cv2
import uvloop
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.core.errors import ConfigError
from gateway.core.tags import S7Address
from gateway.plc.maps import LoadedMap, load_map
from simulators.ledger import Ledger
from simulators.line import PlcServer, SimulatedLine, now_ms
from simulators.pictures import PictureFolder, Renderer, UnusablePicturesError
from simulators.plant import Settings
from simulators.plc import PlcLogic
from simulators.plc_modbus import ModbusServer
from simulators.plc_s7 import S7Server
from simulators.process import GOOD, Process, setting_of
from simulators.scenario import Scenario, ScenarioError, load_scenario


class FactoryConfig(BaseModel):
    """What one line of the factory is told at its start."""

    model_config = ConfigDict(extra="forbid")

    line: str
    map: Path
    """The tag map; its host and port are not used."""
    protocol: Literal["s7", "modbus"]
    plc_host: str = "127.0.0.1"
    """Address on which both ports listen."""
    plc_port: int = Field(default=0, ge=0, le=65535)
    camera_port: int = Field(default=0, ge=0, le=65535)
    """0 = a free one."""
    scan_ms: float | None = Field(default=None, ge=1, le=200)
    """The PLC's scan time; None = the scenario's."""
    scenario: str = "steady"
    """A name from simulators/scenarios, or the path of a file."""
    seed: int = Field(default=1, ge=0)
    parts: int = Field(ge=0)
    """Parts to feed; 0 = without end."""
    parts_per_s: float = Field(gt=0, le=200)
    images: Path | None = None
    """A directory with a folder a class, in place of rendered pictures."""
    passes: list[str] = Field(default=[GOOD], min_length=1)
    """Labels that are no defect."""
    labels: list[str] = []
    """Labels that the model knows; pictures of another class are refused, for nobody could say whether they may pass."""
    channels: Literal[1, 3] = 1
    """Of the camera's pictures."""
    ledger: Path


def say(event: str, **values: object) -> None:
    """Print one event as a JSON line."""
    print(json.dumps({"event": event, **values}), flush=True)


async def run(config: FactoryConfig) -> None:
    """Run the line until stdin ends; ConfigError, ScenarioError, UnusablePicturesError or OSError say what cannot be had."""
    loaded = load_map(config.map)
    scenario = load_scenario(config.scenario)
    if loaded.plc.driver != config.protocol:
        raise ConfigError(f"{config.map} is a map for {loaded.plc.driver}, the line was to speak {config.protocol}")
    ledger = Ledger(config.ledger)
    try:
        line = _build(config, loaded, scenario, ledger)
        try:
            plc_port, camera_port = await line.start(config.plc_host, config.plc_port, config.camera_port)
        except (OSError, RuntimeError) as error:
            wanted = f"ports {config.plc_port} (PLC) and {config.camera_port} (camera) of {config.plc_host}"
            raise OSError(f"{wanted} cannot be had: {error}; end what uses them, or ask for port 0") from error
        belt = scenario.belt
        geometry = {
            "camera_offset": belt.camera_offset,
            "least_spacing": belt.least_spacing,
            "bind_window": belt.bind_window,
            "eye_to_gate": belt.eye_to_gate,
            "most_parts_per_s": round(config.parts_per_s * belt.spacing / belt.least_spacing, 3),
            "scan_ms": config.scan_ms or scenario.scan_ms,
        }
        about = config.model_dump(mode="json", exclude={"ledger", "map"})
        ledger.write("meta", now_ms(), **about, geometry=geometry)
        gc.collect()
        gc.freeze()
        stop = _stop_requested(line.halt)
        say("ready", plc_port=plc_port, camera_port=camera_port, geometry=geometry)
        await _until_stopped(line, ledger, stop)
    finally:
        ledger.close()


def _build(config: FactoryConfig, loaded: LoadedMap, scenario: Scenario, ledger: Ledger) -> SimulatedLine:
    """Put the line together; the lines of one factory differ by their names, with the same seed."""
    seed = config.seed ^ zlib.crc32(config.line.encode())
    passes = frozenset(config.passes)
    try:
        setting = setting_of(loaded.map, scenario.process.param)
    except KeyError as error:
        raise ConfigError(f"scenario {config.scenario}: process.param: {config.map} has no parameter {error}") from None
    scan_ms = config.scan_ms or scenario.scan_ms
    try:
        gate_window = scenario.belt.gate_window(config.parts_per_s * scenario.belt.spacing * scan_ms / 1e3)
    except ValueError as error:
        raise ConfigError(f"{config.line}: {error}") from None
    logic = PlcLogic(
        loaded,
        camera_to_gate=scenario.belt.eye_to_gate,
        gate_window=gate_window,
        params={setting.name: setting.nominal} if setting else None,
        retentive=scenario.retentive_part_ids,
        confirm_within=scenario.belt.confirm_within,
        most_without_token=scenario.rejects.most_without_token,
        settings=Settings(
            max_consecutive_rejects=scenario.rejects.most_rejects,
            bypass_max_ms=scenario.rejects.bypass_max_ms,
            bypass_max_parts=scenario.rejects.bypass_max_parts,
            model_unverified=scenario.rejects.model_unverified,
        ),
    )
    pictures: Renderer | PictureFolder
    if config.images is None:
        if GOOD not in passes:
            raise ConfigError(f"{config.line}: rendered parts are {GOOD!r} or defective; passes must name {GOOD!r}")
        pictures = Renderer(seed=seed, size=scenario.picture_px, channels=config.channels)
    else:
        known = frozenset(config.labels)
        pictures = PictureFolder(config.images, passes=passes, known=known, seed=seed, channels=config.channels)
    return SimulatedLine(
        loaded.map,
        _server(loaded, logic),
        logic,
        scenario,
        Process(
            scenario.process,
            setting,
            passes=passes,
            seed=seed,
            challenges=scenario.station.challenge,
            again=scenario.again,
        ),
        pictures,
        ledger,
        setting=setting,
        parts=config.parts,
        parts_per_s=config.parts_per_s,
        scan_ms=scan_ms,
        seed=seed,
    )


def _server(loaded: LoadedMap, logic: PlcLogic) -> PlcServer:
    extra = zip(loaded.map.extra, logic.extra, strict=True)
    if loaded.plc.driver == "modbus":
        return ModbusServer(loaded.map, logic.up, logic.down, extra=extra, unit=loaded.plc.unit)
    up, down = loaded.map.up.base, loaded.map.down.base
    if not isinstance(up, S7Address) or not isinstance(down, S7Address):
        raise ConfigError(f"{loaded.map.file}: an S7 line needs blocks with db numbers")
    return S7Server(up.db, logic.up, down.db, logic.down, extra=extra, cpu_running=lambda: logic.running)


async def _until_stopped(line: SimulatedLine, ledger: Ledger, stop: asyncio.Event) -> None:
    running = asyncio.create_task(line.run())
    reporting = asyncio.create_task(_report(line, ledger))
    stopping = asyncio.create_task(stop.wait())
    everyone = (running, reporting, stopping)
    try:
        await asyncio.wait(everyone, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in everyone if task.done()]
        for task in everyone:
            task.cancel()
        await asyncio.gather(*everyone, return_exceptions=True)
        await line.stop()
    for task in ended:
        task.result()


async def _report(line: SimulatedLine, ledger: Ledger) -> None:
    """Once a second: the process into the ledger, the score to stdout; and say when it is done."""
    done = False
    while True:
        ledger.write("process", now_ms(), **line.process_now())
        if not done and _stdout_has_room():  # progress is telemetry: never wait for a reader
            say("progress", **_progress(line))
        if not done and line.ended.is_set():
            done = True
            say("done", **_progress(line))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await (asyncio.sleep(2) if done else line.ended.wait())


def _progress(line: SimulatedLine) -> dict[str, object]:
    counts = line.counts
    return {
        "fed": counts.fed,
        "parts": counts.passed + counts.rejected,
        "passed": counts.passed,
        "rejected": counts.rejected,
        "defective": counts.defective,
        "escaped": counts.escaped,
        "camera_connected": line.camera.connected,
        "frames_lost": line.camera.lost,
        "frames_late": line.station.late_frames,
        "scan_late_ms": round(counts.scan_late_ms, 1),
        "process": line.process_now(),
    }


def _stdout_has_room() -> bool:
    return bool(select.select([], [sys.stdout], [], 0)[1])


def _stop_requested(halt: Callable[[], None]) -> asyncio.Event:
    """Return an event that is set at the end of stdin or by SIGTERM; a line ``halt`` calls ``halt``.

    SIGINT is left to whoever started this process.
    """
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def readable() -> None:
        data = os.read(0, 4096)
        if b"halt\n" in data:
            halt()
        if not data:
            loop.remove_reader(0)
            event.set()

    loop.add_reader(0, readable)
    loop.add_signal_handler(signal.SIGTERM, event.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return event


def _read_config() -> FactoryConfig:
    """Return the configuration on the first line of stdin, read without a buffer; ConfigError when it is none."""
    line = bytearray()
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    try:
        return FactoryConfig.model_validate_json(bytes(line))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'line'}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"the configuration (one JSON line on stdin): {problems}") from None


def main() -> int:
    """Run the process; 2 with a message on stderr when what it was told is wrong, 1 when something cannot be had."""
    cv2.setNumThreads(1)
    # pymodbus' server dumps the packets of a client that has gone; that a connection ended is no news here.
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
    sys.setswitchinterval(5e-4)  # pictures are made on a thread that must not hold up the PLC's port for 5 ms
    try:
        uvloop.run(run(_read_config()))
    except (ConfigError, ScenarioError, UnusablePicturesError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
