"""``gateway simulate MAP``: your own line without hardware: a PLC that runs the map's blocks, a belt, and a camera.

The PLC listens where the map says, so that a gateway.yaml written for the real one is tested as it stands; what the line needs
there is printed. Once a second it says how the line goes, and how many defective parts passed, which only it can know. Ctrl-C
ends it, or that all the parts of --parts have left the gate.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.core.errors import ConfigError
from gateway.plc.maps import MAX_ACK_PARTS_PER_S, LoadedMap, load_map
from simulators.program import Program, StandError, WrongInputError
from simulators.scenario import ScenarioError, load_scenario

ONLY_HERE = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What ``gateway simulate`` was asked for, as its command line says."""

    map: str
    camera_port: int
    rate: float
    parts: int
    scenario: str
    seed: int
    json: bool


def main(argv: Sequence[str]) -> int:
    """Run the line with the options in the one argument, JSON; 0 when it ended as asked, 1 when it fell, 2 for wrong input."""
    args = Options(**json.loads(argv[0]))
    try:
        loaded = load_map(args.map)
        with tempfile.TemporaryDirectory(prefix="vg-simulate-") as folder:
            return asyncio.run(_run(args, loaded, Path(folder)))
    except (ConfigError, ScenarioError, WrongInputError) as error:
        print(error, file=sys.stderr)
        return 2
    except StandError as error:
        print(error, file=sys.stderr)
        return 1


def _config(args: Options, loaded: LoadedMap, folder: Path) -> dict[str, Any]:
    plc = loaded.plc
    if plc.driver == "memory":
        raise ConfigError(f"{args.map}: the driver memory is for tests; a simulated line speaks s7 or modbus")
    if plc.host not in (ONLY_HERE, "localhost", "::1"):
        raise ConfigError(
            f"{args.map}: plc.host is {plc.host}; a simulated PLC listens on {ONLY_HERE} alone: use a copy of the map"
        )
    return {
        "line": plc.name,
        "map": str(Path(args.map).absolute()),
        "protocol": plc.driver,
        "plc_host": ONLY_HERE,
        "plc_port": plc.port,
        "camera_port": args.camera_port,
        "scenario": args.scenario,
        "seed": args.seed,
        "parts": args.parts,
        "parts_per_s": args.rate,
        "ledger": str(folder / "ledger.jsonl"),
    }


def _check_ack_rate(args: Options, loaded: LoadedMap) -> None:
    """ConfigError when the belt brings parts faster than a gateway may be told to serve by the classic exchange."""
    belt = load_scenario(args.scenario).belt
    densest = belt.spacing / belt.least_spacing
    if loaded.map.handshake == "ack" and args.rate * densest > MAX_ACK_PARTS_PER_S:
        most = math.floor(10 * MAX_ACK_PARTS_PER_S / densest) / 10
        raise ConfigError(
            f"--rate {args.rate:g}: {args.map} says handshake: ack, which serves at most {MAX_ACK_PARTS_PER_S:g} parts/s, and "
            f"parts on this belt come up to {densest:g} times as dense; give --rate {most:g} or less, or a map with "
            "handshake: ring"
        )


async def _run(args: Options, loaded: LoadedMap, folder: Path) -> int:
    if not 0 < args.rate <= 200:
        raise ConfigError(f"--rate {args.rate:g}: give parts per second, more than 0 and at most 200")
    _check_ack_rate(args, loaded)
    config = _config(args, loaded, folder)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    line = Program(f"the simulated line {loaded.plc.name}")
    try:
        await line.start([sys.executable, "-m", "simulators.factory"], folder / "log", json.dumps(config))
        ready = await line.expect(":ready")
        _say(args, ready, _welcome(loaded, ready))
        shown: dict[str, Any] = {}
        while not stop.is_set() and not line.ended and ":done" not in line.said:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await stop.wait()
            if (now := line.said.get(":progress", {})) is not shown and now:
                shown = now
                _say(args, now, _progress(now))
        if line.ended:
            raise line.why_ended("ended")
        last = line.said.get(":done") or shown
        _say(args, last, f"ended: {_progress(last)}" if last else "ended before the first part")
    finally:
        await line.stop()
    return 0


def _say(args: Options, said: dict[str, Any], words: str) -> None:
    print(json.dumps(said) if args.json else words, flush=True)


def _welcome(loaded: LoadedMap, ready: dict[str, Any]) -> str:
    geometry = ready["geometry"]
    camera = (
        f"{{name: Cam1, kind: simulated, host: {ONLY_HERE}, port: {ready['camera_port']}, offset: {geometry['camera_offset']}}}"
    )
    rate = f"{{parts_per_s: {geometry['most_parts_per_s']:g}, plc_scan_ms: {geometry['scan_ms']:g}}}"
    return (
        f"PLC {loaded.plc.name} ({loaded.plc.driver}) listens on {ONLY_HERE}:{ready['plc_port']}; "
        "its line in gateway.yaml needs:\n"
        f"    cameras: [{camera}]\n    bind: {{by: encoder, window: {geometry['bind_window']}}}\n    rate: {rate}"
    )


def _progress(now: dict[str, Any]) -> str:
    return (
        f"{now['parts']} parts at the gate: {now['passed']} passed, {now['rejected']} rejected; "
        f"{now['defective']} were defective, {now['escaped']} of them passed"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
