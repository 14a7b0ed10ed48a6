"""Executes generated ST: strict about types, with the arithmetic of a PLC. Units are compiled to Python once.

A sum or difference of UDINT wraps where it is assigned as a whole, as encoder counts and milliseconds need it. Any other
overflow, a number that the target of a conversion cannot hold, an index out of bounds and the use of a temporary variable that
was not assigned in this call are errors: PLCs differ there, or go on with nonsense. Bit strings are converted bit by bit.
"""

from __future__ import annotations

import struct
from typing import Any

from tests.unit.interchange.program.st_parser import Library, Parser, StError, Unit

RANGES = {
    "SINT": (-(1 << 7), (1 << 7) - 1), "INT": (-(1 << 15), (1 << 15) - 1), "DINT": (-(1 << 31), (1 << 31) - 1),
    "LINT": (-(1 << 63), (1 << 63) - 1), "USINT": (0, 0xFF), "UINT": (0, 0xFFFF), "UDINT": (0, 0xFFFFFFFF),
    "ULINT": (0, (1 << 64) - 1), "BYTE": (0, 0xFF), "WORD": (0, 0xFFFF), "DWORD": (0, 0xFFFFFFFF), "LWORD": (0, (1 << 64) - 1),
}  # fmt: skip
BITS = ("BYTE", "WORD", "DWORD", "LWORD")
REALS = ("REAL", "LREAL")


def f32(value: float) -> float:
    """Return ``value`` as a REAL holds it."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def fits(kind: str, value: int) -> int:
    low, high = RANGES[kind]
    if not low <= value <= high:
        raise StError(f"{value} is no {kind}")
    return value


def width(kind: str) -> int:
    """Return a type's bytes."""
    return (RANGES[kind][1] - RANGES[kind][0]).bit_length() // 8


def whole(value: float) -> int:
    if value != value or abs(value) == float("inf"):
        raise StError(f"{value} is no number")
    return round(value)


def at(items: list[Any], index: int) -> int:
    if not 0 <= index < len(items):
        raise StError(f"index {index} of {len(items)}")
    return index


def quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def bits_of(value: int, size: int) -> int:
    return value & ((1 << 8 * size) - 1)


def to_signed(value: int, size: int) -> int:
    value = bits_of(value, size)
    return value - (1 << 8 * size) if value >> (8 * size - 1) else value


class Record:
    """A structure's value."""

    def copy(self) -> Record:
        new = Record()
        for key, value in self.__dict__.items():
            new.__dict__[key] = copy_of(value)
        return new


class Union(Record):
    """A union of a REAL or LREAL and its bits."""

    def __init__(self, form: str) -> None:
        self.__dict__["form"], self.__dict__["raw"] = form, bytes(struct.calcsize(form))

    def __getattr__(self, name: str) -> Any:
        return struct.unpack(self.form if name == "Value" else {"<f": "<I", "<d": "<Q"}[self.form], self.raw)[0]

    def __setattr__(self, name: str, value: Any) -> None:
        form = self.form if name == "Value" else {"<f": "<I", "<d": "<Q"}[self.form]
        self.__dict__["raw"] = struct.pack(form, value)


def copy_of(value: Any) -> Any:
    if isinstance(value, list):
        return [copy_of(v) for v in value]
    return value.copy() if isinstance(value, Record) else value


class Machine:
    """The types and units of some texts."""

    def __init__(self, *texts: str) -> None:
        self.library = Library()
        for text in texts:
            Parser(text, self.library).parse()
        self._compiled: dict[str, Any] = {}

    def new(self, datatype: Any) -> Any:
        """Return the start value of a type."""
        if isinstance(datatype, tuple):
            return [self.new(datatype[3]) for _ in range(datatype[1], datatype[2] + 1)]
        if datatype in self.library.structs:
            kind, members = self.library.structs[datatype]
            if kind == "UNION":
                return Union("<f" if members[0][1] == "REAL" else "<d")
            record = Record()
            for name, member in members:
                setattr(record, name, self.new(member))
            return record
        if datatype in self.library.units:
            return self.instance(datatype)
        if datatype == "BOOL":
            return False
        if datatype in REALS:
            return 0.0
        if datatype in RANGES:
            return 0
        raise StError(f"unknown type {datatype}")

    def instance(self, name: str) -> Instance:
        """Return a new instance of a function block or program, with its start values."""
        unit = self.library.units[name]
        if name not in self._compiled:
            self._compiled[name] = Compiler(self, unit).compile()
        return Instance(self, unit, self._compiled[name])


