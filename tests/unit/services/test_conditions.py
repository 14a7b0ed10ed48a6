"""What a person does to a line's conditions is kept whole or not at all, whatever the commit does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.events import AlarmChanged
from gateway.opcua.alarm_texts import ALARMS
from gateway.opcua.condition import ConditionError
from gateway.opcua.desk import Done, Order, What
from gateway.record.ops import OpsDatabase
from gateway.services.audit import EVERY_S, Audit
from gateway.services.conditions import KeptConditions

STATION = "Line1.Cam1"
BROKEN = b"0 \xff".decode("utf-8", "surrogateescape")
"""What the library makes of bytes that are no text."""


class Line:
    """A line whose alarms are all there and, but for one, acknowledged."""

    def __init__(self, path: Path) -> None:
        self.ops = OpsDatabase(path)
        self.now_s = 0.0
        self.audit = Audit(STATION, self.ops, lambda: self.now_s)
        self.commits = 0
        self.answer: bool | Exception = True
        self.kept = KeptConditions("Line1", STATION, self.ops, self.audit, self.commit, time.time_ns)
        for code in ALARMS:
            self.kept.take(AlarmChanged(line="Line1", t_utc_ns=1, code=code, active=True, all_active=tuple(ALARMS)))
        for code in list(ALARMS)[1:]:
            self.kept.do("acknowledge", code, None, "", "eva", audit=False)
        self.kept.conditions.changes()
        self.commits = 0

    def commit(self) -> bool:
        self.commits += 1
        with self.ops.transaction():
            self.kept.save()
            if isinstance(self.answer, Exception):
                raise self.answer
        if self.answer:
            self.kept.saved()
        return self.answer

    def rows(self) -> list[tuple[str, str, str, str]]:
        return [(o.what, o.name, o.comment, o.ending) for o in self.ops.orders.of(STATION)]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path / "ops.db")
    yield made
    made.ops.close()


WAITING, *ACKED = ALARMS


def test_bytes_that_are_no_text_are_kept_and_stop_nothing(line: Line) -> None:
    line.kept.do("acknowledge", WAITING, None, BROKEN, BROKEN)
    assert line.commit(), "and so is all that comes after"
    with pytest.raises(ConditionError, match="already"):
        line.kept.do("acknowledge", WAITING, None, BROKEN, BROKEN)
    line.now_s += EVERY_S
    line.audit.flush()
    assert line.rows() == [("acknowledge", WAITING, "0 ?", "done"), ("acknowledge", WAITING, "0 ?", "refused")]


@pytest.mark.parametrize("answer", [False, RuntimeError("no")])
def test_what_was_not_kept_is_taken_back(line: Line, answer: bool | Exception) -> None:
    before = line.kept.conditions.all
    line.answer = answer
    with pytest.raises(ConditionError if answer is False else RuntimeError):
        line.kept.do("acknowledge", WAITING, None, "seen", "eva")
    with pytest.raises(ConditionError if answer is False else RuntimeError):
        line.kept.confirm_all("done", "eva")
    assert line.kept.conditions.all == before and not line.kept.urgent, "nobody is told of what is not so"
    line.answer = True
    written = len(line.rows())
    assert line.commit()
    assert len(line.rows()) == written, "nor is it written down later"


def test_all_are_confirmed_by_one_commit(line: Line) -> None:
    assert line.kept.confirm_all("done", "eva") == len(ACKED)
    assert line.commits == 1
    assert [c.code for c in line.kept.conditions.changes()] == ACKED, "each is told"
    assert line.rows() == [("confirm", code, "done", "done") for code in ACKED]
    assert not line.kept.conditions[WAITING].acked
    assert line.kept.confirm_all("done", "eva") == 0
    assert line.commits == 1, "nothing waits any more"


def test_what_was_open_at_the_start_is_ended_before_anything_new_begins(line: Line) -> None:
    order = Order(station=STATION, user="eva", what=What.RECIPE, value=3, number=7)
    n = line.audit.begin(order, None)
    line.audit.end(n, Done(ok=True, text="confirmed"))
    last = line.audit.last_command()
    assert last is not None and last.done == Done(ok=True, text="confirmed")
