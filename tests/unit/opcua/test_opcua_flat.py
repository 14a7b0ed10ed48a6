"""Which tags there are, their units, and what quality becomes on the wire."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest
from asyncua import ua

from gateway.core.tags import Quality
from gateway.opcua.access import Role
from gateway.opcua.flat import TAGS, UNIT_CODES, Param, unit_id
from gateway.opcua.quality import Why, status_code


def test_names_are_unique_ascii_paths_of_two() -> None:
    names = [t.name for t in TAGS]
    assert len(set(names)) == len(names)
    assert all(n.isascii() and len(n.split(".")) == 2 and n.replace(".", "").isalnum() for n in names)


def test_clients_write_commands_and_nothing_else() -> None:
    written = {t.name: t for t in TAGS if t.role is not None}
    assert {n.partition(".")[0] for n in written} == {"Cmd"}
    assert all(not t.length and not t.enum for t in written.values())
    assert {n for n, t in written.items() if t.role is Role.ENGINEER} == {"Cmd.RecipeNo", "Cmd.RecipeSelect"}
    assert Role.OBSERVER not in {t.role for t in written.values()}


def test_a_parameter_can_be_written_only_with_all_its_limits() -> None:
    limits = {"range": (0.0, 1.0), "step": 0.1, "rate_per_min": 1.0}
    assert Param(name="p", **limits).writable
    assert not any(Param(name="p", **{k: v for k, v in limits.items() if k != left}).writable for left in limits)


def test_only_unsigned_tags_have_texts() -> None:
    assert all(t.type == "UInt32" for t in TAGS if t.enum)  # MultiStateDiscreteType wants an unsigned type


@pytest.mark.parametrize(
    ("unit", "expected"), [("%", 20529), ("ms", 4403766), ("mm", 5066068), ("°C", 4408652), ("furlong", -1)]
)
def test_unit_ids_are_the_bytes_of_the_common_code(unit: str, expected: int) -> None:
    assert unit_id(unit) == expected


def test_common_codes_have_two_or_three_characters() -> None:
    assert all(len(c) in (2, 3) and c.isascii() and c.isalnum() and c == c.upper() for c in UNIT_CODES.values())


def test_a_parameters_node_name_is_plain() -> None:
    assert Param(name="Oven 1.Temp°").node_name == "Oven_1_Temp_"


@pytest.mark.parametrize(
    ("quality", "why", "name"),
    [
        (Quality.GOOD, "", "Good"),
        (Quality.BAD, "never", "BadWaitingForInitialData"),
        (Quality.BAD, "link", "BadNoCommunication"),
        (Quality.UNCERTAIN, "held", "UncertainLastUsableValue"),
        (Quality.BAD, "model", "BadOutOfService"),
        (Quality.BAD, "fault", "BadDeviceFailure"),
        (Quality.BAD, "absent", "BadNoData"),
        (Quality.BAD, "range", "BadOutOfRange"),
        (Quality.BAD, "unsupported", "BadNotSupported"),
    ],
)
def test_each_quality_has_its_status(quality: Quality, why: Why, name: str) -> None:
    assert ua.StatusCode(ua.UInt32(status_code(quality, why))).name == name


def test_a_reason_never_changes_how_good_a_value_is() -> None:
    for quality, why in itertools.product(Quality, get_args(Why)):
        try:
            code = ua.StatusCode(ua.UInt32(status_code(quality, why)))
        except KeyError:
            continue
        assert (code.is_good(), code.is_bad()) == (quality is Quality.GOOD, quality is Quality.BAD)
