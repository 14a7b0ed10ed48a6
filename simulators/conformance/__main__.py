"""``gateway map conformance MAP``: a PLC for a live gateway to connect to, which tries everything that the handshake promises.

Point the gateway's tag map at this machine and port (or let --listen stand where the map points), start the gateway with
its cameras, then this. It serves the map's blocks itself: no belt may depend on what happens. Exit status: 0 when every check
passed, 1 when one did not, 2 for wrong input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

from gateway.core.errors import ConfigError
from gateway.plc.maps import load_map
from simulators.conformance import ack, checks, commands
from simulators.conformance.bench import Bench, Limits, NonconformantError

Check = Callable[[Bench], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one check found."""

    name: str
    requirement: str
    passed: bool
    detail: str
    seconds: float


def name_of(check: Check) -> str:
    """Return the name of a check as the command line has it; those of the classic exchange begin with ``ack-``."""
    name = str(getattr(check, "__name__", check)).replace("_", "-")
    return f"ack-{name}" if check in ack.CHECKS else name


def all_checks(handshake: str, *, recipe: bool, golden: bool) -> list[Check]:
    """Return the checks that belong to a map's handshake; those that need a recipe or golden pictures only with them."""
    found: list[Check] = [*checks.CHECKS, *(ack.CHECKS if handshake == "ack" else ()), *commands.CHECKS]
    return found + [*(commands.NEEDS_RECIPE if recipe else ()), *(commands.NEEDS_GOLDEN if golden else ())]


async def run_check(check: Check, bench: Bench) -> Result:
    """Run one check."""
    begun, detail = time.monotonic(), ""
    try:
        await check(bench)
    except NonconformantError as error:
        detail = str(error)
    requirement = " ".join((check.__doc__ or "").split())
    seconds = round(time.monotonic() - begun, 3)
    return Result(name=name_of(check), requirement=requirement, passed=not detail, detail=detail, seconds=seconds)


async def run_checks(
    bench: Bench, chosen: Sequence[Check], host: str, port: int, say: Callable[[Result], None]
) -> list[Result]:
    """Serve the blocks and run the checks one after the other; OSError or RuntimeError when the port cannot be had."""
    results = []
    async with bench.served(host, port):
        for check in chosen:
            results.append(await run_check(check, bench))
            say(results[-1])
    return results


def _say(result: Result) -> None:
    print(f"{'pass' if result.passed else 'FAIL'}  {result.name:<28} {result.seconds:6.1f} s  {result.requirement}", flush=True)
    if result.detail:
        print(f"      {result.detail}", flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What ``gateway map conformance`` was asked for, as its command line says."""

    map: str
    listen: str
    only: list[str]
    recipe: int
    golden: bool
    rate: float
    part_s: float
    ready_s: float
    list: bool
    json: bool


def main(argv: Sequence[str]) -> int:
    """Run the suite with the options in the one argument, JSON."""
    args = Options(**json.loads(argv[0]))
    try:
        return _run(args)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except (OSError, RuntimeError) as error:
        print(f"cannot serve a PLC there: {error}; stop what holds the port, or give --listen", file=sys.stderr)
        return 2


def _run(args: Options) -> int:
    if not 0 < args.rate <= 200:
        raise ConfigError(f"--rate {args.rate:g}: give parts per second, more than 0 and at most 200")
    loaded = load_map(args.map)
    chosen = all_checks(loaded.map.handshake, recipe=bool(args.recipe), golden=args.golden)
    unknown = set(args.only) - {name_of(c) for c in chosen}
    if unknown:
        known = ", ".join(name_of(c) for c in chosen)
        raise ConfigError(f"--only {', '.join(sorted(unknown))}: there is no such check for this map; there are: {known}")
    chosen = [c for c in chosen if not args.only or name_of(c) in args.only]
    if args.list:
        for check in chosen:
            print(f"{name_of(check):<28} {' '.join((check.__doc__ or '').split())}")
        return 0
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it shows its last frames whenever a client goes
    host, port = _address(args.listen, loaded.plc)
    say = (lambda r: print(json.dumps(asdict(r)), flush=True)) if args.json else _say
    bench = Bench(loaded, Limits(part=args.part_s, ready=args.ready_s, spacing=1 / args.rate), recipe=args.recipe)
    with contextlib.suppress(KeyboardInterrupt):
        results = asyncio.run(run_checks(bench, chosen, host, port, say))
        failed = [r.name for r in results if not r.passed]
        if args.json:
            print(json.dumps({"passed": len(results) - len(failed), "failed": failed}))
        else:
            print(f"{len(results) - len(failed)} passed, {len(failed)} failed" + (f": {', '.join(failed)}" if failed else ""))
        return 1 if failed else 0
    return 130


def _address(listen: str, plc: object) -> tuple[str, int]:
    if not listen:
        return str(getattr(plc, "host", "127.0.0.1")), int(getattr(plc, "port", 0))
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"--listen {listen}: give HOST:PORT, for instance 127.0.0.1:1102")
    return host, int(port)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
