"""What the services process is told at its start, checked: where records come from and where everything goes."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.actions.adjust import AdjustRule
from gateway.monitoring.imaging import ImagingBaseline


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OpcUaConfig(_Strict):
    """The OPC UA server."""

    host: str = "127.0.0.1"
    """Address to listen on; loopback unless changed."""
    port: int = Field(default=4840, ge=0, le=65535)
    """0 takes a free port, which the ready line then tells."""
    application_uri: str = Field(default="urn:vision-gateway", pattern=r"^urn:[!-~]+$")
    """Must be unique in the plant; it stands in the certificate."""
    pki: Path | None = None
    """Folder of keys and certificates; ``pki`` below the data folder when not given."""
    users: Path | None = None
    """File of users with password hashes; ``opcua-users.json`` below the data folder when not given."""
    nodesets: list[Path] = Field(default_factory=list, max_length=20)
    """NodeSet2 files to serve beside our own models, such as OPC 40001-101 (Machinery Result); each may only add namespaces."""


class PicturesConfig(_Strict):
    """Pictures of rejects and of a sample of the passes."""

    dir: Path | None = None
    """``pictures`` below the data folder when not given."""
    max_mb: float = Field(default=500, ge=0, le=1e7)
    pass_share: float = Field(default=0.02, ge=0, le=1)
    min_free_mb: float = Field(default=256, ge=0)
    """Below this much free disk no picture is kept."""


class ParamConfig(_Strict):
    """An adjustable parameter of the line's tag map, in engineering units."""

    name: str = Field(min_length=1)
    unit: str = ""
    range: tuple[float, float] | None = None
    step: float | None = None
    rate_per_min: float | None = None


class RecipeConfig(_Strict):
    """A recipe of the line, as its PLC and its people name it."""

    number: int = Field(ge=1, le=65535)
    name: str = Field(min_length=1, max_length=64)
    model_id: str


class LineServices(_Strict):
    """One line as services sees it."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$")
    cameras: list[str] = Field(min_length=1)
    journal: Path
    records_socket: Path
    """Datagram socket that this process binds for control's records."""
    commands_socket: Path
    """Control's stream socket for commands."""
    rings: dict[str, Path] = Field(default_factory=dict)
    """Frame ring by camera."""
    params: list[ParamConfig] = Field(default_factory=list)
    process_tags: list[str] = Field(default_factory=list)
    """Names of the mapped process values that are no parameters."""
    model_id: str = ""
    """The model package that judges, to which the imaging baseline belongs."""
    adjust: list[AdjustRule] = Field(default_factory=list)
    imaging_baseline: ImagingBaseline | None = None
    """From the model package; without one nothing is adjusted."""
    recipe_baselines: dict[str, ImagingBaseline | None] = Field(default_factory=dict)
    """Those of the recipes' packages, by model id."""
    recipes: list[RecipeConfig] = Field(default_factory=list)
    config_checksum: int | None = Field(default=None, ge=0, lt=1 << 32)
    """Of the line's configuration, as the PLC is shown it."""

    @model_validator(mode="after")
    def _rules_fit(self) -> LineServices:
        params = {p.name: p for p in self.params}
        tags = [rule.tag for rule in self.adjust]
        for rule in self.adjust:
            if rule.tag not in params:
                raise ValueError(f"adjust: {rule.tag} is no parameter of {self.name}; it has: {', '.join(params) or 'none'}")
            if tags.count(rule.tag) > 1:
                raise ValueError(f"adjust: two rules move {rule.tag}; each would take the other for a stranger: keep one")
        return self


class ServicesConfig(_Strict):
    """The whole of it."""

    data_dir: Path
    lines: list[LineServices] = Field(min_length=1)
    opcua: OpcUaConfig = Field(default_factory=OpcUaConfig)
    pictures: PicturesConfig = Field(default_factory=PicturesConfig)

    @model_validator(mode="after")
    def _names_differ(self) -> ServicesConfig:
        names = [line.name for line in self.lines]
        if len(set(names)) != len(names):
            raise ValueError(f"lines: the name {max(names, key=names.count)!r} is used twice; records are kept by line name")
        return self

    @property
    def ops(self) -> Path:
        """Return the path of the operations database."""
        return self.data_dir / "ops.db"

    @property
    def pki(self) -> Path:
        """Return the folder of keys and certificates."""
        return self.opcua.pki or self.data_dir / "pki"

    @property
    def users(self) -> Path:
        """Return the file of OPC UA users."""
        return self.opcua.users or self.data_dir / "opcua-users.json"

    @property
    def picture_dir(self) -> Path:
        """Return the folder of pictures."""
        return self.pictures.dir or self.data_dir / "pictures"
