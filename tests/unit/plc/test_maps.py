"""Tag maps: every mistake is found, all at once, each with the place where it was made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.core.errors import ConfigError, Problem
from gateway.core.tags import ModbusAddress, S7Address, interface_checksum
from gateway.plc.maps import handshake_layout, load_map

MAPS = Path(__file__).resolve().parents[3] / "plc_maps"
S7 = (MAPS / "demo_s7.yaml").read_text()
MODBUS = (MAPS / "demo_modbus.yaml").read_text()


def change(text: str, old: str, new: str) -> str:
    """Replace text that stands there exactly once; runs of spaces count as one."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    [at] = [i for i, line in enumerate(lines) if old in line]
    indent = len(text.splitlines()[at]) - len(text.splitlines()[at].lstrip())
    lines = text.splitlines()
    lines[at] = " " * indent + " ".join(lines[at].split()).replace(old, new)
    return "\n".join(lines) + "\n"


def problems(tmp_path: Path, text: str) -> list[Problem]:
    file = tmp_path / "press.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_map(file)
    assert str(caught.value) == "\n".join(str(p) for p in caught.value.problems)
    return list(caught.value.problems)


def check(tmp_path: Path, text: str, marker: str, path: str, message: str) -> None:
    """The one problem stands in the line with ``marker``, at that path, and says so."""
    [problem] = problems(tmp_path, text)
    assert problem.message.startswith(message) or message in problem.message, problem.message
    assert problem.path == path
    line = text.splitlines()[problem.line - 1]
    assert marker in line, f"points at {problem.line}:{problem.column}: {line}"
    assert str(problem).startswith(f"{tmp_path}/press.yaml:{problem.line}:{problem.column}: {path}: ")


# -- what is right --------------------------------------------------------------------------------------------------------


def test_the_demo_s7_map() -> None:
    loaded = load_map(MAPS / "demo_s7.yaml")
    assert (loaded.plc.driver, loaded.plc.name, loaded.map.order) == ("s7", "press", "ABCD")
    assert loaded.map.up.base == S7Address(db=100, byte=0)
    assert loaded.map.down.base == S7Address(db=101, byte=0)
    [force] = loaded.map.params()
    assert (force.name, force.offset, force.range, force.step, force.rate_per_min) == ("PressForce", 168, (80, 120), 4, 6)
    assert [t.name for t in loaded.map.process_tags()] == ["PressForce", "LineSpeed", "ToolWear"]
    assert loaded.checksum == interface_checksum(loaded.map.up, loaded.map.down)
    assert loaded.map.roles["ring.token"].offset == 64


def test_the_demo_modbus_map() -> None:
    loaded = load_map(MAPS / "demo_modbus.yaml")
    assert (loaded.plc.driver, loaded.map.order) == ("modbus", "CDAB")
    assert loaded.map.up.base == ModbusAddress(area="HR", register=0)
    assert loaded.map.down.base == ModbusAddress(area="HR", register=200)


def test_blocks_may_stand_in_either_order(tmp_path: Path) -> None:
    head, up, down = S7.split("  - db: ")
    file = tmp_path / "swapped.yaml"
    file.write_text(f"{head}  - db: {down}  - db: {up}")
    assert load_map(file).checksum == load_map(MAPS / "demo_s7.yaml").checksum


def test_the_checksum_changes_with_every_name_type_and_place_and_with_nothing_else(tmp_path: Path) -> None:
    def checksum(text: str) -> int:
        file = tmp_path / "m.yaml"
        file.write_text(text)
        return load_map(file).checksum

    base = checksum(S7)
    assert checksum(S7.replace("host: 127.0.0.1", "host: 10.0.0.1").replace("step: 4", "step: 2")) == base
    for old, new in [
        ("ToolWear, type: Real", "ToolWare, type: Real"),
        ("ToolWear, type: Real", "ToolWear, type: DInt"),
        ("ToolWear, type: Real", "ToolWear, type: Real, at: 180"),
        ("name: DB_VisionUp", "name: DB_Up"),
    ]:
        assert checksum(change(S7, old, new)) != base, new


