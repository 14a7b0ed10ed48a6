"""A port that answers nobody, against the kernel's own connect: neither accepted nor refused, and free again afterwards."""

from __future__ import annotations

import socket

import pytest

from simulators.dark_port import dark_port
from tests.integration.wire import free_port


def test_connects_are_neither_accepted_nor_refused() -> None:
    port = free_port()
    with dark_port("127.0.0.1", port):
        for _ in range(4):
            with pytest.raises(TimeoutError):
                socket.create_connection(("127.0.0.1", port), 0.1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 0.1)
    with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port), 1):
        pass


def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        with dark_port("127.0.0.1", taken.getsockname()[1]):
            pass
