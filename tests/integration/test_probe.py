"""``gateway map probe`` on real sockets: what a person sees who has the order, the address or the block wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.core.codec import encode_into
from tests.integration.plc_stand import PROTOCOLS, REPO, Stand, plc_stand

PARAM = {"s7": "PressForce", "modbus": "MoldTemp"}


def map_file(folder: Path, protocol: str, port: int, *changes: tuple[str, str]) -> Path:
    text = (REPO / "plc_maps" / f"demo_{protocol}.yaml").read_text()
    for old, new in ((f"port: {102 if protocol == 's7' else 502}", f"port: {port}"), *changes):
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "map.yaml"
    path.write_text(text)
    return path


Run = Callable[..., Any]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    async def call(*argv: object) -> tuple[int, str, str]:
        """Run the command beside the PLC, which lives on this loop; return (exit status, stdout, stderr)."""
        status = await asyncio.to_thread(main, ["map", "probe", *map(str, argv)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_every_tag_is_shown_with_address_bytes_and_value(protocol: str, tmp_path: Path, run: Run) -> None:
    async with plc_stand(protocol) as stand:
        stand.pass_part()
        await asyncio.sleep(0.05)
        before = bytes(stand.logic.down)
        path = map_file(tmp_path, protocol, stand.port)
        status, out, _ = await run(path, "--json")
        assert status == 0
        found = json.loads(out)
        tags = {t["name"]: t for t in found["tags"]}
        leaves = [leaf for b in stand.loaded.map.blocks for t in b.tags for leaf in t.leaves()]
        assert [t["name"] for t in found["tags"]] == [leaf.name for leaf in leaves]
        assert tags["SentinelReal"]["value"] == pytest.approx(123.456)
        assert tags["SentinelReal"]["raw"] == ("42f6e979" if protocol == "s7" else "e97942f6")
        assert tags["SentinelReal"]["address"] == ("DB100.DBD20" if protocol == "s7" else "HR:10")
        assert tags["PartId"]["value"] == 1
        assert tags[PARAM[protocol]]["unit"] in ("kN", "C")
        assert (found["sentinels"], found["checksum"]) == ("", "")
        assert bytes(stand.logic.down) == before, "it writes nothing"
        status, out, _ = await run(path)
        assert status == 0
        assert "sentinels: right" in out
        assert f"InterfaceChecksum: 16#{stand.loaded.checksum:08X}, as the map" in out


def force(stand: Stand, protocol: str) -> str:
    """Set the parameter to a value that stands nowhere else; return it as a display shows it."""
    value = 101.37 if protocol == "s7" else 229.01
    [leaf] = stand.loaded.map.up.tag(PARAM[protocol]).leaves()
    encode_into(stand.logic.up, leaf, value, stand.loaded.map.order)
    return f"{value:.2f}"


@pytest.mark.parametrize("order", ["ABCD", "BADC", "DCBA"])
async def test_another_order_is_named(order: str, tmp_path: Path, run: Run) -> None:
    async with plc_stand("modbus") as stand:
        wanted = force(stand, "modbus")
        await asyncio.sleep(0.05)
        path = map_file(tmp_path, "modbus", stand.port, ("order: CDAB", f"order: {order}"))
        status, out, _ = await run(path, "--expect", wanted, "--json")
        assert status == 1
        found = json.loads(out)
        assert found["sentinels"].endswith("both are right with plc.order: CDAB")
        assert found["checksum"] == "it can be judged only when the sentinels are right"
        assert [(p["name"], p["remedy"]) for p in found["places"]][0] == ("MoldTemp", "order: CDAB")


@pytest.mark.parametrize("at", [1, 2])
async def test_an_off_by_one_is_named(at: int, tmp_path: Path, run: Run) -> None:
    async with plc_stand("modbus") as stand:
        wanted = force(stand, "modbus")
        await asyncio.sleep(0.05)
        path = map_file(tmp_path, "modbus", stand.port, ("at: 0\n", f"at: {at}\n"))
        status, out, _ = await run(path, "--expect", wanted, "--tag", "MoldTemp")
        assert status == 1
        assert "both are right with the block at HR:0" in out
        assert f"{wanted} is MoldTemp (Real) with at: {168 - 2 * at} (HR:84): reads {wanted}" in out


async def test_a_tag_of_its_own_that_is_off_by_two_bytes_is_named(tmp_path: Path, run: Run) -> None:
    async with plc_stand("s7") as stand:
        wanted = force(stand, "s7")
        await asyncio.sleep(0.05)
        wrong = ("{name: PressForce, type: Real,", "{name: PressForce, type: Real, at: 170,")
        gone = ("      - {name: LineSpeed, type: Real, role: process, unit: m/min}\n", "")
        path = map_file(tmp_path, "s7", stand.port, wrong, gone)
        status, out, _ = await run(path, "--expect", wanted)
        assert status == 1
        assert "sentinels: right" in out
        assert f"{wanted} is PressForce (Real) with at: 168 (DB100.DBD168)" in out


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_value_as_mapped_is_said_so(protocol: str, tmp_path: Path, run: Run) -> None:
    async with plc_stand(protocol) as stand:
        wanted = force(stand, protocol)
        await asyncio.sleep(0.05)
        path = map_file(tmp_path, protocol, stand.port)
        status, out, _ = await run(path, "--expect", wanted)
        assert status == 0
        assert f"{wanted} is {PARAM[protocol]} (Real) as mapped, at " in out
        status, out, _ = await run(path, "--expect", "7654321.25")
        assert status == 1
        assert "stands at no tag" in out


async def test_a_block_that_is_not_there_is_said_once_and_the_other_is_shown(tmp_path: Path, run: Run) -> None:
    async with plc_stand("s7") as stand:
        status, out, _ = await run(map_file(tmp_path, "s7", stand.port, ("db: 100", "db: 99")))
        assert status == 0
        assert out.count("DB99") == 1
        assert "is PUT/GET permitted, the block non-optimised" in out
        assert "DB101.DBW0     Status1" in out
        assert "sentinels: they could not be read" in out


async def test_an_off_by_one_at_the_end_of_the_plc_is_named(tmp_path: Path, run: Run) -> None:
    """The tag's own two registers are refused together; the neighbour before them holds the value."""
    async with plc_stand("modbus") as stand:
        end = 65535
        more = "  - {area: HR, at: 65535, name: Last, dir: plc->gw, tags: [{name: A, type: Int}]}\n"
        path = map_file(tmp_path, "modbus", stand.port)
        path.write_text(path.read_text().rstrip() + "\n" + more)
        status, out, _ = await run(path, "--tag", "A", "--expect", "7654321")
        assert status == 1
        assert f"HR:{end}" in out
        assert "7654321 stands at no tag and at no neighbour that could be read" in out
        assert "what lies behind Last" in out


