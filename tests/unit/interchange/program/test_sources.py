"""The exported files as a PLC's tools read them: ST by an independent parser, SCL by its rules, blocks by their offsets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from blark.parse import new_parser

from gateway.core.errors import ConfigError
from gateway.interchange.program.iec import iec_sources, write_iec
from gateway.interchange.program.tia import tia_sources, write_tia
from gateway.plc.maps import LoadedMap, load_map
from tests.unit.interchange.program import scl
from tests.unit.interchange.program.st_machine import Machine
from tests.unit.interchange.program.twin import MAPS, TAGS, loaded_map, map_text, sources

S7_TAGS = """\
      - {name: Small, type: Byte, role: process}
      - {name: Flag, type: Bool, role: process}
      - {name: If, type: Bool, role: process, description: a word of the language}
      - {name: PressForce, type: Real, role: param, unit: kN, range: [80, 120], step: 4, rate_per_min: 6}
      - {name: Serial, type: "String[11]", role: process}
      - {name: Made, type: DTL, role: process}
      - {name: Later, type: Bool, at: 216, role: process}
"""


@pytest.fixture(scope="module")
def parser() -> object:
    return new_parser(["iec_source"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps")


def s7_map(folder: Path) -> LoadedMap:
    lines = (MAPS / "demo_s7.yaml").read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if "PressForce" in line)
    file = folder / "s7.yaml"
    file.write_text("".join(lines[:at]) + S7_TAGS + "".join(lines[at + 3 :]))
    return load_map(file)


def test_types_globals_program_and_declarations_are_read_by_an_independent_parser(folder: Path, parser: object) -> None:
    texts = sources(folder, "ack", "DCBA")
    for text in (texts["VisionTypes.st"], texts["GVL_Vision.st"], texts["PRG_Vision.st"], pieces(texts["FB_VisionGate.st"])[0]):
        assert parser.parse(text) is not None  # type: ignore[attr-defined]


@pytest.mark.peer
def test_the_st_is_read_by_an_independent_parser(folder: Path, parser: object) -> None:
    """One map, in pieces, for the parser is slow: the classic exchange has everything of the ring, DCBA every conversion."""
    for text in sources(folder, "ack", "DCBA").values():
        for piece in pieces(text):
            assert parser.parse(piece) is not None  # type: ignore[attr-defined]


def pieces(text: str) -> list[str]:
    """Return a file as units that can be read alone: a function block's declarations, and its statements some at a time.

    Of the register copies, which are one line a value, the first hundred lines stand for all.
    """
    if not text.startswith(("FUNCTION_BLOCK", "(* FB_")):
        return [text]
    found = []
    for unit in re.findall(r"^FUNCTION_BLOCK \w+$.*?^END_FUNCTION_BLOCK$", text, re.MULTILINE | re.DOTALL):
        end = unit.rindex("END_VAR") + len("END_VAR")
        found.append(unit[:end] + "\nEND_FUNCTION_BLOCK\n")
        body = unit[end : -len("END_FUNCTION_BLOCK")]
        lines = body.splitlines()
        regions = re.split(r"^    \(\* ===== .* ===== \*\)$", body, flags=re.MULTILINE)
        parts = regions if len(regions) > 1 else ["\n".join(lines[n : n + 20]) for n in range(0, min(len(lines), 100), 20)]
        found += [f"FUNCTION_BLOCK Piece\n{part}\nEND_FUNCTION_BLOCK\n" for part in parts if part.strip()]
    return found


@pytest.mark.parametrize("handshake", ["ring", "ack"])
def test_the_scl_is_the_same_program(folder: Path, handshake: str) -> None:
    """Brought back to ST by the rules of the dialect it is, word for word, the ST that the independent parser has read."""
    file = folder / f"s7_{handshake}.yaml"
    file.write_text((MAPS / "demo_s7.yaml").read_text().replace("handshake: ring", f"handshake: {handshake}"))
    loaded = load_map(file)
    text = tia_sources(file, loaded)["FB_VisionGate.scl"]
    back = scl.to_st(text, up=loaded.map.up.name, down=loaded.map.down.name)
    modbus = folder / f"same_{handshake}.yaml"
    plc = "plc: {name: press, driver: modbus, host: 127.0.0.1, port: 502, unit: 1}"
    modbus.write_text(
        re.sub(r"plc: \{.*\}", plc, file.read_text())
        .replace("db: 100", "area: HR\n    at: 0")
        .replace("db: 101", "area: HR\n    at: 200")
    )
    st = iec_sources(modbus, load_map(modbus))["FB_VisionGate.st"]
    assert scl.words(back) == scl.words(scl.without_in_out(st))


@pytest.mark.parametrize("handshake", ["ring", "ack"])
def test_the_scl_keeps_the_rules_of_tia(folder: Path, handshake: str) -> None:
    file = folder / f"s7_{handshake}_rules.yaml"
    file.write_text((MAPS / "demo_s7.yaml").read_text().replace("handshake: ring", f"handshake: {handshake}"))
    texts = tia_sources(file, load_map(file))
    assert (
        scl.faults(
            texts["FB_VisionGate.scl"],
            blocks=[n[:-3] for n in texts if n.endswith(".db")],
            types=[n[:-4] for n in texts if n.endswith(".udt")],
        )
        == []
    )


FAULTS = {
    "undeclared": ("#Slot := ", "#Slott := "),
    "no hash": ("    #Window := ", "    Window := "),
    "unknown block": ('"DB_VisionDown".Status1', '"DB_VisionDwon".Status1'),
    "temp read first": ("    #Window := DWORD_TO_DINT(UDINT_TO_DWORD(#GateWindow));\n", ""),
    "input assigned": ("    #Key := #Mode;", "    #Mode := #Mode;"),
    "constant assigned": ("#LatchedStop := #STOP_NONE;", "#STOP_NONE := #STOP_NONE;"),
    "not closed": ("END_REGION", "", ),
    "gateway's block written": ("    #Nonce := ", '    "DB_VisionDown".ClaimNonce := #Nonce;\n    #Nonce := '),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_a_breach_of_those_rules_is_found(folder: Path, what: str) -> None:
    file = MAPS / "demo_s7.yaml"
    texts = tia_sources(file, load_map(file))
    old, new = FAULTS[what]
    broken = texts["FB_VisionGate.scl"].replace(old, new, 1)
    assert broken != texts["FB_VisionGate.scl"]
    assert scl.faults(broken, blocks=["DB_VisionUp", "DB_VisionDown"], types=[n[:-4] for n in texts if n.endswith(".udt")])


def test_a_data_block_lies_as_the_map_says(folder: Path) -> None:
    """Laid out by the S7 rules from the text alone, reserves included, each member is where the gateway looks for it."""
    loaded = s7_map(folder)
    texts = tia_sources(Path("x"), loaded)
    udts = {n[:-4]: scl.members(t) for n, t in texts.items() if n.endswith(".udt")}
    for block in loaded.map.blocks:
        text = texts[f"{block.name}.db"]
        assert "S7_Optimized_Access := 'FALSE'" in text and "\nNON_RETAIN\n" in text
        places = scl.layout(scl.members(text), udts)
        comments = {m[0].strip('"'): m[1] for m in re.findall(r'^\s+("?\w+"?) : .*?;  // (\d+\.\d)', text, re.MULTILINE)}
        for tag in block.tags:
            assert places[tag.name] == (tag.offset, tag.bit), tag.name
            assert comments[tag.name] == f"{tag.offset}.{tag.bit}"
    assert '"If" : Bool' in texts["DB_VisionUp.db"]
    assert f"InterfaceChecksum := 16#{loaded.checksum:08X};" in texts["DB_VisionUp.db"]
    assert "SentinelReal := 123.456;" in texts["DB_VisionUp.db"] and "SentinelDWord := 16#12345678;" in texts["DB_VisionUp.db"]


def test_files_for_tia_have_a_bom_and_crlf(tmp_path: Path) -> None:
    written = write_tia(MAPS / "demo_s7.yaml", load_map(MAPS / "demo_s7.yaml"), tmp_path / "out")
    assert {p.suffix for p in written} == {".udt", ".db", ".scl"}
    for path in written:
        data = path.read_bytes()
        assert data.startswith(b"\xef\xbb\xbf") and b"\r\n" in data and b"\n" not in data.replace(b"\r\n", b"")


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
def test_register_copies_follow_the_word_order(folder: Path, order: str) -> None:
    """What the gateway's codec reads in the registers is what stands in the structure."""
    from gateway.core.codec import BlockCodec

    loaded = loaded_map(folder, "ring", order)
    texts = sources(folder, "ring", order)
    program = Machine(texts["VisionTypes.st"], texts["VisionRegisters.st"])
    data = program.new("ST_DB_VisionUp")
    data.Guard, data.Big, data.MoldTemp, data.Feed, data.PartId = True, 1234.5678, 200.5, -12345, 0x89ABCDEF
    words = program.new(("array", 0, loaded.map.up.size // 2 - 1, "WORD"))
    program.instance("FB_Write_DB_VisionUp").call(Registers=words, Data=data)
    read = BlockCodec(loaded.map.up, loaded.map.order).decode(b"".join(w.to_bytes(2, "big") for w in words))
    assert (read["Guard"], read["Big"], read["MoldTemp"], read["PartId"]) == (True, 1234.5678, 200.5, 0x89ABCDEF)


def test_a_map_for_another_plc_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="plc.driver s7.*--to codesys"):
        write_tia(MAPS / "demo_modbus.yaml", load_map(MAPS / "demo_modbus.yaml"), tmp_path)
    with pytest.raises(ConfigError, match="plc.driver modbus.*--to tia"):
        write_iec(MAPS / "demo_s7.yaml", load_map(MAPS / "demo_s7.yaml"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_types_without_a_register_copy_are_all_named(tmp_path: Path) -> None:
    text = map_text().replace(TAGS, TAGS + '      - {name: Serial, type: "String[10]"}\n      - {name: If, type: Int}\n')
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        iec_sources(tmp_path / "m.yaml", load_map(tmp_path / "m.yaml"))
    assert "m.yaml:37:16: blocks.0.tags.19.name: Serial: String[10]" in str(caught.value)
    assert "m.yaml:38:16: blocks.0.tags.20.name: If is a word of ST" in str(caught.value)
