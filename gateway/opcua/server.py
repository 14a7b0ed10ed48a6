"""The OPC UA server: builds every station's tags and writes what :mod:`gateway.opcua.station` says.

The own namespace is registered first and is always ``ns=2``. All tags are read-only to every client. It must not know a
record.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.metadata
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

from gateway.core.errors import ConfigError, GatewayError
from gateway.core.tags import Quality
from gateway.opcua.access import Trust, Users
from gateway.opcua.flat import TAGS, Param
from gateway.opcua.hardened import HardenedServer
from gateway.opcua.quality import status_code
from gateway.opcua.security import own_certificate
from gateway.opcua.station import Update
from gateway.opcua.tree import NS, VARIANT, Tree

NAMESPACE = "urn:vision-gateway:stations"
WRITES_BEFORE_YIELD = 5

_log = structlog.get_logger("opcua")


@dataclass(frozen=True, slots=True, kw_only=True)
class StationNodes:
    """One station: its id (``Line1.Cam1``) and the parameters of its line."""

    id: str
    params: tuple[Param, ...] = ()


class OpcUaServer:
    """The server with one tree of tags a station."""

    def __init__(
        self,
        stations: Sequence[StationNodes],
        *,
        host: str,
        port: int,
        application_uri: str,
        pki: Path,
        users: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take what to serve and where; ``clock`` returns the UTC time for server timestamps."""
        self._stations = stations
        self._host, self._port = host, port
        self._application_uri = application_uri
        self._pki, self._users_file = pki, users
        self._clock = clock
        self.new_password_file: Path | None = None
        """Holds the password of the user ``viewer`` that this start has made; None when the users were there already."""
        self._server: HardenedServer | None = None
        self._nodes: dict[tuple[str, str], tuple[ua.NodeId, ua.VariantType]] = {}

    @property
    def url(self) -> str:
        """Return the address to connect to, with the port really taken; this machine's name when it listens everywhere."""
        port = self._port
        if self._server is not None and self._server.bserver is not None:
            port = self._server.bserver.port
        host = socket.gethostname() if self._host in ("0.0.0.0", "::", "") else self._host  # noqa: S104 - compared only
        return f"opc.tcp://{_netloc(host, port)}/vision-gateway"

    async def start(self) -> None:
        """Make keys and users at the first start, build the tags, listen.

        Raises GatewayError when the port is taken, ConfigError when the keys or users cannot be used, each with the remedy.
        """
        own = own_certificate(self._pki, self._application_uri, self._host)
        users = Users(self._users_file)
        self.new_password_file = users.new_password_file
        if users.new_password_file is not None:
            _log.info("made the OPC UA user 'viewer'; its password is in this file", file=str(users.new_password_file))
        version = importlib.metadata.version("vision-gateway")
        server = HardenedServer(users, Trust(self._pki), product="Vision Gateway", version=version)
        await server.init()
        server.set_endpoint(f"opc.tcp://{_netloc(self._host, self._port)}/vision-gateway")
        await server.set_application_uri(self._application_uri)
        await server.load_certificate(own.certificate)
        await server.load_private_key(own.key)
        if await server.register_namespace(NAMESPACE) != NS:
            raise RuntimeError("the own namespace must be registered first")
        for station in sorted(self._stations, key=lambda s: s.id):
            await self._build(server, station)
        try:
            await server.start()
        except OSError as e:
            what = "is taken" if e.errno == errno.EADDRINUSE else f"cannot be used ({e.strerror})"
            # No ConfigError: whoever holds it, a gateway that is just ending say, may let go of it.
            raise GatewayError(
                f"opcua: port {self._port} on {self._host} {what}; stop the program that holds it"
                f" (ss -ltnp 'sport = :{self._port}') or set opcua.port to another one"
            ) from e
        self._server = server

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        if self._server is not None:
            await self._server.stop()
            self._server = None

    async def write(self, station: str, updates: Iterable[Update]) -> None:
        """Write tags in this order; yields to the loop now and then, since a write fans out to every subscriber at once.

        KeyError for a station or tag that there is none of.
        """
        if self._server is None:
            return
        server_time = ua.DateTime.fromtimestamp(self._clock().timestamp(), UTC)
        for n, update in enumerate(updates, 1):
            node, kind = self._nodes[station, update.tag]
            bad = update.quality is Quality.BAD
            value = ua.DataValue(
                Value=ua.Variant(None, ua.VariantType.Null) if bad else ua.Variant(update.value, kind),
                StatusCode=ua.StatusCode(ua.UInt32(status_code(update.quality, update.why))),
                SourceTimestamp=ua.DateTime.fromtimestamp(update.t_utc_ns // 1000 / 1e6, UTC),
                ServerTimestamp=server_time,
            )
            await self._server.write_attribute_value(node, value)
            if n % WRITES_BEFORE_YIELD == 0:
                await asyncio.sleep(0)

    # --- the tree --------------------------------------------------------------------------------------------------------

    async def _build(self, server: HardenedServer, station: StationNodes) -> None:
        tree = Tree(server.iserver)
        root = tree.folder(ua.NodeId(ua.Int32(ObjectIds.ObjectsFolder)), station.id, station.id, organizes=True)
        tags = tree.folder(root, f"{station.id}.Tags", "Tags")
        names = [*dict.fromkeys(t.name.partition(".")[0] for t in TAGS), "Params"]
        folders = {name: tree.folder(tags, f"{station.id}.Tags.{name}", name) for name in names}
        for tag in TAGS:
            node = await tree.tag(folders[tag.name.partition(".")[0]], f"{station.id}.Tags.{tag.name}", tag)
            self._nodes[station.id, tag.name] = (node, VARIANT[tag.type][0])
        for param in sorted(station.params, key=lambda p: p.name):
            name = f"Params.{param.node_name}"
            if (station.id, name) in self._nodes:
                raise ConfigError(f"opcua: two parameters of {station.id} would share the NodeId of {param.name}; rename one")
            node = await tree.analog(folders["Params"], f"{station.id}.Tags.{name}", param)
            self._nodes[station.id, name] = (node, ua.VariantType.Float)


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