class Instance(Record):
    """A function block's variables; ``retained`` ones survive :meth:`restart`."""

    def __init__(self, machine: Machine, unit: Unit, code: Any) -> None:
        self.__dict__.update(_machine=machine, _unit=unit, _code=code)
        self._load(retained=True)

    def _load(self, *, retained: bool) -> None:
        for v in self._unit.variables:
            if v.section == "VAR_IN_OUT" or (v.section == "VAR RETAIN" and not retained):
                continue
            value = self._machine.new(v.type)
            if v.init is not None:
                sign, literal = (-1, v.init[1]) if v.init[0] == "minus" else (1, v.init)
                value = literal[1] if literal[0] == "bool" else sign * literal[1]
                if v.type in REALS:
                    value = f32(value)
                elif v.type in RANGES:
                    fits(v.type, value)
            setattr(self, v.name, value)

    def restart(self) -> None:
        """Do what a warm restart does: everything but the retained variables and the inputs takes its start value."""
        inputs = {v.name: getattr(self, v.name) for v in self._unit.variables if v.section == "VAR_INPUT"}
        self._load(retained=False)
        self.__dict__.update(inputs)

    def call(self, **arguments: Any) -> None:
        """Execute once; in-outs by reference."""
        sections = {v.name: v.section for v in self._unit.variables}
        for name, value in arguments.items():
            if sections.get(name) not in ("VAR_INPUT", "VAR_IN_OUT"):
                raise StError(f"{name} is no input of {self._unit.name}")
            setattr(self, name, value)
        for v in self._unit.variables:
            if v.section == "VAR_TEMP" and not isinstance(v.type, tuple) and v.type not in self._machine.library.structs:
                self.__dict__.pop(v.name, None)
        try:
            self._code(self)
        except AttributeError as error:
            raise StError(f"used before it was assigned: {error}") from None


