"""The PLC's side for TIA Portal: ``.udt`` and ``.db`` files and the SCL of the function block, from a checked map.

External sources as TIA Portal imports them: UTF-8 with BOM, CRLF. It knows the files' form; what is in the function block is
``gate``'s affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gateway.core.errors import ConfigError
from gateway.core.tags import Block, S7Address
from gateway.interchange.program.dialect import print_scl
from gateway.interchange.program.gate import VISION_PART, gate_source, real
from gateway.interchange.program.members import Member, members_of, quoted, tia_type, type_text, udts_of
from gateway.interchange.program.names import Complaint, refuse, tia_names
from gateway.plc.maps import LoadedMap

SENTINEL_REAL = 123.456
SENTINEL_DWORD = 0x12345678


def write_tia(file: Path, loaded: LoadedMap, folder: Path) -> list[Path]:
    """Write the sources into ``folder``; return them in the order in which they are imported. ConfigError for a Modbus map."""
    texts = tia_sources(file, loaded)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in texts.items():
        path = folder / name
        path.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
        written.append(path)
    return written


def tia_sources(file: Path, loaded: LoadedMap) -> dict[str, str]:
    """Return file name → text, its lines ended by line feeds, in the order of import. ConfigError for a Modbus map."""
    tag_map = loaded.map
    by_db: dict[int, list[tuple[int, Block]]] = {}
    for block in tag_map.blocks:
        if not isinstance(block.base, S7Address):
            message = "a TIA data block needs a map with plc.driver s7; for a Modbus PLC export --to codesys"
            raise ConfigError(f"{file}: {message}")
        by_db.setdefault(block.base.db, []).append((block.base.byte, block))
    layouts = {db: members_of([b for _, b in placed], [start for start, _ in placed]) for db, placed in by_db.items()}
    twice = tia_names(tag_map, [placed[0][1].name for placed in by_db.values()])
    refuse(file, (*twice, *(said for members in layouts.values() for said in _reserves(members))))
    udts = udts_of(tag_map.blocks)
    texts = {f"{name}.udt": _udt(name, [(f.name, type_text(f), "") for f in fields], udts) for name, fields in udts.items()}
    texts["VisionPart.udt"] = _udt("VisionPart", VISION_PART, udts)
    names = {block.name: placed[0][1].name for placed in by_db.values() for _, block in placed}
    for db, placed in by_db.items():
        texts[f"{placed[0][1].name}.db"] = _data_block(db, placed[0][1].name, layouts[db], loaded, udts)
    words = {"Up": names[tag_map.up.name], "Down": names[tag_map.down.name]}
    words["TOKEN_TYPE"] = tag_map.roles["ring.token"].datatype
    texts["FB_VisionGate.scl"] = print_scl(gate_source(loaded), words)
    return texts


def _reserves(members: Sequence[Member]) -> Iterator[Complaint]:
    """Yield tags that are named like a reserve of their block."""
    reserves = {m.name.upper() for m in members if m.is_reserve}
    for m in members:
        if not m.is_reserve and m.name.upper() in reserves:
            yield ("tag", m.name), f"{m.name} is the name of a gap in the exported data block; choose another"


def _udt(name: str, members: Sequence[tuple[str, str, str]], udts: Mapping[str, object]) -> str:
    lines = [f'TYPE "{name}"', "VERSION : 0.1", "   STRUCT"]
    for member, datatype, comment in members:
        lines.append(f"      {quoted(member)} : {tia_type(datatype, udts)};{f'  // {comment}' if comment else ''}")
    return "\n".join([*lines, "   END_STRUCT;", "", "END_TYPE", ""])


def _data_block(db: int, name: str, members: Sequence[Member], loaded: LoadedMap, udts: Mapping[str, object]) -> str:
    """Return a data block without optimised access, whose memory is not retentive; offsets stand as comments."""
    lines = [
        f"// Give this block the number {db} (Properties, Number: manual): the gateway reads DB{db}.",
        f'DATA_BLOCK "{name}"',
        "{ S7_Optimized_Access := 'FALSE' }",
        "VERSION : 0.1",
        "NON_RETAIN",
        "   STRUCT",
    ]
    for m in members:
        comment = f"  // {m.bit // 8}.{m.bit % 8}{f'  {m.comment}' if m.comment else ''}"
        lines.append(f"      {quoted(m.name)} : {tia_type(m.type, udts)};{comment}")
    lines += ["   END_STRUCT;", "", "", "BEGIN"]
    start = {
        loaded.map.roles["interface.checksum"].name: f"16#{loaded.checksum:08X}",
        loaded.map.roles["sentinel.real"].name: real(SENTINEL_REAL),
        loaded.map.roles["sentinel.dword"].name: f"16#{SENTINEL_DWORD:08X}",
    }
    lines += [f"   {quoted(m.name)} := {start[m.name]};" for m in members if m.name in start]
    return "\n".join([*lines, "", "END_DATA_BLOCK", ""])
