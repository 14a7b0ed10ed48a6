"""Ignition's tag import (JSON): the tags of one station as the gateway's OPC UA server serves them.

Names and types come from the same lists that the server builds its nodes from. It reads no server and needs none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.core.errors import ConfigError
from gateway.opcua.flat import TAGS, Param
from gateway.plc.maps import LoadedMap

if TYPE_CHECKING:
    from gateway.opcua.served_tags import ServedTag

#: OPC UA type of our tags → Ignition's.
TYPES = {
    "Boolean": "Boolean",
    "Int32": "Int4",
    "UInt32": "Int8",  # Ignition has no unsigned types; 4 bytes would show ids above 2^31 as negative
    "Float": "Float4",
    "String": "String",
    "DateTime": "DateTime",
    "ImageJPG": "ByteArray",
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
        kind, node = _kind(tag.type, array=tag.length > 0), f"ns=2;s={station}.Tags.{tag.name}"
        about = _about(tag.about, tag.enum)
        folders.setdefault(folder, []).append(_tag(name, node, kind, about, writable=tag.role is not None))
    for p in loaded.map.params():
        param = Param(name=p.name, range=p.range, step=p.step, rate_per_min=p.rate_per_min)
        node = f"ns=2;s={station}.Tags.Params.{param.node_name}"
        told = _tag(param.node_name, node, TYPES["Float"], p.description, writable=param.writable)
        folders.setdefault("Params", []).append(told | _engineering(p.unit, p.range))
    tree = _folder(line, [_folder(camera, [_folder(name, tags) for name, tags in folders.items()])])
    out.write_text(json.dumps(tree, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return [out]


def served_ignition(tags: Iterable[ServedTag]) -> str:
    """Return the import file of the tags as they are served: a folder a line, a camera, a group."""
    root: dict[str, Any] = {}
    for tag in tags:
        station, _, *groups, name = tag.path
        at = root
        for folder in (*station.split("."), *groups):
            at = at.setdefault(folder, {})
        kind, about = _kind(tag.data_type, array=tag.length is not None), _about(tag.about, tag.texts)
        at[name] = _tag(name, tag.id, kind, about, writable=tag.writable) | _engineering(tag.unit, tag.range)
    lines = [_nested(name, at) for name, at in root.items()]
    whole = lines[0] if len(lines) == 1 else _folder("Lines", lines)
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _nested(name: str, at: dict[str, Any]) -> dict[str, Any]:
    return _folder(name, [tag if "tagType" in tag else _nested(child, tag) for child, tag in at.items()])


def _kind(data_type: str, *, array: bool) -> str:
    return TYPES[data_type] + ("Array" if array else "")


def _about(about: str, texts: tuple[str, ...]) -> str:
    return about + ("" if not texts else " " + ", ".join(f"{i} {t}" for i, t in enumerate(texts)) + ".")


def _engineering(unit: str, range: tuple[float, float] | None) -> dict[str, Any]:
    told: dict[str, Any] = {"engUnit": unit} if unit else {}
    return told | ({"engLow": range[0], "engHigh": range[1]} if range is not None else {})


def _folder(name: str, tags: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "tagType": "Folder", "tags": tags}


def _tag(name: str, node: str, kind: str, about: str, *, writable: bool) -> dict[str, Any]:
    tag: dict[str, Any] = {"name": name, "tagType": "AtomicTag", "valueSource": "opc", "dataType": kind}
    tag |= {"opcServer": SERVER, "opcItemPath": node, "readOnly": not writable}
    return tag | ({"documentation": about} if about else {})
