"""The PLC's side as IEC 61131-3 ST for CODESYS, TwinCAT and their kin: types, globals, register copies, blocks.

The data stand in arrays of registers, which a Modbus TCP slave serves, and in structures, with which one programs; a copy at
the beginning and at the end of the task joins the two. It knows the files' form; what is in the function block is ``gate``'s
affair.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gateway.core.errors import ConfigError
from gateway.core.tags import Block, Field, ModbusAddress, Tag, TagMap
from gateway.interchange.program.dialect import ST_TYPES, declared, print_st
from gateway.interchange.program.gate import VISION_PART, gate_source
from gateway.interchange.program.members import comment_of, udts_of
from gateway.interchange.program.names import refuse, st_names
from gateway.interchange.program.registers import COPIED, is_bit_area, reads, size_in_registers, writes
from gateway.plc.maps import LoadedMap


def write_iec(file: Path, loaded: LoadedMap, folder: Path) -> list[Path]:
    """Write the sources into ``folder``; return them. ConfigError for an S7 map, and for types without a register copy."""
    texts = iec_sources(file, loaded)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in texts.items():
        path = folder / name
        path.write_text(text, encoding="utf-8", newline="\r\n")
        written.append(path)
    return written


def iec_sources(file: Path, loaded: LoadedMap) -> dict[str, str]:
    """Return file name → text, its lines ended by line feeds. ConfigError names every tag that has no place in ST."""
    tag_map = loaded.map
    _check(file, loaded)
    words = {
        "UP_BLOCK": struct_name(tag_map.up),
        "DOWN_BLOCK": struct_name(tag_map.down),
        "TOKEN_TYPE": tag_map.roles["ring.token"].datatype,
    }
    return {
        "VisionTypes.st": _types(tag_map),
        "GVL_Vision.st": _globals(tag_map),
        "VisionRegisters.st": "\n".join(_copy(b, tag_map) for b in tag_map.blocks),
        "FB_VisionGate.st": print_st(gate_source(loaded), words),
        "PRG_Vision.st": _program(tag_map),
    }


def struct_name(block: Block) -> str:
    """Return the name of the structure for a block."""
    return f"ST_{block.name}"


def _check(file: Path, loaded: LoadedMap) -> None:
    for block in loaded.map.blocks:
        if not isinstance(block.base, ModbusAddress):
            message = f"block {block.name}: ST is written for a Modbus PLC (plc.driver modbus); for an S7 PLC export --to tia"
            raise ConfigError(f"{file}: {message}")
    wrong = list(st_names(loaded.map, declared(gate_source(loaded))))
    for tag in (tag for block in loaded.map.blocks for tag in block.tags):
        kinds = sorted({leaf.datatype for leaf in tag.leaves()} - COPIED)
        if kinds:
            wrong.append(
                (("tag", tag.name), f"{tag.name}: {', '.join(kinds)} has no register copy in ST; use numbers and Bool")
            )
    refuse(file, wrong)


def _st_type(item: Tag | Field) -> str:
    kind = ST_TYPES.get(item.datatype, item.datatype)
    return f"ARRAY[{item.low}..{item.low + item.count - 1}] OF {kind}" if item.count else kind


def _struct(name: str, members: Iterable[tuple[str, str, str]], kind: str = "STRUCT") -> str:
    lines = [f"TYPE {name} :", kind]
    lines += [f"    {member} : {datatype};{f'  (* {comment} *)' if comment else ''}" for member, datatype, comment in members]
    return "\n".join([*lines, f"END_{kind}", "END_TYPE", ""])


def _types(tag_map: TagMap) -> str:
    udts = udts_of(tag_map.blocks)
    texts = [_struct(name, [(f.name, _st_type(f), "") for f in fields]) for name, fields in udts.items()]
    texts.append(_struct("VisionPart", [(n, ST_TYPES[t], c) for n, t, c in VISION_PART]))
    for block in tag_map.blocks:
        texts.append(_struct(struct_name(block), [(t.name, _st_type(t), comment_of(t)) for t in block.tags]))
    texts.append(_struct("VisionReal", [("Value", "REAL", ""), ("Bits", "DWORD", "")], "UNION"))
    texts.append(_struct("VisionLongReal", [("Value", "LREAL", ""), ("Bits", "LWORD", "")], "UNION"))
    return "\n".join(texts)


def _registers_type(block: Block) -> str:
    return f"ARRAY[0..{size_in_registers(block) - 1}] OF {'BOOL' if is_bit_area(block) else 'WORD'}"


def _where(block: Block) -> str:
    base = block.base
    if not isinstance(base, ModbusAddress):
        return ""
    access = "written by the gateway" if block.direction == "gw->plc" else "read by the gateway"
    return f"{base.area}:{base.register} to {base.area}:{base.register + size_in_registers(block) - 1}, {access}"


def _globals(tag_map: TagMap) -> str:
    lines = [
        "(* Global variable list GVL_Vision. Map each array of registers to the Modbus TCP slave at the addresses given. *)",
        "{attribute 'qualified_only'}",
        "VAR_GLOBAL",
    ]
    for block in tag_map.blocks:
        lines.append(f"    {block.name}_Registers : {_registers_type(block)};  (* {_where(block)} *)")
        lines.append(f"    {block.name} : {struct_name(block)};")
    return "\n".join([*lines, "    Gate : FB_VisionGate;", "END_VAR", ""])


def _copy(block: Block, tag_map: TagMap) -> str:
    down = block.direction == "gw->plc"
    name = copy_name(block)
    statements = reads(block, "Data", tag_map.order) if down else writes(block, "Data", tag_map.order)
    lines = [
        f"FUNCTION_BLOCK {name}",
        "VAR_IN_OUT",
        f"    Registers : {_registers_type(block)};  (* {_where(block)} *)",
        f"    Data : {struct_name(block)};",
        "END_VAR",
        "VAR",
        "    RealBits : VisionReal;",
        "    LongRealBits : VisionLongReal;",
        "END_VAR",
        "VAR_TEMP",
        "    Packed : WORD;",
        "END_VAR",
    ]
    return "\n".join([*lines, *statements, "END_FUNCTION_BLOCK", ""])


def copy_name(block: Block) -> str:
    """Return the name of the function block that copies a block's registers."""
    return f"FB_{'Read' if block.direction == 'gw->plc' else 'Write'}_{block.name}"


def _program(tag_map: TagMap) -> str:
    up, down = tag_map.up.name, tag_map.down.name
    lines = [
        "(* Call it in a cyclic task, once a cycle. The inputs are examples: put your own signals there. *)",
        "PROGRAM PRG_Vision",
    ]
    lines += ["VAR", *(f"    Copy_{b.name} : {copy_name(b)};" for b in tag_map.blocks), "END_VAR"]
    lines.append(f"Copy_{down}(Registers := GVL_Vision.{down}_Registers, Data := GVL_Vision.{down});")
    lines += [
        "(* Measured values: write them into the structures here. *)",
        "(* Inputs and settings of GVL_Vision.Gate: assign them here, see its declaration. *)",
        f"GVL_Vision.Gate(Up := GVL_Vision.{up}, Down := GVL_Vision.{down});",
        "(* Outputs: GVL_Vision.Gate.GateOpen, .RecheckGate, .StopLine. *)",
    ]
    for b in tag_map.blocks:
        if b.direction != "gw->plc":
            lines.append(f"Copy_{b.name}(Registers := GVL_Vision.{b.name}_Registers, Data := GVL_Vision.{b.name});")
    return "\n".join([*lines, "END_PROGRAM", ""])
