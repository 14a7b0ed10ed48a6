"""What people asked for: written down first, ended once, and never without an end after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.record import orders
from gateway.record.ops import OpsDatabase

STATION = "Line1.Cam1"


def test_an_order_is_kept_with_who_asked_and_how_it_ended(tmp_path: Path) -> None:
    now = iter(range(10, 100))
    ops = OpsDatabase(tmp_path / "ops.db", clock=lambda: next(now))
    with ops.transaction():
        n = ops.orders.add(station=STATION, user="eva", what="recipe", value=2, number=7)
        ops.orders.add(station="Line2.Cam1", user="eva", what="test run", number=9)
    with ops.transaction():
        ops.orders.end(n, "done", "confirmed")
        ops.orders.end(n, "silent", "it has ended already")
    ops.close()
    again = OpsDatabase(tmp_path / "ops.db")
    (row,) = again.orders.of(STATION)
    assert (row.user, row.what, row.value, row.number, row.ending, row.result) == ("eva", "recipe", 2, 7, "done", "confirmed")
    assert (row.t_asked_ns, row.t_ended_ns) == (10, 12)
    assert again.orders.last_numbered(STATION) == row
    assert again.orders.last_numbered("Line3.Cam1") is None
    again.close()


def test_what_a_restart_finds_open_is_ended(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    with ops.transaction():
        ops.orders.add(station=STATION, user="eva", what="test run", number=1)
        ops.orders.add(station="Line2.Cam1", user="eva", what="test run", number=1)
    with ops.transaction():
        ops.orders.end_open(STATION, "silent", "restarted")
    assert [(o.ending, o.result) for o in ops.orders.of(STATION)] == [("silent", "restarted")]
    assert ops.orders.of("Line2.Cam1")[0].ending == ""
    ops.close()


def test_the_oldest_make_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "MAX_ORDERS", 3)
    ops = OpsDatabase(tmp_path / "ops.db")
    with ops.transaction():
        for i in range(5):
            ops.orders.add(station=STATION, user="eva", what="write", value=i)
    assert [o.value for o in ops.orders.of(STATION)] == [2, 3, 4]
    ops.close()


def test_what_was_refused_pushes_out_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "MAX_ORDERS", 2)
    monkeypatch.setattr(orders, "MAX_REFUSALS", 3)
    now = iter(range(100))
    ops = OpsDatabase(tmp_path / "ops.db", clock=lambda: next(now))
    with ops.transaction():
        first = ops.orders.add(station=STATION, user="eva", what="recipe")
        for i in range(9):
            ops.orders.refuse(station="Line2.Cam1", user="viewer", what="write", name=f"P{i}", result="BadUserAccessDenied")
        ops.orders.end(first, "done", "confirmed")
    assert [(o.what, o.ending) for o in ops.orders.of(STATION)] == [("recipe", "done")]
    refused = [(o.name, o.ending, o.result) for o in ops.orders.of("Line2.Cam1")]
    assert refused == [(f"P{i}", "refused", "BadUserAccessDenied") for i in (6, 7, 8)]
    ops.close()


def test_the_last_number_of_each_station_is_never_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "MAX_ORDERS", 3)
    ops = OpsDatabase(tmp_path / "ops.db")
    with ops.transaction():
        for number in (7, 8):
            ops.orders.add(station=STATION, user="eva", what="recipe", number=number)
        for number in (1, 2):
            ops.orders.add(station="Line2.Cam1", user="eva", what="test run", number=number)
        for i in range(9):
            ops.orders.add(station="Line3.Cam1", user="eva", what="adjust", value=i)
    assert [o.number for o in ops.orders.of(STATION)] == [8]
    assert [o.number for o in ops.orders.of("Line2.Cam1")] == [2]
    assert [o.value for o in ops.orders.of("Line3.Cam1")] == [6, 7, 8]
    last = ops.orders.last_numbered(STATION)
    assert last is not None and last.number == 8
    ops.close()


@pytest.mark.parametrize(
    ("text", "kept"), [("seen", "seen"), ("0 \udcff\ud83d", "0 ??"), ("a\0b", "ab"), ("ü😀", "ü😀"), ("x" * 5000, "x" * 1000)]
)
def test_any_text_can_be_written_down(tmp_path: Path, text: str, kept: str) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    with ops.transaction():
        n = ops.orders.add(station=STATION, user=text, what="acknowledge", name=text, comment=text)
        ops.orders.end(n, "done", text)
        ops.orders.refuse(station=STATION, user=text, what="acknowledge", name=text, comment=text, result=text)
    assert [(o.user, o.name, o.comment, o.result) for o in ops.orders.of(STATION)] == [(kept,) * 4] * 2
    ops.close()
