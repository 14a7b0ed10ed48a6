"""YAML with places: everything a person can do to a file ends in an error that says where, and never in anything else."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from gateway.core.errors import ConfigError
from gateway.yaml_source import MAX_BYTES, YamlSource, read_yaml


def source(tmp_path: Path, text: str | bytes) -> YamlSource:
    file = tmp_path / "f.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(file)


def error_of(tmp_path: Path, text: str | bytes) -> str:
    """Return the one error, without the folder."""
    with pytest.raises(ConfigError) as caught:
        source(tmp_path, text)
    [problem] = caught.value.problems
    return str(problem).removeprefix(f"{tmp_path}/")


def test_plain_data_with_places(tmp_path: Path) -> None:
    s = source(tmp_path, "a: 1\nb:\n  - {c: 2.5, d: true}\n  - x\ne: ~\nf: 0x10\n")
    assert s.data == {"a": 1, "b": [{"c": 2.5, "d": True}, "x"], "e": None, "f": 16}
    assert [type(v) for v in (s.data["a"], s.data["b"][0]["c"], s.data["b"][0]["d"], s.data["b"][1])] == [int, float, bool, str]
    assert s.locate(("b", 0, "d")) == (3, 17)
    assert s.locate(("b", 1)) == (4, 5)
    assert s.locate(()) == (1, 1)


def test_a_place_that_is_not_there_is_that_of_its_parent(tmp_path: Path) -> None:
    s = source(tmp_path, "a:\n  b:\n    c: 1\n")
    assert s.locate(("a", "b", "missing")) == (3, 5)
    assert s.locate(("a", "union tag", "b", "c")) == (3, 8)
    assert s.locate(("a", 7)) == (2, 3)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "f.yaml: the file is empty"),
        ("# nothing\n", "f.yaml: the file is empty"),
        ("- 1\n", "f.yaml:1:1: the file must hold a mapping of keys and values"),
        ("just words", "f.yaml:1:1: the file must hold a mapping of keys and values"),
        ("a: 1\n\tb: 2\n", "f.yaml:2:1: is not YAML: "),
        ("a: [1, 2\n", "f.yaml:2:1: is not YAML: "),
        ("a: 1\na: 2\n", 'f.yaml:2:1: found duplicate key "a"'),
        ("a:\n  b: 1\n  b: 2\n", 'f.yaml:3:3: found duplicate key "b"'),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: is not YAML: "),
        ("a: *nowhere\n", "f.yaml:1:4: is not YAML: found undefined alias 'nowhere'"),
        ("a: 'open\n", "f.yaml:2:1: is not YAML: "),
        (b"a: \xff\n", "f.yaml: is not UTF-8 text (byte 3); save it as UTF-8"),
        ("a: 1".encode("utf-16"), "f.yaml: is not UTF-8 text (byte 0); save it as UTF-8"),
        ("a: \x00\n", "f.yaml: is not YAML: "),
        ("&r\na: *r\n", "f.yaml:1:1: an alias refers to what it stands in"),
        ("a: " + "[" * 1500, "f.yaml:1:1003: is not YAML: exceeded maximum nesting depth"),
        ("a: " + "[" * 150 + "]" * 150, "f.yaml:1:103: is nested too deeply"),
        ("a: [" + "x, " * 250_000 + "]", "f.yaml: the file holds more than 100000 values"),
        ("[a, b]: 1\n", "f.yaml:1:1: a key must be text"),
        ("a: &x b\n*x : 1\n", "f.yaml:2:1: a key must be text"),
        ("a: !secret x\n", "f.yaml:1:4: the tag !secret does not fit or is not known here; remove it"),
        ("a: !!int x\n", "f.yaml:1:4: the tag tag:yaml.org,2002:int does not fit or is not known here; remove it"),
        ("a: !!set {x, y}\n", "f.yaml:1:4: the tag tag:yaml.org,2002:set does not fit or is not known here; remove it"),
        ("a: {<<: 5}\n", "f.yaml:1:9: << takes a mapping, or a list of mappings"),
        ("a: 1" + "0" * 5000, "f.yaml:1:4: a number has too many digits"),
    ],
)
def test_what_is_no_yaml_mapping_says_where_and_why(tmp_path: Path, text: str | bytes, error: str) -> None:
    said = error_of(tmp_path, text)
    assert said.startswith(error)
    assert "\n" not in said


@pytest.mark.parametrize("text", ["a:\n\tb: 2\n", "ä: 'größer 😀'\n\tb: 2\n"])
def test_tabs_are_named(tmp_path: Path, text: str) -> None:
    assert "YAML wants spaces, not tabs, for indentation" in error_of(tmp_path, text)


def test_every_duplicate_key_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        source(tmp_path, "a: 1\nb: {c: 1, 'c': 2}\nd: 3\na: 4\n1: x\n'1': y\n")
    assert [str(p).removeprefix(f"{tmp_path}/f.yaml:") for p in caught.value.problems] == [
        '2:11: found duplicate key "c", whose value stands in line 2; remove one',
        '4:1: found duplicate key "a", whose value stands in line 1; remove one',
        '6:1: found duplicate key "1", whose value stands in line 5; remove one',
    ]


CORE: list[tuple[str, object]] = [
    *((word, None) for word in ("", "~", "null", "Null", "NULL")),
    *((word, True) for word in ("true", "True", "TRUE")),
    *((word, False) for word in ("false", "False", "FALSE")),
    *((word, word) for word in ("on", "On", "off", "yes", "no", "y", "n", "tRUE", "nULL", "none")),  # booleans in YAML 1.1
    *((word, word) for word in ("1:30", "190:20:30", "1_000", "0b101", "2026-01-31", "=", "1,5", "٣", "0x", "0o8")),
    *((word, word) for word in (".", "+", "-x", "1e", ".e3", "1.2.3", "..inf", "+.nan", "-0x10", "1 2", "inf", "nan")),
    *(("010", 10), ("0o17", 15), ("0x1F", 31), ("-7", -7), ("+7", 7), ("00", 0), ("1" * 40, int("1" * 40))),
    *(("1.", 1.0), (".5", 0.5), ("-.5", -0.5), ("1e3", 1000.0), ("1.5E-3", 0.0015), ("010.5", 10.5), (".5e3", 500.0)),
    *((".inf", float("inf")), ("-.Inf", float("-inf")), ("+.INF", float("inf"))),
]


@pytest.mark.parametrize(("written", "meant"), CORE)
def test_plain_scalars_are_those_of_yaml_1_2(tmp_path: Path, written: str, meant: object) -> None:
    value = source(tmp_path, f"a: {written}\n").data["a"]
    assert (type(value), value) == (type(meant), meant)
    assert source(tmp_path, f"a: '{written}'\n").data["a"] == written
    assert list(source(tmp_path, f"{{? '{written}' : 1, x: 2}}").data) == [written, "x"]


def test_what_is_no_number(tmp_path: Path) -> None:
    assert all(v != v for v in source(tmp_path, "a: [.nan, .NaN, .NAN]").data["a"])


def test_tags_of_the_core_schema(tmp_path: Path) -> None:
    text = "a: [!!str 5, !!int '5', !!float 5, !!bool 'true', !!null '', !!seq [], !!map {}, ! x]"
    value = source(tmp_path, text).data["a"]
    assert value == ["5", 5, 5.0, True, None, [], {}, "x"]
    assert type(value[2]) is float


def test_keys_are_texts_as_written(tmp_path: Path) -> None:
    s = source(tmp_path, "010: a\ntrue: b\nnull: c\n1.50: d\non: e\n")
    assert s.data == {"010": "a", "true": "b", "null": "c", "1.50": "d", "on": "e"}
    assert s.locate(("1.50",)) == (4, 7)


def test_of_merged_mappings_the_own_comes_first_then_the_earlier(tmp_path: Path) -> None:
    s = source(tmp_path, "p: &p {x: 1, y: 1}\nq: &q {y: 2, z: 2}\nr:\n  z: 3\n  <<: [*p, *q]\n")
    assert s.data["r"] == {"x": 1, "y": 1, "z": 3}
    assert s.locate(("r", "x")) == (1, 11)
    assert source(tmp_path, "a: &a\n  x: 1\n  b:\n    <<: {z: 1}\n").data == {"a": {"x": 1, "b": {"z": 1}}}


def test_each_use_of_an_alias_is_its_own(tmp_path: Path) -> None:
    data = source(tmp_path, "a: &a [1]\nb: *a\n").data
    data["a"].append(2)
    assert data["b"] == [1]


TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufeff\ufffe\uffff"), max_size=12
)
LOOKS = [written for written, _ in CORE if written] + ["a: b", "- x", "-", "# no", "a #b", "?x", "%y", "@z", "`", "!"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    # ruamel writes .5e3 bare, which is a number of the core schema
    (TEXTS | st.sampled_from(LOOKS)).filter(lambda t: not re.fullmatch(r"[-+]?\.\d+[eE]\d+", t)),
)
KEYS = (TEXTS | st.sampled_from(LOOKS)).filter(lambda k: k != "<<")
INNER = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))
DATA = st.dictionaries(KEYS, INNER, min_size=1, max_size=5)


def places(node: Any, loc: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], tuple[int, int]]]:
    """Yield where ruamel, which scans in Python, sees each value."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        line, column = node.lc.value(key) if isinstance(node, dict) else node.lc.item(key)
        yield (*loc, key), (line + 1, column + 1)
        if isinstance(value, (CommentedMap, CommentedSeq)):
            yield from places(value, (*loc, key))


