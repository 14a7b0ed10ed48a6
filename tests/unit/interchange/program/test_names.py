"""Names of a map in the exported files: every one that the program uses itself, words of the language, capitals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.core.errors import ConfigError
from gateway.interchange.program.dialect import RESERVED, declared
from gateway.interchange.program.gate import gate_source
from gateway.interchange.program.iec import iec_sources
from gateway.interchange.program.tia import tia_sources
from gateway.plc.maps import LoadedMap, load_map
from tests.unit.interchange.program import scl
from tests.unit.interchange.program.st_parser import KEYWORDS, StError
from tests.unit.interchange.program.twin import MAPS, machine

MODBUS = (MAPS / "demo_modbus.yaml").read_text()
S7 = (MAPS / "demo_s7.yaml").read_text()
PARAM = "type: Real, role: param, unit: C, range: [0, 9], step: 1, rate_per_min: 6"
OWN = sorted(declared(gate_source(load_map(MAPS / "demo_modbus.yaml"))) - {"Set_MoldTemp", "Out_MoldTemp"})


def load(tmp_path: Path, text: str) -> tuple[Path, LoadedMap]:
    file = tmp_path / "m.yaml"
    file.write_text(text)
    return file, load_map(file)


def with_tag(text: str, line: str) -> str:
    return re.sub(r"^( +)- (\{name: ToolWear.*)$", rf"\1- {line}\n\1- \2", text, count=1, flags=re.MULTILINE)


def refused(tmp_path: Path, text: str) -> str:
    file, loaded = load(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        (tia_sources if loaded.plc.driver == "s7" else iec_sources)(file, loaded)
    return str(caught.value)


def test_the_block_has_names_of_its_own() -> None:
    assert {"Encoder", "Mode", "Count", "Parts", "Value", "First"} <= set(OWN)
    assert [name for name in OWN if name.startswith(("Set_", "Out_"))] == []


def test_every_name_that_the_block_declares_may_be_a_parameters(tmp_path: Path) -> None:
    """But for what the handshake's own tags are called; in small letters, and as they stand. The parser refuses doubles."""
    text = MODBUS.replace("MoldTemp", "Mold")
    taken = {name.upper() for name in re.findall(r"name: (\w+)", text)}
    wanted = [name for name in OWN if name.upper() not in taken]
    assert len(wanted) > 100
    for at in range(0, len(wanted), 10):
        names = [n.lower() if i % 2 else n for i, n in enumerate(wanted[at : at + 10])]
        for source, sources in ((MODBUS, iec_sources), (S7, tia_sources)):
            changed = source
            for name in names:
                changed = with_tag(changed, f"{{name: {name}, {PARAM}}}")
            file, loaded = load(tmp_path, changed)
            texts = sources(file, loaded)
            if source is MODBUS:
                machine(texts).instance("PRG_Vision")
                continue
            blocks, types = ([n[: -len(e)] for n in texts if n.endswith(e)] for e in (".db", ".udt"))
            assert scl.faults(texts["FB_VisionGate.scl"], blocks=blocks, types=types) == []


@pytest.mark.parametrize("name", ["If", "word", "END_IF", "Step", "ROL", "Two__", "A__b", "_x", "Ends_"])
def test_what_is_no_name_in_st_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    text = with_tag(MODBUS, f"{{name: {name}, {PARAM}}}")
    said = refused(tmp_path, text)
    line = next(n for n, each in enumerate(text.splitlines(), 1) if f"name: {name}," in each)
    assert f"m.yaml:{line}:" in said and f"blocks.0.tags.17.name: {name} is" in said and "choose another" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: DB_VisionUp", "name: GATE", "GATE is the exported program's name already"),
        ("name: DB_VisionUp", "name: St_DB_VisionDown", "DB_VisionDown is block St_DB_VisionDown's in the exported program"),
        ("  Token: [", "  slot: [{name: A, type: Int}]\n  Token: [", "slot is a variable's in FB_VisionGate name already"),
        ("  Token: [", "  visionpart: [{name: A, type: Int}]\n  Token: [", "visionpart is the exported program's name"),
        ("  Token: [", "  If: [{name: A, type: Int}]\n  Token: [", "If is a word of ST"),
        ("  Token: [", "  Own: [{name: Do, type: Int}]\n  Token: [", "types.Own.0.name: Do is a word of ST"),
    ],
)
def test_blocks_and_types_that_meet_the_programs_names_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = MODBUS.replace(old, new)
    if kind := re.search(r"  (\w+): \[\{name: \w+, type: Int\}\]", new):
        text = with_tag(text, f"{{name: Station, type: {kind[1]}}}")
    assert said in refused(tmp_path, text)


