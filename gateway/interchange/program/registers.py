"""The copies between a Modbus slave's registers and typed structures, as ST; word order and addresses are those of the map.

Stands apart because only here a value meets two registers. A copy is written out, one value a line, so that whoever wires the
PLC sees which register holds what. It knows orders and types; it does not know the handshake.
"""

from __future__ import annotations

from gateway.core.tags import Block, Leaf, ModbusAddress, WordOrder, size_of

_UNSIGNED = {"Word": "WORD", "DWord": "DWORD", "LWord": "LWORD"}
_REALS = {"Real": ("DWORD", "RealBits"), "LReal": ("LWORD", "LongRealBits")}
_BITS = {1: "BYTE", 2: "WORD", 4: "DWORD", 8: "LWORD"}

#: Types that a register copy can carry.
COPIED = frozenset("Bool Byte Word DWord LWord SInt USInt Int UInt DInt UDInt LInt ULInt Real LReal".split())


def size_in_registers(block: Block) -> int:
    """Return how many registers, or bits of a bit area, the block takes."""
    return block.bits if is_bit_area(block) else block.size // 2


def is_bit_area(block: Block) -> bool:
    """Return whether the block lies in coils or discrete inputs."""
    return isinstance(block.base, ModbusAddress) and block.base.area in ("CO", "DI")


def reads(block: Block, struct: str, order: WordOrder) -> list[str]:
    """Return the statements that take every value of ``struct`` from ``Registers``."""
    lines: list[str] = []
    for leaf, leaf_order in _leaves(block, order):
        lines += _read(leaf, f"{struct}.{leaf.name}", leaf_order)
    return lines


def writes(block: Block, struct: str, order: WordOrder) -> list[str]:
    """Return the statements that put every value of ``struct`` into ``Registers``."""
    if is_bit_area(block):
        return [f"Registers[{8 * leaf.offset + leaf.bit}] := {struct}.{leaf.name};" for leaf, _ in _leaves(block, order)]
    lines: list[str] = []
    shared: dict[int, list[str]] = {}
    for leaf, leaf_order in _leaves(block, order):
        if size_of(leaf.datatype) > 1:
            lines += _write(leaf, f"{struct}.{leaf.name}", leaf_order)
            continue
        register, shift = _place(leaf, leaf_order)
        into = shared.setdefault(register, [])
        value = f"{struct}.{leaf.name}"
        if leaf.datatype == "Bool":
            into += [f"IF {value} THEN", f"    Packed := Packed OR 16#{1 << shift:04X};", "END_IF;"]
        else:
            byte = value if leaf.datatype == "Byte" else f"{leaf.datatype.upper()}_TO_BYTE({value})"
            word = f"BYTE_TO_WORD({byte})"
            into.append(f"Packed := Packed OR {f'SHL({word}, 8)' if shift else word};")
    for register, statements in shared.items():
        lines += ["Packed := 16#0000;", *statements, f"Registers[{register}] := Packed;"]
    return lines


def _leaves(block: Block, order: WordOrder) -> list[tuple[Leaf, WordOrder]]:
    return [(leaf, tag.order or order) for tag in block.tags for leaf in tag.leaves()]


def _place(leaf: Leaf, order: WordOrder) -> tuple[int, int]:
    """Return register and shift of a bit or of a single byte: the first byte of a register is its high one."""
    byte = leaf.offset ^ 1 if order in ("BADC", "DCBA") else leaf.offset
    return leaf.offset // 2, leaf.bit + (8 if byte % 2 == 0 else 0)


def _words(leaf: Leaf, order: WordOrder) -> list[str]:
    """Return the registers of a value, most significant word first."""
    first, count = leaf.offset // 2, size_of(leaf.datatype) // 2
    registers = [f"Registers[{first + i}]" for i in range(count)]
    return registers[::-1] if order in ("CDAB", "DCBA") else registers


def _swapped(word: str, order: WordOrder) -> str:
    return f"ROL({word}, 8)" if order in ("BADC", "DCBA") else word


def _read(leaf: Leaf, target: str, order: WordOrder) -> list[str]:
    size = size_of(leaf.datatype)
    if size <= 1:
        register, shift = _place(leaf, order)
        if leaf.datatype == "Bool":
            return [f"{target} := (Registers[{register}] AND 16#{1 << shift:04X}) <> 16#0000;"]
        word = f"SHR(Registers[{register}], 8)" if shift else f"Registers[{register}] AND 16#00FF"
        byte = f"WORD_TO_BYTE({word})"
        return [f"{target} := {byte if leaf.datatype == 'Byte' else f'BYTE_TO_{leaf.datatype.upper()}({byte})'};"]
    kind = _BITS[size]
    words = [_swapped(w, order) for w in _words(leaf, order)]
    if size > 2:
        shifts = range(16 * (len(words) - 1), -1, -16)
        parts = [f"WORD_TO_{kind}({w})" for w in words]
        bits = " OR ".join(f"SHL({p}, {n})" if n else p for p, n in zip(parts, shifts, strict=True))
    else:
        bits = words[0]
    if leaf.datatype in _REALS:
        _, union = _REALS[leaf.datatype]
        return [f"{union}.Bits := {bits};", f"{target} := {union}.Value;"]
    return [f"{target} := {bits if leaf.datatype in _UNSIGNED else f'{kind}_TO_{leaf.datatype.upper()}({bits})'};"]


def _write(leaf: Leaf, value: str, order: WordOrder) -> list[str]:
    size = size_of(leaf.datatype)
    kind = _BITS[size]
    lines = []
    if leaf.datatype in _REALS:
        _, union = _REALS[leaf.datatype]
        lines.append(f"{union}.Value := {value};")
        bits = f"{union}.Bits"
    else:
        bits = value if leaf.datatype in _UNSIGNED else f"{leaf.datatype.upper()}_TO_{kind}({value})"
    words = _words(leaf, order)
    for register, shift in zip(words, range(16 * (len(words) - 1), -1, -16), strict=True):
        part = bits if size == 2 else f"{kind}_TO_WORD({f'SHR({bits}, {shift})' if shift else bits} AND {_LOW[kind]})"
        lines.append(f"{register} := {_swapped(part, order)};")
    return lines


_LOW = {"DWORD": "16#0000FFFF", "LWORD": "16#000000000000FFFF"}
