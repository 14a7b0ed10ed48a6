"""Commissioning: for some minutes, by request, and never after a restart."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gateway.opcua.commissioning import ASKED, MAX_MINUTES, RUNNING, Commissioning, ask, running_until, switch_off, taken_back


class Mode:
    def __init__(self, pki: Path) -> None:
        self.now, self.told = 1000.0, []  # type: ignore[var-annotated]
        self.mode = Commissioning(pki, clock=lambda: self.now)
        self.mode.listeners.append(self.told.append)

    def look(self) -> bool:
        self.mode.look()
        return self.mode.active


def test_it_begins_when_asked_for_and_ends_by_itself(tmp_path: Path) -> None:
    one = Mode(tmp_path)
    assert not one.look() and running_until(tmp_path) == ""
    ask(tmp_path, 30)
    assert stat.S_IMODE((tmp_path / ASKED).stat().st_mode) == 0o600
    assert one.look() and running_until(tmp_path)
    assert not (tmp_path / ASKED).exists(), "a request counts once"
    one.now += 30 * 60 - 1
    assert one.look()
    one.now += 1
    assert not one.mode.active, "also before anybody has looked"
    assert not one.look() and running_until(tmp_path) == ""
    assert one.told == [True, False]


def test_it_is_ended_by_request(tmp_path: Path) -> None:
    one = Mode(tmp_path)
    assert not switch_off(tmp_path)
    ask(tmp_path, 30)
    assert one.look()
    assert switch_off(tmp_path)
    assert not one.look()
    ask(tmp_path, 30)
    assert switch_off(tmp_path), "or before it began"
    assert not one.look() and one.told == [True, False]


def test_a_request_can_be_taken_back_as_long_as_nobody_took_it_up(tmp_path: Path) -> None:
    one = Mode(tmp_path)
    ask(tmp_path, 30)
    assert taken_back(tmp_path) and not one.look()
    ask(tmp_path, 30)
    assert one.look() and not taken_back(tmp_path)


def test_a_restart_does_not_go_on_with_it(tmp_path: Path) -> None:
    one = Mode(tmp_path)
    ask(tmp_path, 30)
    assert one.look()
    ask(tmp_path, 30)
    again = Mode(tmp_path)
    assert not again.look() and list(tmp_path.iterdir()) == []
    assert not one.look(), "and whoever still ran sees that as well"


@pytest.mark.parametrize("body", ["", "{", "[]", '{"minutes": "x"}', '{"minutes": 0}', '{"minutes": -1}', '{"minutes": NaN}'])
def test_a_damaged_request_is_passed_over(tmp_path: Path, body: str) -> None:
    one = Mode(tmp_path)
    (tmp_path / ASKED).write_text(body)
    (tmp_path / ASKED).chmod(0o600)
    assert not one.look() and not (tmp_path / ASKED).exists()


def test_a_request_that_others_could_have_written_or_for_too_long_is_passed_over(tmp_path: Path) -> None:
    one = Mode(tmp_path)
    ask(tmp_path, 30)
    (tmp_path / ASKED).chmod(0o666)
    assert not one.look()
    ask(tmp_path, MAX_MINUTES + 1)
    assert not one.look() and not (tmp_path / RUNNING).exists() and one.told == []


def test_it_stays_off_where_nobody_could_see_it(tmp_path: Path) -> None:
    one = Mode(tmp_path)
    (tmp_path / RUNNING).mkdir()  # so that the file cannot be written, whoever runs the test
    ask(tmp_path, 30)
    assert not one.look() and one.told == []
    (tmp_path / ASKED).write_text('{"minutes": 1%s}' % ("0" * 400))
    (tmp_path / ASKED).chmod(0o600)
    assert not one.look(), "a number that is too large is no request"
