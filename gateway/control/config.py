"""What one control process is told at its start: a line of gateway.yaml, checked, with the paths of its sockets."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.core.tracker import TrackerConfig
from gateway.vision.cameras import CameraConfig


class Strict(BaseModel):
    """A model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Bind(Strict):
    """How frames find their parts."""

    by: Literal["encoder", "time"] = "encoder"
    """``encoder`` needs a camera with an encoder latch; ``time`` uses the exposure time."""
    window: float = Field(gt=0)
    """± counts (encoder) or ms (time); less than half the least part spacing."""


class Rate(Strict):
    """What the ring must keep up with."""

    parts_per_s: float = Field(gt=0, le=200)
    """Highest part rate of the line."""
    plc_scan_ms: float = Field(default=10, gt=0, le=200)
    """The PLC's scan time."""


Authority = Literal["plc", "mes", "operator"]


class Recipe(Strict):
    """What the line judges by while it makes one kind of part."""

    number: int = Field(ge=1, le=65535)
    """As the PLC names it: the CommandArg of its command SetRecipe, and CurrentRecipe."""
    name: str = Field(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")
    """As people name it, and the records."""
    model: Path
    """A model package; its imaging baseline comes with it."""
    golden: Path | None = None
    """Pictures in a folder a class, which must get their dispositions before any part passes by this recipe, and in a test run.
    The package's own golden pictures are tested in any case."""
    params: dict[str, float] = Field(default_factory=dict)
    """Nominal values of the tag map's parameters, to which they return when the recipe is set."""


class LineConfig(Strict):
    """One line as control sees it."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$")
    plc: Path
    """The tag map; its ``plc`` section names driver, host and port."""
    cameras: list[CameraConfig] = Field(min_length=1, max_length=8)
    model: Path
    """A model package: its version folder, or its name folder for the highest version."""
    gate_deadline_ms: float = Field(default=150, ge=10, le=10_000)
    """From trigger seen and frame available to the token acknowledged by the PLC."""
    frame_wait_ms: float = Field(default=1000, ge=10, le=60_000)
    """How long after its trigger a part's frames may come."""
    bind: Bind
    poll_ms: float = Field(default=4, ge=1, le=100)
    """Pause between two reads of the PLC's block."""
    rate: Rate
    inference_threads: int = Field(default=1, ge=1, le=64)
    recipes: list[Recipe] = Field(default_factory=list, max_length=1000)
    """The kinds of parts that this line makes. ``model`` is then that of the recipe with which the first start of all begins;
    later ones begin with the recipe that was in force. Not given: ``model`` judges everything."""
    recipe_authority: Authority = "plc"
    """Who sets the recipe; a change asked for by another is refused."""

    @model_validator(mode="after")
    def _consistent(self) -> LineConfig:
        names = [c.name for c in self.cameras]
        if len(set(names)) != len(names):
            raise ValueError(f"cameras: the name {max(names, key=names.count)!r} is used twice")
        self._check_rate()
        positions = {max(1, len(c.positions)) for c in self.cameras}
        if len(positions) != 1:
            raise ValueError("cameras: every camera of a line shows the same number of positions")
        return self

    def _check_rate(self) -> None:
        rate, cycle = self.rate.parts_per_s, self.rate.plc_scan_ms + self.poll_ms
        if 8e3 / rate < 3 * cycle:
            raise ValueError(
                f"rate: 8 ring slots at {rate:g} parts/s last {8e3 / rate:.0f} ms, less than three times scan + link cycle "
                f"({cycle:g} ms): lower parts_per_s, plc_scan_ms or poll_ms"
            )
        if self.bind.by == "encoder":
            return
        least, most = self.rate.plc_scan_ms + 2 * self.poll_ms, 500 / rate
        if not least <= self.bind.window < most:
            raise ValueError(
                f"bind: a window of {self.bind.window:g} ms must be at least plc_scan_ms + 2 × poll_ms ({least:g} ms), for so "
                f"late is a trigger seen, and less than half the least part spacing ({most:.1f} ms at {rate:g} parts/s); else "
                "bind by encoder"
            )


class ControlConfig(Strict):
    """The line and where its process meets the others."""

    line: LineConfig
    journal: Path
    records_socket: Path
    """Datagram socket of services: one record each."""
    commands_socket: Path
    """Stream socket that control opens for commands, mode 0600."""
    frames_socket: Path
    """Datagram socket on which capture announces frames."""
    rings: dict[str, Path]
    """Shared-memory ring by camera."""
    capture_sockets: dict[str, Path] = Field(default_factory=dict)
    """Where a software trigger is sent, by camera."""
    monitor_only: bool = False
    """``gateway run --monitor-only``: claim nothing and write nothing to the PLC."""
    rejected: str = ""
    """What is wrong with gateway.yaml, when this is the last good one in its stead: not ready until the PLC acknowledges it."""


def config_checksum(line: LineConfig) -> int:
    """Return the CRC-32 of the line's configuration, by which the PLC and OPC UA clients see whether it is another one."""
    return zlib.crc32(line.model_dump_json().encode())


def tracker_config(line: LineConfig) -> TrackerConfig:
    """Return the tracker's configuration in its own units (counts, or ns when binding by time)."""
    unit = 1_000_000 if line.bind.by == "time" else 1
    return TrackerConfig(
        cameras=tuple((c.name, int(c.offset * unit)) for c in line.cameras),
        positions=max(1, len(line.cameras[0].positions)),
        by=line.bind.by,
        window=int(line.bind.window * unit),
        deadline_ns=int(line.gate_deadline_ms * 1e6),
        frame_wait_ns=int(line.frame_wait_ms * 1e6),
        trigger_lag_ns=int(line.rate.plc_scan_ms * 1e6),
    )
