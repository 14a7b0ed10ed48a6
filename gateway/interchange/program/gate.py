"""FB_VisionGate for one map: the shared logic with the map's InterfaceChecksum and parameters filled in.

What comes from the map is named ``Set_…`` and ``Out_…``; no name of the block's own begins so, and the two never meet.
Stands between the logic's text and the map. It knows parameters, their ranges and scaling; it knows no dialect.
"""

from __future__ import annotations

from importlib.resources import files

from gateway.core.tags import Tag
from gateway.plc.maps import LoadedMap

#: A part on its way from the photo-eye to the gate, as (member, type, comment).
VISION_PART = (
    ("PartId", "UDInt", ""),
    ("Encoder", "UDInt", "at the photo-eye"),
    ("Verdict", "Word", "latched token, 0 = none"),
    ("Mode", "UInt", "what the key switch said at the photo-eye"),
    ("Way", "UInt", "how the gate is set for it: an EXIT_ constant; once set it turns to reject alone"),
    ("Challenge", "Bool", ""),
    ("Audit", "Bool", ""),
    ("ExternalReject", "Bool", ""),
    ("Simulated", "Bool", "its verdict is about simulated pictures"),
    ("Unverified", "Bool", "its verdict comes from a model that is not verified"),
    ("LetBy", "UInt", "why it may pass: MODE_BYPASS or MODE_MONITOR_ONLY alone, or its token (MODE_AUTOMATIC)"),
    ("Arrived", "Bool", "it has been at the gate"),
    ("Gone", "Bool", "it has left the gate's window behind it"),
    ("Falling", "Bool", "turned away, and not yet seen at the bin sensor"),
)

_INTEGER_TYPES = {"SInt", "USInt", "Int", "UInt", "DInt", "UDInt", "LInt", "ULInt"}
_BITS = {"Byte": "USINT", "Word": "UINT", "DWord": "UDINT", "LWord": "ULINT"}


def gate_source(loaded: LoadedMap) -> str:
    """Return the function block for the map, in the words that both dialects share."""
    params = loaded.map.params()
    parts = {
        "checksum": [f"        Up.InterfaceChecksum := 16#{loaded.checksum:08X};"],
        "param_variables": [f"    Set_{p.name} : REAL := {real(_middle(p))};  // set-point, {_unit(p)}" for p in params],
        "param_output_variables": [f"    Out_{p.name} : REAL;  // set-point in force, {_unit(p)}" for p in params],
        "param_mirror": [line for p in params for line in (*_clamp(p), f"    {_mirror(p)}")],
        "param_read": _read(params),
        "param_write": _write(params),
        "param_outputs": [f"    Out_{p.name} := Set_{p.name};" for p in params],
    }
    text = files(__package__).joinpath("gate.st").read_text(encoding="utf-8")
    lines: list[str] = []
    wanted = True
    for line in text.splitlines():
        mark = line.removeprefix("//@") if line.startswith("//@") else ""
        if mark in ("ring", "ack", "end"):
            wanted = mark in ("end", loaded.map.handshake)
        elif wanted:
            lines += parts[mark] if mark else [line]
    return "\n".join(lines) + "\n"


def real(value: float) -> str:
    """Return ``value`` as a REAL literal of both dialects."""
    text = f"{value:.9G}"
    if "E" in text:
        mantissa, _, exponent = text.partition("E")
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"
    return text if "." in text else f"{text}.0"


def _middle(tag: Tag) -> float:
    return (tag.range[0] + tag.range[1]) / 2 if tag.range else 0.0


def _unit(tag: Tag) -> str:
    low, high = tag.range or (0.0, 0.0)
    return f"{tag.unit}, {low:g} … {high:g}"


def _clamp(tag: Tag) -> list[str]:
    """Return the lines that bring a set-point into its range: an HMI may have written anything, even what is no number."""
    name = f"Set_{tag.name}"
    low, high = map(real, tag.range or (0.0, 0.0))
    return [
        f"    IF {name} > {high} THEN  // an HMI may have written anything",
        f"        {name} := {high};",
        f"    ELSIF NOT ({name} >= {low}) THEN  // what is no number, too",
        f"        {name} := {low};",
        "    END_IF;",
    ]


def _read(params: tuple[Tag, ...]) -> list[str]:
    lines = [
        "            Found := FALSE;",
        "            Low := 0.0;",
        "            High := 0.0;",
        "            Current := 0.0;",
    ]
    for i, p in enumerate(params):
        low, high = p.range or (0.0, 0.0)
        lines += [
            f"            IF Index = {i} THEN  // {p.name}",
            "                Found := TRUE;",
            f"                Low := {real(low)};",
            f"                High := {real(high)};",
            f"                Current := Set_{p.name};",
            "            END_IF;",
        ]
    return lines


def _write(params: tuple[Tag, ...]) -> list[str]:
    lines = []
    for i, p in enumerate(params):
        lines += [
            f"                IF Index = {i} THEN",
            f"                    Set_{p.name} := Current;",
            f"                    {_mirror(p)}",
            "                END_IF;",
        ]
    return lines


def _mirror(tag: Tag) -> str:
    """Return the assignment that shows the set-point in the up block, as its tag's raw value."""
    value = f"Set_{tag.name}"
    if tag.scale is not None:
        (raw_low, raw_high), (low, high) = tag.scale.raw, tag.scale.eng
        value = f"({value} - {real(low)}) * {real((raw_high - raw_low) / (high - low))} + {real(raw_low)}"
    if tag.datatype in _INTEGER_TYPES:
        value = f"REAL_TO_{tag.datatype.upper()}({value})"
    elif tag.datatype in _BITS:
        unsigned = _BITS[tag.datatype]
        value = f"{unsigned}_TO_{tag.datatype.upper()}(REAL_TO_{unsigned}({value}))"
    elif tag.datatype == "LReal":
        value = f"REAL_TO_LREAL({value})"
    return f"Up.{tag.name} := {value};"