def test_scaling_and_lone_bits(tmp_path: Path) -> None:
    level = "      - {name: Level, type: Int, unit: mm, scale: {raw: [0, 27648], eng: [0, 100]}}\n"
    door = "      - {name: Door, type: Bool}\n"
    file = tmp_path / "m.yaml"
    file.write_text(S7.replace("  - db: 101\n", f"{level}{door}  - db: 101\n"))
    up = load_map(file).map.up
    assert (up.tag("Level").offset, up.tag("Door").offset, up.size) == (180, 182, 184)
    assert up.tag("Level").scale is not None


# -- one mistake each -------------------------------------------------------------------------------------------------------


UP, DOWN = "blocks.0.tags", "blocks.1.tags"
WEAR = 'ToolWear, type: Real, role: process, unit: "%"'
FORCE = "role: param, unit: kN, range: [80, 120], step: 4, rate_per_min: 6"
TOKEN = "{name: Verdict, type: Word}, {name: Check, type: Word}"
NEKOT = "{name: Check, type: Word}, {name: Verdict, type: Word}"

#: What stands in the map, what stands there instead, what the line that is pointed at holds, the path, the message.
MISTAKES = [
    # types
    (WEAR, WEAR.replace("Real", "Reall"), "Reall", f"{UP}.17.type", "unknown type 'Reall', did you mean 'Real'?"),
    (WEAR, WEAR.replace("Real", "'String'"), "String", f"{UP}.17.type", "unknown type 'String', did you mean 'String[20]'?"),
    (WEAR, WEAR.replace("Real", "'String[255]'"), "String", f"{UP}.17.type", "the length of a String is 1 to 254"),
    (WEAR, WEAR.replace("Real", "'Array[2..1] of Int'"), "2..1", f"{UP}.17.type", "array bounds 2..1: they must rise"),
    (WEAR, WEAR.replace("Real", "Time_of_Day"), "Time_of_Day", f"{UP}.17.type", "did you mean 'TOD'?"),
    # places
    (WEAR, WEAR + ", at: 174", "at: 174", f"{UP}.17.at", "ToolWear: overlaps LineSpeed at byte 174"),
    (WEAR, WEAR + ", at: 177", "at: 177", f"{UP}.17.at", "at: 177 is odd; Real begins on an even byte"),
    (WEAR, WEAR + ", at: -2", "at: -2", f"{UP}.17.at", "greater than or equal to 0"),
    (WEAR, WEAR + ", at: 70000", "70000", f"{UP}.17.at", "less than or equal to 65535"),
    (WEAR, WEAR + ", at: 400", "db: 100", "blocks.0", "DB_VisionUp has 404 bytes, one request carries 222; drop or move"),
    # names and roles
    ("name: ToolWear", "name: LineSpeed", '"%"', f"{UP}.17.name", "LineSpeed is the name of another tag (line 32)"),
    (
        "Token: [",
        "TOKEN: [{name: A, type: Int}]\n  Token: [",
        "Token: [{name: PartId",
        "types.Token",
        "Token and TOKEN (line 10) are one name on a PLC; rename one of the two types",
    ),
    (
        "name: ToolWear",
        "name: LINESPEED",
        '"%"',
        f"{UP}.17.name",
        "LINESPEED and LineSpeed (line 32) are one name on a PLC; re",
    ),
    ("name: ToolWear", "name: Tool Wear", "Tool Wear", f"{UP}.17.name", "String should match pattern"),
    (WEAR, WEAR.replace("process", "proces"), "proces", f"{UP}.17.role", "unknown role 'proces' in a plc->gw block"),
    (
        "- {name: ClaimNonce",
        "- {name: X, type: Int, role: process}\n      - {name: ClaimNonce",
        "X",
        f"{DOWN}.23.role",
        "measured",
    ),
    # limits
    (FORCE, FORCE.replace("80, 120", "120, 80"), "120, 80", f"{UP}.15.range", "the range must rise, 120 … 80 does not"),
    (FORCE, FORCE.replace("120", ".inf"), ".inf", f"{UP}.15.range.1", "finite number"),
    (FORCE, FORCE.replace("120", ".nan"), ".nan", f"{UP}.15.range.1", "finite number"),
    (FORCE, FORCE.replace("120", "1.0e39"), "1.0e39", f"{UP}.15.range", "a request carries the value as a Real"),
    (FORCE, FORCE.replace("step: 4", "step: 41"), "41", f"{UP}.15.step", "a step of 41 is larger than the range"),
    (FORCE, FORCE.replace("step: 4", "step: 0"), "step: 0", f"{UP}.15.step", "greater than 0"),
    (FORCE, FORCE.replace("step: 4, ", ""), "PressForce", f"{UP}.15", "PressForce: a parameter needs step"),
    (FORCE, "role: param", "PressForce", f"{UP}.15", "a parameter needs unit, range, step, rate_per_min"),
    ("PressForce, type: Real", "PressForce, type: 'Array[0..1] of Real'", "0..1", f"{UP}.15.type", "a parameter is one number"),
    (WEAR, WEAR + ", scale: {raw: [5, 5], eng: [0, 1]}", "[5, 5]", f"{UP}.17.scale", "two different raw values"),
    (WEAR, WEAR.replace("Real", "Int, range: [0, 40000]"), "40000", f"{UP}.17.range", "0 … 40000 does not fit into Int"),
    ("role: part.id", "role: part.id, scale: {raw: [0, 1], eng: [0, 2]}", "PartId", f"{UP}.4.scale", "is no measured value"),
    # the handshake
    ("name: Score, type: Real", "name: Score, type: DInt", "Score", f"{DOWN}.11.type", "role score has type Real, not DInt"),
    ("name: Score,", "name: Scores,", "Scores", f"{DOWN}.11.name", "role score is named Score, not Scores"),
    (
        "ErrorCode, type: UInt, at: 6",
        "ErrorCode, type: UInt, at: 46",
        "ErrorCode",
        f"{DOWN}.3",
        "must lie at byte 6, it lies at 46",
    ),
    (TOKEN, NEKOT, "Token:", "types.Token", "the handshake's Token has the members PartId: UDInt, Verdict: Word, Check: Word"),
    # blocks
    ("dir: gw->plc", "dir: plc->gw", "dir: plc->gw", "blocks.1.dir", "one block must be plc->gw and the other gw->plc"),
    ("dir: gw->plc", "dir: both", "both", "blocks.1.dir", "Input should be 'plc->gw' or 'gw->plc'"),
    ("- db: 101", "- db: 100", "db: 100", "blocks.1.db", "both blocks lie in DB100: one block a direction"),
    # keys
    ("unit: kN,", "units: kN, unit: kN,", "units", f"{UP}.15.units", "unknown key 'units', did you mean 'unit'?"),
    ("unit: kN,", "xyzzy: 1, unit: kN,", "xyzzy", f"{UP}.15.xyzzy", "unknown key; correct its spelling or remove it"),
    ("tagmap: 1", "tagmap: 2", "tagmap: 2", "tagmap", "Input should be 1"),
    ("handshake: ring", "handshake: acks", "acks", "handshake", "Input should be 'ring' or 'ack'"),
    ("driver: s7", "driver: s8", "driver: s8", "plc.driver", "any of the expected tags: 's7', 'modbus', 'memory'"),
    ("driver: s7, ", "", "plc:", "plc.driver", "is missing; add it"),
    ("host: 127.0.0.1, ", "", "plc:", "plc.host", "is missing; add it"),
    ("port: 102", "port: 70000", "70000", "plc.port", "less than or equal to 65535"),
    ("slot: 1", "slot: 1, order: CDAB", "CDAB", "plc.order", "Input should be 'ABCD'"),
]


