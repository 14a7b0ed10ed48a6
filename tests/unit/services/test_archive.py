"""The archive finds parts by the index and the journal, and remembers which configuration ran when."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.errors import GatewayError
from gateway.core.events import PartJudged
from gateway.opcua.archive import Configuration, Filter
from gateway.record.journal import Journal
from gateway.record.ops import OpsDatabase
from gateway.services import archive as module
from gateway.services.archive import JournalArchive
from gateway.services.config import LineServices
from gateway.services.parts import PartIndex

PART = PartJudged(line="L", t_utc_ns=100, part_id=7, epoch=1, disposition="PASS")


def line(folder: Path, checksum: int | None = 1, name: str = "L") -> LineServices:
    return LineServices(
        name=name,
        cameras=["C"],
        journal=folder / f"{name}.db",
        records_socket=folder / "r",
        commands_socket=folder / "c",
        config_checksum=checksum,
    )


def filled(folder: Path, ops: OpsDatabase, parts: list[PartJudged]) -> None:
    """Have parts in the journal and the index."""
    journal, index = Journal(folder / "L.db"), PartIndex("L", ops)
    for part in parts:
        index.take(replace(part, seq=journal.append(part)))
    with ops.transaction():
        index.save()
    index.saved()
    with ops.transaction():
        index.save()  # nothing is left to be written
    journal.close()


async def test_a_part_is_found_wherever_it_is(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    filled(tmp_path, ops, [PART, replace(PART, epoch=2), *(replace(PART, part_id=n) for n in range(100, 400))])
    archive = JournalArchive([line(tmp_path)], ops, clock=lambda: 1)
    found = await archive.part("L", 1, 7)
    assert found == replace(PART, seq=1)
    assert await archive.part("L", 3, 7) is None and await archive.part("L", 1, 8) is None
    listed = await archive.parts("L", Filter(part_id="7"), skip=0, limit=10)
    assert [p.epoch for p in listed.parts] == [2, 1]
    archive.close()
    ops.close()


async def test_an_entry_that_leads_to_another_record_finds_nothing(tmp_path: Path) -> None:
    """The journal was moved away and a new one begun: its numbers mean other parts."""
    ops = OpsDatabase(tmp_path / "ops.db")
    with ops.transaction():
        ops.parts.add(line="L", epoch=9, part_id=9, seq=1)
    filled(tmp_path, ops, [PART])
    archive = JournalArchive([line(tmp_path)], ops, clock=lambda: 1)
    assert await archive.part("L", 9, 9) is None
    assert (await archive.parts("L", Filter(part_id="9"), skip=0, limit=10)).parts == ()
    archive.close()
    ops.close()


async def test_results_keep_the_configuration_that_they_were_made_with(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    for now, checksum in ((10, 0xA), (20, 0xA), (30, 0xB), (40, 0xA)):
        archive = JournalArchive([line(tmp_path, checksum)], ops, clock=lambda now=now: now)  # type: ignore[misc]
        archive.close()
    a, b = "0000000A", "0000000B"
    ran = [Configuration(id=a, since_ns=10), Configuration(id=b, since_ns=30), Configuration(id=a, since_ns=40)]
    assert archive.configurations("L") == ran
    filled(tmp_path, ops, [replace(PART, part_id=n, t_utc_ns=n) for n in (5, 15, 35, 45)])
    archive = JournalArchive([line(tmp_path, None)], ops, clock=lambda: 50)
    assert archive.configurations("L") == ran, "who is told nothing of the configuration says nothing of it"
    for id, ids in ((a, [45, 15]), (b, [35]), ("C", [])):
        found = await archive.parts("L", Filter(configuration=id), skip=0, limit=10)
        assert [p.part_id for p in found.parts] == ids
    archive.close()
    ops.close()


async def test_so_many_wait_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    ops = OpsDatabase(tmp_path / "ops.db")
    archive = JournalArchive([line(tmp_path)], ops, clock=lambda: 1)
    asked = [archive.parts("L", Filter(), skip=0, limit=1) for _ in range(5)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(a, GatewayError) for a in answers] == [False, False, False, True, True]
    assert (await archive.parts("L", Filter(), skip=0, limit=1)).complete
    archive.close()
    ops.close()
