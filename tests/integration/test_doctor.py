"""``gateway doctor`` on real sockets: each thing that can be wrong with a PLC, a camera or a port is named as what it is."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from snap7.s7protocol import S7Function

from gateway.cli import main
from gateway.core.codec import encode_into
from gateway.doctor.cameras import camera as look_at_camera
from gateway.doctor.doctor import checks
from gateway.doctor.finding import Finding
from gateway.doctor.plc import plc
from gateway.plc.maps import load_map
from gateway.vision.cameras import FolderConfig, SimulatedConfig, VideoConfig
from simulators import plc_s7
from tests.integration.plc_stand import PROTOCOLS, Stand, plc_stand
from tests.integration.test_probe import EXTRA, map_file
from tests.unit.test_config import MODEL, REPO, TEXT

ALL_WELL = {"plc.tcp", "plc.access", "plc.order", "plc.checksum", "plc.heartbeat", "plc.owner"}


async def look(path: Path) -> dict[str, Finding]:
    """Return what is found at this map's PLC, by check; the speed is the test machine's affair."""
    found = [f async for f in plc("Press", load_map(path))]
    for f in found:
        assert f.subject.startswith("Press")
        assert f.severity == "ok" or (f.why and f.remedy)
    return {f.check: f for f in found if f.check != "plc.speed"}


def wrong(found: dict[str, Finding]) -> list[str]:
    return [check for check, f in found.items() if f.severity != "ok"]


@pytest.fixture(params=PROTOCOLS)
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    async with plc_stand(request.param) as made:
        yield made


@pytest.fixture
async def s7() -> AsyncIterator[Stand]:
    async with plc_stand("s7") as made:
        yield made


@pytest.fixture
async def modbus() -> AsyncIterator[Stand]:
    async with plc_stand("modbus") as made:
        yield made


def own_map(stand: Stand, folder: Path, *changes: tuple[str, str]) -> Path:
    return map_file(folder, stand.loaded.plc.driver, stand.port, *changes)


async def test_a_plc_that_is_well_and_nothing_is_written_to_it(stand: Stand, tmp_path: Path) -> None:
    before = bytes(stand.logic.down)
    found = await look(own_map(stand, tmp_path))
    assert wrong(found) == []
    assert set(found) == ALL_WELL | ({"plc.pdu"} if stand.loaded.plc.driver == "s7" else set())
    assert found["plc.owner"].what == "nobody"
    assert bytes(stand.logic.down) == before


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_plc_with_further_blocks(protocol: str, tmp_path: Path) -> None:
    wide = tmp_path / "wide.yaml"
    wide.write_text((REPO / "plc_maps" / f"demo_{protocol}.yaml").read_text() + EXTRA[protocol])
    async with plc_stand(protocol, map_file=wide) as made:
        wide.write_text(wide.read_text().replace(f"port: {102 if protocol == 's7' else 502}", f"port: {made.port}"))
        found = await look(wide)
        assert wrong(found) == []
        assert "DB_VisionUp, DB_VisionDown, Oven, Doors can be read" in found["plc.access"].what
    async with plc_stand(protocol) as made:
        text = (REPO / "plc_maps" / f"demo_{protocol}.yaml").read_text() + EXTRA[protocol]
        wide.write_text(text.replace(f"port: {102 if protocol == 's7' else 502}", f"port: {made.port}"))
        found = await look(wide)
        assert wrong(found) == ["plc.access"], "the PLC does not have them"


async def test_a_plc_in_stop(stand: Stand, tmp_path: Path) -> None:
    stand.scanning = False
    found = await look(own_map(stand, tmp_path))
    assert wrong(found) == ["plc.heartbeat"]


async def test_a_gateway_that_lives_there_is_told_from_the_trace_of_one(stand: Stand, tmp_path: Path) -> None:
    path = own_map(stand, tmp_path)
    tag_map = stand.loaded.map
    beat, owner = tag_map.roles["gateway.heartbeat"], tag_map.roles["owner.echo"]

    async def beats() -> None:
        n = 0
        while True:
            n += 1
            [leaf] = beat.leaves()
            encode_into(stand.logic.down, leaf, n, tag_map.order)
            await asyncio.sleep(0.05)

    stand.scanning = False  # nobody but this test writes the echo
    [leaf] = owner.leaves()
    encode_into(stand.logic.up, leaf, 0xABCD1234, tag_map.order)
    assert "the last owner's epoch 16#ABCD1234 is still there" in (await look(path))["plc.owner"].what
    task = asyncio.create_task(beats())
    found = await look(path)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "a gateway lives here, epoch 16#ABCD1234" in found["plc.owner"].what


async def test_a_checksum_that_differs(stand: Stand, tmp_path: Path) -> None:
    found = await look(own_map(stand, tmp_path, ("name: ToolWear", "name: ToolAge")))
    assert wrong(found) == ["plc.checksum"]
    assert f"16#{stand.loaded.checksum:08X}" in found["plc.checksum"].what


async def test_a_byte_order_that_differs_names_the_right_one(modbus: Stand, tmp_path: Path) -> None:
    found = await look(own_map(modbus, tmp_path, ("order: CDAB", "order: ABCD")))
    assert wrong(found) == ["plc.order"]
    assert found["plc.order"].what.endswith("both are right with plc.order: CDAB")


async def test_a_cpu_that_refuses_put_get(s7: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc_s7, "_SERVED", frozenset({S7Function.SETUP_COMMUNICATION}))
    found = await look(own_map(s7, tmp_path))
    assert wrong(found) == ["plc.put-get"]
    assert "Permit access with PUT/GET" in found["plc.put-get"].remedy


async def test_a_block_that_is_absent_or_optimised(s7: Stand, tmp_path: Path) -> None:
    found = await look(own_map(s7, tmp_path, ("db: 100", "db: 99")))
    assert wrong(found) == ["plc.access"]
    assert "no such block, or it is optimised" in found["plc.access"].what
    assert found["plc.access"].subject == "Press.DB_VisionUp"


async def test_a_block_that_is_too_short(s7: Stand, tmp_path: Path) -> None:
    more = ("      - {name: ToolWear,", "      - {name: Beyond, type: Real, unit: mm}\n      - {name: ToolWear,")
    found = await look(own_map(s7, tmp_path, more))
    assert wrong(found) == ["plc.access"]
    assert "shorter than the map" in found["plc.access"].what


async def test_a_pdu_that_is_too_small(s7: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.plc.s7.S7Driver.pdu_bytes", 120)
    found = await look(own_map(s7, tmp_path))
    assert wrong(found) == ["plc.pdu"]
    assert "120 bytes, 198 are needed" in found["plc.pdu"].what


async def test_a_modbus_block_that_is_elsewhere(modbus: Stand, tmp_path: Path) -> None:
    found = await look(own_map(modbus, tmp_path, ("at: 200\n", "at: 65000\n")))
    assert wrong(found) == ["plc.access"]
    assert "the block is not where the map says" in found["plc.access"].what


async def test_a_unit_that_is_not_there(modbus: Stand, tmp_path: Path) -> None:
    found = await look(own_map(modbus, tmp_path, ("unit: 1", "unit: 7")))
    assert wrong(found) == ["plc.access"]
    assert "correct plc.unit" in found["plc.access"].remedy


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_port_where_nobody_listens(protocol: str, tmp_path: Path, unused_tcp_port: int) -> None:
    found = await look(map_file(tmp_path, protocol, unused_tcp_port))
    assert wrong(found) == ["plc.tcp"]
    assert "nothing listens on this port" in found["plc.tcp"].remedy


async def test_a_port_that_speaks_no_s7(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        found = await look(map_file(tmp_path, "s7", mute.getsockname()[1]))
    assert wrong(found) == ["plc.connect"]
    assert "rack and slot" in found["plc.connect"].remedy


async def test_a_host_that_has_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio, "open_connection", unknown)
    found = await look(map_file(tmp_path, "s7", 102, ("host: 127.0.0.1", "host: press.plant")))
    assert wrong(found) == ["plc.tcp"]
    assert "press.plant does not resolve" in found["plc.tcp"].what


# -- cameras ----------------------------------------------------------------------------------------------------------------


def one(config: FolderConfig | VideoConfig | SimulatedConfig, in_use_by: int = 0) -> Finding:
    [found] = look_at_camera("Press", config, in_use_by)
    assert found.subject == "Press.top"
    assert found.severity == "ok" or (found.why and found.remedy)
    return found


def test_cameras(tmp_path: Path, unused_tcp_port: int) -> None:
    pictures = MODEL / "1" / "golden"
    good = one(FolderConfig(kind="folder", name="top", path=pictures))
    assert good.severity == "ok"
    assert "200 × 200 pixels, 1 channel(s)" in good.what
    empty = one(FolderConfig(kind="folder", name="top", path=tmp_path))
    assert (empty.severity, "holds no picture" in empty.what) == ("error", True)
    absent = VideoConfig(kind="video", name="top", source=str(tmp_path / "none.mp4"))
    assert one(absent).severity == "error"
    assert one(absent, in_use_by=1).severity == "warning", "the gateway that runs may hold it"
    unreachable = one(SimulatedConfig(kind="simulated", name="top", port=unused_tcp_port))
    assert unreachable.severity == "error"


# -- all of it, as a user -----------------------------------------------------------------------------------------------------


Run = Callable[..., Any]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    async def call(*argv: object) -> tuple[int, str]:
        status = await asyncio.to_thread(main, ["doctor", *map(str, argv)])
        return status, capsys.readouterr().out

    return call


def gateway_yaml(folder: Path, plc_map: Path) -> Path:
    shutil.copytree(MODEL / "1" / "golden", folder / "pictures")
    lines = TEXT.split("  - name: Molding")
    text = lines[0].replace(f"{REPO}/plc_maps/demo_s7.yaml", str(plc_map))
    text = text.replace("kind: simulated, name: top, port: 5001", "kind: folder, name: top, path: pictures")
    path = folder / "gateway.yaml"
    path.write_text(text + "opcua: {port: 0}\n")
    return path


async def test_a_whole_installation(s7: Stand, tmp_path: Path, run: Run) -> None:
    path = gateway_yaml(tmp_path, own_map(s7, tmp_path))
    status, out = await run(path, "--json")
    said = json.loads(out)
    found = {(f["check"], f["subject"]): f["severity"] for f in said["findings"]}
    assert status == 0, [f for f in said["findings"] if f["severity"] == "error"]
    assert said["ok"] is True
    assert found["plc.checksum", "Press"] == found["model", "Press"] == found["camera", "Press.top"] == "ok"
    assert found["config", ""] == found["opcua.port", ""] == found["openvino", ""] == "ok"


async def test_something_wrong_is_1_and_the_text_says_why_and_what_to_do(s7: Stand, tmp_path: Path, run: Run) -> None:
    s7.scanning = False
    status, out = await run(gateway_yaml(tmp_path, own_map(s7, tmp_path)))
    assert status == 1
    at = out.index("error    plc.heartbeat Press: PlcHeartbeat stands at ")
    assert "why: the PLC is in STOP" in out[at:]
    assert "do: set it to RUN" in out[at:]
    assert out.splitlines()[-1].startswith("1 error(s), ")


async def test_a_wrong_configuration_is_2_and_the_machine_is_looked_at_all_the_same(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("data: data\nlines: []\n")
    status, out = await run(path)
    assert status == 2
    assert f"error    config: {path}:2:8: lines:" in out
    assert "openvino: devices: CPU" in out
    assert "last-good" in out
    status, out = await run(tmp_path / "absent.yaml", "--json")
    assert status == 2
    assert "there is no such file" in out


async def test_without_a_configuration_the_machine_alone_is_looked_at(run: Run) -> None:
    status, out = await run("--json")
    assert status == 0
    names = {f["check"] for f in json.loads(out)["findings"]}
    assert {"python", "packages", "openvino", "clock", "memory"} <= names
    assert not any(name.startswith(("plc", "opcua", "data")) for name in names)


async def test_a_check_that_breaks_does_not_break_the_doctor(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(lines: int) -> None:
        raise RuntimeError("no /proc here")

    monkeypatch.setattr("gateway.doctor.machine.memory", broken)
    status, out = await run()
    assert status == 1
    assert "error    memory: the check itself failed: RuntimeError: no /proc here" in out
    assert "ok       python" in out
    assert [name for name, _, _ in checks(None, None)].count("memory") == 1
