"""The OPC UA server: builds every station's tags and writes what :mod:`gateway.opcua.station` says.

The own namespace is registered first and is always ``ns=2``. All tags are read-only to every client.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

from gateway.core.errors import ConfigError
from gateway.core.tags import Quality
from gateway.opcua.flat import TAGS, FlatTag, Param, Type, unit_id
from gateway.opcua.hardened import HardenedServer
from gateway.opcua.quality import status_code
from gateway.opcua.security import Trust, Users, own_certificate
from gateway.opcua.station import Update, Value

NAMESPACE = "urn:vision-gateway:stations"
NS = ua.Int16(2)
WRITES_BEFORE_YIELD = 5
UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"

_VARIANT: dict[Type, tuple[ua.VariantType, Value]] = {
    "Boolean": (ua.VariantType.Boolean, False),
    "Int32": (ua.VariantType.Int32, 0),
    "UInt32": (ua.VariantType.UInt32, 0),
    "Float": (ua.VariantType.Float, 0.0),
    "String": (ua.VariantType.String, ""),
    "DateTime": (ua.VariantType.DateTime, datetime(1970, 1, 1, tzinfo=UTC)),
}

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
        self._server: HardenedServer | None = None
        self._nodes: dict[tuple[str, str], tuple[ua.NodeId, ua.VariantType]] = {}

    @property
    def url(self) -> str:
        """Return the address to connect to, with the port really taken."""
        port = self._port
        if self._server is not None and self._server.bserver is not None:
            port = self._server.bserver.port
        return f"opc.tcp://{self._host}:{port}/vision-gateway"

    async def start(self) -> None:
        """Make keys and users at the first start, build the tags, listen.

        Raises ConfigError when the port is taken or the keys or users cannot be used, each with the remedy.
        """
        own = own_certificate(self._pki, self._application_uri, self._host)
        users = Users(self._users_file)
        if users.new_password_file is not None:
            _log.info("made the OPC UA user 'viewer'; its password is in this file", file=str(users.new_password_file))
        server = HardenedServer(users, Trust(self._pki))
        await server.init()
        server.set_endpoint(f"opc.tcp://{self._host}:{self._port}/vision-gateway")
        server.set_server_name("Vision Gateway")
        server.product_uri = "urn:vision-gateway:product"
        server.manufacturer_name = "Vision Gateway"
        await server.set_application_uri(self._application_uri)
        await server.load_certificate(own.certificate)
        await server.load_private_key(own.key)
        if await server.register_namespace(NAMESPACE) != NS:
            raise RuntimeError("the own namespace must be registered first")
        for station in sorted(self._stations, key=lambda s: s.id):
            self._build(server, station)
        try:
            await server.start()
        except OSError as e:
            what = "is taken" if e.errno == errno.EADDRINUSE else f"cannot be used ({e.strerror})"
            raise ConfigError(
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
        """Write tags in this order; yields to the loop now and then, since a write fans out to every subscriber at once."""
        if self._server is None:
            return
        server_time = self._clock()
        for n, update in enumerate(updates, 1):
            node, kind = self._nodes[station, update.tag]
            bad = update.quality is Quality.BAD
            value = ua.DataValue(
                Value=ua.Variant(None, ua.VariantType.Null) if bad else ua.Variant(update.value, kind),
                StatusCode=ua.StatusCode(ua.UInt32(status_code(update.quality, update.why))),
                SourceTimestamp=datetime.fromtimestamp(update.t_utc_ns // 1000 / 1e6, UTC),
                ServerTimestamp=server_time,
            )
            await self._server.write_attribute_value(node, value)
            if n % WRITES_BEFORE_YIELD == 0:
                await asyncio.sleep(0)

    # --- the tree --------------------------------------------------------------------------------------------------------

    def _build(self, server: HardenedServer, station: StationNodes) -> None:
        tree = _Tree(server)
        root = tree.folder(ua.NodeId(ua.Int32(ObjectIds.ObjectsFolder)), station.id, station.id, organizes=True)
        tags = tree.folder(root, f"{station.id}.Tags", "Tags")
        folders: dict[str, ua.NodeId] = {}
        for name in dict.fromkeys(t.name.partition(".")[0] for t in TAGS):
            folders[name] = tree.folder(tags, f"{station.id}.Tags.{name}", name)
        folders["Params"] = tree.folder(tags, f"{station.id}.Tags.Params", "Params")
        for tag in TAGS:
            node = tree.tag(folders[tag.name.partition(".")[0]], f"{station.id}.Tags.{tag.name}", tag)
            self._nodes[station.id, tag.name] = (node, _VARIANT[tag.type][0])
        for param in sorted(station.params, key=lambda p: p.name):
            name = f"Params.{param.node_name}"
            if (station.id, name) in self._nodes:
                raise ConfigError(f"opcua: two parameters of {station.id} would share the NodeId of {param.name}; rename one")
            node = tree.analog(folders["Params"], f"{station.id}.Tags.{name}", param)
            self._nodes[station.id, name] = (node, ua.VariantType.Float)


class _Tree:
    """Adds nodes with explicit ids, names in ns=2 and right value ranks."""

    def __init__(self, server: HardenedServer) -> None:
        self._add_nodes = server.iserver.node_mgt_service.add_nodes

    def folder(self, parent: ua.NodeId, id: str, name: str, *, organizes: bool = False) -> ua.NodeId:
        attributes = ua.ObjectAttributes(DisplayName=ua.LocalizedText(name))
        reference = ObjectIds.Organizes if organizes else ObjectIds.HasComponent
        return self._add(parent, id, _name(name), ua.NodeClass.Object, reference, ObjectIds.FolderType, attributes)

    def tag(self, parent: ua.NodeId, id: str, tag: FlatTag) -> ua.NodeId:
        kind, zero = _VARIANT[tag.type]
        name = tag.name.partition(".")[2]
        type_id = ObjectIds.MultiStateDiscreteType if tag.enum else ObjectIds.BaseDataVariableType
        node = self._variable(parent, id, name, type_id, ua.Variant(zero, kind), tag.about)
        if tag.enum:
            texts = [ua.LocalizedText(t) for t in tag.enum]
            self._property(node, id, "EnumStrings", ua.Variant(texts, ua.VariantType.LocalizedText), ObjectIds.LocalizedText)
        return node

    def analog(self, parent: ua.NodeId, id: str, param: Param) -> ua.NodeId:
        about = f"{param.name}: read-only; the gateway changes it within the limits of its tag map."
        node = self._variable(parent, id, param.name, ObjectIds.AnalogItemType, ua.Variant(0.0, ua.VariantType.Float), about)
        unit = ua.EUInformation(
            NamespaceUri=UNECE if unit_id(param.unit) >= 0 else "",
            UnitId=ua.Int32(unit_id(param.unit)),
            DisplayName=ua.LocalizedText(param.unit),
            Description=ua.LocalizedText(param.unit),
        )
        low, high = param.range or (-3.4e38, 3.4e38)
        extension = ua.VariantType.ExtensionObject
        self._property(node, id, "EngineeringUnits", ua.Variant(unit, extension), ObjectIds.EUInformation)
        self._property(node, id, "EURange", ua.Variant(ua.Range(ua.Double(low), ua.Double(high)), extension), ObjectIds.Range)
        return node

    def _variable(self, parent: ua.NodeId, id: str, name: str, type_id: int, zero: ua.Variant, about: str) -> ua.NodeId:
        data_type = ua.NodeId(ua.Int32(zero.VariantType.value))
        attributes = _read_only(name, zero, data_type, about)
        return self._add(parent, id, _name(name), ua.NodeClass.Variable, ObjectIds.HasComponent, type_id, attributes)

    def _property(self, parent: ua.NodeId, parent_id: str, name: str, value: ua.Variant, data_type: int) -> None:
        attributes = _read_only(name, value, ua.NodeId(ua.Int32(data_type)), "")
        # The names of standard properties belong to namespace 0, their ids to ours.
        qualified = ua.QualifiedName(name, 0)
        kind, reference = ObjectIds.PropertyType, ObjectIds.HasProperty
        self._add(parent, f"{parent_id}.{name}", qualified, ua.NodeClass.Variable, reference, kind, attributes)

    def _add(
        self,
        parent: ua.NodeId,
        id: str,
        name: ua.QualifiedName,
        node_class: ua.NodeClass,
        reference: int,
        type_id: int,
        attributes: ua.ObjectAttributes | ua.VariableAttributes,
    ) -> ua.NodeId:
        item = ua.AddNodesItem()
        item.RequestedNewNodeId = ua.ExpandedNodeId(ua.String(id), NS)
        item.BrowseName = name
        item.NodeClass = node_class
        item.ParentNodeId = ua.ExpandedNodeId(parent.Identifier, parent.NamespaceIndex)
        item.ReferenceTypeId = ua.NodeId(ua.Int32(reference))
        item.TypeDefinition = ua.ExpandedNodeId(ua.Int32(type_id))
        item.NodeAttributes = attributes
        (result,) = self._add_nodes([item])
        result.StatusCode.check()
        return result.AddedNodeId


def _name(name: str) -> ua.QualifiedName:
    return ua.QualifiedName(name, NS)


def _read_only(name: str, value: ua.Variant, data_type: ua.NodeId, about: str) -> ua.VariableAttributes:
    attributes = ua.VariableAttributes(DisplayName=ua.LocalizedText(name), Description=ua.LocalizedText(about))
    attributes.Value = value
    attributes.DataType = data_type
    attributes.ValueRank = ua.Int32(1 if isinstance(value.Value, list) else -1)
    if isinstance(value.Value, list):
        attributes.ArrayDimensions = [ua.UInt32(len(value.Value))]
    attributes.AccessLevel = ua.Byte(1)  # CurrentRead and nothing else
    attributes.UserAccessLevel = ua.Byte(1)
    return attributes
