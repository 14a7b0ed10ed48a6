"""``gateway map conformance`` against ``gateway run``, each a process of its own, over S7 and over Modbus."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML

from simulators.render import render

REPO = Path(__file__).resolve().parents[2]
MODEL = REPO / "models" / "demo_surface"
PATIENCE_S = 150.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def write_files(folder: Path, protocol: str, handshake: str) -> Path:
    """Write what a line needs: pictures, the map with a free port, gateway.yaml; return the map's path."""
    rng = np.random.default_rng(1)
    for name in ("pictures", "golden/good", "golden/scratch"):
        (folder / name).mkdir(parents=True)
    for i in range(8):
        cv2.imwrite(str(folder / "pictures" / f"{i}.png"), render(rng, "scratch" if i == 3 else "good"))
    for label in ("good", "scratch"):
        cv2.imwrite(str(folder / "golden" / label / "0.png"), render(rng, label))
    yaml = YAML()
    document = yaml.load(REPO / "plc_maps" / f"demo_{protocol}.yaml")
    document["handshake"] = handshake
    document["plc"]["host"], document["plc"]["port"] = "127.0.0.1", free_port()
    with (folder / "map.yaml").open("w") as stream:
        yaml.dump(document, stream)
    (folder / "gateway.yaml").write_text(f"""
data: data
opcua: {{port: {free_port()}}}
lines:
  - name: Bench
    plc: map.yaml
    model: {MODEL}
    bind: {{by: time, window: 80}}
    rate: {{parts_per_s: 5}}
    recipes:
      - {{number: 1, name: Plate, model: {MODEL}}}
      - {{number: 7, name: Cover, model: {MODEL}, golden: golden}}
    cameras: [{{name: Cam1, kind: folder, path: pictures, trigger: software}}]
""")
    return folder / "map.yaml"


@pytest.mark.parametrize("protocol", ["s7", "modbus"])
@pytest.mark.parametrize("handshake", ["ring", "ack"])
async def test_the_gateway_conforms(protocol: str, handshake: str, tmp_path: Path) -> None:
    """The checks of the classic exchange come on top of all others."""
    tag_map = write_files(tmp_path, protocol, handshake)
    command = [sys.executable, "-m", "gateway.cli"]
    with (tmp_path / "log").open("wb") as log:
        gateway = await asyncio.create_subprocess_exec(*command, "run", str(tmp_path / "gateway.yaml"), stdout=log, stderr=log)
    try:
        suite = await asyncio.create_subprocess_exec(
            *command,
            "map",
            "conformance",
            str(tag_map),
            *("--json", "--ready-s", "60", "--rate", "4", "--recipe", "7", "--golden"),
            stdout=-1,
            stderr=-1,
        )
        async with asyncio.timeout(PATIENCE_S):
            out, err = await suite.communicate()
    finally:
        gateway.terminate()
        async with asyncio.timeout(30):
            await gateway.wait()
    said = [json.loads(line) for line in out.decode().splitlines()]
    assert said, err.decode()
    assert {r["name"]: r["detail"] for r in said[:-1] if not r["passed"]} == {}, (tmp_path / "log").read_text()[-3000:]
    assert len(said) - 1 == (18 if handshake == "ring" else 23)
    assert (suite.returncode, said[-1]["passed"], err) == (0, len(said) - 1, b"")
