"""The OPC UA server: builds every station's tags and writes what :mod:`gateway.opcua.station` says.

The own namespace is registered first and is always ``ns=2``. What clients may write goes to the desk. It must not know a
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
from functools import partial
from pathlib import Path

import structlog
from asyncua import ua

from gateway.core.errors import ConfigError, GatewayError
from gateway.core.tags import Quality
from gateway.opcua.access import Role, Users
from gateway.opcua.archive import Archive, NoArchive
from gateway.opcua.cmd import Commands
from gateway.opcua.commissioning import Commissioning
from gateway.opcua.conditions import Conditions
from gateway.opcua.desk import Desk, NobodyThere
from gateway.opcua.events import Events
from gateway.opcua.flat import TAGS, Param, has_past
from gateway.opcua.hardened import HardenedServer
from gateway.opcua.history import Past
from gateway.opcua.mv.instance import add_system
from gateway.opcua.mv.recipe_calls import Recipe
from gateway.opcua.mv.station import VisionFacts, VisionStation
from gateway.opcua.mv.types import add_types
from gateway.opcua.nodesets import load_nodesets
from gateway.opcua.notice import Notice
from gateway.opcua.pki import Pki
from gateway.opcua.quality import status_code
from gateway.opcua.security import own_certificate
from gateway.opcua.standard import repair
from gateway.opcua.station import Update
from gateway.opcua.tree import NS, VARIANT, Tree, variant
from gateway.opcua.trust import Trust
from gateway.opcua.writable import Entry, adjusted
from gateway.process import all_made_stays

NAMESPACE = "urn:vision-gateway:stations"
WRITES_BEFORE_YIELD = 25
"""A result's tags go in one breath; with a hundred watchers that is about 1 ms."""

_log = structlog.get_logger("opcua")


