"""Connections in memory with the faults of a cable: what asyncio's transports promise, without a socket.

Every gateway reaches the PLC over a :class:`Path` of its own, which delays what it carries and can be told to misbehave. Bytes
come in order or not at all, as TCP has it; what goes wrong is when, in what pieces, and whether the ends learn of it. It
knows no protocol.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Literal

from simulators.storm.loop import Host, current_host

Direction = Literal["up", "down"]
"""``down``: gateway → PLC · ``up``: PLC → gateway."""


class Path:
    """The way between one gateway and the PLC; every attribute may be changed while it is in use."""

    def __init__(self, rng: random.Random) -> None:
        """Start healthy: 0.1 to 0.4 ms each way."""
        self.random = rng
        self.delay_s = (0.0001, 0.0004)
        """Least and greatest time that a piece of data is under way."""
        self.refuses = False
        """Nobody listens at the other end, or the port is closed."""
        self.black = False
        """Nothing comes through, no answer to a connection attempt either."""
        self.trickles = False
        """Data comes in small pieces."""
        self._stalled_until_s = 0.0
        self._cut_after: tuple[Direction, int] | None = None
        self.connections: list[Connection] = []

    def stall(self, seconds: float) -> None:
        """Hold back everything for a while; then it comes, late, as lost packets do that are sent again."""
        self._stalled_until_s = max(self._stalled_until_s, asyncio.get_running_loop().time() + seconds)

    def cut_after(self, direction: Direction, count: int) -> None:
        """Reset the connection after ``count`` more bytes of that direction: in the middle of whatever they belong to."""
        self._cut_after = (direction, count)

    def go_half_open(self) -> None:
        """Let the PLC's end of every connection vanish without a word: what is sent gets no answer any more."""
        for connection in self.connections:
            connection.vanished = True
        self.connections.clear()

    def reset(self) -> None:
        """Break every connection, which both ends learn at once."""
        for connection in list(self.connections):
            connection.reset()

    def admit(self, direction: Direction, data: bytes) -> tuple[bytes, bool]:
        """Return what of ``data`` still comes through, and whether the connection breaks behind it."""
        if self._cut_after is None or self._cut_after[0] != direction:
            return data, False
        left = self._cut_after[1] - len(data)
        if left > 0:
            self._cut_after = (direction, left)
            return data, False
        count, self._cut_after = self._cut_after[1], None
        return data[:count], True

    def pieces(self, data: bytes) -> list[bytes]:
        """Return ``data`` as it arrives."""
        if not self.trickles:
            return [data]
        found = []
        while data:
            size = self.random.randint(1, 12)
            found.append(data[:size])
            data = data[size:]
        return found

    def arrival_s(self, after_s: float) -> float:
        """Return when something sent now arrives, not before ``after_s``."""
        now = asyncio.get_running_loop().time()
        return max(after_s, now + self.random.uniform(*self.delay_s), self._stalled_until_s)


class Connection:
    """Two ends."""

    def __init__(self, path: Path, client: Context, server: Context) -> None:
        """Join the contexts of both programs."""
        self.path = path
        self.vanished = False
        self.client = _End(self, "down", client)
        self.server = _End(self, "up", server)
        self.client.peer, self.server.peer = self.server, self.client
        path.connections.append(self)

    def reset(self) -> None:
        """Break it for both ends."""
        self.forget()
        for end in (self.client, self.server):
            end.lose(ConnectionResetError("connection reset by peer"))

    def forget(self) -> None:
        """Let the path know no more of it."""
        if self in self.path.connections:
            self.path.connections.remove(self)


