"""The files of the demo: tag maps with the simulators' ports, and the gateway.yaml that an integrator would write by hand.

What stands in them is what one knows of a machine: ports, geometry, limits, the model. No truth about any part.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

Protocol = str

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoLine:
    """One line of the demo: its PLC, the parameter that the gateway may adjust and in which direction."""

    name: str
    protocol: Protocol
    map: str
    tag: str
    step: float
    unit: str


LINES = (
    DemoLine(name="Press", protocol="s7", map="demo_s7.yaml", tag="PressForce", step=4, unit="kN"),
    DemoLine(name="Molding", protocol="modbus", map="demo_modbus.yaml", tag="MoldTemp", step=5, unit="C"),
)

#: What was counted when the demo's lines were commissioned: rejects of a stable process, the model's false rejects among them.
BASELINE = {"parts": 2000, "defects": 64}


def shipped(folder: str, name: str) -> Path:
    """Return a file or folder that comes with the product: beside the packages in a checkout, inside this one in a wheel."""
    inside = _HERE / "shipped" / folder / name
    return inside if inside.exists() else _HERE.parent / folder / name


def default_model() -> Path:
    """Return the model package trained on rendered pictures."""
    return shipped("models", "demo_surface")


def write_map(line: DemoLine, folder: Path, port: int) -> Path:
    """Write the line's tag map with the simulator's port; return its path."""
    yaml = YAML()
    yaml.width = 400
    document = yaml.load(shipped("plc_maps", line.map))
    document["plc"]["host"], document["plc"]["port"] = "127.0.0.1", port
    path = folder / line.map
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)
    return path


def write_gateway(folder: Path, lines: list[dict[str, Any]], opcua_port: int, pictures_mb: int = 200) -> Path:
    """Write gateway.yaml; return its path."""
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = {"data": "data", "opcua": {"port": opcua_port}, "pictures": {"max_mb": pictures_mb}, "lines": lines}
    path = folder / "gateway.yaml"
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)
    return path


def gateway_command(config: Path) -> list[str]:
    """Return the command that runs the gateway, as a person would with ``gateway run``, on a leash."""
    return [sys.executable, "-m", "simulators.leash", sys.executable, "-m", "gateway.cli", "run", str(config)]
