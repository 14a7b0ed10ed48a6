"""One connection of the OPC UA server: what it takes from strangers, and within which bounds.

The library takes any size for a frame, goes on after what it cannot decode, and waits for clients that do not read. Here a
connection ends instead. Each part falls away when the library brings it; the tests name them one by one. What arrives is
decoded within the bounds of ``decode`` and answered by ``channel``. It must not know what a session may do, users or tags.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Any, cast

from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer

from gateway.opcua import crowd
from gateway.opcua.channel import MAX_CHUNK, Gate, Processor

MAX_CHUNKS = 16
MAX_MESSAGE = 1 << 20
"""Bytes: what clients are told. Some take it for the size of the answers, too; ``channel`` takes shorter requests only."""
MAX_WAITING = 100
"""Messages read but not yet worked on; beyond, nothing more is read from the socket."""
ACTIVATION_S = 5.0
FREE_MESSAGES, PACE_S = 6, 0.2
"""Whoever has not logged in by then is answered no faster: a hundred who only ask would take the whole loop."""
BACKLOG = 1024
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds: a client whose machine lost its power is let go after a minute."""

_KINDS = {b"HEL": 8, b"OPN": 12, b"MSG": 12, b"CLO": 12, b"ERR": 8}
"""What may begin a frame, and the size of its header."""


class Protocol(OPCUAProtocol):
    """Cuts the stream into frames, refuses what is none, reads no faster than it answers, and ends idle connections."""

    def __init__(self, *, gate: Gate, **kwargs: Any) -> None:
        """Take who decides who comes in, and what the library wants."""
        super().__init__(**kwargs)
        self._gate = gate
        self._held = bytearray()
        self._answered = 0
        self._silence: asyncio.TimerHandle | None = None
        self._paused = False

    def connection_made(self, transport: Any) -> None:
        """Take the connection; when there are too many another one gives way, or this one if all others have logged in."""
        peer = transport.get_extra_info("peername")
        others = [c for c in self.clients if isinstance(c, Protocol)]
        welcome, gives_way = crowd.room_for(others, str(peer[0])) if peer else (False, None)
        if gives_way is not None and gives_way.transport is not None:
            self.clients.remove(gives_way)
            gives_way.transport.abort()
        if not welcome:
            transport.abort()
            return
        self.peer_name, self.transport = peer, transport
        self.iserver.asyncio_transports.append(transport)
        self.clients.append(self)
        self._silence = asyncio.get_running_loop().call_later(ACTIVATION_S, transport.abort)

    def _wake(self, transport: asyncio.Transport) -> None:
        """Make what a connection needs once its client has said something: a thousand that are silent must cost little."""
        if self._silence is not None:
            self._silence.cancel()
        stay_alive(transport.get_extra_info("socket"))
        processor = Processor(self.iserver, transport, self.limits, self._gate)
        processor.set_policies(self.policies)
        self.processor = processor
        self._task = asyncio.create_task(self._process_received_message_loop())
        self._activation_watchdog_task = asyncio.create_task(self._activation_watchdog())

    def connection_lost(self, ex: BaseException | None) -> None:
        """Let go of it."""
        if self._silence is not None:
            self._silence.cancel()
        super().connection_lost(ex)

    @property
    def address(self) -> str:
        """Return where the client is."""
        return str(self.peer_name[0])

    @property
    def standing(self) -> crowd.Standing:
        """Return what the client has shown so far."""
        return self.processor.standing if isinstance(self.processor, Processor) else crowd.Standing.SOCKET

    def data_received(self, data: bytes) -> None:
        """Take bytes from the wire."""
        if self.processor is None and self.transport is not None:
            self._wake(self.transport)
        self._held += data
        self._frame()

    def _frame(self) -> None:
        """Pass whole frames on: the library itself would keep whatever a wrong header announces, up to 4 GiB."""
        while self.transport is not None and not self.transport.is_closing() and len(self._held) >= 8:
            (size,) = struct.unpack_from("<I", self._held, 4)
            if not _KINDS.get(bytes(self._held[:3]), MAX_CHUNK) < size <= MAX_CHUNK:
                self.transport.abort()
                return
            if len(self._held) < size:
                return
            if self.messages.qsize() >= (MAX_WAITING if self.standing is crowd.Standing.LIVE else FREE_MESSAGES):
                self._paused = True
                self.transport.pause_reading()
                return
            frame = bytes(self._held[:size])
            del self._held[:size]
            super().data_received(frame)

    async def _process_one_msg(self, header: Any, buf: Buffer) -> bool:
        going_on = False
        try:
            going_on = await super()._process_one_msg(header, buf)
        finally:
            # An exception means that the bytes could not be understood: the library logs it, and would go on with the next.
            if not going_on and self.transport is not None:
                self.transport.close()
        self._answered += 1
        if self._answered > FREE_MESSAGES and PACE_S and self.standing is not crowd.Standing.LIVE:
            await asyncio.sleep(PACE_S)
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self._frame()
            if not self._paused:
                self.transport.resume_reading()
        return going_on

    async def _activation_watchdog(self) -> None:
        """Close a connection that twice in a row is found without a live session, however long ago it was made."""
        idle = 0
        while idle < 2:
            await asyncio.sleep(ACTIVATION_S / 2)
            session = self.processor.session if self.processor is not None else None
            idle = 0 if session is not None and session.is_activated() else idle + 1
        if self.transport is not None:
            self.transport.close()


class BoundedServer(BinaryServer):
    """Listens, with :class:`Protocol` on every connection."""

    def __init__(self, iserver: InternalServer, host: str, port: int, limits: TransportLimits, gate: Gate) -> None:
        """Take where to listen and who decides who comes in."""
        super().__init__(iserver, host, port, limits)
        self._gate = gate

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be bound."""
        await super().start()
        listening = cast(asyncio.Server, self._server).sockets
        self.port = listening[0].getsockname()[1]
        for each in listening:
            # Of a crowd of a thousand an honest client would wait seconds for its turn to knock again.
            with socket.socket(fileno=os.dup(each.fileno())) as same:
                same.listen(BACKLOG)

    async def stop(self) -> None:
        """Close every connection, without waiting for those who do not read."""
        for transport in list(self.iserver.asyncio_transports):
            if transport.get_write_buffer_size():
                transport.abort()
        await super().stop()

    def _make_protocol(self) -> OPCUAProtocol:
        return Protocol(
            gate=self._gate,
            iserver=self.iserver,
            policies=self._policies,
            clients=self.clients,
            closing_tasks=self.closing_tasks,
            limits=self.limits,
        )


def stay_alive(sock: Any) -> None:
    """Let the system find out when the peer is gone without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