class _End(asyncio.Transport):
    """One end as its program sees it."""

    peer: _End

    def __init__(self, connection: Connection, direction: Direction, context: Context) -> None:
        super().__init__()
        self._connection = connection
        self._direction = direction
        self._context = context
        self._protocol: Any = None
        self._closing = False
        self._arrives_s = 0.0
        self._loop = asyncio.get_running_loop()

    def attach(self, protocol: Any) -> None:
        """Give the end to its protocol."""
        self._protocol = protocol
        protocol.connection_made(self)

    # -- what programs call ---------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send."""
        if self._closing:
            return
        path = self._connection.path
        through, breaks = path.admit(self._direction, bytes(data))
        if not self._connection.vanished:
            for piece in path.pieces(through):
                self._arrives_s = path.arrival_s(self._arrives_s)
                self._loop.call_at(self._arrives_s, self.peer.receive, piece, context=self.peer._context)  # noqa: SLF001
        if breaks:
            self._arrives_s = path.arrival_s(self._arrives_s)
            self._loop.call_at(self._arrives_s, self._connection.reset)

    def close(self) -> None:
        """Close: the other end learns of it unless it has vanished."""
        self._end(None)

    def abort(self) -> None:
        """Reset."""
        self._end(ConnectionResetError("connection reset by peer"))

    def is_closing(self) -> bool:
        """Return whether this end was closed or lost."""
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return addresses that mean nothing."""
        return ("memory", 1) if name in ("peername", "sockname") else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Have no buffer."""

    def get_write_buffer_size(self) -> int:
        """Return 0: what is written is under way."""
        return 0

    def can_write_eof(self) -> bool:
        """Return False."""
        return False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the end to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """Return the protocol."""
        return self._protocol

    def is_reading(self) -> bool:
        """Return whether it reads."""
        return not self._closing

    def pause_reading(self) -> None:
        """Refuse: no program here reads more than it asked for."""
        raise RuntimeError("nobody sends so much here")

    # -- what the network calls -------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Hand over what has arrived."""
        if not self._closing:
            self._protocol.data_received(data)

    def lose(self, error: Exception | None) -> None:
        """Tell the program that the connection is gone."""
        if not self._closing and self._protocol is not None:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, error, context=self._context)

    def _end(self, to_peer: Exception | None) -> None:
        if self._closing:
            return
        self._connection.forget()
        self.lose(None)
        if not self._connection.vanished:
            at = self._connection.path.arrival_s(self._arrives_s)
            self._loop.call_at(at, self.peer.lose, to_peer, context=self.peer._context)  # noqa: SLF001


class _Listener:
    """What ``create_server`` returns."""

    def __init__(self, network: Network, factory: Callable[[], Any], port: int) -> None:
        self._network = network
        self.factory = factory
        self.port = port
        self.context = copy_context()
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        """Return its address."""
        return "memory", self.port

    def is_serving(self) -> bool:
        """Return whether it is open."""
        return self._network.listener(self.port) is self

    def close(self) -> None:
        """Take no new connections."""
        self._network.close(self)

    async def wait_closed(self) -> None:
        """Return at once."""


class Network:
    """Listeners by port, and the path of every host."""

    def __init__(self) -> None:
        """Start empty."""
        self._listeners: dict[int, _Listener] = {}
        self.paths: dict[Host | None, Path] = {}

    def listener(self, port: int) -> _Listener | None:
        """Return who listens there."""
        return self._listeners.get(port)

    def close(self, listener: _Listener) -> None:
        """Free its port."""
        self._listeners.pop(listener.port, None)

    def listen(self, factory: Callable[[], Any], _host: Any, port: int) -> _Listener:
        """Open a port; 0 = a free one."""
        free = port or 50_000 + len(self._listeners)
        if free in self._listeners:
            raise OSError(f"port {free} is in use")
        self._listeners[free] = found = _Listener(self, factory, free)
        return found

    async def connect(self, factory: Callable[[], Any], _host: Any, port: int) -> tuple[Any, Any]:
        """Connect from the host in whose context this runs."""
        path = self.paths[current_host()]
        loop = asyncio.get_running_loop()
        await asyncio.sleep(path.arrival_s(0) - loop.time())
        if path.black:
            await loop.create_future()  # as long as the program cares to wait
        listener = self._listeners.get(port)
        if path.refuses or listener is None:
            raise ConnectionRefusedError(f"nobody listens on port {port}")
        connection = Connection(path, copy_context(), listener.context)
        listener.context.run(lambda: connection.server.attach(listener.factory()))
        try:
            await asyncio.sleep(path.arrival_s(0) - loop.time())
        except asyncio.CancelledError:
            connection.forget()
            connection.server.lose(ConnectionResetError("connection reset by peer"))
            raise
        protocol = factory()
        connection.client.attach(protocol)
        if connection.server.is_closing():
            connection.client.lose(ConnectionResetError("connection reset by peer"))
        return connection.client, protocol
