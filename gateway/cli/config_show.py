"""``gateway config show CONFIG --origin``: every value that would be in force, and where it comes from.

Paths are shown resolved, a model as the version that would serve. It must not know what any key means.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.config import GatewayConfig, load_config
from gateway.core.errors import ConfigError
from gateway.services.config import ServicesConfig
from gateway.vision.package import load_package
from gateway.yaml_source import YamlSource, read_yaml

Key = tuple[str | int, ...]


def add(actions: Any) -> None:
    """Add ``config show``."""
    parser = actions.add_parser("show", help="print the configuration in force, defaults included", description=__doc__)
    parser.add_argument("config", type=Path, help="gateway.yaml")
    parser.add_argument("--origin", action="store_true", help="say beside each value where it comes from")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(func=show)


def show(args: argparse.Namespace) -> int:
    """Print every value; 2 when the configuration is wrong."""
    try:
        config, source = load_config(args.config), read_yaml(args.config)
    except ConfigError as error:
        if not args.json:
            raise
        print(json.dumps({"ok": False, "errors": [str(p) for p in error.problems]}))
        return 2
    rows = [(key, value, origin(source, key)) for key, value in leaves(in_force(config))]
    if args.json:
        values = [
            {"key": dotted(key), "value": value, **({"origin": place} if args.origin else {})} for key, value, place in rows
        ]
        print(json.dumps({"ok": True, "file": str(args.config), "values": values}))
        return 0
    texts = [(f"{dotted(key)}: {json.dumps(value, ensure_ascii=False)}", place) for key, value, place in rows]
    width = min(72, max(len(text) for text, _ in texts))
    for text, place in texts:
        print(f"{text:<{width}}  # {place}" if args.origin else text)
    return 0


def in_force(config: GatewayConfig) -> dict[str, Any]:
    """Return the whole configuration with what is only decided by looking: default folders, the model's version.

    A secret would be a pydantic ``SecretStr``, which this dump masks; there is none: secrets stand in files of mode 0600.
    """
    data: dict[str, Any] = config.model_dump(mode="json")
    services = ServicesConfig.model_construct(data_dir=config.data, lines=[], opcua=config.opcua, pictures=config.pictures)
    data["opcua"]["pki"], data["opcua"]["users"] = str(services.pki), str(services.users)
    data["pictures"]["dir"] = str(services.picture_dir)
    for line, section in zip(config.lines, data["lines"], strict=True):
        section["model"] = str(load_package(line.model).path)
        for recipe, entry in zip(line.recipes, section["recipes"], strict=True):
            entry["model"] = str(load_package(recipe.model).path)
    return data


def leaves(value: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield every value with its place; a list of plain values is one value."""
    if isinstance(value, Mapping) and value:
        for name, member in value.items():
            yield from leaves(member, (*key, name))
    elif isinstance(value, list) and any(isinstance(member, Mapping) for member in value):
        for i, member in enumerate(value):
            yield from leaves(member, (*key, i))
    else:
        yield key, value


def origin(source: YamlSource, key: Key) -> str:
    """Return ``file:line:column`` of the value, or ``default`` when it stands in no file."""
    node: Any = source.data
    for part in key:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return "default"
    line, column = source.locate(key)
    return f"{source.path}:{line}:{column}"


def dotted(key: Key) -> str:
    """Return the place as error messages write it: ``lines.0.rate.parts_per_s``."""
    return ".".join(map(str, key))
