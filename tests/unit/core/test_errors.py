"""Errors say whose fault it is and where to look; what handles them asks for their fields, people read their text."""

from __future__ import annotations

import pytest

from gateway.core.errors import (
    ConfigError,
    DeadlineMissed,
    DeviceError,
    DeviceProtocolError,
    DeviceRefused,
    DeviceUnavailable,
    GatewayError,
    ModelError,
    PartIdJump,
    PictureError,
    Problem,
    SelfCheckFailed,
)


@pytest.mark.parametrize(
    ("line", "path", "text"),
    [
        (3, "plc.host", "line.yaml:3:7: plc.host: must be an address"),
        (3, "", "line.yaml:3:7: must be an address"),
        (0, "plc.host", "line.yaml: plc.host: must be an address"),
        (0, "", "line.yaml: must be an address"),
    ],
)
def test_a_problem_says_where_it_is_as_far_as_that_is_known(line: int, path: str, text: str) -> None:
    assert str(Problem(file="line.yaml", line=line, column=7, path=path, message="must be an address")) == text


def test_a_configuration_error_lists_every_problem() -> None:
    first = Problem(file="a.yaml", line=1, column=1, path="", message="one")
    second = Problem(file="b.yaml", line=2, column=5, path="x", message="two")
    error = ConfigError([first, second])
    assert error.problems == (first, second)
    assert str(error) == "a.yaml:1:1: one\nb.yaml:2:5: x: two"


def test_a_configuration_error_may_be_one_sentence() -> None:
    error = ConfigError("there is no such file")
    assert error.problems == ()
    assert str(error) == "there is no such file"


@pytest.mark.parametrize("kind", [DeviceUnavailable, DeviceRefused, DeviceProtocolError])
def test_a_device_error_names_the_device_and_what_was_asked_of_it(kind: type[DeviceError]) -> None:
    error = kind("press", "read", "no answer in 0.15 s")
    assert (error.device, error.op) == ("press", "read")
    assert str(error) == "press: read: no answer in 0.15 s"
    assert isinstance(error, DeviceError)


def test_a_missed_deadline_names_the_part_and_the_stage() -> None:
    error = DeadlineMissed(17, "inference")
    assert (error.part_id, error.stage) == (17, "inference")
    assert str(error) == "part 17: inference ended after the deadline"


def test_a_failed_self_check_names_the_stages() -> None:
    assert str(SelfCheckFailed("camera, journal")) == "the self-check fails: camera, journal"


def test_a_jump_of_the_counter_names_both_ids() -> None:
    assert "from 5000 to 3" in str(PartIdJump(5000, 3))


@pytest.mark.parametrize(
    "kind", [ConfigError, DeviceError, DeadlineMissed, PartIdJump, SelfCheckFailed, ModelError, PictureError]
)
def test_every_deliberate_error_is_a_gateway_error(kind: type[Exception]) -> None:
    """Anything else is a bug and ends in the safe state."""
    assert issubclass(kind, GatewayError)
