"""A scenario: what happens on a simulated line, as a person writes it in a YAML file.

Belt, process and its events, imaging ramps, faults; checked once and fully, every error with file:line:column. It knows no
protocol and no tag by name unless the file names one, so that each scenario runs on every line.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from gateway.core.errors import ConfigError
from gateway.yaml_source import YamlSource, read_yaml
from simulators.imaging import HEALTHY, Imaging
from simulators.scenario_floor import CommandWish, Contact, KeyTurn, Rejects, StationSpec, Strict, TraceSpec

FOLDER = Path(__file__).with_name("scenarios")

Kind = Literal["scratch", "dent", "stain", "crack", "missing_hole"]
_MIX: dict[Kind, float] = {"scratch": 3.0, "dent": 2.0, "stain": 2.0, "crack": 2.0, "missing_hole": 1.0}


class ScenarioError(Exception):
    """A scenario is not there or wrong; the message lists every problem with file:line:column."""


class Belt(Strict):
    """The conveyor, in encoder counts."""

    spacing: int = Field(default=1000, ge=100, le=100_000)
    """Mean distance of two parts."""
    jitter: float = Field(default=0.15, ge=0, le=0.4)
    """Largest deviation of a distance from the mean, as a share of it."""
    press_spacings: float = Field(default=8, ge=1, le=100)
    """Distance from the press that makes the parts to the photo-eye, in part spacings."""
    camera_offset: int = Field(default=200, ge=0, le=100_000)
    """Distance from the photo-eye to the place where a part is exposed."""
    gate_spacings: float = Field(default=6, ge=1, le=1000)
    """Distance from the camera to the gate, in part spacings."""
    encoder_start: int = Field(default=0xFFFFFFFF - 99_999, ge=0, le=0xFFFFFFFF)
    """The counter at the start; the default wraps early in the run."""
    transfer_ms: float = Field(default=12, ge=0, le=1000)
    """From the exposure to the frame's first byte on the wire."""

    @property
    def least_spacing(self) -> int:
        """Return the least distance of two parts."""
        return math.ceil(self.spacing * (1 - self.jitter))

    @property
    def eye_to_gate(self) -> int:
        """Return the distance from the photo-eye to the gate."""
        return self.camera_offset + round(self.gate_spacings * self.spacing)

    @property
    def gate_to_bin(self) -> int:
        """Return how far the belt moves while a part that the gate turned away falls to the bin's sensor."""
        return self.least_spacing // 8

    @property
    def confirm_within(self) -> int:
        """Return the counts behind the gate within which the PLC waits for that fall; far less than a part spacing."""
        return self.least_spacing // 2

    @property
    def bind_window(self) -> int:
        """Return a binding window (± counts) that suits this belt: less than half the least spacing."""
        return round(0.4 * self.least_spacing)

    def gate_window(self, counts_per_scan: float) -> int:
        """Return the PLC's gate window: a little more than the belt moves in one scan.

        Raises ValueError when the scan is too long for this belt: then the gate could not be closed between two parts.
        """
        window = math.ceil(1.05 * counts_per_scan) + 20
        if window + counts_per_scan >= self.least_spacing:
            raise ValueError(
                f"the belt moves {counts_per_scan:.0f} counts in one PLC scan and two parts may be {self.least_spacing} apart: "
                "the gate cannot be set between them; shorten scan_ms or lower parts_per_s"
            )
        return window


class ProcessEvent(Strict):
    """The process goes off: from a part on, the best set-point of the parameter lies elsewhere."""

    at_part: int = Field(ge=1)
    over_parts: int = Field(default=0, ge=0)
    """Parts over which the shift comes; 0 = at once."""
    shift_steps: float
    """Shift of the optimum, in steps of the parameter (the tag map's ``step``)."""


class Wear(Strict):
    """The tool wears, which moves the optimum slowly."""

    life_parts: int = Field(default=50_000, ge=1)
    """Parts after which ToolWear reads 100 %."""
    shift_steps: float = 0.5
    """How far the optimum has moved by then, in steps."""


class ProcessSpec(Strict):
    """How likely a part is defective: p = base + per_step2·((set-point − optimum) / step)², at most ``cap``."""

    param: str = ""
    """The parameter's tag; empty = the first one of the tag map."""
    base: float = Field(default=0.02, ge=0, le=1)
    per_step2: float = Field(default=0.06, ge=0, le=1)
    cap: float = Field(default=0.35, ge=0, le=1)
    wear: Wear = Field(default_factory=Wear)
    events: list[ProcessEvent] = Field(default_factory=list)
    mix: dict[Kind, float] = Field(default_factory=lambda: dict(_MIX))
    """Weights of the kinds of defect."""
    permit: bool = True
    """The operator's key switch for adjustments."""

    @model_validator(mode="after")
    def _has_kinds(self) -> ProcessSpec:
        if not self.mix or min(self.mix.values()) < 0 or sum(self.mix.values()) <= 0:
            raise ValueError("mix: give at least one kind of defect a weight above 0, and none below")
        return self


class ImagingRamp(Strict):
    """From ``at_part`` on, the quantities named here go linearly to these values."""

    at_part: int = Field(ge=1)
    over_parts: int = Field(default=0, ge=0)
    light: float | None = Field(default=None, ge=0, le=10)
    blur: float | None = Field(default=None, ge=0, le=20)
    dust: int | None = Field(default=None, ge=0, le=200)
    shift: float | None = Field(default=None, ge=-100, le=100)
    noise: float | None = Field(default=None, ge=0, le=100)


