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
