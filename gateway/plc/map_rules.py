"""What must hold in a map once its blocks are laid out: names, limits, the parts' papers, sizes, one writer of a byte."""

from __future__ import annotations

from itertools import combinations, product

from gateway.core.tags import ELEMENTARY, Block, ModbusAddress, S7Address, Tag, size_of
from gateway.core.texts import is_text
from gateway.plc.layout import Shape
from gateway.plc.map_blocks import space_of
from gateway.plc.map_file import MapFile, TagLine
from gateway.plc.map_handshake import ROLES_WITHOUT_PLACE, TRACE_ROLES
from gateway.plc.map_problems import Loc, Report

MAX_UP_BYTES = {"s7": 222, "modbus": 250, "memory": 250}
"""What one request carries: an S7 PDU of 240 bytes, 125 registers."""
MAX_REAL = 3.4e38
BITS = {"b": (1, 8), "B": (0, 8), "h": (1, 16), "H": (0, 16), "i": (1, 32), "I": (0, 32), "q": (1, 64), "Q": (0, 64)}


def check_limits(at: Loc, line: TagLine, shape: Shape, *, in_up: bool, upward: bool, modbus: bool, report: Report) -> None:
    """Report scale, range, step, order and parameter lines that cannot be meant."""
    text = is_text(shape.base)
    if line.scale is not None and (line.scale.raw[0] == line.scale.raw[1] or shape.fields or shape.base == "Bool" or text):
        report.say((*at, "scale"), "scaling needs two different raw values and a number to scale")
    if line.scale is not None and line.role not in ROLES_WITHOUT_PLACE:
        report.say((*at, "scale"), f"role {line.role} is no measured value; remove its scaling")
    if line.range is not None:
        _check_range(at, line, shape, line.range, report)
    if line.order is not None and (not modbus or shape.base == "Bool" or shape.size % 2):
        why = "it has no whole registers" if modbus else "only Modbus has word orders"
        report.say((*at, "order"), f"{line.name} cannot have an order of its own: {why}")
    if line.role == "process" and not upward:
        report.say((*at, "role"), "a measured value lies in the plc->gw block; the gateway writes none")
    if line.role != "param":
        return
    missing = [k for k in ("unit", "range", "step", "rate_per_min") if not getattr(line, k) and not report.is_spoilt((*at, k))]
    if missing:
        report.say(at, f"{line.name}: a parameter needs {', '.join(missing)}")
    if line.range is not None and max(map(abs, line.range)) > MAX_REAL:
        report.say((*at, "range"), f"a request carries the value as a Real, which ends at {MAX_REAL:g}")
    if not upward:
        report.say((*at, "role"), "parameters lie in the plc->gw block: the PLC owns them, changes go by request")
    elif not in_up:
        report.say(
            (*at, "role"), "parameters lie in the handshake's plc->gw block, which is read with every poll; move it there"
        )
    if shape.base == "Bool" or shape.count or shape.fields or text:
        report.say((*at, "type"), "a parameter is one number")


def _check_range(at: Loc, line: TagLine, shape: Shape, limits: tuple[float, float], report: Report) -> None:
    low, high = limits
    code = "" if shape.fields or is_text(shape.base) else ELEMENTARY[shape.base][1]
    if code in ("", "?"):
        report.say((*at, "range"), f"{line.type} has no range; remove it")
    elif not low < high:
        report.say((*at, "range"), f"the range must rise, {low:g} … {high:g} does not")
    elif line.scale is None and code in BITS:
        signed, bits = BITS[code]
        least, most = -(1 << bits - 1) if signed else 0, (1 << bits - signed) - 1
        if low < least or high > most:
            report.say((*at, "range"), f"{low:g} … {high:g} does not fit into {shape.base} ({least} … {most})")
    if line.step is not None and low < high and line.step > high - low:
        report.say((*at, "step"), f"a step of {line.step:g} is larger than the range")


def check_names_and_roles(file: MapFile, report: Report) -> None:
    """Report blocks, tags and types of one name (capitals make no difference on a PLC), and roles that two tags play."""
    blocks: dict[str, tuple[str, Loc]] = {}
    names: dict[str, tuple[str, Loc]] = {}
    types: dict[str, tuple[str, Loc]] = {}
    roles: dict[str, Loc] = {}
    for name in file.types:
        _check_name("type", name, ("types", name), types, report)
    for i, block in enumerate(file.blocks):
        _check_name("block", block.name, ("blocks", i, "name"), blocks, report)
        for j, tag in enumerate(block.tags):
            at: Loc = ("blocks", i, "tags", j)
            _check_name("tag", tag.name, (*at, "name"), names, report)
            if tag.role in ROLES_WITHOUT_PLACE:
                continue
            if tag.role in roles:
                report.say((*at, "role"), f"{tag.role} is the role of another tag (line {report.line(roles[tag.role])})")
            roles.setdefault(tag.role, at)


def _check_name(kind: str, name: str, at: Loc, taken: dict[str, tuple[str, Loc]], report: Report) -> None:
    other, where = taken.setdefault(name.upper(), (name, at))
    if where == at:
        return
    said = f"{name} is the name of another {kind} (line {report.line(where)})"
    if other != name:
        said = f"{name} and {other} (line {report.line(where)}) are one name on a PLC; rename one of the two {kind}s"
    report.say(at, said)


