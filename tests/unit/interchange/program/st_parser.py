"""A parser of the ST that is generated: declarations and statements as tuples, nothing that the programs do not use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"(?P<skip>\s+|\(\*.*?\*\)|\{[^}]*\})|(?P<hex>16#[0-9A-Fa-f]+)|(?P<real>\d+\.\d+(?:E[+-]?\d+)?)|(?P<int>\d+)(?!\.\d)"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<op>:=|<=|>=|<>|\.\.|=>|[-+*/()\[\]=<>,;:.])",
    re.DOTALL,
)
_SECTIONS = ("VAR", "VAR_INPUT", "VAR_OUTPUT", "VAR_IN_OUT", "VAR_TEMP", "VAR_GLOBAL")

#: What IEC 61131-3, CODESYS and TwinCAT keep for themselves: keywords, types, operators, standard functions.
KEYWORDS = frozenset(
    """ABS ABSTRACT ACOS ACTION ADD ADR AND AND_THEN ANY ARRAY ASIN AT ATAN BIT BITADR BOOL BY BYTE CAL CASE CHAR CLASS CONCAT
    CONFIGURATION CONSTANT CONTINUE COS CTD CTU CTUD DATE DATE_AND_TIME DELETE DINT DIV DO DT DWORD ELSE ELSIF EN END_ACTION
    END_CASE END_CLASS END_CONFIGURATION END_FOR END_FUNCTION END_FUNCTION_BLOCK END_IF END_INTERFACE END_METHOD END_NAMESPACE
    END_PROGRAM END_PROPERTY END_REPEAT END_RESOURCE END_STEP END_STRUCT END_TRANSITION END_TYPE END_UNION END_VAR END_WHILE
    ENO EQ EXIT EXP EXPT EXTENDS F_EDGE F_TRIG FALSE FINAL FIND FOR FROM FUNCTION FUNCTION_BLOCK GE GT IF IMPLEMENTS INI
    INITIAL_STEP INSERT INT INTERFACE INTERNAL INTERVAL JMP LD LDATE LDT LE LEFT LEN LIMIT LINT LN LOG LREAL LT LTIME LTOD LWORD
    MAX METHOD MID MIN MOD MOVE MUL MUX NAMESPACE NE NON_RETAIN NOT NULL OF ON OR OR_ELSE OVERLAP OVERRIDE PERSISTENT POINTER
    PRIORITY PRIVATE PROGRAM PROPERTY PROTECTED PUBLIC R R_EDGE R_TRIG READ_ONLY READ_WRITE REAL REF REF_TO REFERENCE REPEAT
    REPLACE RESOURCE RET RETAIN RETURN RIGHT ROL ROR RS S SEL SHL SHR SIN SINGLE SINT SIZEOF SQRT SR ST STEP STRING STRUCT SUB
    SUPER TAN TASK THEN THIS TIME TIME_OF_DAY TO TOD TOF TON TP TRANSITION TRUE TRUNC TYPE UDINT UINT ULINT UNION UNTIL USING
    USINT VAR VAR_ACCESS VAR_CONFIG VAR_EXTERNAL VAR_GLOBAL VAR_IN_OUT VAR_INPUT VAR_INST VAR_OUTPUT VAR_STAT VAR_TEMP WCHAR
    WHILE WITH WORD WSTRING XOR""".split()
)


class StError(Exception):
    """The text is no ST of this subset, its types do not fit, or it did what a PLC must not do."""


@dataclass
class Variable:
    name: str
    type: Any
    """Name of a type, or ("array", low, high, type)."""
    init: Any
    section: str


@dataclass
class Unit:
    """A FUNCTION_BLOCK, PROGRAM or list of globals."""

    kind: str
    name: str
    variables: list[Variable] = field(default_factory=list)
    body: list[Any] = field(default_factory=list)


@dataclass
class Library:
    """Everything that was read."""

    structs: dict[str, tuple[str, list[tuple[str, Any]]]] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)


class Parser:
    def __init__(self, text: str, library: Library | None = None) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise StError(f"what is this: {text[at : at + 40]!r}")
            if match.lastgroup != "skip":
                self.tokens.append((match.lastgroup or "", match.group()))
            at = match.end()
        self.tokens.append(("end", ""))
        self.at = 0
        self.library = library or Library()

    # -- tokens
    def peek(self, ahead: int = 0) -> str:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)][1]

    def next(self) -> tuple[str, str]:
        self.at += 1
        return self.tokens[self.at - 1]

    def take(self, *words: str) -> bool:
        if tuple(t[1] for t in self.tokens[self.at : self.at + len(words)]) != words:
            return False
        self.at += len(words)
        return True

    def want(self, *words: str) -> None:
        if not self.take(*words):
            raise StError(f"expected {' '.join(words)}, found {' '.join(t[1] for t in self.tokens[self.at : self.at + 8])}")

    def name(self) -> str:
        kind, text = self.next()
        if kind != "name":
            raise StError(f"expected a name, found {text!r}")
        return text

    def new_name(self, others: Iterable[str] = ()) -> str:
        """Take a name that is declared here: no word of the language, and another than ``others``, whatever the capitals."""
        name = self.name()
        if name.upper() in KEYWORDS or "__" in name or name.endswith("_"):
            raise StError(f"{name} is no name in ST")
        if name.upper() in [o.upper() for o in others]:
            raise StError(f"{name} is declared twice")
        return name

    # -- declarations
    def parse(self) -> Library:
        while self.tokens[self.at][0] != "end":
            if self.take("TYPE"):
                self.type_()
            elif self.peek() in ("FUNCTION_BLOCK", "PROGRAM"):
                self.unit()
            elif self.peek() == "VAR_GLOBAL":
                self.library.units["GLOBAL"] = unit = Unit("GLOBAL", "GLOBAL")
                self.variables(unit)
            else:
                raise StError(f"unexpected {self.peek()}")
        return self.library

    def type_(self) -> None:
        name = self.new_name(self.globals())
        self.want(":")
        kind = self.name()
        members: list[tuple[str, Any]] = []
        while not self.take(f"END_{kind}"):
            member = self.new_name(n for n, _ in members)
            self.want(":")
            members.append((member, self.datatype()))
            self.want(";")
        self.take(";")
        self.want("END_TYPE")
        self.library.structs[name] = (kind, members)

    def globals(self) -> list[str]:
        """Return the names of types and units."""
        return [*self.library.structs, *self.library.units]

    def datatype(self) -> Any:
        if self.take("ARRAY", "["):
            low = int(self.next()[1])
            self.want("..")
            high = int(self.next()[1])
            self.want("]", "OF")
            return ("array", low, high, self.datatype())
        return self.name()

    def unit(self) -> None:
        kind = self.next()[1]
        unit = Unit(kind, self.new_name(self.globals()))
        while self.peek() in _SECTIONS:
            self.variables(unit)
        unit.body = self.statements(f"END_{kind}")
        self.want(f"END_{kind}")
        self.library.units[unit.name] = unit

    def variables(self, unit: Unit) -> None:
        section = self.next()[1]
        if self.peek() in ("RETAIN", "CONSTANT"):
            section += f" {self.next()[1]}"
        while not self.take("END_VAR"):
            # A variable called like a type, its own or another's, would hide it.
            name = self.new_name([*(v.name for v in unit.variables), *self.globals()])
            self.want(":")
            datatype = self.datatype()
            init = self.expression() if self.take(":=") else None
            self.want(";")
            unit.variables.append(Variable(name, datatype, init, section))

    # -- statements
    def statements(self, *ends: str) -> list[Any]:
        found = []
        while self.peek() not in ends:
            if self.tokens[self.at][0] == "end":
                raise StError(f"expected {ends}")
            found.append(self.statement())
        return found

    def statement(self) -> Any:
        if self.take("IF"):
            branches = []
            condition = self.expression()
            self.want("THEN")
            branches.append((condition, self.statements("ELSIF", "ELSE", "END_IF")))
            while self.take("ELSIF"):
                condition = self.expression()
                self.want("THEN")
                branches.append((condition, self.statements("ELSIF", "ELSE", "END_IF")))
            other = self.statements("END_IF") if self.take("ELSE") else []
            self.want("END_IF", ";")
            return ("if", branches, other)
        if self.take("FOR"):
            variable = self.name()
            self.want(":=")
            first = self.expression()
            self.want("TO")
            last = self.expression()
            self.want("DO")
            body = self.statements("END_FOR")
            self.want("END_FOR", ";")
            return ("for", variable, first, last, body)
        if self.take("EXIT", ";"):
            return ("exit",)
        target = self.path()
        if self.take("("):
            arguments = []
            while not self.take(")"):
                name = self.name()
                out = not self.take(":=")
                if out:
                    self.want("=>")
                arguments.append((name, out, self.expression()))
                self.take(",")
            self.want(";")
            return ("call", target, arguments)
        self.want(":=")
        value = self.expression()
        self.want(";")
        return ("assign", target, value)

    def path(self) -> Any:
        node: Any = ("name", self.name())
        while True:
            if self.take("."):
                node = ("member", node, self.name())
            elif self.take("["):
                node = ("index", node, self.expression())
                self.want("]")
            else:
                return node

    # -- expressions, loosest first: OR, XOR, AND, = <>, < > <= >=, + -, * / MOD, unary
    LEVELS = (("OR",), ("XOR",), ("AND",), ("=", "<>"), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/", "MOD"))

    def expression(self, level: int = 0) -> Any:
        if level == len(self.LEVELS):
            return self.unary()
        node = self.expression(level + 1)
        while self.peek() in self.LEVELS[level]:
            node = ("binary", self.next()[1], node, self.expression(level + 1))
        return node

    def unary(self) -> Any:
        if self.take("NOT"):
            return ("not", self.unary())
        if self.take("-"):
            return ("minus", self.unary())
        if self.take("("):
            node = self.expression()
            self.want(")")
            return node
        kind, text = self.tokens[self.at]
        if kind in ("int", "hex", "real"):
            self.at += 1
            return (kind, float(text) if kind == "real" else int(text.removeprefix("16#"), 16 if kind == "hex" else 10))
        if self.take("TRUE"):
            return ("bool", True)
        if self.take("FALSE"):
            return ("bool", False)
        if self.peek(1) == "(":
            function = self.name()
            self.want("(")
            arguments = []
            while not self.take(")"):
                arguments.append(self.expression())
                self.take(",")
            return ("function", function, arguments)
        return self.path()
