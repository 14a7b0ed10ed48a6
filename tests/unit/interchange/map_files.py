"""Tag maps made up by hypothesis: every field of the models, with texts that spreadsheets and YAML are known to change."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from gateway.plc.map_file import BlockLine, MapFile, MemberLine, TagLine

NASTY = (
    *("=1+1", "+49 30", "-5", "@SUM(A1)", "MAR1", "1-2", "007", "1/2", "TRUE", "wahr", '"quoted"', "'x", "[Tags]", "#x", "1e5"),
    *(
        "a\nb",
        "a\r\nb",
        "\t",
        " x ",
        "a;b",
        "a,b",
        "10.0.0.1",
        "_x0041_",
        "°C",
        "µm",
        "Öl",
        "日本",
        "\x07",
        "\x85",
        "\u2028",
        "\ufeff",
    ),
    *(
        "null",
        "~",
        "yes",
        "{a: b}",
        "# c",
        "a: b",
        "- x",
        "&a",
        "*a",
        "!x",
        "%",
        "2026-03-01",
        "12:30",
        "5 pm",
        "1,5",
        "1.234,5",
    ),
)
TEXT = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False)
PAIRS = st.tuples(NUMBERS, NUMBERS)
ORDERS = st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"])
PLACES = st.none() | st.integers(0, 10**6) | TEXT

TAG: dict[str, st.SearchStrategy[Any]] = {
    "name": NAMES,
    "type": TEXT,
    "at": PLACES,
    "role": st.just("") | TEXT,
    "unit": st.just("") | TEXT.filter(lambda t: len(t) <= 16),
    "range": st.none() | PAIRS,
    "step": st.none() | POSITIVE,
    "rate_per_min": st.none() | POSITIVE,
    "scale": st.none() | st.fixed_dictionaries({"raw": PAIRS, "eng": PAIRS}),
    "order": st.none() | ORDERS,
    "description": st.just("") | TEXT,
}
MEMBER: dict[str, st.SearchStrategy[Any]] = {"name": NAMES, "type": TEXT}
BLOCK: dict[str, st.SearchStrategy[Any]] = {
    "db": st.none() | st.integers(1, 65535),
    "area": st.none() | st.sampled_from(["HR", "IR", "CO", "DI"]),
    "at": PLACES,
    "name": NAMES,
    "dir": st.sampled_from(["plc->gw", "gw->plc"]),
    "tags": st.lists(st.fixed_dictionaries(TAG), min_size=1, max_size=4),
    "description": st.just("") | TEXT,
}
PLC = st.one_of(
    st.fixed_dictionaries(
        {
            "driver": st.just("s7"),
            "name": TEXT,
            "host": st.just("") | TEXT,
            "port": st.integers(1, 65535),
            "rack": st.integers(0, 7),
            "slot": st.integers(0, 31),
        }
    ),
    st.fixed_dictionaries(
        {"driver": st.just("modbus"), "name": TEXT, "host": TEXT, "unit": st.integers(0, 255), "order": ORDERS}
    ),
    st.fixed_dictionaries({"driver": st.just("memory"), "name": TEXT, "order": ORDERS}),
)
MAP: dict[str, st.SearchStrategy[Any]] = {
    "tagmap": st.just(1),
    "handshake": st.sampled_from(["ring", "ack"]),
    "plc": PLC,
    "types": st.dictionaries(st.just("") | TEXT, st.lists(st.fixed_dictionaries(MEMBER), min_size=1, max_size=3), max_size=3),
    "blocks": st.lists(st.fixed_dictionaries(BLOCK), min_size=2, max_size=4, unique_by=lambda b: b["name"]),
}
MAP_FILES = st.fixed_dictionaries(MAP).map(MapFile.model_validate)
MODELS = ((MapFile, MAP), (BlockLine, BLOCK), (TagLine, TAG), (MemberLine, MEMBER))