def check_trace(file: MapFile, blocks: list[Block], report: Report) -> None:
    """Report trace roles of another type, in several blocks, without trace.part, or more than one request can carry."""
    found = [(i, j, t) for i, b in enumerate(file.blocks) for j, t in enumerate(b.tags) if t.role in TRACE_ROLES]
    if not found:
        return
    first, j, line = found[0]
    if "trace.part" not in [t.role for _, _, t in found]:
        why = "trace.part (UDInt) is missing: the PartId that these texts belong to, written last by the PLC"
        report.say(("blocks", first, "tags", j, "role"), f"{line.role}: {why}")
    for i, j, line in found:
        at: Loc = ("blocks", i, "tags", j)
        want = TRACE_ROLES[line.role]
        if not (line.type.startswith("String[") if want == "String[n]" else line.type == want):
            report.say((*at, "type"), f"role {line.role} has type {want}, not {line.type}")
        if i != first:
            report.say((*at, "role"), f"{line.role} lies in another block than {found[0][2].role}; they are read as one")
    tags = [t for t in blocks[first].tags if t.role in TRACE_ROLES]
    most = MAX_UP_BYTES[file.plc.driver]
    if tags and (size := extent(tags)) > most:
        report.say(("blocks", first), f"the trace tags span {size} bytes, one request carries {most}; move or shorten them")


def extent(tags: list[Tag]) -> int:
    """Return the bytes from the first tag's start to the last one's end."""
    return max(t.offset + max(1, t.size) for t in tags) - min(t.offset for t in tags)


def check_sizes(file: MapFile, blocks: list[Block], up: int, down: int, report: Report) -> None:
    """Report what no single request can carry, and handshake blocks that are not in holding registers."""
    most = MAX_UP_BYTES[file.plc.driver]
    if blocks[up].size > most:
        said = f"{blocks[up].name} has {blocks[up].size} bytes, one request carries {most}; drop or move process tags"
        report.say(("blocks", up), said)
    for i, block in enumerate(blocks):
        if i in (up, down):
            if isinstance(block.base, ModbusAddress) and block.base.area != "HR":
                report.say(("blocks", i, "area"), f"the handshake's {block.name} lies in holding registers (HR)")
            if isinstance(block.base, S7Address) and block.base.byte:
                report.say(("blocks", i, "at"), f"the handshake's {block.name} begins at byte 0 of its data block")
            continue
        for j, line in enumerate(file.blocks[i].tags):
            tag = next((t for t in block.tags if t.name == line.name), None)
            too_long = [leaf for leaf in tag.leaves() if size_of(leaf.datatype) > most] if tag is not None else []
            if too_long:
                said = (
                    f"{too_long[0].datatype} has {size_of(too_long[0].datatype)} bytes, one request carries {most}; shorten it"
                )
                report.say(("blocks", i, "tags", j, "type"), said)


def check_writers(blocks: list[Block], addressed: list[int], down: int, report: Report) -> None:
    """Report bytes that stand in two blocks: they would have two writers, or be named twice."""
    for i, k in combinations(addressed, 2):
        (space, first, end), (other, start, stop) = space_of(blocks[i]), space_of(blocks[k])
        if space != other:
            continue
        if isinstance(space, int):
            if down in (i, k):
                why = "one block a direction, so that no byte has two writers"
                report.say(("blocks", k, "db"), f"both blocks lie in DB{space}: {why}")
            elif first < stop and start < end:
                at, tags = max(first, start), _at_once(blocks[i], blocks[k])
                said = f"{blocks[k].name} overlaps {blocks[i].name} in DB{space} (bytes {at} to {min(end, stop) - 1}){tags}"
                report.say(("blocks", k), said)
        elif first < stop and start < end:
            what = "bit" if blocks[k].bits else "register"
            ranges = [f"{b.name} ({space}:{f} to {e - 1})" for b, f, e in ((blocks[k], start, stop), (blocks[i], first, end))]
            why = f"two writers of one {what}" if down in (i, k) else f"one {what} in two blocks"
            tags = _at_once(blocks[i], blocks[k])
            report.say(("blocks", k, "at"), f"{ranges[0]} overlaps {ranges[1]}{tags}: {why}")


def _at_once(one: Block, other: Block) -> str:
    """Return the first two tags of two blocks that stand at one place, as an end of what is said; '' when only gaps do."""
    for a, b in product(one.tags, other.tags):
        (first, end), (start, stop) = _bits_of(one, a), _bits_of(other, b)
        if first < stop and start < end:
            return f", {b.name} on {a.name}"
    return ""


def _bits_of(block: Block, tag: Tag) -> tuple[int, int]:
    """Return the first and last + 1 of the tag's bits in the data block or area."""
    origin = block.base.byte * 8 if isinstance(block.base, S7Address) else block.base.register * (1 if block.bits else 16)
    first = origin + tag.offset * 8 + tag.bit
    return first, first + (max(1, tag.count) if block.bits else tag.size * 8 or 1)
