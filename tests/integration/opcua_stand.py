"""An OPC UA server on a free loopback port, and asyncua's client to ask it with."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncua import Client, Node, ua
from asyncua.crypto.security_policies import SecurityPolicy, SecurityPolicyBasic256Sha256
from asyncua.server.internal_server import InternalServer

from gateway.core.events import LineState, PartJudged, ProcessValues, Record
from gateway.opcua.access import Role, account, editing
from gateway.opcua.archive import Archive
from gateway.opcua.desk import Desk
from gateway.opcua.flat import Param
from gateway.opcua.mv.recipe_calls import Recipe
from gateway.opcua.security import OwnCertificate, own_certificate
from gateway.opcua.server import OpcUaServer, StationNodes
from gateway.opcua.station import Station

NS = 2
SECOND = 10**9
T0 = 1_790_000_000 * SECOND
APPLICATION = "urn:vision-gateway:test"
PASSWORD = "Kupfer-77"
"""Of the users ``operator`` and ``engineer``."""
PARAMS = (
    Param(name="Oven.Temp", unit="°C", range=(20.0, 300.0), step=5.0, rate_per_min=10.0),
    Param(name="Speed", unit="m/min"),
)
UP = LineState(line="Line1", t_utc_ns=T0, link="up", ready=True, offline_reason="NONE", camera_up=True, model_id="surface/3")
PASSED = PartJudged(
    line="Line1",
    t_utc_ns=T0,
    seq=7,
    part_id=41,
    epoch=0xBEEF,
    disposition="PASS",
    token="acked",
    label="good",
    scores={"good": 0.875, "scratch": 0.125},
    t_exposed_mono_ns=100 * SECOND,
    t_trigger_mono_ns=100 * SECOND - 5_000_000,
    t_frame_mono_ns=100 * SECOND + 4_000_000,
    t_acked_mono_ns=100 * SECOND + 20_000_000,
)
CAPTURED_NS = T0 - 20_000_000
VALUES = ProcessValues(line="Line1", t_utc_ns=T0, values={"Oven.Temp": 180.5, "Speed": 12.0}, mode="AUTOMATIC")


@dataclass(slots=True, kw_only=True)
class OpcUaStand:
    """The server with its stations ``Line1.Cam1`` (fed), ``Line2.Cam1`` (fed) and ``Line9.Cam1`` (never written)."""

    folder: Path
    server: OpcUaServer
    stations: dict[str, Station]
    password: str
    own: OwnCertificate
    """The clients' certificate."""

    @property
    def pki(self) -> Path:
        """Return the server's folder of keys and certificates."""
        return self.folder / "pki"

    @property
    def iserver(self) -> InternalServer:
        """Return what is behind the wire."""
        assert self.server._server is not None
        return self.server._server.iserver

    @property
    def port(self) -> int:
        """Return the port taken."""
        return int(self.server.url.rpartition(":")[2].partition("/")[0])

    async def show(self, *records: Record, station: str = "Line1.Cam1") -> None:
        """Write what these records change."""
        for record in records:
            self.stations[station].counters.count(record)
            await self.server.write(station, self.stations[station].apply(record))

    def plain(self) -> Client:
        """Return a client without security or user."""
        client = Client(self.server.url, timeout=5)
        # Asking for more than the server grants makes the client warn.
        client.session_timeout = 600_000
        return client

    async def client(
        self,
        *,
        user: str = "viewer",
        password: str | None = None,
        own: OwnCertificate | None = None,
        policy: type[SecurityPolicy] = SecurityPolicyBasic256Sha256,
        mode: ua.MessageSecurityMode = ua.MessageSecurityMode.SignAndEncrypt,
        chain: Sequence[bytes] = (),
    ) -> Client:
        """Return a client that is ready to connect."""
        own = own or self.own
        client = self.plain()
        client.application_uri = "urn:client"
        if user:
            client.set_user(user)
            known = self.password if user == "viewer" else PASSWORD
            client.set_password(known if password is None else password)
        await client.set_security(policy, own.certificate, own.key, mode=mode, certificate_chain=chain)
        return client

    @contextlib.asynccontextmanager
    async def connected(self, **how: Any) -> AsyncIterator[Client]:
        """Connect a client for a while."""
        client = await self.client(**how)
        async with client:
            yield client

    async def refused(self, **how: Any) -> int:
        """Return the status code with which a client is refused, 0 when it is let in."""
        client = await self.client(**how)
        try:
            async with client:
                return 0
        except ua.UaStatusCodeError as error:
            return int(error.code)


