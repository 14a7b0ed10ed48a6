"""docs/new-line.md, every snippet of it run as a reader would: files are written, commands typed, what they say compared.

A fence ``yaml file=NAME`` is that file. In a fence ``console`` a line that begins with ``$`` is typed; the lines beneath it
must come in what the command says, in this order, ``…`` standing for anything; ``[exit 1]`` names a status other than 0. A
command with ``&`` at its end goes on, and the lines beneath it are waited for, as are those of a fence ``text job=N`` in what
the N-th of them says. Ports are free ones here.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
TUTORIAL = REPO / "docs" / "new-line.md"
PATIENCE_S = 90.0
FENCE = re.compile(r"^```(\S*)[ ]?(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
PORTS = ("1102", "9001", "4840")


@dataclass(frozen=True, slots=True)
class Typed:
    command: str
    expected: list[str]


def fences(text: str) -> list[tuple[str, str, str]]:
    return [(m[1], m[2], m[3]) for m in FENCE.finditer(text)]


def typed(body: str) -> list[Typed]:
    found: list[Typed] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append(Typed(line[2:], []))
        elif line.strip() and line.strip() != "…":
            found[-1].expected.append(line.strip())
    return found


def missing(expected: list[str], said: str) -> str:
    """Return the first expected line that does not come, in its order, "" when all do."""
    lines = [" ".join(line.split()) for line in said.splitlines()]
    at = 0
    for want in expected:
        pattern = re.compile(".*?".join(re.escape(" ".join(part.split())) for part in want.split("…")))
        found = next((i for i in range(at, len(lines)) if pattern.search(lines[i])), None)
        if found is None:
            return want
        at = found + 1
    return ""


def with_free_ports(text: str) -> str:
    socks = [socket.socket() for _ in PORTS]
    for port, sock in zip(PORTS, socks, strict=True):
        sock.bind(("127.0.0.1", 0))
        text = re.sub(rf"\b{port}\b", str(sock.getsockname()[1]), text)
    for sock in socks:
        sock.close()
    return text


class Reader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.background: list[tuple[asyncio.subprocess.Process, Path]] = []
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "COLUMNS": "200"}

    async def type(self, step: Typed) -> None:
        expected = [line for line in step.expected if not line.startswith("[exit")]
        status = next((int(line[6:-1]) for line in step.expected if line.startswith("[exit")), 0)
        if step.command.endswith("&"):
            await self.start(step.command.rstrip("& "), expected)
            return
        if step.command.startswith("kill %"):
            await self.kill(int(step.command[6:]) - 1)
            return
        process = await asyncio.create_subprocess_shell(
            step.command, cwd=self.folder, env=self.environment, stdin=asyncio.subprocess.DEVNULL, stdout=-1, stderr=-2
        )
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await process.communicate()
        said = out.decode()
        assert process.returncode == status, f"$ {step.command}\n{said}"
        assert not (gone := missing(expected, said)), f"$ {step.command}\n{said}\nthe tutorial says: {gone}"

    async def start(self, command: str, expected: list[str]) -> None:
        log = self.folder / f"job{len(self.background) + 1}.log"
        with log.open("wb") as stream:
            process = await asyncio.create_subprocess_shell(
                f"exec {command}", cwd=self.folder, env=self.environment, stdin=-3, stdout=stream, stderr=stream
            )
        self.background.append((process, log))
        await self.hear(len(self.background) - 1, expected)

    async def hear(self, job: int, expected: list[str]) -> None:
        process, log = self.background[job]
        for _ in range(int(PATIENCE_S / 0.2)):
            if not (gone := missing(expected, log.read_text())):
                return
            assert process.returncode is None, log.read_text()
            await asyncio.sleep(0.2)
        raise AssertionError(f"{log.read_text()[-3000:]}\nthe tutorial says: {gone}")

    async def kill(self, job: int) -> None:
        process, log = self.background[job]
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
        assert process.returncode == 0, log.read_text()[-3000:]

    async def leave(self) -> None:
        for process, _ in self.background:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_every_snippet_of_the_tutorial(tmp_path: Path) -> None:
    steps = fences(with_free_ports(TUTORIAL.read_text()))
    assert {kind for kind, _, _ in steps} <= {"yaml", "console", "text"}
    assert sum(kind == "console" for kind, _, _ in steps) >= 5, "the fences were not found"
    (tmp_path / "models").symlink_to(REPO / "models")
    reader = Reader(tmp_path)
    try:
        for kind, about, body in steps:
            if kind == "yaml":
                name = about.removeprefix("file=")
                assert name != about, f"a YAML snippet without a file: {body[:60]}"
                (tmp_path / name).write_text(body)
            elif kind == "console":
                for step in typed(body):
                    await reader.type(step)
            elif about.startswith("job="):
                await reader.hear(int(about[4:]) - 1, body.split("\n"))
    finally:
        await reader.leave()
