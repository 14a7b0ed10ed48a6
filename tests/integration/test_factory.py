"""The factory's process from outside: its ports, its interlock, its ledger, its faults and its end."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from simulators.ledger import read_ledger
from simulators.score import score_line
from tests.integration.factory_client import HEADER, Factory, camera_client, factory, passing_gateway
from tests.integration.plc_stand import PROTOCOLS, until

FAST = "scenario: 1\nabout: test\nbelt: {press_spacings: 4}\n"


def scenario(tmp_path: Path, text: str) -> str:
    path = tmp_path / "scenario.yaml"
    path.write_text(FAST + text)
    return str(path)


def pictures(folder: Path, good: int = 5, bad: int = 3) -> Path:
    """Store pictures whose first pixel says which one it is."""
    for label, count, first in (("free", good, 10), ("crack", bad, 100)):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            image = np.full((48, 64), 128, dtype=np.uint8)
            image[0, 0] = first + i
            assert cv2.imwrite(str(folder / label / f"{label}{i}.png"), image)
    return folder


async def through(running: Factory, timeout_s: float = 30) -> None:
    await until(lambda: running.of("done") or running.process.returncode is not None, "the last part has left", timeout_s)
    assert running.of("done"), running.errors.decode()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_run_from_the_first_part_to_the_last(protocol: str, tmp_path: Path) -> None:
    async with factory(tmp_path, protocol=protocol, parts=30, parts_per_s=20.0) as running:
        async with camera_client(running.ready["camera_port"]) as camera, passing_gateway(running):
            await through(running)
        assert await running.end() == 0
    assert running.of("done")[0]["parts"] == 30
    assert running.of("done")[0]["passed"] == 30, "every part had a PASS token"
    assert [e["n"] for e in running.ledger("part")] == list(range(1, 31))
    assert [(e["n"], e["passed"]) for e in running.ledger("gate")] == [(n, True) for n in range(1, 31)]
    # In one scan by slot, not by part: on a busy computer tokens of several parts come together.
    assert sorted(e["n"] for e in running.ledger("latched")) == list(range(1, 31))
    assert [e["part_id"] for e in running.ledger("assigned")] == list(range(1, 31))
    eye = {e["n"]: e["encoder"] for e in running.ledger("part")}
    shown = {e["frame_counter"]: e["n"] for e in running.ledger("frame")}
    offset = running.ready["geometry"]["camera_offset"]
    assert len(camera.frames) == 30
    for counter, exposed_ns, encoder, height, width, channels, _ in camera.frames:
        assert encoder == (eye[shown[counter]] + offset) & 0xFFFFFFFF
        assert (height, width, channels) == (200, 200, 1)
        part = running.ledger("part")[shown[counter] - 1]
        assert exposed_ns / 1e6 - part["t_ms"] == pytest.approx(offset / 20, abs=0.01), "20 counts a ms"
    assert len({pixels for *_, pixels in camera.frames}) == 30, "no two pictures are alike"


async def test_nothing_but_latches_and_pixels_crosses_to_the_gateway(tmp_path: Path) -> None:
    images = pictures(tmp_path / "images")
    async with factory(tmp_path, parts=16, parts_per_s=30.0, images=str(images), passes=["free"]) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ready["camera_port"])
        async with passing_gateway(running):
            await through(running)
        assert await running.end() == 0
        stream = await reader.read(-1)
        writer.close()
    size = HEADER.size + 48 * 64
    assert len(stream) == 16 * size, "headers and pixels, not a byte more"
    files = {int(image[0, 0]): image for image in (cv2.imread(str(p), 0) for p in images.rglob("*.png"))}
    exposures = {e["frame_counter"]: e for e in running.ledger("frame")}
    parts = {e["n"]: e for e in running.ledger("part")}
    for i in range(16):
        frame = stream[i * size : (i + 1) * size]
        magic, counter, exposed_ns, encoder, latched, channels, height, width = HEADER.unpack(frame[: HEADER.size])
        part = parts[exposures[counter]["n"]]
        assert (magic, latched, channels, height, width) == (b"VGF1", 1, 1, 48, 64)
        assert round(exposed_ns / 1e6, 3) == exposures[counter]["t_ms"]
        assert encoder == (part["encoder"] + 200) & 0xFFFFFFFF
        assert counter not in (part["n"], part["n"] + 1), "the camera counts for itself"
        assert frame[HEADER.size :] == files[frame[HEADER.size]].tobytes(), "pixels of a stored picture, unaltered"
        assert (frame[HEADER.size] >= 100) == part["defective"] == (part["truth"] == "crack")
    assert not any(word in stream for word in (b"free", b"crack", b"good", b"png"))


async def test_no_part_is_fed_before_trigger_ready_and_the_feed_never_waits_again(tmp_path: Path) -> None:
    async with factory(tmp_path, parts=0, parts_per_s=40.0, scan_ms=5, scenario=scenario(tmp_path, "")) as running:
        async with passing_gateway(running, ready=False) as gateway:
            await until(lambda: gateway.up is not None, "owned")
            await until(lambda: len(running.of("progress")) >= 3, "two seconds", 10)
            assert running.of("progress")[-1]["fed"] == 0
            gateway.ready = True
            await until(lambda: running.of("progress")[-1]["fed"] > 10, "parts come", 10)
        gone = running.of("progress")[-1]["parts"]
        await until(lambda: running.of("progress")[-1]["parts"] > gone + 60, "parts come without a gateway, too", 10)
        assert running.of("progress")[-1]["rejected"] > 30
        assert await running.end() == 0
    score = {e["n"]: e["passed"] for e in running.ledger("gate")}
    last_token = max(e["n"] for e in running.ledger("latched"))
    assert not any(passed for n, passed in score.items() if n > last_token), "no token, no pass"


async def test_the_end_of_stdin_leaves_a_whole_ledger(tmp_path: Path) -> None:
    async with factory(tmp_path, parts=0, parts_per_s=30.0) as running:
        async with passing_gateway(running):
            await until(lambda: len(running.of("progress")) >= 3, "under way", 10)
        assert await running.end() == 0
    text = running.ledger_path.read_text()
    assert text.endswith("\n")
    kinds = {e["kind"] for e in read_ledger(running.ledger_path)}
    assert {"meta", "restarted", "owner", "part", "frame", "assigned", "process"} <= kinds
    assert running.errors == b""


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_restarts_and_cuts_of_the_plc(protocol: str, tmp_path: Path) -> None:
    faults = """faults:
  - {at_part: 20, kind: plc_restart}
  - {at_part: 50, kind: link_cut}
  - {at_part: 60, kind: link_down, for_ms: 300}
  - {at_part: 80, kind: plc_stop, for_ms: 400}
  - {at_part: 100, kind: link_dark, for_ms: 200}