class Instant(Strict):
    """A fault that is over at once; it strikes as part ``at_part`` reaches the photo-eye."""

    at_part: int = Field(ge=1)
    kind: Literal["plc_restart", "link_cut", "camera_cut"]


class Lasting(Strict):
    """A fault that lasts a while: the CPU in STOP, the PLC's port closed, or answering nobody (``link_dark``)."""

    at_part: int = Field(ge=1)
    kind: Literal["plc_stop", "link_down", "link_dark"]
    for_ms: float = Field(gt=0, le=600_000)


class BadPictures(Strict):
    """The camera goes wrong for a number of parts; ``camera_off_by_one`` exists to test the scorer."""

    at_part: int = Field(ge=1)
    kind: Literal["camera_freeze", "camera_black", "camera_off_by_one"]
    for_parts: int = Field(gt=0)


class Jam(Strict):
    """The ejector is stuck: the gate stays open for the parts from ``at_part`` on, although it is driven closed."""

    at_part: int = Field(ge=1)
    kind: Literal["ejector_stuck"]
    for_parts: int = Field(gt=0)


Fault = Annotated[Instant | Lasting | BadPictures | Jam | Contact, Field(discriminator="kind")]


class Scenario(Strict):
    """The root of a scenario file."""

    scenario: Literal[1]
    about: str
    """What it shows, in a sentence."""
    belt: Belt = Field(default_factory=Belt)
    process: ProcessSpec = Field(default_factory=ProcessSpec)
    rejects: Rejects = Field(default_factory=Rejects)
    station: StationSpec = Field(default_factory=StationSpec)
    keys: list[KeyTurn] = Field(default_factory=list)
    trace: TraceSpec | None = None
    commands: list[CommandWish] = Field(default_factory=list)
    ack_buffered: bool = False
    """With a map of ``handshake: ack``: results are queued until the PLC acknowledges each."""
    imaging: list[ImagingRamp] = Field(default_factory=list)
    faults: list[Fault] = Field(default_factory=list)
    scan_ms: float = Field(default=10, ge=1, le=200)
    """The PLC's scan time, unless the factory is told another one."""
    retentive_part_ids: bool = False
    """PartId goes on counting over a restart of the PLC; otherwise it begins again at 1."""
    picture_px: int = Field(default=200, ge=64, le=1024)
    """Edge of the rendered pictures."""

    @property
    def disturbed(self) -> bool:
        """Return whether good parts may be lost by what the scenario does to the line."""
        return bool(self.faults or self.keys)

    @property
    def again(self) -> dict[int, int]:
        """Return the parts that have been on the belt before: as which part for the first time, by their number now."""
        first: dict[int, int] = {}
        for again in sorted(self.trace.again if self.trace is not None else (), key=lambda a: a.at_part):
            first[again.at_part] = first.get(again.of, again.of)
        return first

    def imaging_at(self, n: int) -> Imaging:
        """Return the state of light, lens and camera at physical part ``n``."""
        state = {name: float(getattr(HEALTHY, name)) for name in ("light", "blur", "dust", "shift", "noise")}
        for ramp in sorted(self.imaging, key=lambda r: r.at_part):
            share = ramp_share(n, ramp.at_part, ramp.over_parts)
            for name in state:
                target = getattr(ramp, name)
                if target is not None:
                    state[name] += share * (target - state[name])
        return Imaging(
            light=state["light"], blur=state["blur"], dust=round(state["dust"]), shift=state["shift"], noise=state["noise"]
        )


def ramp_share(n: int, at_part: int, over_parts: int) -> float:
    """Return how much of a change that begins at ``at_part`` has come at part ``n``: 0 … 1."""
    if n < at_part:
        return 0.0
    return 1.0 if over_parts == 0 else min(1.0, (n - at_part + 1) / over_parts)


def scenario_names() -> list[str]:
    """Return the names of the scenarios that come with the simulators."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_scenario(name: str) -> Scenario:
    """Load a scenario by name, or from the path of a file; ScenarioError lists everything that is wrong with it."""
    path = FOLDER / f"{name}.yaml"
    if name not in scenario_names():
        path = Path(name)
        if path.suffix not in (".yaml", ".yml"):
            raise ScenarioError(f"there is no scenario {name!r}: take one of {', '.join(scenario_names())}, or a .yaml file")
    try:
        source = read_yaml(path)
    except ConfigError as error:
        raise ScenarioError(str(error)) from None
    try:
        return Scenario.model_validate(source.data)
    except ValidationError as error:
        raise ScenarioError("\n".join(_problem(source, e["loc"], e["msg"]) for e in error.errors())) from None


def _problem(source: YamlSource, loc: tuple[str | int, ...], message: str) -> str:
    # Pydantic puts the union's tag (the fault's kind) behind the index; it is no key of the file.
    place = tuple(p for i, p in enumerate(loc) if not (i == 2 and loc[0] == "faults"))
    plain = "unknown key; correct its spelling or remove it" if message == "Extra inputs are not permitted" else message
    return str(source.problem(place, plain.removeprefix("Value error, ")))