@pytest.mark.parametrize(("old", "new", "marker", "path", "message"), MISTAKES, ids=[m[1][:40] for m in MISTAKES])
def test_one_mistake_is_one_problem_where_it_was_made(
    tmp_path: Path, old: str, new: str, marker: str, path: str, message: str
) -> None:
    check(tmp_path, change(S7, old, new), marker, path, message)


def test_a_whole_section_that_is_missing(tmp_path: Path) -> None:
    text = S7.replace("blocks:", "blocks_:")
    assert [(p.path, p.message) for p in problems(tmp_path, text)] == [
        ("blocks", "is missing; add it"),
        ("blocks_", "unknown key 'blocks_', did you mean 'blocks'?"),
    ]


def test_one_block_only(tmp_path: Path) -> None:
    check(tmp_path, S7.split("  - db: 101")[0], "- db: 100", "blocks", "List should have at least 2 items")


# -- several at once --------------------------------------------------------------------------------------------------------


def test_errors_accumulate_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = change(S7, "ToolWear, type: Real", "ToolWear, type: Reall")
    text = change(text, "step: 4", "step: 41")
    text = change(text, "name: Score,", "name: Scores,")
    text = change(text, "AdjustSeq, type: UInt, at: 128", "AdjustSeq, type: UInt, at: 140")
    found = problems(tmp_path, text)
    assert [p.line for p in found] == sorted(p.line for p in found)
    assert [p.path for p in found] == [f"{UP}.15.step", f"{UP}.17.type", f"{DOWN}.11.name", f"{DOWN}.19"]


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        (
            "role: part.id",
            "role: part.idd",
            [
                "the handshake's role part.id is missing; add {name: PartId, type: UDInt, role: part.id} at byte 8",
                "unknown role 'part.idd' in a plc->gw block, did you mean 'part.id'?",
            ],
        ),
        (
            "role: command.arg",
            "role: command",
            [
                "the handshake's role command.arg is missing; add {name: CommandArg, type: UInt, role: command.arg} at byte 6",
                "command is the role of another tag (line 18)",
            ],
        ),
        (
            "PlcHeartbeat, type: UInt, at: 2",
            "PlcHeartbeat, type: UInt, at: 38",
            ["role plc.heartbeat must lie at byte 2, it lies at 38", "AdjustValueEcho: overlaps PlcHeartbeat at byte 38"],
        ),
        ("- db: 101", "- area: HR", ["an S7 block needs db (its number)", "an S7 block has no area; use db"]),
        (
            "role: param, unit: kN",
            "role: parm, unit: kN",
            ["unknown role 'parm' in a plc->gw block, did you mean 'param'?"],
        ),
    ],
)
def test_one_mistake_with_two_sides(tmp_path: Path, old: str, new: str, messages: list[str]) -> None:
    assert [p.message.split("; give each")[0] for p in problems(tmp_path, change(S7, old, new))] == messages


