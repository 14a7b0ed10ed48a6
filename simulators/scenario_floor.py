"""The part of a scenario that is about the floor around the line: key switch, reject station, other stations, code reader.

Stands beside the scenario's root because belt, process and camera know nothing of it. Models of a YAML file, and no more.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Strict(BaseModel):
    """A part of the file: no unknown keys."""

    model_config = ConfigDict(extra="forbid")


class Rejects(Strict):
    """What watches over the gate, and who comes when the line stands."""

    bin_sensor: bool = False
    """A sensor in the reject bin proves each reject; without one the PLC believes its gate."""
    most_without_token: int = Field(default=0, ge=0)
    """So many parts in a row without a token stop the line; 0 = never."""
    most_rejects: int = Field(default=0, ge=0, le=65535)
    """So many rejects in a row stop the line; 0 = never."""
    bypass_max_ms: float = Field(default=600_000, ge=0, lt=1 << 31)
    bypass_max_parts: int = Field(default=500, ge=0)
    """How long, and for how many parts, the key may stand at bypass before the line is stopped."""
    model_unverified: Literal["pass", "hold", "reject"] = "hold"
    """What becomes of a PASS of a model that was not verified."""
    stop_permit: bool = False
    """The PLC heeds the gateway's StopRequest."""
    reset_after_ms: float = Field(default=2000, gt=0, le=600_000)
    """How long after a line stop the operator presses reset."""


class KeyTurn(Strict):
    """The key switch is turned as part ``at_part`` reaches the photo-eye: that part is the first of the new mode."""

    at_part: int = Field(ge=1)
    mode: Literal["automatic", "manual", "monitor_only", "bypass"]


class StationSpec(Strict):
    """What other stations and people say of single parts, and the third exit."""

    challenge: list[int] = Field(default_factory=list)
    """Known defectives (rendered parts are made defective for it), which the PLC turns away whatever their verdict."""
    audit: list[int] = Field(default_factory=list)
    """Samples for the laboratory, turned away likewise."""
    external: list[int] = Field(default_factory=list)
    """Parts that another station rejects."""
    existing_inspection: bool = False
    """An inspection that finds every defective part has been there before: its reject comes with each of them."""
    recheck: bool = False
    """Parts that nobody inspected have an exit of their own."""


class Again(Strict):
    """Part ``at_part`` is one that was on the belt before, as part ``of``: the same serial, the same truth."""

    at_part: int = Field(ge=2)
    of: int = Field(ge=1)

    @model_validator(mode="after")
    def _was_there_before(self) -> Again:
        if self.of >= self.at_part:
            raise ValueError(f"of: part {self.of} does not come before part {self.at_part}; name an earlier one")
        return self


class TraceSpec(Strict):
    """A code reader at the photo-eye; what it reads goes into the map's TraceBlock, where it has one."""

    prefix: str = Field(default="SN", max_length=16)
    """What serials begin with; seven digits follow."""
    lot_parts: int = Field(default=500, ge=1)
    """Parts in a lot."""
    product: str = Field(default="BRACKET", max_length=32)
    carriers: int = Field(default=24, ge=1, le=100)
    again: list[Again] = Field(default_factory=list)


class CommandWish(Strict):
    """The PLC gives the gateway a command as part ``at_part`` reaches the photo-eye."""

    at_part: int = Field(ge=1)
    command: int = Field(ge=1, le=65535)
    arg: int = Field(default=0, ge=0, le=65535)


class Contact(Strict):
    """A contact of the reject station, or the encoder, reports a fault for a while: the PLC stops the line."""

    at_part: int = Field(ge=1)
    kind: Literal["air_lost", "bin_full", "bin_unlocked", "ejector_away", "encoder_fault"]
    for_ms: float = Field(gt=0, le=600_000)
