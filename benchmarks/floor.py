"""The floor of the loop: what the same model and the same protocol cost alone, measured beside the loop under its load.

A process of its own. Ten times a second it infers one golden picture of the package with OpenVINO alone, compiled as the
gateway compiles it, and writes 64 bytes to a PLC simulator (not the one under test) with a hand-written frame on a blocking
socket. Stops at the end of stdin and prints one JSON object: {"samples": [[begin on CLOCK_MONOTONIC in ns, inference in ms,
write in ms], ...]}.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import openvino as ov

from gateway.vision.engine import Engine
from gateway.vision.fit import fit_picture, input_array
from gateway.vision.package import load_package
from gateway.vision.pictures import read_picture

PERIOD_S = 0.1
WRITE_BYTES = 64


class RawWrite(Protocol):
    """One acknowledged write of 64 bytes."""

    def __call__(self) -> None:
        """Write and wait for the acknowledgement."""


def exactly(sock: socket.socket, count: int) -> bytes:
    """Return ``count`` bytes; ConnectionError when the peer closes."""
    data = bytearray()
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError("the simulator closed the connection")
        data += more
    return bytes(data)


def connected(port: int) -> socket.socket:
    """Return a connected socket without Nagle's delay."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def s7_write(port: int, db: int, offset: int) -> RawWrite:
    """Return a raw S7 write (ISO-on-TCP, one item) to a data block."""
    sock = connected(port)

    def exchange(payload: bytes) -> bytes:
        sock.sendall(struct.pack(">BBH", 3, 0, 4 + len(payload)) + payload)
        head = exactly(sock, 4)
        return exactly(sock, int.from_bytes(head[2:4], "big") - 4)

    exchange(bytes.fromhex("11e00000000100c1020100c2020101c0010a"))
    exchange(bytes.fromhex("02f08032010000000100080000f0000001000101e0"))
    item = struct.pack(">BBBBHHB", 0x12, 0x0A, 0x10, 2, WRITE_BYTES, db, 0x84) + (offset * 8).to_bytes(3, "big")
    parameters = b"\x05\x01" + item
    data = struct.pack(">BBH", 0, 4, WRITE_BYTES * 8) + bytes(WRITE_BYTES)
    request = b"\x02\xf0\x80" + struct.pack(">BBHHHH", 0x32, 1, 0, 7, len(parameters), len(data)) + parameters + data

    def write() -> None:
        answer = exchange(request)
        if answer[-1] != 0xFF:
            raise ConnectionError(f"the S7 simulator refused the write: {answer.hex()}")

    return write


def modbus_write(port: int, register: int) -> RawWrite:
    """Return a raw Modbus FC16 write of 32 registers."""
    sock = connected(port)
    body = struct.pack(">BBHHB", 1, 16, register, WRITE_BYTES // 2, WRITE_BYTES) + bytes(WRITE_BYTES)
    request = struct.pack(">HHH", 7, 0, len(body)) + body

    def write() -> None:
        sock.sendall(request)
        head = exactly(sock, 6)
        answer = exactly(sock, int.from_bytes(head[4:6], "big"))
        if answer[1] != 16:
            raise ConnectionError(f"the Modbus simulator refused the write: {answer.hex()}")

    return write


def raw_inference(package: Path, threads: int) -> Callable[[], None]:
    """Return one blocking inference of a golden picture, with the very options that the gateway's engine compiles with."""
    loaded = load_package(package)
    engine = Engine(loaded, threads=threads)
    spec = loaded.manifest.input
    array = input_array(spec)
    fit_picture(read_picture(loaded.path / loaded.manifest.golden[0].file, spec.channels), spec, array)
    request = engine.compiled.create_infer_request()
    request.set_input_tensor(ov.Tensor(array, shared_memory=True))

    def infer() -> None:
        request.infer()

    return infer


def main() -> int:
    """Measure until stdin ends."""
    options = json.loads(sys.stdin.readline())
    infer = raw_inference(Path(options["package"]), options["threads"])
    write = s7_write(options["port"], 101, 64) if options["protocol"] == "s7" else modbus_write(options["port"], 232)
    samples: list[tuple[int, float, float]] = []
    for _ in range(20):
        infer()
        write()
    print('{"event":"ready"}', flush=True)
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        due = max(due + PERIOD_S, time.monotonic())
        begin = time.monotonic_ns()
        infer()
        middle = time.monotonic_ns()
        write()
        samples.append((begin, (middle - begin) / 1e6, (time.monotonic_ns() - middle) / 1e6))
    print(json.dumps({"event": "measured", "samples": samples}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