async def test_a_block_that_is_shorter_than_the_map_shows_what_there_is(tmp_path: Path, run: Run) -> None:
    async with plc_stand("s7") as stand:
        more = ("      - {name: ToolWear,", "      - {name: Beyond, type: Real, unit: mm}\n      - {name: ToolWear,")
        status, out, _ = await run(map_file(tmp_path, "s7", stand.port, more), "--json")
        tags = {t["name"]: t for t in json.loads(out)["tags"]}
        assert status == 0
        assert tags["LineSpeed"]["trouble"] == ""
        assert tags["ToolWear"]["value"] is None
        assert "DB100" in tags["ToolWear"]["trouble"]


async def test_what_cannot_be_done_says_why(tmp_path: Path, run: Run, unused_tcp_port: int) -> None:
    path = map_file(tmp_path, "s7", unused_tcp_port)
    status, _, err = await run(path)
    assert status == 1
    assert "is the PLC on and the address right?" in err
    async with plc_stand("s7") as stand:
        path = map_file(tmp_path, "s7", stand.port)
        status, _, err = await run(path, "--tag", "Nix")
        assert status == 2
        assert "--tag Nix: there is no such tag" in err
        status, _, err = await run(path, "--expect", "much")
        assert status == 2
        assert "--expect: 'much' is no number" in err


async def test_a_unit_that_is_not_there_is_told_with_the_remedy(tmp_path: Path, run: Run) -> None:
    async with plc_stand("modbus") as stand:
        _, out, _ = await run(map_file(tmp_path, "modbus", stand.port, ("unit: 1", "unit: 9")))
    assert out.count("not readable: ") == 2
    assert out.count("remedy: correct plc.unit; most PLCs with a port of their own are unit 1 or 255") == 2


async def test_a_unit_that_stays_silent_is_told_with_the_remedy(tmp_path: Path, run: Run) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(256):
            pass
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        status, out, err = await run(map_file(tmp_path, "modbus", server.sockets[0].getsockname()[1]))
    assert (status, out) == (1, "")
    assert "no answer within" in err
    assert "; correct plc.unit: a unit that is not there stays silent" in err


EXTRA = {
    "modbus": """\
  - {area: IR, at: 40, name: Oven, dir: plc->gw, tags: [{name: Zone1, type: Int, unit: C}, {name: Product, type: "String[8]"}]}
  - {area: DI, at: 7, name: Doors, dir: plc->gw, tags: [{name: DoorOpen, type: Bool}, {name: Guard, type: Bool}]}
""",
    "s7": """\
  - {db: 120, name: Oven, dir: plc->gw, tags: [{name: Zone1, type: Int, unit: C}, {name: Product, type: "String[8]"}]}
  - {db: 121, name: Doors, dir: plc->gw, tags: [{name: DoorOpen, type: Bool}, {name: Guard, type: Bool}]}
""",
}
ADDRESSES = {
    "modbus": {"Zone1": "IR:40", "Product": "IR:41", "DoorOpen": "DI:7", "Guard": "DI:8"},
    "s7": {"Zone1": "DB120.DBW0", "Product": "DB120.DBX2.0", "DoorOpen": "DB121.DBX0.0", "Guard": "DB121.DBX0.1"},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_further_blocks_bits_and_texts_are_shown(protocol: str, tmp_path: Path, run: Run) -> None:
    wide = tmp_path / "wide.yaml"
    wide.write_text((REPO / "plc_maps" / f"demo_{protocol}.yaml").read_text() + EXTRA[protocol])
    async with plc_stand(protocol, map_file=wide) as stand:
        wide.write_text(wide.read_text().replace(f"port: {102 if protocol == 's7' else 502}", f"port: {stand.port}"))
        oven, doors = stand.loaded.map.extra
        order = stand.loaded.map.order
        for block, memory, name, value in (
            (oven, stand.logic.extra[0], "Zone1", 187),
            (oven, stand.logic.extra[0], "Product", "cap 4711"),
            (doors, stand.logic.extra[1], "Guard", True),
        ):
            [leaf] = block.tag(name).leaves()
            encode_into(memory, leaf, value, "ABCD" if block.bits else order)
        status, out, _ = await run(wide, "--json")
        assert status == 0
        tags = {t["name"]: t for t in json.loads(out)["tags"]}
        assert {name: tags[name]["address"] for name in ADDRESSES[protocol]} == ADDRESSES[protocol]
        assert [tags[n]["value"] for n in ("Zone1", "Product", "DoorOpen", "Guard")] == [187, "cap 4711", False, True]
        status, out, _ = await run(wide, "--expect", "187")
        assert status == 0
        assert "187 is Zone1 (Int) as mapped, at " in out