def test_a_broken_udt_is_reported_once_and_not_wherever_it_is_used(tmp_path: Path) -> None:
    text = change(S7, "{name: PartId, type: UDInt}, {name: Encoder, type: UDInt}", "{name: PartId, type: UDIntt}")
    found = [p.message for p in problems(tmp_path, text)]
    assert [m for m in found if "unknown type" in m] == ["PartId: unknown type 'UDIntt', did you mean 'UDInt'?"]


def test_a_udt_named_like_an_elementary_type(tmp_path: Path) -> None:
    text = S7.replace("blocks:", "  Real: [{name: A, type: Int}]\nblocks:")
    assert any("Real is the name of an elementary type" in p.message for p in problems(tmp_path, text))


def test_a_parameter_in_the_gateway_s_block(tmp_path: Path) -> None:
    line = "  - {name: Gap, type: Real, role: param, unit: mm, range: [0, 9], step: 1, rate_per_min: 1}"
    found = problems(tmp_path, S7 + "    " + line + "\n")
    assert [p.message for p in found] == ["parameters lie in the plc->gw block: the PLC owns them, changes go by request"]


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        (
            "area: HR at: 200",
            "area: HR at: 80",
            [
                "DB_VisionDown (HR:80 to 153) overlaps DB_VisionUp (HR:0 to 89), Status1 on OutcomeRing: "
                "two writers of one register"
            ],
        ),
        ("area: HR at: 200", "area: HR at: 65500", ["the block ends beyond register 65535"]),
        ("area: HR at: 200", "area: IR at: 200", ["the handshake's DB_VisionDown lies in holding registers (HR)"]),
        ("area: HR at: 200", "area: XR at: 200", ["Input should be 'HR', 'IR', 'CO' or 'DI'"]),
        (
            "area: HR at: 200",
            "db: 7",
            ["a Modbus block needs area (HR) and at (first register, 0-based)", "a Modbus block has no db; use area and at"],
        ),
        ("order: CDAB", "order: ACBD", ["Input should be 'ABCD', 'CDAB', 'BADC' or 'DCBA'"]),
    ],
)
def test_modbus_addresses(tmp_path: Path, old: str, new: str, messages: list[str]) -> None:
    if old.startswith("area"):
        area, at = [p.strip() for p in old.replace("area: HR at: 200", "- area: HR|    at: 200").split("|")]
        assert area in MODBUS
        lines = "  - " + "\n    ".join(new.replace(" at:", "|at:").split("|"))
        text = MODBUS.replace("  - area: HR\n    at: 200", lines)
        assert at in MODBUS
    else:
        text = MODBUS.replace(old, new)
    assert text != MODBUS
    assert [p.message for p in problems(tmp_path, text)] == messages