@given(DATA, st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_written_by_others_it_reads_the_same_in_the_same_places(tmp_path: Path, data: dict[str, Any], block: bool) -> None:
    if block:
        out = io.StringIO()
        writer = YAML(typ="safe", pure=True)
        writer.default_flow_style = False
        writer.dump(data, out)
        text = out.getvalue()
    else:
        text = json.dumps(data, ensure_ascii=False, indent=1)
    s = source(tmp_path, text)
    assert s.data == data
    for loc, place in places(YAML(typ="rt", pure=True).load(text)):
        assert s.locate(loc) == place


def test_a_few_lines_of_aliases_that_stand_for_billions(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "its aliases stand for more than 100000 values" in error_of(tmp_path, "\n".join(lines))


def test_aliases_and_merges_within_reason(tmp_path: Path) -> None:
    s = source(tmp_path, "base: &b {x: 1, on: &t true}\nuse: *b\nmore: {<<: *b, y: 2}\nsame: *t\n")
    assert s.data["use"] == {"x": 1, "on": True}
    assert s.data["more"] == {"x": 1, "on": True, "y": 2}
    assert s.data["same"] is True
    assert s.data["base"]["on"] is True


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    assert source(tmp_path, b"\xef\xbb\xbfa: 1\n").data == {"a": 1}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, why in [(tmp_path / "none.yaml", "there is no such file"), (tmp_path, "cannot be read: Is a directory")]:
        with pytest.raises(ConfigError, match=why):
            read_yaml(path)
    big = tmp_path / "big.yaml"
    with big.open("wb") as f:
        f.truncate(MAX_BYTES + 1)
    with pytest.raises(ConfigError, match="more than 4 MiB"):
        read_yaml(big)


# -- pydantic's errors in words of the file -------------------------------------------------------------------------------


class Cat(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["cat"]
    lives: int = Field(ge=1)


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class House(BaseModel):
    model_config = ConfigDict(extra="forbid")
    pets: list[Cat | Dog] = Field(default_factory=list)
    best: Cat | Dog = Field(discriminator="kind")
    rooms: int = 1

    @model_validator(mode="after")
    def _fit(self) -> House:
        if self.rooms < len(self.pets):
            raise ValueError("rooms: one for each pet")
        return self


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("best:\n  kind: cat\n", ["2:3: best.lives: is missing; add it"]),
        ("best:\n  kind: cat\n  lives: 0\n", ["3:10: best.lives: Input should be greater than or equal to 1"]),
        ("best:\n  kind: cat\n  lives: 9\n  tail: 1\n", ["4:9: best.tail: unknown key; correct its spelling or remove it"]),
        (
            "best:\n  kind: cow\n",
            ["2:9: best.kind: Input tag 'cow' found using 'kind' does not match any of the expected tags: 'cat', 'dog'"],
        ),
        ("best:\n  lives: 9\n", ["2:3: best.kind: is missing; add it"]),
        (
            "rooms: x\n",
            [
                "1:1: best: is missing; add it",
                "1:8: rooms: Input should be a valid integer, unable to parse string as an integer",
            ],
        ),
        (
            "best: {kind: cat, lives: 9}\nrooms: 0\npets: [{kind: cat, lives: 9}]\n",
            ["2:8: rooms: rooms: one for each pet"],
        ),
    ],
)
def test_problems_stand_where_the_file_is_wrong(tmp_path: Path, text: str, errors: list[str]) -> None:
    s = source(tmp_path, text)
    with pytest.raises(ValidationError) as caught:
        House.model_validate(s.data)
    assert [str(p).removeprefix(f"{s.path}:") for p in s.problems(caught.value.errors())] == errors


@given(st.one_of(st.text(max_size=80), st.text("ab:-[]{}&*!#%|>'\"\n\t ,?~0", max_size=60), st.binary(max_size=60)))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_at_all_does_anything_but_read_or_fail_as_configured(tmp_path: Path, text: str | bytes) -> None:
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    try:
        assert isinstance(source(tmp_path, raw).data, dict)
    except ConfigError as error:
        assert error.problems