@contextlib.asynccontextmanager
async def opcua_stand(
    folder: Path, desk: Desk | None = None, archive: Archive | None = None, recipes: tuple[Recipe, ...] = ()
) -> AsyncIterator[OpcUaStand]:
    """Run the server; it trusts the clients' certificate, and has the users viewer, operator and engineer."""
    ids = ("Line1.Cam1", "Line2.Cam1", "Line9.Cam1")
    server = OpcUaServer(
        [StationNodes(id=i, params=PARAMS, recipes=recipes) for i in ids],
        host="127.0.0.1",
        port=0,
        application_uri=APPLICATION,
        pki=folder / "pki",
        users=folder / "users.json",
        desk=desk,
        archive=archive,
    )
    await server.start()
    stand = OpcUaStand(
        folder=folder,
        server=server,
        stations={i: Station(PARAMS) for i in ids[:2]},
        password=(folder / "users-viewer-password.txt").read_text().strip(),
        own=own_certificate(folder / "client", "urn:client", "127.0.0.1"),
    )
    with editing(folder / "users.json") as accounts:
        for role in (Role.OPERATOR, Role.ENGINEER):
            accounts[role.name.lower()] = account(role.name.lower(), role, PASSWORD)
    (stand.pki / "trusted" / "certs" / "client.der").write_bytes(stand.own.certificate.read_bytes())
    for i, station in stand.stations.items():
        await server.write(i, station.initial(T0))
    nodes = stand.iserver.aspace._nodes
    try:
        yield stand
    finally:
        async with asyncio.timeout(10):
            await server.stop()
        nodes.clear()  # hundreds of thousands of objects that every collection of the tests after would look through


@contextlib.asynccontextmanager
async def nothing_left(stand: OpcUaStand) -> AsyncIterator[None]:
    """Fail when a connection, a session, a subscription or a task is left behind."""
    before = asyncio.all_tasks()
    yield
    iserver = stand.iserver
    await until(lambda: not iserver.asyncio_transports, "every connection is closed")
    await until(lambda: not iserver._external_sessions and not iserver.subscription_service.subscriptions, "sessions end")
    await until(lambda: not [t for t in asyncio.all_tasks() - before if t is not asyncio.current_task()], "tasks end")


def node(client: Client, path: str, station: str = "Line1.Cam1") -> Node:
    """Return a tag's node."""
    return client.get_node(f"ns={NS};s={station}.Tags.{path}")


async def read(client: Client, *paths: str, station: str = "Line1.Cam1") -> list[ua.DataValue]:
    """Read tags in one request, whatever their quality."""
    return await client.read_attributes([node(client, p, station) for p in paths], ua.AttributeIds.Value)


async def variables(client: Client, station: str = "Line1.Cam1") -> list[Node]:
    """Return every variable of a station, properties included."""
    found: list[Node] = []
    queue = [client.get_node(f"ns={NS};s={station}")]
    while queue:
        here = queue.pop()
        found += await here.get_children(nodeclassmask=ua.NodeClass.Variable)
        queue += await here.get_children(nodeclassmask=ua.NodeClass.Object)
    for variable in list(found):
        found += await variable.get_children(nodeclassmask=ua.NodeClass.Variable)
    return found


class Raw:
    """A client that speaks bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def hello(self, size: int = 65535) -> bytes:
        """Say hello with these buffer sizes and return the answer's kind."""
        body = struct.pack("<IIIII", 0, size, size, 0, 0) + string("opc.tcp://127.0.0.1/")
        self.send(b"HELF", body)
        return await self.kind()

    def send(self, kind: bytes, body: bytes) -> None:
        """Send a frame."""
        self.writer.write(kind + struct.pack("<I", len(body) + 8) + body)

    def send_message(self, body: bytes, request: int = 1, sequence: int = 1) -> None:
        """Send a message on the channel that nobody has opened: id and token 0."""
        self.send(b"MSGF", struct.pack("<IIII", 0, 0, sequence, request) + body)

    async def kind(self) -> bytes:
        """Return the next frame's kind, b"" at the end."""
        return (await self.frame())[0]

    async def frame(self) -> tuple[bytes, bytes]:
        """Return the next frame's kind and body, both empty at the end."""
        try:
            async with asyncio.timeout(10):
                head = await self.reader.readexactly(8)
                return head[:3], await self.reader.readexactly(struct.unpack_from("<I", head, 4)[0] - 8)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b"", b""

    async def closed(self) -> bool:
        """Return whether the server closes the connection; whatever it still says is passed over."""
        while True:
            kind = await self.kind()
            if not kind:
                return True

    async def error(self) -> int:
        """Return the status code with which the server ends the connection."""
        kind, body = await self.frame()
        assert kind == b"ERR", kind
        assert await self.closed()
        return int(struct.unpack_from("<I", body)[0])


@contextlib.asynccontextmanager
async def raw(stand: OpcUaStand) -> AsyncIterator[Raw]:
    """Connect a client that speaks bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def string(text: str | bytes | None) -> bytes:
    """Return a string as it goes over the wire."""
    if text is None:
        return struct.pack("<i", -1)
    body = text.encode() if isinstance(text, str) else text
    return struct.pack("<i", len(body)) + body


def request(type_id: int, body: bytes = b"", more_header: bytes = b"\0\0\0") -> bytes:
    """Return a request: its type, a header with ``more_header`` as its last field, its body."""
    header = b"\0\0" + struct.pack("<qIIiI", 0, 1, 0, -1, 0) + more_header
    return struct.pack("<BBH", 1, 0, type_id) + header + body


async def until(condition: Callable[[], object], why: str, timeout_s: float = 10.0) -> None:
    """Wait for a condition, bounded."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {timeout_s} s: {why}"
        await asyncio.sleep(0.005)
