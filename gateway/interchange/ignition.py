"""Ignition's tag import (JSON): the tags of one station as the gateway's OPC UA server serves them.

Names and types come from the same lists that the server builds its nodes from. It reads no server and needs none.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from gateway.core.errors import ConfigError
from gateway.opcua.flat import TAGS, Param
from gateway.plc.maps import LoadedMap

#: OPC UA type of our tags → Ignition's.
TYPES = {
    "Boolean": "Boolean",
    "Int32": "Int4",
    "UInt32": "Int8",  # Ignition has no unsigned types; 4 bytes would show ids above 2^31 as negative
    "Float": "Float4",
    "String": "String",
    "DateTime": "DateTime",
}
SERVER = "Vision Gateway"
"""The OPC connection's name in Ignition, to be made by hand or changed in the file."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


def write_ignition(loaded: LoadedMap, out: Path, *, line: str, camera: str) -> list[Path]:
    """Write the tags of station ``line``.``camera``; ConfigError when they are no names that gateway.yaml may have."""
    for option, name in (("--line", line), ("--camera", camera)):
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{option}: {name!r} is no name; Ignition's tags need line and camera as gateway.yaml names them")
    station = f"{line}.{camera}"
    folders: dict[str, list[dict[str, Any]]] = {}
    for tag in TAGS:
        folder, _, name = tag.name.partition(".")
        about = tag.about + ("" if not tag.enum else " " + ", ".join(f"{i} {t}" for i, t in enumerate(tag.enum)) + ".")
        folders.setdefault(folder, []).append(_tag(name, f"{station}.Tags.{tag.name}", TYPES[tag.type], about))
    for p in loaded.map.params():
        name = Param(name=p.name).node_name
        node = _tag(name, f"{station}.Tags.Params.{name}", TYPES["Float"], p.description)
        node |= {"engUnit": p.unit}
        if p.range is not None:
            node |= {"engLow": p.range[0], "engHigh": p.range[1]}
        folders.setdefault("Params", []).append(node)
    tree = _folder(line, [_folder(camera, [_folder(name, tags) for name, tags in folders.items()])])
    out.write_text(json.dumps(tree, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return [out]


def _folder(name: str, tags: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "tagType": "Folder", "tags": tags}


def _tag(name: str, node: str, kind: str, about: str) -> dict[str, Any]:
    tag: dict[str, Any] = {"name": name, "tagType": "AtomicTag", "valueSource": "opc", "dataType": kind}
    tag |= {"opcServer": SERVER, "opcItemPath": f"ns=2;s={node}", "readOnly": True}
    return tag | ({"documentation": about} if about else {})