"""
    settings: dict[str, Any] = {"parts": 160, "parts_per_s": 30.0, "scenario": scenario(tmp_path, faults)}
    async with factory(tmp_path, protocol=protocol, **settings) as running:
        async with passing_gateway(running):
            await through(running)
        assert await running.end() == 0, running.errors.decode()
    assert [e["fault"] for e in running.ledger("fault")] == ["plc_restart", "link_cut", "link_down", "plc_stop", "link_dark"]
    assert len(running.ledger("link_back")) == 3, "after the cut and both times that the port was away"
    assert [e["life"] for e in running.ledger("restarted")] == [1, 2, 3]
    lives = {life: [e for e in running.ledger("assigned") if e["life"] == life] for life in (1, 2, 3)}
    assert all(life[0]["part_id"] == 1 for life in lives.values()), "the program counts anew"
    assert lives[2][0]["n"] == 20
    seen = {e["n"] for e in running.ledger("assigned")}
    unseen = set(range(1, 161)) - seen
    assert unseen, "a PLC in STOP sees no edges"
    passed = {e["n"] for e in running.ledger("gate") if e["passed"]}
    assert len(running.ledger("gate")) == 160
    assert not passed & unseen
    tokens = {(e["life"], e["n"]) for e in running.ledger("latched") if e["verdict"] == "PASS"}
    decided = {(e["life"], e["n"]) for e in running.ledger("decided") if e["passed"]}
    assert decided <= tokens
    assert len(passed - {n for _, n in decided}) <= 2, "passed in the scan before the PLC fell; it could not report them"
    assert passed & set(range(110, 161)), "parts pass again at the end"
    score = score_line(protocol, running.ledger(), [])
    assert (score["passed_without_token"], score["passed"]) == (0, len(passed))
    assert score["passed_without_record"] == len(passed), "nobody kept a journal"


async def test_a_factory_that_was_held_up_makes_up_for_it_scan_by_scan(tmp_path: Path) -> None:
    """Six parts pass the gate while nothing runs: their fate is decided at their own time, by the tokens that were there."""
    async with factory(tmp_path, parts=60, parts_per_s=20.0) as running:
        async with passing_gateway(running):
            await until(lambda: running.of("progress") and running.of("progress")[-1]["fed"] > 10, "under way", 10)
            running.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.6)
            running.process.send_signal(signal.SIGCONT)
            await through(running)
        assert await running.end() == 0
    assert running.of("done")[0]["scan_late_ms"] > 500
    times = {e["n"]: e["t_ms"] for e in running.ledger("part")}
    arrivals = {e["n"]: e for e in running.ledger("gate")}
    assert all(arrivals[n]["t_ms"] - times[n] == pytest.approx(310, abs=0.01) for n in times)
    decided = {e["n"]: e for e in running.ledger("decided")}
    assert {n: a["passed"] for n, a in arrivals.items()} == {n: d["passed"] for n, d in decided.items()}
    assert all(d["verdict"] == "PASS" for d in decided.values() if d["passed"])
    turned_away = [n for n, a in arrivals.items() if not a["passed"]]
    assert turned_away, "no token came for the parts that passed the photo-eye meanwhile"
    assert all(decided[n]["verdict"] == "" for n in turned_away), "no token was lost to a hung gate"


async def test_what_goes_wrong_with_the_camera_is_in_the_ledger(tmp_path: Path) -> None:
    faults = """faults:
  - {at_part: 6, kind: camera_freeze, for_parts: 3}
  - {at_part: 12, kind: camera_black, for_parts: 2}
  - {at_part: 18, kind: camera_off_by_one, for_parts: 3}
  - {at_part: 24, kind: camera_cut}