def test_the_same_for_tia(tmp_path: Path) -> None:
    own = "  visionpart: [{name: A, type: Int}]\n  Token: ["
    text = with_tag(S7.replace("  Token: [", own), "{name: Station, type: visionpart}")
    assert "visionpart is the exported program's name already" in refused(tmp_path, text)
    text = with_tag(with_tag(S7, "{name: B, type: Bool}"), "{name: reserve_176, type: Word}")
    gap = re.sub(r"name: B, type: Bool", "name: B, type: Int, at: 180", text)
    assert "is the name of a gap" in refused(
        tmp_path, re.sub("name: reserve_176, type: Word", "name: Reserve_176, type: Word, at: 190", gap)
    )


def test_names_of_gaps_are_refused_in_all_data_blocks_at_once_with_the_others(tmp_path: Path) -> None:
    text = with_tag(
        S7.replace("  Token: [", "  visionpart: [{name: A, type: Int}]\n  Token: ["), "{name: Odd, type: visionpart}"
    )
    for db in (300, 301):
        tags = f"{{name: First{db}, type: Int}}, {{name: Reserve_2, type: Int, at: 10}}"
        text = text.rstrip() + f"\n  - {{db: {db}, name: DB_{db}, dir: plc->gw, tags: [{tags}]}}\n"
    text = text.replace("Reserve_2", "Reserve_4", 1).replace("First300, type: Int", "First300, type: Real")
    said = refused(tmp_path, text)
    assert "visionpart is the exported program's name already" in said
    assert "Reserve_4 is the name of a gap" in said
    assert "Reserve_2 is the name of a gap" in said


def test_a_parameter_named_like_a_word_is_quoted_in_scl(tmp_path: Path) -> None:
    file, loaded = load(tmp_path, with_tag(S7, f"{{name: END_IF, {PARAM}}}"))
    texts = tia_sources(file, loaded)
    block = texts["FB_VisionGate.scl"]
    assert '"DB_VisionUp"."END_IF" := #Set_END_IF;' in block
    blocks, types = ([n[: -len(e)] for n in texts if n.endswith(e)] for e in (".db", ".udt"))
    assert scl.faults(block, blocks=blocks, types=types) == []
    assert scl.faults(block.replace('."END_IF"', ".END_IF"), blocks=blocks, types=types)


def test_the_exporter_refuses_every_keyword_of_the_tests_list() -> None:
    """Standard functions and blocks of a library are names as others are: a structure's member may have them."""
    library = set(
        "CONCAT CTD CTU CTUD DELETE F_TRIG FIND INSERT LEFT LEN MID R_TRIG REPLACE RIGHT RS SR TOF TON TP END_PROPERTY".split()
    )
    assert KEYWORDS - library <= RESERVED


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("VisionRegisters.st", "    Packed : WORD;", "    Word : WORD;"),
        ("VisionRegisters.st", "    Packed : WORD;", "    DATA : WORD;"),
        ("FB_VisionGate.st", "    Slot : INT;", "    slot : INT;\n    SLOT : INT;"),
        ("FB_VisionGate.st", "    Slot : INT;", "    Slot : INT;\n    token : INT;"),
        ("VisionTypes.st", "    Verdict : WORD;", "    Verdict : WORD;\n    VERDICT : WORD;"),
        ("VisionTypes.st", "TYPE Token :", "TYPE Step :"),
        ("GVL_Vision.st", "    Gate : FB", "    Type : FB"),
    ],
)
def test_the_parser_refuses_such_names(tmp_path: Path, file: str, old: str, new: str) -> None:
    texts = iec_sources(*load(tmp_path, MODBUS))
    assert old in texts[file]
    with pytest.raises(StError, match="is no name in ST|declared twice"):
        machine(texts | {file: texts[file].replace(old, new, 1)})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("DWORD_TO_DINT(UDINT_TO_DWORD(Counts)) >= Distance", "UDINT_TO_DINT(Counts) >= Distance"),
        ("Elapsed <= WATCHDOG_MS", "NowMs - LastBeatMs <= WATCHDOG_MS"),
    ],
)
def test_the_interpreter_lets_no_difference_wrap_unassigned(tmp_path: Path, old: str, new: str) -> None:
    texts = iec_sources(*load(tmp_path, MODBUS))
    assert old in texts["FB_VisionGate.st"]
    program = machine(texts | {"FB_VisionGate.st": texts["FB_VisionGate.st"].replace(old, new)})
    gate = program.instance("FB_VisionGate")
    data = {"Up": program.new("ST_DB_VisionUp"), "Down": program.new("ST_DB_VisionDown")}
    gate.call(**data, NowMs=400, Encoder=5, CameraToGate=100, GateWindow=10)
    gate.Epoch = 1
    gate.LastBeatMs = 0xFFFFFF00
    with pytest.raises(StError, match="is no (UDINT|DINT)"):
        gate.call(**data, NowMs=410, Encoder=2)
