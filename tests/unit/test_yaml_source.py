"""YAML with places: everything a person can do to a file ends in an error that says where, and never in anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

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
        ("&r\na: *r\n", "f.yaml: an alias refers to what it stands in"),
        ("a: " + "[" * 1500, "f.yaml: is nested too deeply"),
    ],
)
def test_what_is_no_yaml_mapping_says_where_and_why(tmp_path: Path, text: str | bytes, error: str) -> None:
    said = error_of(tmp_path, text)
    assert said.startswith(error)
    assert "\n" not in said


def test_tabs_are_named(tmp_path: Path) -> None:
    assert "YAML wants spaces, not tabs, for indentation" in error_of(tmp_path, "a:\n\tb: 2\n")


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
