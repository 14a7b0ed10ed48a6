"""Two network namespaces joined by a cable: a network of one's own, in which packets can be lost without anybody being told.

Needs root and iproute2, nothing else; where the user or the kernel may not, a test that asks for it is skipped with the reason.
A socket belongs to the namespace in which it was made, so one process can stand on both sides.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest

PLC, GATEWAY = "10.213.0.1", "10.213.0.2"
NOBODY = "02:00:00:00:00:99"
CLONE_NEWNET = 0x40000000
Side = Literal["plc", "gateway"]


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=10)


@dataclass(frozen=True, slots=True)
class Cable:
    """The wire between the two."""

    names: dict[Side, str]
    home: int
    """The namespace that the process came from, as an open descriptor."""

    @contextlib.contextmanager
    def on(self, side: Side) -> Iterator[None]:
        """Make sockets on this side."""
        fd = os.open(f"/run/netns/{self.names[side]}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(fd)
            yield
        finally:
            _enter(self.home)
            os.close(fd)

    def swallow(self, side: Side) -> None:
        """From now on what this side sends reaches nobody: its frames go to a machine that is not there."""
        _ip("-n", self.names[side], "neigh", "replace", _other(side), "lladdr", NOBODY, "dev", side, "nud", "permanent")

    def deliver(self, side: Side) -> None:
        """Let what this side sends arrive again."""
        _ip("-n", self.names[side], "neigh", "del", _other(side), "dev", side)

    def pull(self) -> None:
        """Pull the plug at the PLC."""
        _ip("-n", self.names["plc"], "link", "set", "plc", "down")

    def plug(self) -> None:
        """Plug it in again."""
        _ip("-n", self.names["plc"], "link", "set", "plc", "up")


def _other(side: Side) -> str:
    return PLC if side == "gateway" else GATEWAY


def _enter(fd: int) -> None:
    """Move this thread into a namespace; what is open already stays where it was made."""
    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:  # os.setns came with Python 3.12
        raise OSError(ctypes.get_errno(), "setns")


@pytest.fixture
def cable() -> Iterator[Cable]:
    """Lay the cable; everything is gone at the end, however the test ends."""
    names: dict[Side, str] = {"plc": f"vg-plc-{os.getpid()}", "gateway": f"vg-gw-{os.getpid()}"}
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            for name in names.values():
                _ip("netns", "add", name)
            _ip(
                "link",
                "add",
                "plc",
                "netns",
                names["plc"],
                "type",
                "veth",
                "peer",
                "name",
                "gateway",
                "netns",
                names["gateway"],
            )
            sides: tuple[tuple[Side, str], ...] = (("plc", PLC), ("gateway", GATEWAY))
            for side, address in sides:
                _ip("-n", names[side], "addr", "add", f"{address}/30", "dev", side)
                _ip("-n", names[side], "link", "set", side, "up")
        except FileNotFoundError:
            pytest.skip("iproute2 is not installed")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        yield Cable(names, home)
    finally:
        for name in names.values():
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                _ip("netns", "del", name)
        os.close(home)
