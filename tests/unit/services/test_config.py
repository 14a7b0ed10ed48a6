"""What services is told at its start: rules must fit the parameters, and everything has its place."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.services.config import ServicesConfig

RULE = {"tag": "PressForce", "step": 4, "baseline": {"parts": 2000, "defects": 20}}


def config(**line: Any) -> ServicesConfig:
    fields = {
        "name": "Press",
        "cameras": ["Cam1"],
        "journal": "/d/Press/journal.db",
        "records_socket": "/r/records",
        "commands_socket": "/r/commands",
        "params": [{"name": "PressForce", "unit": "kN", "range": [80, 120], "step": 4}],
        "adjust": [RULE],
    }
    return ServicesConfig.model_validate({"data_dir": "/d", "lines": [{**fields, **line}]})


def test_everything_has_a_place_below_the_data_folder() -> None:
    c = config()
    assert [c.ops, c.pki, c.users, c.picture_dir] == [Path("/d") / n for n in ("ops.db", "pki", "opcua-users.json", "pictures")]


def test_it_goes_through_json_whole() -> None:
    limits = {"median": 2, "low": 1, "high": 3}
    c = config(imaging_baseline={"level": limits, "contrast": limits, "sharpness": limits})
    assert ServicesConfig.model_validate_json(c.model_dump_json()) == c
    assert c.lines[0].adjust[0].attempts == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"params": []}, "PressForce is no parameter of Press; it has: none"),
        ({"adjust": [RULE, RULE]}, "two rules move PressForce"),
        ({"adjust": [{**RULE, "baseline": {"parts": 100, "defects": 30}}]}, "more than a fifth"),
        ({"imaging_baseline": {"level": {"median": 2, "low": 1, "high": 3}}}, "contrast"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_is_refused(line: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**line)


def test_lines_are_told_apart() -> None:
    line = config().lines[0].model_dump()
    with pytest.raises(ValidationError, match="used twice"):
        ServicesConfig.model_validate({"data_dir": "/d", "lines": [line, line]})
