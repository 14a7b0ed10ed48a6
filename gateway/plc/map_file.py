"""What stands in a tag map's YAML file, as pydantic models; and the driver that its ``plc`` section names.

A driver is registered by joining its configuration to ``PlcConfig``. The descriptions beneath the fields are what editors show
through the JSON Schema. What is wrong across fields is found in ``maps``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from gateway.core.tags import Direction, TagMap, WordOrder
from gateway.plc.driver import PlcDriver


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class S7Config(_Strict):
    """A Siemens S7 PLC over ISO-on-TCP; needs PUT/GET permitted and non-optimised blocks."""

    driver: Literal["s7"]
    name: str = Field(min_length=1, max_length=32)
    host: str
    port: int = Field(default=102, ge=1, le=65535)
    rack: int = Field(default=0, ge=0, le=7)
    slot: int = Field(default=1, ge=0, le=31)
    order: Literal["ABCD"] = "ABCD"

    def build(self, tag_map: TagMap) -> PlcDriver:
        """Return the driver, not connected."""
        from gateway.plc.s7 import S7Driver

        return S7Driver(self.name, self.host, self.port, rack=self.rack, slot=self.slot)


class ModbusConfig(_Strict):
    """A PLC over Modbus TCP."""

    driver: Literal["modbus"]
    name: str = Field(min_length=1, max_length=32)
    host: str
    port: int = Field(default=502, ge=1, le=65535)
    unit: int = Field(default=1, ge=0, le=255)
    order: WordOrder = "ABCD"
    """How 32-bit values lie in two registers."""

    def build(self, tag_map: TagMap) -> PlcDriver:
        """Return the driver, not connected."""
        from gateway.plc.modbus import ModbusDriver

        return ModbusDriver(self.name, self.host, self.port, unit=self.unit)


class MemoryConfig(_Strict):
    """A PLC in this process's memory, for tests."""

    driver: Literal["memory"]
    name: str = Field(min_length=1, max_length=32)
    order: WordOrder = "ABCD"

    def build(self, tag_map: TagMap) -> PlcDriver:
        """Return the driver, not connected."""
        from gateway.plc.memory import MemoryDriver

        return MemoryDriver(self.name, frozenset(b.name for b in tag_map.extra))


PlcConfig = Annotated[S7Config | ModbusConfig | MemoryConfig, Field(discriminator="driver")]


def _place(value: Any) -> int | str | None:
    """Take a place as a person writes it; what it means is computed in ``maps``, where the block is known."""
    if value is None or (isinstance(value, (int, str)) and not isinstance(value, bool)):
        return value
    raise ValueError("a place is a whole number, or an address such as DB100.DBW6 or HR:100")


Place = Annotated[
    int | str | None,
    PlainValidator(_place),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}, {"type": "null"}]}),
]

NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class ScaleLine(_Strict):
    """Linear scaling between raw counts and engineering units."""

    raw: tuple[float, float]
    eng: tuple[float, float]


class MemberLine(_Strict):
    """A member of a UDT."""

    name: str = Field(pattern=NAME, max_length=64)
    type: str
    """Elementary type, String[n], Array[a..b] of T, or another UDT's name."""


class TagLine(_Strict):
    """One tag of a block."""

    name: str = Field(pattern=NAME, max_length=64)
    type: str
    """Elementary type, String[n], Array[a..b] of T, or a UDT's name."""
    at: Place = None
    """Byte offset in the block (CO, DI: the bit's index), or an address (DB100.DBX4.3, HR:100.3, 400101); else computed."""
    role: str = ""
    """What the handshake uses it for; ``param`` an adjustable parameter, ``process`` a measured value, ``trace.serial`` …"""
    unit: str = Field(default="", max_length=16)
    range: tuple[float, float] | None = None
    """Least and greatest value in engineering units."""
    step: float | None = Field(default=None, gt=0)
    """Greatest move of one adjustment."""
    rate_per_min: float | None = Field(default=None, gt=0)
    """Most adjustments in a minute."""
    scale: ScaleLine | None = None
    order: WordOrder | None = None
    """Modbus: how this tag's registers lie, where it is not as ``plc.order`` says."""
    description: str = Field(default="", max_length=500)
    """What it is, for whoever reads the map or the exported blocks."""


class BlockLine(_Strict):
    """One block, with one writer; S7 names ``db``, Modbus ``area`` and ``at`` (0-based register)."""

    db: int | None = Field(default=None, ge=1, le=65535)
    area: Literal["HR", "IR", "CO", "DI"] | None = None
    """Modbus: holding registers, input registers, coils, discrete inputs."""
    at: Place = None
    """Where the block begins: register (0-based) or bit, S7 byte of the data block; or an address."""
    name: str = Field(pattern=NAME, max_length=64)
    dir: Direction
    tags: list[TagLine] = Field(min_length=1)
    description: str = Field(default="", max_length=500)


class MapFile(_Strict):
    """A tag map."""

    tagmap: Literal[1]
    handshake: Literal["ring", "ack"] = "ring"
    """How results are taken: through the token ring, or with the classic acknowledged exchange beside it."""
    plc: PlcConfig
    types: dict[str, list[MemberLine]] = Field(default_factory=dict)
    """UDTs, by name."""
    blocks: list[BlockLine] = Field(min_length=2, max_length=64)
    """The handshake's two blocks, and further plc->gw blocks with measured values."""