@dataclass(frozen=True, slots=True, kw_only=True)
class StationNodes:
    """One station: its id (``Line1.Cam1``) and the parameters of its line."""

    id: str
    params: tuple[Param, ...] = ()
    recipes: tuple[Recipe, ...] = ()
    """On a line without recipes the one model that judges, as number 0."""


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
        desk: Desk | None = None,
        archive: Archive | None = None,
        nodesets: Sequence[Path] = (),
    ) -> None:
        """Take what to serve and where; ``clock`` returns the UTC time for server timestamps, ``desk`` takes orders."""
        self._stations = stations
        self._host, self._port = host, port
        self._application_uri = application_uri
        self._pki, self._users_file = pki, users
        self._clock = clock
        self._desk = desk or NobodyThere()
        self._archive = archive or NoArchive()
        self._nodesets = nodesets
        self.vision: dict[str, VisionStation] = {}
        """Every station as a vision system, by id; to be told what its line does. There from :meth:`start` on."""
        self._commands: dict[str, Commands] = {}
        self.new_password_file: Path | None = None
        """Holds the password of the user ``viewer`` that this start has made; None when the users were there already."""
        self.events: Events
        """Tells events; there from :meth:`start` on, as is the next."""
        self.conditions: Conditions
        self._server: HardenedServer | None = None
        self._notice: Notice | None = None
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
        server = await self.build()
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
        mode = server.commissioning
        ids = [s.id for s in self._stations]
        self._notice = Notice(ids, self.write, self.events, lambda: int(self._clock().timestamp() * 1e9))
        await self._notice.show(mode.active)
        mode.listeners.append(self._notice.changed)

    async def build(self) -> HardenedServer:
        """Do all that :meth:`start` does before it listens. Whoever has only built calls :meth:`stop` too."""
        own = own_certificate(self._pki, self._application_uri, self._host)
        users = Users(self._users_file)
        self.new_password_file = users.new_password_file
        if users.new_password_file is not None:
            _log.info("made the OPC UA user 'viewer'; its password is in this file", file=str(users.new_password_file))
        version = importlib.metadata.version("vision-gateway")
        trust, commissioning = Trust(Pki(self._pki)), Commissioning(self._pki)
        server = HardenedServer(users, trust, commissioning, product="Vision Gateway", version=version)
        with all_made_stays():  # to look for the dead among them would take as long as making them
            await server.init()
            server.set_endpoint(f"opc.tcp://{_netloc(self._host, self._port)}/vision-gateway")
            await server.set_application_uri(self._application_uri)
            await server.load_certificate(own.certificate)
            await server.load_private_key(own.key)
            if await server.register_namespace(NAMESPACE) != NS:
                raise RuntimeError("the own namespace must be registered first")
            repair(server.iserver.aspace)
            await add_types(server.iserver)
            await load_nodesets(server, self._nodesets, NAMESPACE)
            self.events = Events(server.iserver, server.subscriptions.event_items, server.subscriptions.event_types)
            self.conditions = Conditions(server.iserver, server.subscriptions, self.events, server.methods)
            server.writable.refused = self._desk.refused
            server.history.archive = self._archive
            for station in sorted(self._stations, key=lambda s: s.id):
                await self._build(server, station)
        return server

    async def guarded(self) -> None:
        """Wait as long as clients are looked after; raises what ended that."""
        if self._server is not None:
            await self._server.guarded()

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        for commands in self._commands.values():
            await commands.close()
        for vision in self.vision.values():
            vision.close()
        if self._server is not None and self._notice is not None:
            self._server.commissioning.listeners.remove(self._notice.changed)
            await self._notice.close()
            await self._server.stop()
            self._server = None

    async def open_commands(self, station: str) -> None:
        """Take commands for this station from now on: its line is there to carry them out."""
        await self._commands[station].open()

    async def _build_vision(self, server: HardenedServer, root: ua.NodeId, station: StationNodes) -> None:
        vision = self.vision[station.id] = VisionStation(
            server.iserver,
            root,
            VisionFacts(station=station.id, recipes=station.recipes),
            methods=server.methods,
            desk=self._desk,
            archive=self._archive,
            emit=partial(self.events.emit, station.id),
            confirm_all=self.conditions.confirm_all,
        )
        await vision.build(int(self._clock().timestamp() * 1e9))

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
                Value=ua.Variant(None, ua.VariantType.Null) if bad else variant(update.value, kind),
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
        root = add_system(server.iserver, station.id)
        self.events.add_notifier(root)
        self.conditions.build(station.id)
        await self._build_vision(server, root, station)
        tags = tree.folder(root, f"{station.id}.Tags", "Tags")
        names = [*dict.fromkeys(t.name.partition(".")[0] for t in TAGS), "Params"]
        folders = {name: tree.folder(tags, f"{station.id}.Tags.{name}", name) for name in names}
        commands = self._commands[station.id] = Commands(
            station.id, self._desk, partial(self.write, station.id), lambda: int(self._clock().timestamp() * 1e9)
        )
        for tag in TAGS:
            node = await tree.tag(folders[tag.name.partition(".")[0]], f"{station.id}.Tags.{tag.name}", tag)
            self._nodes[station.id, tag.name] = (node, VARIANT[tag.type][0])
            if has_past(tag.name):
                parts = tag.length > 0 or tag.type == "String"
                past = Past(line=_line(station.id), tag=tag.name, type=VARIANT[tag.type][0], parts=parts)
                server.history.add(server.iserver.aspace, node, past)
            if tag.role is not None:
                handler = commands.handler(tag.name.partition(".")[2])
                entry = Entry(
                    station=station.id, type=VARIANT[tag.type][0], role=tag.role, handler=handler, last=tag.type == "Boolean"
                )
                server.writable.add(node, entry)
        for param in sorted(station.params, key=lambda p: p.name):
            name = f"Params.{param.node_name}"
            if (station.id, name) in self._nodes:
                raise ConfigError(f"opcua: two parameters of {station.id} would share the NodeId of {param.name}; rename one")
            node = await tree.analog(folders["Params"], f"{station.id}.Tags.{name}", param)
            self._nodes[station.id, name] = (node, ua.VariantType.Float)
            past = Past(line=_line(station.id), tag=name, type=ua.VariantType.Float, parts=False)
            server.history.add(server.iserver.aspace, node, past)
            if param.writable:
                adjust = partial(adjusted, self._desk, station.id, param.name)
                entry = Entry(
                    station=station.id, type=ua.VariantType.Float, role=Role.ENGINEER, handler=adjust, range=param.range
                )
                server.writable.add(node, entry)


def _line(station: str) -> str:
    return station.partition(".")[0]


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