"""
    images = str(pictures(tmp_path / "images", good=20, bad=20))
    settings: dict[str, Any] = {"images": images, "passes": ["free"], "scenario": scenario(tmp_path, faults)}
    async with factory(tmp_path, parts=36, parts_per_s=25.0, **settings) as running:
        async with camera_client(running.ready["camera_port"]) as camera, passing_gateway(running):
            await through(running)
        assert await running.end() == 0
    shows = {e["in_view"]: e["n"] for e in running.ledger("frame")}
    odd = {n: shown for n, shown in shows.items() if shown != n}
    assert odd == {6: 5, 7: 5, 8: 5, 12: 0, 13: 0, 18: 17, 19: 18, 20: 19}
    frames = {f[0]: f[-1] for f in camera.frames}
    counter = {e["in_view"]: e["frame_counter"] for e in running.ledger("frame")}
    assert all(b == a + 1 for a, b in zip(sorted(counter.values()), sorted(counter.values())[1:], strict=False))
    first = {n: frames[c][0] for n, c in counter.items() if c in frames}
    assert first[5] == first[6] == first[7] == first[8] != first[9]
    assert set(frames[counter[12]]) == {0}
    assert first[18] == first[17] != first[19] != first[20], "every picture one part too late"
    assert camera.connections == 2
    records = [
        {
            "kind": "part",
            "part_id": part["part_id"],
            "epoch": part["epoch"],
            "disposition": "PASS",
            "token": "acked",
            "label": "free",
            "frame_counter": counter[part["n"]],
            "t_trigger_mono_ns": 0,
            "t_frame_mono_ns": 0,
            "t_acked_mono_ns": 0,
        }
        for part in running.ledger("assigned")
    ]
    score = score_line("s7", running.ledger(), records)
    assert score["mis_tracked"] == 8, "frozen, black and off by one, had the gateway believed the camera"
    assert score["escapes"] == score["defective"] > score["escapes_by_fault"] > 0
    assert len(frames) >= 33, "a cut costs a frame or two"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_reject_that_is_not_executed_stops_the_line_until_it_is_reset(protocol: str, tmp_path: Path) -> None:
    """The ejector is stuck for parts 10 to 14, of which 12 and 13 are to be rejected; 20 falls as it should."""
    text = """process: {base: 1.0, cap: 1.0}
