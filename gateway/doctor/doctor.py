"""Every check of the machine and, given a gateway.yaml, of what it names; each guarded: one's trouble hides no other's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

from gateway.config import GatewayConfig, load_config
from gateway.core.errors import ConfigError
from gateway.doctor import cameras, endpoint, files, machine
from gateway.doctor.finding import Check, Finding, error, guarded, ok
from gateway.doctor.plc import plc
from gateway.plc.maps import load_map

AT_ONCE = 4
"""Checks that run side by side: most of them wait."""


def configuration(path: Path) -> tuple[GatewayConfig | None, list[Finding]]:
    """Return the configuration, if it is right, and what is to be said of it."""
    try:
        config = load_config(path)
    except ConfigError as wrong:
        why = "the gateway starts with the last good configuration, or not at all"
        problems = wrong.problems or (str(wrong),)
        return None, [error("config", str(p), why, "correct it; `gateway config check` looks again") for p in problems]
    names = ", ".join(line.name for line in config.lines)
    return config, [ok("config", f"{path} is valid: {len(config.lines)} line(s): {names}")]


async def examine(path: Path | None) -> AsyncIterator[Finding]:
    """Yield what every check finds, in the order of the checks; without a configuration those of the machine alone."""
    config: GatewayConfig | None = None
    if path is not None:
        config, said = configuration(path)
        for finding in said:
            yield finding
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(name: str, subject: str, check: Check) -> list[Finding]:
        async with limit:
            return await guarded(name, check, subject)

    entries = list(checks(path, config))
    # The PLCs when all else is quiet: their answers are timed.
    for phase in ([e for e in entries if e[0] != "plc"], [e for e in entries if e[0] == "plc"]):
        tasks = [asyncio.create_task(one(*entry)) for entry in phase]
        try:
            for task in tasks:
                for finding in await task:
                    yield finding
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def checks(path: Path | None, config: GatewayConfig | None) -> Iterator[tuple[str, str, Check]]:
    """Yield every check with its name and what it looks at."""
    lines = len(config.lines) if config is not None else 1
    count = sum(len(line.cameras) for line in config.lines) if config is not None else 1
    yield "python", "", machine.python
    yield "packages", "", machine.packages
    yield "openvino", "", machine.openvino
    yield "processors", "", partial(machine.processors, lines)
    yield "memory", "", partial(machine.memory, lines)
    yield "frames", "", partial(machine.shared_memory, count)
    yield "clock", "", machine.clock
    if path is not None:
        yield "last-good", "", partial(files.last_good, path)
    if config is None:
        return
    yield "data", "", partial(files.data_folder, config)
    yield "clock.back", "", partial(files.future_files, config)
    yield "secrets", "", partial(files.private_files, config)
    yield "opcua.certificate", "", partial(endpoint.certificate, config)
    yield "opcua.endpoint", "", partial(endpoint.endpoint, config)
    yield "opcua.port", "", partial(endpoint.port, config)
    in_use_by = endpoint.running(config.data)
    for line in config.lines:
        for model in dict.fromkeys((line.model, *(recipe.model for recipe in line.recipes))):
            yield "model", line.name, partial(files.model, line.name, model)
        yield "plc", line.name, partial(plc, line.name, load_map(line.plc))
        for camera in line.cameras:
            yield "camera", f"{line.name}.{camera.name}", partial(cameras.camera, line.name, camera, in_use_by)
