"""What stands in a tag map's YAML file, as pydantic models; and the driver that its ``plc`` section names.

A driver is registered by joining its configuration to ``PlcConfig``. The descriptions beneath the fields are what editors show
through the JSON Schema. What is wrong across fields is found in ``maps``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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

        return MemoryDriver(self.name)


PlcConfig = Annotated[S7Config | ModbusConfig | MemoryConfig, Field(discriminator="driver")]


class ScaleLine(_Strict):
    """Linear scaling between raw counts and engineering units."""

    raw: tuple[float, float]
    eng: tuple[float, float]


class MemberLine(_Strict):
    """A member of a UDT."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    type: str


class TagLine(_Strict):
    """One tag of a block."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)
    type: str
    """Elementary type, Array[0..n] of T, or a UDT's name."""
    at: int | None = Field(default=None, ge=0, le=65535)
    """Byte offset in the block; computed when absent, checked when present."""
    role: str = ""
    """What the handshake uses it for; ``param`` an adjustable parameter, ``process`` a measured value."""
    unit: str = Field(default="", max_length=16)
    range: tuple[float, float] | None = None
    """Least and greatest value in engineering units."""
    step: float | None = Field(default=None, gt=0)
    """Greatest move of one adjustment."""
    rate_per_min: float | None = Field(default=None, gt=0)
    """Most adjustments in a minute."""
    scale: ScaleLine | None = None


class BlockLine(_Strict):
    """One block, with one writer; S7 names ``db``, Modbus ``area`` and ``at`` (0-based register)."""

    db: int | None = Field(default=None, ge=1, le=65535)
    area: Literal["HR"] | None = None
    at: int | None = Field(default=None, ge=0, le=65535)
    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)
    dir: Direction
    tags: list[TagLine] = Field(min_length=1)


class MapFile(_Strict):
    """A tag map."""

    tagmap: Literal[1]
    handshake: Literal["ring"] = "ring"
    plc: PlcConfig
    types: dict[str, list[MemberLine]] = Field(default_factory=dict)
    blocks: list[BlockLine] = Field(min_length=2, max_length=2)