rejects: {bin_sensor: true, reset_after_ms: 300}
faults:
  - {at_part: 10, kind: ejector_stuck, for_parts: 5}
"""
    async with factory(tmp_path, protocol=protocol, parts=26, parts_per_s=20.0, scenario=scenario(tmp_path, text)) as running:
        async with passing_gateway(running) as gateway:
            gateway.fails = frozenset({12, 13, 20})
            await through(running)
        assert await running.end() == 0, running.errors.decode()
    assert {n: o for n, o in gateway.outcomes.items() if o != 1} == {0: 0, 12: 3, 13: 3, 20: 2}, "as read over the protocol"
    arrivals = {e["n"]: e for e in running.ledger("gate")}
    assert [n for n, e in arrivals.items() if e.get("stuck")] == [12, 13]
    assert [n for n, e in arrivals.items() if not e["passed"]] == [20]
    stops = [e["t_ms"] for e in running.ledger("stopped")]
    assert [e["detail"] for e in running.ledger("stopped")] == [f"reject of part {n} not confirmed" for n in (12, 13)]
    assert [e["part_id"] for e in running.ledger("unconfirmed")] == [12, 13]
    resets = [e["t_ms"] for e in running.ledger("released")]
    assert len(resets) == 2
    for stop, reset in zip(stops, resets, strict=True):
        assert not [n for n, e in arrivals.items() if stop + 1 < e["t_ms"] < reset - 1], "the belt stood"
    score = score_line(protocol, running.ledger(), [])
    assert (score["escapes_by_machine"], score["passed_without_token"], score["pass_turned_away"]) == (2, 0, 0)
    assert score["faults"] == {"ejector_stuck": 1}


async def test_without_a_sensor_a_stuck_ejector_is_not_noticed_but_in_the_ledger(tmp_path: Path) -> None:
    text = "process: {base: 1.0, cap: 1.0}\nfaults: [{at_part: 5, kind: ejector_stuck, for_parts: 3}]\n"
    async with factory(tmp_path, parts=12, parts_per_s=20.0, scenario=scenario(tmp_path, text)) as running:
        async with passing_gateway(running) as gateway:
            gateway.fails = frozenset({6, 9})
            await through(running)
        assert await running.end() == 0
    assert (gateway.outcomes[6], gateway.outcomes[9]) == (2, 2), "the gate is believed"
    assert running.ledger("stopped") == []
    assert score_line("s7", running.ledger(), [])["escapes_by_machine"] == 1


async def test_a_gateway_that_dies_has_its_parts_rejected_first_and_the_line_stopped_then(tmp_path: Path) -> None:
    text = "rejects: {most_without_token: 6, reset_after_ms: 60000}\n"
    async with factory(tmp_path, parts=0, parts_per_s=25.0, scenario=scenario(tmp_path, text)) as running:
        async with passing_gateway(running):
            await until(lambda: running.of("progress") and running.of("progress")[-1]["passed"] > 10, "under way", 10)
        await until(lambda: running.ledger("stopped"), "stopped", 10)
        await asyncio.sleep(0.3)  # several part spacings
        assert await running.end() == 0
    assert [e["detail"] for e in running.ledger("stopped")] == ["6 parts in a row without a token"]
    decided = [e for e in running.ledger("decided") if not e["verdict"]]
    assert len(decided) == 6
    assert not any(e["passed"] for e in decided)
    stopped = running.ledger("stopped")[0]["t_ms"]
    assert not [e for e in running.ledger("gate") if e["t_ms"] > stopped + 1], "the belt stood"


async def test_an_adjustment_reaches_the_process(tmp_path: Path) -> None:
    text = "process: {base: 0.0, per_step2: 0.1, cap: 0.9, events: [{at_part: 1, shift_steps: 2}], wear: {shift_steps: 0}}\n"
    async with factory(tmp_path, parts=0, parts_per_s=20.0, scenario=scenario(tmp_path, text)) as running:
        async with passing_gateway(running) as gateway:
            await until(lambda: running.of("progress") and running.of("progress")[-1]["fed"] > 10, "under way", 10)
            process = running.of("progress")[-1]["process"]
            assert (process["p"], process["PressForce"], process["optimum"]) == (0.4, 100.0, 108.0)
            assert 0 < process["wear"] < 0.01
            assert gateway.link is not None and gateway.up is not None
            await gateway.link.adjust(0, 104.0, 100.0)
            await until(lambda: running.of("progress")[-1]["process"]["p"] == 0.1, "the first step helps", 10)
            await gateway.link.adjust(0, 108.0, 104.0)
            await until(lambda: running.of("progress")[-1]["process"]["p"] == 0.0, "the second step cures", 10)
            assert gateway.up.values["LineSpeed"] == pytest.approx(120)
        assert await running.end() == 0
    assert [e["detail"] for e in running.ledger("adjusted")] == ["PressForce: accepted, 104", "PressForce: accepted, 108"]
    rates = [e["p"] for e in running.ledger("process")]
    assert [p for i, p in enumerate(rates) if not i or rates[i - 1] != p] == [0.4, 0.1, 0.0]


async def test_a_halted_press_makes_no_more_parts_and_those_under_way_leave(tmp_path: Path) -> None:
    async with factory(tmp_path, parts=0, parts_per_s=20.0) as running:
        async with camera_client(running.ready["camera_port"]), passing_gateway(running):
            await until(lambda: running.of("progress") and running.of("progress")[-1]["fed"] > 10, "under way", 10)
            assert running.process.stdin is not None
            running.process.stdin.write(b"halt\n")
            await through(running)
        assert await running.end() == 0
    made = [e["n"] for e in running.ledger("part")]
    assert made == list(range(1, len(made) + 1))
    assert [e["n"] for e in running.ledger("gate")] == made


async def test_a_press_that_is_halted_before_its_first_part_makes_none(tmp_path: Path) -> None:
    async with factory(tmp_path, parts=0, parts_per_s=20.0) as running:
        assert running.process.stdin is not None
        running.process.stdin.write(b"halt\n")
        await through(running)
        async with passing_gateway(running) as gateway:
            await until(lambda: gateway.up is not None, "the link is up", 5)
            await asyncio.sleep(1)  # far beyond the time at which it would have begun
        assert await running.end() == 0
    assert running.ledger("part") == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"scenario": "stady"}, "no scenario 'stady': take one of"),
        ({"map": "/nowhere/map.yaml"}, "/nowhere/map.yaml: there is no such file"),
        ({"protocol": "modbus", "map": "plc_maps/demo_s7.yaml"}, "a map for s7"),
        ({"images": "/nowhere"}, "/nowhere: there is no such directory"),
        ({"passes": ["fine"]}, "passes must name 'good'"),
        ({"scan_ms": 40, "parts_per_s": 30}, "shorten scan_ms or lower parts_per_s"),
        ({"colour": 1}, "colour: Extra inputs are not permitted"),
    ],
)
async def test_what_cannot_be_run_says_why(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    async with factory(tmp_path, wait_ready=False, **config) as running:
        async with asyncio.timeout(20):
            assert await running.process.wait() == 2
    said = running.errors.decode()
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("which", ["plc_port", "camera_port"])
async def test_a_port_in_use_is_named(protocol: str, which: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with factory(tmp_path, wait_ready=False, protocol=protocol, **{which: port}) as running:
            async with asyncio.timeout(20):
                assert await running.process.wait() == 1
    assert f"{port}" in running.errors.decode()
    assert "cannot be had" in running.errors.decode()
    assert "Traceback" not in running.errors.decode()
