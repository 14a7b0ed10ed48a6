"""docs/plc-wiring.md against the function block's declarations and the handshake's codes: nothing missing, nothing invented."""

from __future__ import annotations

import re
from enum import IntEnum, IntFlag
from pathlib import Path

import pytest

from gateway.core.handshake import AdjustResult, Control, ErrorCode, OfflineReason, Outcome, Status1, Status2
from gateway.core.plc_command import Command
from tests.unit.interchange.program.st_parser import Unit
from tests.unit.interchange.program.twin import machine, sources

PAGE = (Path(__file__).resolve().parents[4] / "docs/plc-wiring.md").read_text()


def table(first: str) -> dict[str, list[list[str]]]:
    """Return the columns of the table whose head begins so: name → (first cell, cell) of every row."""
    lines = PAGE.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line[1:-1].split("|")])
    head, body = rows[0], rows[2:]
    assert all(len(row) == len(head) for row in body)
    return {name: [[row[0], row[n]] for row in body] for n, name in enumerate(head)}


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Unit:
    """The block for the classic exchange, which has everything of the ring's."""
    return machine(sources(tmp_path_factory.mktemp("maps"), "ack")).library.units["FB_VisionGate"]


@pytest.mark.parametrize(("first", "section"), [("input", "VAR_INPUT"), ("output", "VAR_OUTPUT")])
def test_every_input_and_output_is_explained(unit: Unit, first: str, section: str) -> None:
    declared = [v.name for v in unit.variables if v.section == section and not v.name.startswith("Out_")]
    told = [name.strip("`") for name, _ in table(first)[first]]
    assert [name for name in told if name != "Out_…"] == declared


def test_start_values_that_the_page_names(unit: Unit) -> None:
    start = {v.name: v.init[1] for v in unit.variables if v.section == "VAR_INPUT" and v.init is not None}
    told = {name.strip("`"): text for name, text in table("input")["wire it to"]}
    for name in ("BypassMaxMs", "BypassMaxParts", "ScanMs", "LinkCycleMs"):
        assert re.search(rf"\b{start[name]}\b", told[name]), name
    assert start["ModelUnverifiedReaction"] == 1 and start["Arm"] is True and "Mode" not in start


def test_stop_reasons(unit: Unit) -> None:
    codes = [v.init[1] for v in unit.variables if v.name.startswith("STOP_")]
    told = dict(table("output")["meaning, and where it goes"])["`StopReason`"]
    assert [0, *map(int, re.findall(r"[:,] (\d+) ", told))] == codes


@pytest.mark.parametrize("flags", [Control, Status1, Status2])
def test_bits(flags: type[IntFlag]) -> None:
    told = {name: 1 << int(bit) for bit, name in table("bit")[flags.__name__] if name and not name.startswith("(")}
    assert told == {f.name: f.value for f in flags}


@pytest.mark.parametrize(
    ("column", "codes"),
    [("Outcome", Outcome), ("AdjustResult", AdjustResult), ("offline reason", OfflineReason), ("ErrorCode", ErrorCode)],
)
def test_codes(column: str, codes: type[IntEnum]) -> None:
    assert {name: int(code) for code, name in table("code")[column] if name} == {c.name: c.value for c in codes}


def test_commands() -> None:
    assert {name: int(number) for number, name in table("CommandNo")["name"]} == {c.name: c.value for c in Command}
    names = dict(table("CommandNo")["name"])
    assert [names[number] for number, arg in table("CommandNo")["CommandArg"] if arg != "0"] == ["SET_RECIPE"]


def test_what_the_function_block_calls_its_codes_is_what_the_handshake_calls_them(unit: Unit) -> None:
    constants = {v.name: v.init[1] for v in unit.variables if v.section == "VAR CONSTANT"}
    assert sorted(v for n, v in constants.items() if n.startswith("OUTCOME_")) == sorted(Outcome)
    assert sorted(v for n, v in constants.items() if n.startswith("ADJUST_")) == sorted(AdjustResult)[1:]


def test_the_example_calls_name_inputs_and_outputs_that_exist(unit: Unit) -> None:
    sections = {v.name: v.section for v in unit.variables}
    calls = re.findall(r'(?:"VisionGate_DB"|GVL_Vision\.Gate)\((NowMs.*?)\);', PAGE, re.DOTALL)
    assert len(calls) == 2
    for call in calls:
        for name, arrow in re.findall(r"(\w+) (:=|=>)", call):
            assert sections[name] in (("VAR_INPUT", "VAR_IN_OUT") if arrow == ":=" else ("VAR_OUTPUT",)), name
