"""Rules of Siemens' SCL as far as text shows them, the way back from SCL to ST, and the S7 layout of a declaration.

Written from the dialect's description and from nothing of the exporter.
"""

from __future__ import annotations

import re

from tests.unit.interchange.program.st_parser import KEYWORDS

_WORD = re.compile(r"//[^\n]*|'[^']*'|#?\"?[A-Za-z_]\w*\"?|16#[0-9A-F]+|[\d.]+(?:E[+-]?\d+)?|:=|<=|>=|<>|\.\.|\S")
_SECTION = re.compile(
    r"^\s*(VAR(?:_INPUT|_OUTPUT|_IN_OUT|_TEMP| RETAIN| CONSTANT)?)$(.*?)^\s*END_VAR$", re.MULTILINE | re.DOTALL
)
_MEMBER = re.compile(r'^\s*("?\w+"?) : ([^;:]+?)(?: := ([^;]+))?;', re.MULTILINE)
_KEYWORDS = set(
    """AND OR XOR NOT MOD IF THEN ELSIF ELSE END_IF FOR TO DO END_FOR EXIT TRUE FALSE REGION END_REGION FUNCTION_BLOCK
    END_FUNCTION_BLOCK BEGIN VERSION IN N ABS SHR SHL""".split()
)
#: What must be quoted even as a member.
_QUOTED = KEYWORDS | {"BEGIN", "REGION", "END_REGION", "DATA_BLOCK", "GOTO", "LABEL", "VERSION", "VOID", "DTL"}
_CLOSES = {"END_IF": "IF", "END_FOR": "FOR", "END_REGION": "REGION"}
_SIZES = {"Byte": 1, "Char": 1, "SInt": 1, "USInt": 1, "Word": 2, "Int": 2, "UInt": 2, "DWord": 4, "DInt": 4, "UDInt": 4,
          "Real": 4, "LReal": 8, "LWord": 8, "DTL": 12}  # fmt: skip


def members(text: str) -> list[tuple[str, str]]:
    """Return (name, type) of a structure's members."""
    body = text[text.index("   STRUCT") : text.index("END_STRUCT")]
    return [(m[0].strip('"'), m[1]) for m in _MEMBER.findall(body)]


def layout(found: list[tuple[str, str]], udts: dict[str, list[tuple[str, str]]]) -> dict[str, tuple[int, int]]:
    """Return name → (byte, bit) by the rules of a data block without optimised access."""
    places, bit = {}, 0
    for name, datatype in found:
        if datatype == "Bool":
            start, length = bit, 1
        else:
            bits = _bits(datatype, udts)
            step = 8 if _SIZES.get(datatype) == 1 else 16
            start, length = -(-bit // step) * step, bits
        places[name] = (start // 8, start % 8)
        bit = start + length
    return places


def _bits(datatype: str, udts: dict[str, list[tuple[str, str]]]) -> int:
    if match := re.fullmatch(r"Array\[(\d+)\.\.(\d+)\] of (.+)", datatype):
        count = int(match[2]) - int(match[1]) + 1
        return count if match[3] == "Bool" else count * _bits(match[3], udts)
    if match := re.fullmatch(r"String\[(\d+)\]", datatype):
        return 8 * (2 + int(match[1]))
    if datatype.startswith('"'):
        inner = udts[datatype.strip('"')]
        last = layout(inner, udts)
        end = max(
            8 * byte + bit + (1 if t == "Bool" else _bits(t, udts))
            for (byte, bit), (_, t) in zip(last.values(), inner, strict=True)
        )
        return -(-end // 16) * 16
    return 8 * _SIZES[datatype]


def to_st(text: str, *, up: str, down: str) -> str:
    """Return SCL as ST: no hashes, no quotes, no regions, the blocks by their short names, shifts by place."""
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"^\s*(\{ S7_.*\}|VERSION : .*|BEGIN|REGION .*|END_REGION)$", "", text, flags=re.MULTILINE)
    text = (
        text.replace(f'"{up}"', "Up").replace(f'"{down}"', "Down").replace("#", "\0").replace("16\0", "16#").replace("\0", "")
    )
    text = re.sub(r"\b(SHR|SHL)\(IN := ([^,]+), N := (\d+)\)", r"\1(\2, \3)", text)
    return text.replace('"', "")


def without_in_out(st: str) -> str:
    """Return ST without its in-outs and comments."""
    return re.sub(r"VAR_IN_OUT.*?END_VAR", "", re.sub(r"\(\*.*?\*\)", "", st), flags=re.DOTALL)


def words(text: str) -> list[str]:
    """Return the words of a program, types in capitals."""
    return [w.upper() for w in _WORD.findall(text)]


def faults(text: str, *, blocks: list[str], types: list[str]) -> list[str]:
    """Return what TIA Portal would refuse, or a reviewer."""
    found: list[str] = []
    declared: dict[str, str] = {}
    head, _, body = text.partition("\nBEGIN\n")
    for section, lines in _SECTION.findall(head):
        for name, datatype, _ in _MEMBER.findall(lines):
            if name.upper() in KEYWORDS:
                found.append(f"{name} is a word of the language")
            if name.upper() in [other.upper() for other in declared]:
                found.append(f"{name} is declared twice")
            declared[name] = section
            if '"' in datatype and datatype.split('"')[1] not in types:
                found.append(f"type {datatype} is not exported")
    open_: list[str] = []
    assigned = {name for name, section in declared.items() if section != "VAR_TEMP"}
    for line in re.sub(r"//[^\n]*", "", body).splitlines():
        stripped = line.strip()
        if stripped.startswith("REGION"):
            open_.append("REGION")
            continue
        target = re.match(r"#(\w+)(?:\.\w+|\[[^\]]*\])* := ", stripped) or re.match(r"FOR #(\w+) := ", stripped)
        block = re.match(r'"(\w+)"(?:\.\w+|\[[^\]]*\])* := ', stripped)
        if block and "Down" in block[1]:
            found.append(f"{block[1]} is written, it belongs to the gateway")
        if target and declared.get(target[1]) in ("VAR_INPUT", "VAR CONSTANT"):
            found.append(f"{target[1]} is assigned, it is {declared[target[1]]}")
        before = ""
        for n, word in enumerate(_WORD.findall(stripped)):
            name = word.strip('#"')
            if word.startswith("#"):
                if name not in declared:
                    found.append(f"{word} is not declared")
                elif name not in assigned and not (target and n == 0 or stripped.startswith(f"FOR #{name} ")):
                    found.append(f"{word} is read before it is assigned")
            elif word.startswith('"') and before == ".":
                pass  # a member that is called like a word of the language
            elif word.startswith('"'):
                if name not in blocks and name not in declared and name != "FB_VisionGate":
                    found.append(f"{word} is no block")
            elif re.match(r"[A-Za-z_]", word) and before == "." and word.upper() in _QUOTED:
                found.append(f".{word} has no quotes, it is a word of the language")
            elif re.match(r"[A-Za-z_]", word) and before != "." and word not in _KEYWORDS and "_TO_" not in word:
                found.append(f"{word} has neither # nor quotes")
            if word in ("IF", "FOR"):
                open_.append(word)
            elif word in _CLOSES and (not open_ or open_.pop() != _CLOSES[word]):
                found.append(f"{word} closes nothing")
            before = word
        if target:
            assigned.add(target[1])
    return found + [f"{word} is not closed" for word in open_]
