"""The past of a tag is what the tag showed live: same values, qualities and times, however clocks step and processes end."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.errors import GatewayError
from gateway.core.events import LineState, PartJudged, PartOutcome, ProcessValues, Record
from gateway.opcua.flat import TAGS, Param, has_past
from gateway.opcua.past import FIRST_US, LAST_US, PastValue
from gateway.opcua.station import Counters, Station, Update
from gateway.record.journal import Journal, JournalReader
from gateway.record.ops import OpsDatabase
from gateway.services.marks import HistoryMarks
from gateway.services.replay import Where, look_back

SECOND = 10**9
T0 = 1_790_000_000 * SECOND
PARAMS = (Param(name="Oven.Temp"),)
NAMES = [t.name for t in TAGS if has_past(t.name)] + ["Params.Oven_Temp"]


class Rig:
    """A line's feed as far as its past goes, and everything that its tags showed."""

    def __init__(self, folder: Path, size: int = 7) -> None:
        self.folder, self.size = folder, size
        self.journal_id = ""
        self.journal = Journal(folder / "j.db")
        self.where = Where(line="L", params=PARAMS, journal=folder / "j.db", ops=folder / "ops.db")
        self.live: dict[str, dict[int, Update]] = {name: {} for name in NAMES}
        self.open()

    def open(self) -> None:
        """Start as the process does, with what was committed."""
        self.ops = OpsDatabase(self.folder / "ops.db")
        self.counters = Counters(**(self.ops.state("counters") or {}))
        base = self.ops.state("base") or {"counts": {}, "t": 0}
        self.station = Station(PARAMS, self.counters, base=Counters(**base["counts"]), reset_ns=base["t"])
        self.station.initial(0)
        self.marks = HistoryMarks("L", self.ops, state_seq=0, size=self.size)
        self.cursor = self.ops.cursor("L")[1]

    def record(self, record: Record) -> None:
        self.take(replace(record, seq=self.journal.append(record)))

    def take(self, record: Record) -> None:
        self.marks.take(record, self.identity(), self.counters)
        self.counters.count(record)
        updates = self.station.apply(record)
        if isinstance(record, LineState):
            updates = []
        self.show(updates)
        self.cursor = record.seq

    def show(self, updates: list[Update]) -> None:
        for u in updates:
            if u.tag in self.live:
                self.live[u.tag][u.t_utc_ns // 1000] = u

    def reset(self, now: int) -> None:
        base = replace(self.counters)
        with self.ops.transaction():
            self.marks.reset(base, now, self.identity(), self.cursor)
            self.ops.set_state("base", {"counts": {n: getattr(base, n) for n in base.__slots__}, "t": now})
        self.show(self.station.counters_reset(base, now))

    def commit(self) -> None:
        with self.ops.transaction():
            self.ops.set_cursor("L", self.identity(), self.cursor)
            self.ops.set_state("counters", {n: getattr(self.counters, n) for n in self.counters.__slots__})
            self.marks.save()
        self.marks.saved()

    def identity(self) -> str:
        if not self.journal_id:
            reader = JournalReader(self.folder / "j.db")
            self.journal_id = reader.identity()
            reader.close()
        return self.journal_id

    def durable(self) -> None:
        """Close the journal: everything is on the disk."""
        self.journal.close()

    def past(
        self, tag: str, low: int = FIRST_US, high: int = LAST_US, *, backward: bool = False, limit_s: float = 60
    ) -> list[PastValue]:
        found: list[PastValue] = []

        def step(low: int, high: int) -> tuple[list[PastValue], int | None]:
            until = time.monotonic() + limit_s
            chunk = look_back(self.where, tag, lambda s: s.read(low, high, backward=backward, most=10_000), until_s=until)
            return list(chunk.values), chunk.until_us

        while True:
            values, until = step(low, high)
            found += values
            if until is None:
                return found
            low, high = (low, until - 1) if backward else (until + 1, high)

    def close(self) -> None:
        self.journal.close()
        self.ops.close()


def records(n: int, *, steps: bool = False) -> list[Record]:
    """Return records of a line; with ``steps`` the clock is set back and forth."""
    dice = random.Random(n)
    out: list[Record] = []
    t = T0
    for i in range(n):
        t += 37_000_000 + dice.randrange(1000)
        if steps and i % 23 == 22:
            t += dice.choice((-3, 5, -1)) * SECOND
        if i % 11 == 0:
            out.append(LineState(line="L", t_utc_ns=t, link="up", ready=True, offline_reason="NONE", camera_up=i % 2 == 0))
        disposition = dice.choice(("PASS", "PASS", "FAIL", "NOT_INSPECTED"))
        defect = "scratch" if disposition == "FAIL" else ""
        mono = 100 * SECOND
        out.append(
            PartJudged(
                line="L", t_utc_ns=t, part_id=i, epoch=1, disposition=disposition, defect=defect, label=defect or "good",
                scores={"good": 0.5, "scratch": 0.5}, token=dice.choice(("acked", "late", "void")), serial=f"S{i}",
                t_exposed_mono_ns=mono, t_trigger_mono_ns=mono, t_frame_mono_ns=mono + 4_000_000,
                t_acked_mono_ns=mono + dice.randrange(5_000_000, 60_000_000),
            )
        )  # fmt: skip
        outcome = dice.choice(("PASSED", "REJECTED", "BYPASSED", "REJECT_NOT_CONFIRMED"))
        out.append(PartOutcome(line="L", t_utc_ns=t + 1_000_000, part_id=i, outcome=outcome))
        out.append(ProcessValues(line="L", t_utc_ns=t + 2_000_000, values={"Oven.Temp": float(i)}, mode="AUTOMATIC"))
    return out


def same(rig: Rig, tag: str, **how: bool | float) -> None:
    live = rig.live[tag]
    told = rig.past(tag, **how)  # type: ignore[arg-type]
    assert [v.t_us for v in told] == sorted(live, reverse=bool(how.get("backward")))
    assert [v.update for v in told] == [live[v.t_us] for v in told]


@pytest.mark.parametrize("steps", [False, True])
def test_every_tag_had_the_values_that_it_showed(tmp_path: Path, steps: bool) -> None:
    rig = Rig(tmp_path)
    for n, record in enumerate(records(60, steps=steps)):
        rig.record(record)
        if n in (20, 100):
            rig.reset(record.t_utc_ns + 500_000)
        if n % 10 == 9:
            rig.commit()
    rig.commit()
    rig.durable()
    for tag in NAMES:
        if tag != "Health.Imaging":
            same(rig, tag)
            same(rig, tag, backward=True)
    # However short the time: it gets on, and to the end.
    same(rig, "Counters.Ok", limit_s=-1.0)
    same(rig, "Counters.Ok", limit_s=-1.0, backward=True)
    same(rig, "Result.Ok", limit_s=-1.0)
    rig.close()


def test_after_a_kill_it_is_the_same(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    told = records(40)
    numbered = [replace(r, seq=rig.journal.append(r)) for r in told]
    for record in numbered[:33]:
        rig.take(record)
    rig.commit()
    for record in numbered[33:60]:
        rig.take(record)
    rig.reset(numbered[59].t_utc_ns + 500_000)
    rig.ops.close()  # what was taken since the last commit is taken again
    rig.open()
    for record in numbered[rig.cursor :]:
        rig.take(record)
    rig.commit()
    rig.durable()
    parts = [r for r in numbered if isinstance(r, PartJudged)]
    seqs = [v.update.value for v in rig.past("Result.Seq") if v.update is not None]
    assert sorted(seqs) == [p.seq for p in parts]  # type: ignore[type-var]
    counts = [v.update.value for v in rig.past("Counters.Total") if v.update is not None]
    before = sum(p.seq <= 60 for p in parts)
    assert counts == [*range(1, before + 1), 0, *range(1, len(parts) - before + 1)]
    rig.close()


def test_what_is_lost_with_the_link_is_not_known(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.record(ProcessValues(line="L", t_utc_ns=T0, values={"Oven.Temp": 1.0}))
    rig.record(LineState(line="L", t_utc_ns=T0 + SECOND, link="down", ready=False, offline_reason="NONE"))
    rig.commit()
    rig.durable()
    told = [v.update for v in rig.past("Params.Oven_Temp")]
    assert [(u.value, u.why) for u in told if u is not None] == [(1.0, ""), (None, "link")]
    rig.close()


def test_of_values_of_one_time_the_last_is_told_and_says_so(tmp_path: Path) -> None:
    rig = Rig(tmp_path, size=1)
    for temp in (1.0, 2.0, 3.0):
        rig.record(ProcessValues(line="L", t_utc_ns=T0, values={"Oven.Temp": temp}))
    rig.commit()
    rig.durable()
    for backward in (False, True):
        (told,) = rig.past("Params.Oven_Temp", backward=backward)
        assert told.hides and told.update is not None and told.update.value == 3.0
    rig.close()


def test_the_health_is_noted_by_services(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.marks.imaging(None, False, T0)
    rig.marks.imaging(2, False, T0 + SECOND)
    rig.marks.imaging(0, True, T0 + 2 * SECOND)
    rig.commit()
    told = [v.update for v in rig.past("Health.Imaging")]
    assert [(u.quality.name, u.value) for u in told if u] == [("BAD", None), ("UNCERTAIN", 2), ("GOOD", 0)]
    assert [v.t_us for v in rig.past("Health.Imaging", backward=True)] == [v.t_us for v in rig.past("Health.Imaging")][::-1]
    assert len(rig.past("Health.Imaging", (T0 + SECOND) // 1000, (T0 + SECOND) // 1000)) == 1
    rig.close()


def test_another_journal_has_a_past_of_its_own(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    for record in records(5):
        rig.record(record)
    rig.commit()
    rig.durable()
    for file in tmp_path.glob("j.db*"):
        file.unlink()
    assert rig.past("Result.Ok") == []
    rig.journal = Journal(tmp_path / "j.db")
    rig.journal_id = ""
    assert rig.past("Result.Ok") == []
    total = rig.counters.total
    rig.record(replace(records(1)[1], t_utc_ns=T0 + 999 * SECOND))
    rig.commit()
    rig.durable()
    assert len(rig.past("Result.Ok")) == 1
    assert [v.update.value for v in rig.past("Counters.Total") if v.update] == [total + 1]
    rig.close()


def test_a_database_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.close()
    (tmp_path / "j.db").write_bytes(b"nothing" * 1000)
    with pytest.raises(GatewayError, match="history of L"):
        rig.past("Result.Ok")
