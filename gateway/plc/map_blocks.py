"""From a map file's block and tag lines to blocks with addresses: bases, places, types. Says what cannot lie where.

What a tag means (roles, limits) is checked in ``map_rules``.
"""

from __future__ import annotations

from gateway.core.tags import Area, Block, ModbusAddress, S7Address, Scale, Tag
from gateway.plc.address import BIT_AREAS, MOST_REGISTER, classic_of, looks_classic, parse_modbus, parse_s7
from gateway.plc.layout import Cursor, Shape, Udt, element_type, layout_udt, parse_type
from gateway.plc.map_file import BlockLine, MapFile, TagLine
from gateway.plc.map_problems import Loc, Report

MOST_BYTES = 65536
SWAPPED = ("BADC", "DCBA")
"""Orders that swap the bytes of every register."""


class Blocks:
    """Lays out the blocks of one file."""

    def __init__(self, file: MapFile, report: Report) -> None:
        """Lay out the UDTs, then the blocks.

        ``blocks`` holds them in the order of the file, ``addressed`` the indices of those whose address is one, ``shapes``
        every tag's type.
        """
        self._file = file
        self._report = report
        self._broken: set[str] = set()
        self._types: dict[str, Udt] = {}
        for name in file.types:
            self._udt(name, ())
        self.shapes: dict[Loc, Shape] = {}
        self.addressed: list[int] = []
        self.blocks = [self._block(i, line) for i, line in enumerate(file.blocks)]

    def _udt(self, name: str, within: tuple[str, ...]) -> None:
        """Lay out a UDT, after those that it uses."""
        if name in self._types or name in self._broken:
            return
        members = self._file.types[name]
        used = [u for m in members if (u := element_type(m.type)) in self._file.types]
        try:
            if name in within:
                raise ValueError(f"{' > '.join((*within, name))}: a UDT cannot hold itself")
            if parse_type_known(name):
                raise ValueError(f"{name} is the name of an elementary type; choose another for the UDT")
            for other in used:
                self._udt(other, (*within, name))
            if self._broken.intersection(used):
                self._broken.add(name)
            elif name not in self._broken:
                self._types[name] = layout_udt([(m.name, m.type) for m in members], self._types)
        except ValueError as error:
            self._broken.add(name)
            self._report.say(("types", name), str(error))

    def _block(self, i: int, line: BlockLine) -> Block:
        at: Loc = ("blocks", i)
        before = len(self._report.problems)
        base = self._modbus_base(at, line) if self._file.plc.driver == "modbus" else self._s7_base(at, line)
        if len(self._report.problems) == before:
            self.addressed.append(i)
        bits_only = isinstance(base, ModbusAddress) and base.area in BIT_AREAS
        area, register = (base.area, base.register) if isinstance(base, ModbusAddress) else ("", 0)
        cursor = Cursor(bits_only=bits_only, area=area, register=register)
        tags = [t for j, tag in enumerate(line.tags) if (t := self._tag((*at, "tags", j), tag, base, cursor))]
        size = cursor.size
        if isinstance(base, ModbusAddress):
            end, last = base.register + (cursor.bits if bits_only else size // 2), MOST_REGISTER + 1
        else:
            end, last = base.byte + size, MOST_BYTES
        if end > last:
            what = "bit" if bits_only else "register" if isinstance(base, ModbusAddress) else "byte"
            self._report.say((*at, "at") if line.at is not None else at, f"the block ends beyond {what} {last - 1}")
        return Block(
            name=line.name,
            base=base,
            direction=line.dir,
            tags=tuple(tags),
            size=size,
            bits=cursor.bits if bits_only else 0,
            description=line.description,
        )

    def _modbus_base(self, at: Loc, line: BlockLine) -> ModbusAddress:
        where, area, number = line.at, line.area, 0
        if isinstance(where, int):
            number, where = where, classic_of(where)
        if line.db is not None:
            self._report.say((*at, "db"), "a Modbus block has no db; use area and at")
        if isinstance(where, str):
            try:
                place = parse_modbus(where)
            except ValueError as error:
                self._report.say((*at, "at"), str(error))
                return ModbusAddress(area=area or "HR", register=0)
            if area not in (None, place.area) or place.bit is not None:
                why = (
                    "a block begins with a whole register"
                    if place.bit is not None
                    else f"is in {place.area}, the area is {area}"
                )
                self._report.say((*at, "at"), f"{where}: {why}")
            return ModbusAddress(area=place.area, register=place.number)
        if area is None or line.at is None:
            self._report.say(at, "a Modbus block needs area (HR) and at (first register, 0-based)")
        elif number < 0:
            self._report.say((*at, "at"), "must be greater than or equal to 0")
        elif looks_classic(area, number):
            one_based = f"write '{number}' in quotes, or {int(str(number)[1:]) - 1}, for the 1-based address {number}"
            self._report.say(
                (*at, "at"), f"{number} can be meant in two ways: {one_based}; {area}:{number} for the 0-based one"
            )
        return ModbusAddress(area=area or "HR", register=max(0, number))

    def _s7_base(self, at: Loc, line: BlockLine) -> S7Address:
        db, byte = line.db, line.at
        if line.area is not None:
            self._report.say((*at, "area"), "an S7 block has no area; use db")
        if isinstance(byte, str):
            try:
                place = parse_s7(byte)
            except ValueError as error:
                self._report.say((*at, "at"), str(error))
                return S7Address(db=db or 1, byte=0)
            if db is not None and place.db not in (None, db):
                self._report.say((*at, "at"), f"{byte} is not in DB{db}")
            db, byte = db or place.db, place.byte
        if db is None:
            self._report.say(at, "an S7 block needs db (its number)")
        if byte is not None and (byte < 0 or byte % 2):
            self._report.say((*at, "at"), f"{byte}: a block begins on an even byte of its data block")
        return S7Address(db=db or 1, byte=max(0, byte or 0))

    def _tag(self, at: Loc, line: TagLine, base: S7Address | ModbusAddress, cursor: Cursor) -> Tag | None:
        try:
            shape = parse_type(line.type, self._types)
        except ValueError as error:
            if element_type(line.type) not in self._broken:  # what is wrong with it was said where it is defined
                self._report.say((*at, "type"), str(error))
            return None
        self.shapes[at] = shape
        try:
            byte, bit = self._place(line, shape, base)
            offset, bit, size = cursor.place(line.name, shape, byte, bit)
        except ValueError as error:
            self._report.say((*at, "at") if line.at is not None else at, f"{line.name}: {error}")
            return None
        return Tag(
            name=line.name,
            datatype=shape.base,
            offset=offset,
            bit=bit,
            count=shape.count,
            low=shape.low,
            fields=shape.fields,
            size=size,
            role=line.role,
            unit=line.unit,
            range=line.range,
            step=line.step,
            rate_per_min=line.rate_per_min,
            scale=Scale(raw=line.scale.raw, eng=line.scale.eng) if line.scale else None,
            order=line.order,
            description=line.description,
        )

    def _place(self, line: TagLine, shape: Shape, base: S7Address | ModbusAddress) -> tuple[int | None, int | None]:
        """Return the byte and bit in the block that ``at`` says (in bit areas the bit's index), None where it does not."""
        at = line.at
        if isinstance(at, int) and isinstance(base, ModbusAddress):
            at = classic_of(at) or at
        if at is None:
            return None, None
        if isinstance(at, int):
            if isinstance(base, ModbusAddress) and looks_classic(base.area, at):
                raise ValueError(f"{at} can be meant in two ways: write '{at}' in quotes for the address, or another offset")
            if not 0 <= at < MOST_BYTES:
                raise ValueError(f"at: {at} must be greater than or equal to 0 and less than or equal to {MOST_BYTES - 1}")
            return at, None
        byte, bit = (
            self._s7_place(at, line, shape, base) if isinstance(base, S7Address) else self._modbus_place(at, line, shape, base)
        )
        if byte < 0:
            raise ValueError(f"{at} lies before the block")
        return byte, bit

    @staticmethod
    def _s7_place(at: str, line: TagLine, shape: Shape, base: S7Address) -> tuple[int, int | None]:
        place = parse_s7(at)
        if place.db not in (None, base.db):
            raise ValueError(f"{at} is not in DB{base.db}, where the block lies")
        size = shape.size
        if shape.base == "Bool" and not shape.count:
            if place.bit is None:
                raise ValueError(f"{at}: which bit? write DBX{place.byte}.0 to DBX{place.byte}.7")
            return place.byte - base.byte, place.bit
        if place.width != size and (place.width or place.bit):
            letter = {1: "DBB{}", 2: "DBW{}", 4: "DBD{}"}.get(size, "DBX{}.0").format(place.byte)
            raise ValueError(f"{at} is no place for {line.type}, which has {size} bytes; write {letter}")
        return place.byte - base.byte, None

    def _modbus_place(self, at: str, line: TagLine, shape: Shape, base: ModbusAddress) -> tuple[int, int | None]:
        place = parse_modbus(at)
        if place.area != base.area:
            raise ValueError(f"{at} is in {place.area}, the block lies in {base.area}")
        number = place.number - base.register
        if place.area in BIT_AREAS:
            return number, None
        lone_bit = shape.base == "Bool" and not shape.count
        if lone_bit != (place.bit is not None):
            raise ValueError(
                f"{at}: which bit? write {at}.0 to {at}.15" if lone_bit else f"{at}: a bit is no place for {line.type}"
            )
        if place.bit is None:
            return 2 * number, None
        # Bits 8 to 15 are the register's first byte on the wire; orders that swap its bytes swap that.
        byte = 2 * number + (0 if place.bit > 7 else 1)
        return byte ^ 1 if self._file.plc.order in SWAPPED else byte, place.bit % 8


def parse_type_known(name: str) -> bool:
    """Return whether the name is that of an elementary type."""
    try:
        parse_type(name, {})
    except ValueError:
        return False
    return True


def space_of(block: Block) -> tuple[int | Area, int, int]:
    """Return the data block or area, and the first and last + 1 of the bytes, registers or bits that the block has there."""
    if isinstance(block.base, S7Address):
        return block.base.db, block.base.byte, block.base.byte + block.size
    length = block.bits or block.size // 2
    return block.base.area, block.base.register, block.base.register + length
