"""node-opcua loads the exported node set of the stations beside the official types."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.opcua.nodeset_writer import nodeset
from gateway.opcua.snapshot import take
from tests.contract.test_mv_types import OFFICIAL
from tests.golden.test_opcua_nodes import STATIONS

pytestmark = pytest.mark.peer
HERE = Path(__file__).parent


@pytest.mark.skipif(not OFFICIAL.exists(), reason=f"needs the official node set: {OFFICIAL.name} beside the repository")
async def test_node_opcua_loads_the_exported_stations(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not (HERE / "node_modules" / "node-opcua-address-space").is_dir():
        pytest.skip("node-opcua-address-space is not installed: run npm ci in tests/peers")
    served = await take(STATIONS)
    file = tmp_path / "stations.xml"
    file.write_text(nodeset(served, version="1.0.0", published=datetime(2026, 1, 1, tzinfo=UTC)), encoding="utf-8")
    loader = await asyncio.create_subprocess_exec(
        node, str(HERE / "nodeset_loader.mjs"), str(OFFICIAL), str(file), stdout=asyncio.subprocess.PIPE, limit=1 << 22
    )
    out, _ = await asyncio.wait_for(loader.communicate(), 120)
    (told,) = (json.loads(line) for line in out.splitlines() if line.startswith(b'{"nodes"'))
    assert told.pop("nodes") == sorted(str(id.Identifier) for id in served.nodes)
    assert told == {
        "type": "VisionSystemType",
        "range": [20, 300],
        "unit": "°C",
        "inputs": ["ResultId", "Timeout"],
        "outputs": ["ResultHandle", "Result", "Error"],
        "score": [1, [16]],
    }
