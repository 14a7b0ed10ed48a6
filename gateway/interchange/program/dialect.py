"""The two notations of one logic: IEC 61131-3 ST and Siemens' SCL, printed from ``gate.st``.

``gate.st`` is written in the words that both share. Here stand the differences and nothing else: comments and regions, the
``#`` before local names, quoted blocks and types, the spelling of elementary types, the inputs of shifts. It knows no tag and
no file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_WORDS = re.compile(r"//[^\n]*|16#[0-9A-F]+|\d[\d.]*(?:E[+-]?\d+)?|\.?[A-Za-z_]\w*|\s+|.")
_SECTION = re.compile(r"VAR(_INPUT|_OUTPUT|_IN_OUT|_TEMP| RETAIN| CONSTANT)?")
_DECLARATION = re.compile(r"(\s*)(\w+) : ([^;:]+?)( := [^;]+)?;(\s*//.*)?")

_PLAIN = "Bool Byte Word DWord LWord SInt USInt Int UInt DInt UDInt LInt ULInt Real LReal Time LTime".split()

#: Elementary type in a map → ST. What is no key has no place in a register copy.
ST_TYPES: Mapping[str, str] = {name: name.upper() for name in _PLAIN}
#: Elementary type in a map → TIA Portal.
TIA_TYPES: Mapping[str, str] = {
    **{name: name for name in (*_PLAIN, "Char", "WChar", "Date", "DTL")},
    "TOD": "Time_Of_Day",
    "DT": "Date_And_Time",
}
_TIA_BY_ST = {st: TIA_TYPES[name] for name, st in ST_TYPES.items()}

#: Words, in capitals, that nothing can be called by in ST; SCL quotes them.
RESERVED = frozenset(
    """ABSTRACT ACTION ADR AND AND_THEN ANY ARRAY AT BEGIN BIT BITADR BLOCK_DB BOOL BY BYTE CAL CALC CALCN CASE CHAR CLASS
    CONFIGURATION CONSTANT CONTINUE DATA_BLOCK DATE DATE_AND_TIME DINT DIV DO DT DTL DWORD ELSE ELSIF EN END_ACTION END_CASE
    END_CLASS END_CONFIGURATION END_DATA_BLOCK END_FOR END_FUNCTION END_FUNCTION_BLOCK END_IF END_INTERFACE END_METHOD
    END_NAMESPACE END_ORGANIZATION_BLOCK END_PROGRAM END_REGION END_REPEAT END_RESOURCE END_STEP END_STRUCT END_TRANSITION
    END_TYPE END_UNION END_VAR END_WHILE ENO EQ EXIT EXTENDS F_EDGE FALSE FINAL FOR FROM FUNCTION FUNCTION_BLOCK GE GOTO GT IF
    IMPLEMENTS INDEXOF INI INITIAL_STEP INT INTERFACE INTERNAL INTERVAL JMP JMPC JMPCN LABEL LD LDATE LDATE_AND_TIME LDN LDT LE
    LINT LREAL LT LTIME LTIME_OF_DAY LTOD LWORD METHOD MOD NAMESPACE NE NON_RETAIN NOT NULL OF ON OR OR_ELSE
    ORGANIZATION_BLOCK OVERLAP OVERRIDE PERSISTENT POINTER PRIORITY PRIVATE PROGRAM PROPERTY PROTECTED PUBLIC R R_EDGE READ_ONLY
    READ_WRITE REAL REF REF_TO REFERENCE REGION REPEAT RESOURCE RET RETAIN RETC RETCN RETURN S SINGLE SINT SIZEOF ST STEP
    STN STRING STRUCT SUPER TASK THEN THIS TIME TIME_OF_DAY TO TOD TRANSITION TRUE TYPE UDINT UINT ULINT UNION UNTIL USING USINT
    VAR VAR_ACCESS VAR_CONFIG VAR_EXTERNAL VAR_GLOBAL VAR_IN_OUT VAR_INPUT VAR_INST VAR_OUTPUT VAR_STAT VAR_TEMP VARIANT VERSION
    VOID WCHAR WHILE WITH WORD WSTRING XOR XORN XSIZEOF ABS ACOS ADD ASIN ATAN COS EXP EXPT LIMIT LN LOG MAX MIN MOVE MUL MUX
    ROL ROR SEL SHL SHR SIN SQRT SUB TAN TRUNC""".split()
)
# SHR, SHL and the like name their inputs in SCL; CODESYS and TwinCAT take them by their places.
_SHIFT = re.compile(r"\b(SH[LR])\(IN := ([^,()]+), N := (\d+)\)")


def print_st(source: str, names: Mapping[str, str]) -> str:
    """Return ``source`` as IEC 61131-3 ST; ``names`` replaces the placeholders of types."""
    out = []
    for line in source.splitlines():
        text = "".join(names.get(word, word) for word in _WORDS.findall(_SHIFT.sub(r"\1(\2, \3)", line)))
        stripped = text.strip()
        if stripped == "END_REGION":
            continue
        if stripped.startswith("REGION "):
            text = f"    (* ===== {stripped.removeprefix('REGION ')} ===== *)"
        elif "//" in text:
            code, _, comment = text.partition("//")
            text = f"{code}(* {comment.strip()} *)"
        out.append(text)
    return "\n".join(out) + "\n"


def print_scl(source: str, names: Mapping[str, str]) -> str:
    """Return ``source`` as SCL; ``names`` gives the types for its placeholders and the data blocks for ``Up`` and ``Down``."""
    local = declared(source)
    out: list[str] = []
    section, body = "", False
    for line in source.splitlines():
        stripped = line.strip()
        if stripped.startswith("FUNCTION_BLOCK "):
            name = stripped.split()[1]
            out += [f'FUNCTION_BLOCK "{name}"', "{ S7_Optimized_Access := 'TRUE' }", "VERSION : 1.0"]
        elif _SECTION.fullmatch(stripped):
            section = stripped
            if section != "VAR_IN_OUT":
                out.append(f"   {stripped}")
        elif stripped == "END_VAR":
            if section != "VAR_IN_OUT":
                out += [f"   {stripped}", ""]
            section = ""
        elif section == "VAR_IN_OUT":
            continue  # SCL reaches the data blocks by their names: a copy in and out would overwrite what the gateway writes
        elif section:
            out.append(_declaration(line, names))
        elif not body and not stripped:
            body = True
            out += ["BEGIN"]
        elif stripped.startswith("REGION "):
            title, _, more = stripped.partition(": ")
            out += [title, f"    // {more}"] if more else [title]
        else:
            out.append("".join(_scl_word(word, local, names) for word in _WORDS.findall(line)))
    return "\n".join(out) + "\n"


def declared(source: str) -> frozenset[str]:
    """Return the names that the function block declares, but for its in-outs."""
    found, section = set(), ""
    for line in source.splitlines():
        stripped = line.strip()
        if _SECTION.fullmatch(stripped):
            section = stripped
        elif stripped == "END_VAR":
            section = ""
        elif section and section != "VAR_IN_OUT" and (match := _DECLARATION.fullmatch(line)):
            found.add(match[2])
    return frozenset(found)


def _declaration(line: str, names: Mapping[str, str]) -> str:
    match = _DECLARATION.fullmatch(line)
    if match is None:
        return f"  {line}"
    indent, name, datatype, value, comment = match.groups()
    array, _, element = datatype.rpartition(" OF ")
    kind = _TIA_BY_ST.get(element) or f'"{names.get(element, element)}"'
    array = array.replace("ARRAY", "Array") + " of " if array else ""
    return f"  {indent}{name} : {array}{kind}{value or ''};{comment or ''}"


def _scl_word(word: str, local: frozenset[str], names: Mapping[str, str]) -> str:
    if word in local:
        return f"#{word}"
    if word.startswith(".") and word[1:].upper() in RESERVED:
        return f'."{word[1:]}"'
    return f'"{names[word]}"' if word in names else word