class Compiler:
    """One unit to one Python function."""

    def __init__(self, machine: Machine, unit: Unit) -> None:
        self.machine, self.unit = machine, unit
        self.types = {v.name: v.type for v in unit.variables}
        self.globals = (
            {v.name: v.type for v in machine.library.units["GLOBAL"].variables} if "GLOBAL" in machine.library.units else {}
        )
        self.readonly = {v.name for v in unit.variables if v.section in ("VAR_INPUT", "VAR CONSTANT")}
        self.lines: list[str] = []

    def compile(self) -> Any:
        for v in self.unit.variables:
            if v.init is not None:
                self.fit(self.value(v.init), v.type, f"start value of {v.name}")
        self.block(self.unit.body, 1)
        source = "def run(v):\n" + ("\n".join(self.lines) or "    pass") + "\n"
        space = {
            "f32": f32, "fits": fits, "whole": whole, "at": at, "quotient": quotient, "bits_of": bits_of,
            "to_signed": to_signed,
            "copy_of": copy_of, "struct": struct, "absent": self.machine,
        }  # fmt: skip
        exec(compile(source, f"<{self.unit.name}>", "exec"), space)  # noqa: S102 - our own code, from our own compiler
        return space["run"]

    def emit(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def block(self, statements: list[Any], depth: int) -> None:
        if not statements:
            self.emit(depth, "pass")
        for s in statements:
            getattr(self, f"do_{s[0]}")(depth, *s[1:])

    def do_if(self, depth: int, branches: list[Any], other: list[Any]) -> None:
        for n, (condition, body) in enumerate(branches):
            code, kind = self.value(condition)
            if kind != "BOOL":
                raise StError(f"a condition is {kind}")
            self.emit(depth, f"{'elif' if n else 'if'} {code}:")
            self.block(body, depth + 1)
        if other:
            self.emit(depth, "else:")
            self.block(other, depth + 1)

    def do_for(self, depth: int, variable: str, first: Any, last: Any, body: list[Any]) -> None:
        kind = self.types[variable]
        start, end = (self.fit(self.value(e), kind, f"bound of {variable}") for e in (first, last))
        self.emit(depth, f"for _{variable} in range({start}, {end} + 1):")
        self.emit(depth + 1, f"v.{variable} = _{variable}")
        self.block(body, depth + 1)

    def do_exit(self, depth: int) -> None:
        self.emit(depth, "break")

    def do_assign(self, depth: int, target: Any, value: Any) -> None:
        code, kind = self.place(target)
        root = target
        while root[0] != "name":
            root = root[1]
        if root[1] in self.readonly:
            raise StError(f"{root[1]} cannot be assigned")
        if root[1] == "Down" and self.unit.name == "FB_VisionGate":
            raise StError("the gateway's block is only read")
        found = self.wrapping(value) if kind == "UDINT" else None
        self.emit(depth, f"{code} = {found or self.fit(self.value(value), kind, str(target))}")

    def wrapping(self, node: Any) -> str | None:
        """Return a sum, difference or product of UDINT that is assigned as a whole, the one place where it may wrap.

        Elsewhere a runtime may go on with 64 bits in between, so that what would have wrapped is an error.
        """
        code = self.unbounded(node)
        return f"({code} & 0xFFFFFFFF)" if code is not None else None

    def unbounded(self, node: Any) -> str | None:
        if node[0] != "binary" or node[1] not in ("+", "-", "*"):
            return None
        self.binary(node[1], self.value(node[2]), self.value(node[3]))  # its types must fit as everywhere
        left, right = (self.unbounded(side) or self.fit(self.value(side), "UDINT", node[1]) for side in node[2:])
        return f"({left} {node[1]} {right})"

    def do_call(self, depth: int, target: Any, arguments: list[Any]) -> None:
        code, kind = self.place(target)
        unit = self.machine.library.units[kind]
        sections = {v.name: v for v in unit.variables}
        inputs = []
        for name, out, value in arguments:
            if not out:
                found = self.value(value)
                inputs.append(
                    f"{name}={self.fit(found, sections[name].type, name, copy=sections[name].section != 'VAR_IN_OUT')}"
                )
        self.emit(depth, f"{code}.call({', '.join(inputs)})")
        for name, out, value in arguments:
            if out:
                place, into = self.place(value)
                self.emit(depth, f"{place} = {self.fit((f'{code}.{name}', sections[name].type), into, name)}")

    # -- places and values: (Python code, type); literals have the types "int", "hex", "real"
    def place(self, node: Any) -> tuple[str, Any]:
        if node[0] == "name":
            if node[1] in self.types:
                return f"v.{node[1]}", self.types[node[1]]
            if node[1] == "GVL_Vision":
                return "v.GVL_Vision", "GVL_Vision"
            raise StError(f"{node[1]} is not declared")
        if node[0] == "member":
            code, kind = self.place(node[1])
            if kind == "GVL_Vision":
                return f"{code}.{node[2]}", self.globals[node[2]]
            if kind in self.machine.library.units:
                return f"{code}.{node[2]}", {v.name: v.type for v in self.machine.library.units[kind].variables}[node[2]]
            members = dict(self.machine.library.structs[kind][1]) if kind in self.machine.library.structs else {}
            if node[2] not in members:
                raise StError(f"{kind} has no member {node[2]}")
            return f"{code}.{node[2]}", members[node[2]]
        code, kind = self.place(node[1])
        if not isinstance(kind, tuple):
            raise StError(f"{node[1]} is no array")
        index = self.fit(self.value(node[2]), "INT", "index")
        return f"{code}[at({code}, {index} - {kind[1]})]", kind[3]

    def value(self, node: Any) -> tuple[str, Any]:
        kind = node[0]
        if kind in ("int", "hex", "real", "bool"):
            return repr(node[1]), "BOOL" if kind == "bool" else kind
        if kind == "not":
            code, of = self.value(node[1])
            if of != "BOOL":
                raise StError(f"NOT of {of}")
            return f"(not {code})", of
        if kind == "minus":
            code, of = self.value(node[1])
            if of not in ("int", "real", "INT", "DINT", "REAL"):
                raise StError(f"minus before {of}")
            return f"(-{code})", of
        if kind == "function":
            return self.function(node[1], [self.value(a) for a in node[2]])
        if kind == "binary":
            return self.binary(node[1], self.value(node[2]), self.value(node[3]))
        return self.place(node)

    def binary(self, op: str, left: tuple[str, Any], right: tuple[str, Any]) -> tuple[str, Any]:
        literals = ("int", "hex", "real")
        kind = left[1] if left[1] not in literals else right[1]
        if kind in literals:
            raise StError("two literals")
        a, b = self.fit(left, kind, op), self.fit(right, kind, op)
        if op in ("=", "<>", "<", ">", "<=", ">="):
            if op not in ("=", "<>") and (kind == "BOOL" or kind in BITS):
                raise StError(f"{op} of {kind}")
            return f"({a} {dict([('=', '=='), ('<>', '!=')]).get(op, op)} {b})", "BOOL"
        if op in ("AND", "OR", "XOR"):
            if kind == "BOOL":
                return f"({a} {op.lower() if op != 'XOR' else '!='} {b})", kind
            if kind not in BITS:
                raise StError(f"{op} of {kind}")
            return f"({a} {dict(AND='&', OR='|', XOR='^')[op]} {b})", kind
        if kind in BITS or kind == "BOOL" or kind not in (*RANGES, *REALS):
            raise StError(f"{op} of {kind}")
        if kind in REALS:
            return f"f32({a} {op} {b})" if kind == "REAL" else f"({a} {op} {b})", kind
        code = {"MOD": f"({a} - {b} * quotient({a}, {b}))", "/": f"quotient({a}, {b})"}.get(op, f"({a} {op} {b})")
        return f"fits('{kind}', {code})", kind

    def function(self, name: str, arguments: list[tuple[str, Any]]) -> tuple[str, Any]:
        if name == "ABS":
            return f"abs({arguments[0][0]})", arguments[0][1]
        if name in ("SHR", "SHL", "ROL"):
            (code, kind), (count, _) = arguments
            if kind not in BITS:
                raise StError(f"{name} of {kind}")
            full = RANGES[kind][1]
            if name == "ROL":
                return f"(({code} << {count} | {code} >> {full.bit_length()} - {count}) & {full})", kind
            return f"(({code} {'>>' if name == 'SHR' else '<<'} {count}) & {full})", kind
        source, _, target = name.partition("_TO_")
        code = self.fit(arguments[0], source, name)
        if target not in (*RANGES, *REALS):
            raise StError(f"unknown function {name}")
        if source in REALS:
            return (
                f"f32({code})" if target == "REAL" else code if target == "LREAL" else f"fits('{target}', whole({code}))"
            ), target
        if target in REALS:
            return f"f32({code})" if target == "REAL" else f"float({code})", target
        size = width(target)
        if source in BITS or target in BITS:
            return (f"to_signed({code}, {size})" if RANGES[target][0] < 0 else f"bits_of({code}, {size})"), target
        return f"fits('{target}', {code})", target

    def fit(self, value: tuple[str, Any], kind: Any, what: str, *, copy: bool = True) -> str:
        """Return the code of a value for a place of that type; StError unless the types are the same or the literal fits."""
        code, of = value
        if of in ("int", "hex") and kind in RANGES:
            if of == "int" and kind in BITS:
                raise StError(f"{what}: decimal {code} for {kind}")
            fits(kind, int(code.strip("()")))
            return code
        if of == "real" and kind in REALS:
            return code if kind == "LREAL" else repr(f32(float(code.strip("()"))))
        if of != kind:
            raise StError(f"{what}: {of} for {kind}")
        if copy and (isinstance(kind, tuple) or kind in self.machine.library.structs):
            return f"copy_of({code})"
        return code