def test_a_modbus_read_that_exceeds_one_request(tmp_path: Path) -> None:
    text = MODBUS.replace("name: ToolWear, type: Real", "name: ToolWear, type: Real, at: 250")
    assert [p.message.split(";")[0] for p in problems(tmp_path, text)] == ["DB_VisionUp has 254 bytes, one request carries 250"]


def test_a_tag_of_the_handshake_without_its_role_is_said_at_that_tag(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, re.sub(r",\s+role: part\.id\b", "", S7))
    assert problem.path.startswith("blocks.0.tags.")
    assert problem.message == "PartId lacks `role: part.id`; add it"


def test_an_overlap_within_a_modbus_block_names_the_register_too(tmp_path: Path) -> None:
    text = MODBUS.replace("name: ToolWear, type: Real", "name: ToolWear, type: Real, at: 174")
    assert [p.message for p in problems(tmp_path, text)] == [
        "ToolWear: overlaps LineSpeed at byte 174 (HR:87); give each its own bytes"
    ]


def test_every_role_of_the_handshake_is_required_at_its_place(tmp_path: Path) -> None:
    for roles in handshake_layout().values():
        for role in roles:
            text = "\n".join(line for line in S7.splitlines() if not line.endswith(f"role: {role}}}"))
            found = [p.message for p in problems(tmp_path, text)]
            assert any(f"the handshake's role {role} is missing" in m for m in found), role


# -- gateway map check ------------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["map", *args])
    out, err = capsys.readouterr()
    return code, out, err


def test_check_of_a_good_map(capsys: pytest.CaptureFixture[str]) -> None:
    file = str(MAPS / "demo_s7.yaml")
    code, out, err = run(capsys, "check", file)
    assert (code, err) == (0, "")
    assert out.startswith(f"{file}: ok, PLC press (s7)\n")
    assert "parameters: PressForce" in out
    assert f"InterfaceChecksum: 16#{load_map(file).checksum:08X}" in out


def test_check_of_a_good_map_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "check", str(MAPS / "demo_modbus.yaml"), "--json")
    answer = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert (answer["ok"], answer["plc"], answer["params"]) == (True, "molding", ["MoldTemp"])
    assert [b["bytes"] for b in answer["blocks"]] == [180, 148]


def test_check_of_a_wrong_map(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "press.yaml"
    file.write_text(change(change(S7, "ToolWear, type: Real", "ToolWear, type: Reall"), "step: 4", "step: 41"))
    code, out, err = run(capsys, "check", str(file))
    assert (code, out) == (2, "")
    assert [line.split(": ")[1] for line in err.splitlines()] == [f"{UP}.15.step", f"{UP}.17.type"]
    assert err.splitlines()[1].startswith(f"{file}:33:")


def test_check_of_a_wrong_map_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, "check", str(tmp_path / "none.yaml"), "--json")
    assert (code, err) == (2, "")
    assert json.loads(out) == {"ok": False, "errors": [f"{tmp_path}/none.yaml: there is no such file"]}


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "schema")
    assert code == 0
    assert json.loads(out)["title"] == "MapFile"
