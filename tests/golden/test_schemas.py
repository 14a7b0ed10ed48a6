"""The JSON Schemas that editors complete tag maps and gateway.yaml with are those of the models that check them.

After a change on purpose: ``python -m tests.golden.test_schemas`` writes both files anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config import config_schema
from gateway.plc.maps import map_schema

REPO = Path(__file__).resolve().parents[2]
SCHEMAS = {
    REPO / "plc_maps" / "tagmap.schema.json": map_schema,
    REPO / "gateway.schema.json": config_schema,
}


def text(schema: dict[str, Any]) -> str:
    """Return the schema as it lies in the repository, and as ``gateway map schema`` prints it."""
    return json.dumps(schema, indent=2) + "\n"


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda f: f.name)
def test_the_committed_schema_is_that_of_the_models(file: Path) -> None:
    assert file.read_text() == text(SCHEMAS[file]()), "run: python -m tests.golden.test_schemas"


def test_the_maps_name_their_schema() -> None:
    for file in (REPO / "plc_maps").glob("demo_*.yaml"):
        assert file.read_text().startswith("# yaml-language-server: $schema=./tagmap.schema.json\n")


if __name__ == "__main__":
    for path, schema in SCHEMAS.items():
        path.write_text(text(schema()))
