"""The record stream: every durable record once and in order, whatever happens to datagrams, journal and control."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import gateway.services.stream
from gateway.core.events import LineState, PartOutcome, Record
from gateway.record.journal import Journal
from gateway.record.stream import RecordSender
from gateway.services.stream import RecordStream


def outcome(part_id: int) -> PartOutcome:
    return PartOutcome(line="L", t_utc_ns=part_id, part_id=part_id, outcome="PASSED")


async def take(stream: RecordStream, n: int) -> list[Record]:
    got: list[Record] = []
    async with asyncio.timeout(10):
        while len(got) < n:
            got += await stream.batch()
    return got


async def test_lost_and_late_datagrams_lose_no_record(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    sender = RecordSender(tmp_path / "r.sock")
    for i in range(1, 4):  # nobody listens yet
        journal.append(outcome(i))
    assert not sender.send(outcome(3))
    assert sender.dropped == 1
    async with RecordStream("L", tmp_path / "r.sock", tmp_path / "j.db", 0) as stream:
        assert (tmp_path / "r.sock").stat().st_mode & 0o777 == 0o600
        assert [r.seq for r in await take(stream, 3)] == [1, 2, 3]
        for i in range(4, 40):
            seq = journal.append(outcome(i))
            if i % 3 == 0:
                sender.send(replace(outcome(i), seq=seq))
        assert [r.seq for r in await take(stream, 36)] == list(range(4, 40))
        seq = journal.append(outcome(40))  # no datagram at all: found by looking
        assert [r.seq for r in await take(stream, 1)] == [seq]
    journal.close()
    async with RecordStream("L", tmp_path / "r.sock", tmp_path / "j.db", 38, journal=stream.journal) as again:
        assert [r.seq for r in await take(again, 2)] == [39, 40], "a restart continues after the cursor"
    sender.close()


async def test_an_announced_record_is_not_passed_on_before_it_is_durable(tmp_path: Path) -> None:
    """Control dies between the datagram and the commit; its successor uses the number for another record."""
    first = Journal(tmp_path / "j.db")
    first.append(outcome(1))
    first.close()
    sender = RecordSender(tmp_path / "r.sock")
    async with RecordStream("L", tmp_path / "r.sock", tmp_path / "j.db", 0) as stream:
        await take(stream, 1)
        assert sender.send(replace(outcome(2), seq=2))  # announced, never committed
        waiting = asyncio.create_task(stream.batch())
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        assert not done
        second = Journal(tmp_path / "j.db")
        assert second.append(outcome(77)) == 2
        async with asyncio.timeout(10):
            (record,) = await waiting
        assert isinstance(record, PartOutcome)
        assert (record.seq, record.part_id) == (2, 77)
        second.close()
    sender.close()


async def test_what_has_no_number_is_passed_on_and_rubbish_is_not(tmp_path: Path) -> None:
    sender = RecordSender(tmp_path / "r.sock")
    async with RecordStream("L", tmp_path / "r.sock", tmp_path / "none.db", 0) as stream:
        sender._socket.sendto(b"{rubbish", str(tmp_path / "r.sock"))
        full = LineState(line="L", t_utc_ns=1, link="up", ready=False, offline_reason="JOURNAL")
        sender.send(full)
        assert await take(stream, 1) == [full]
        assert stream.cursor == 0
    sender.close()


class Newer(Record):
    """A record as a newer control may write it."""

    kind = "newer"


async def test_records_of_a_newer_control_are_passed_over_counted_and_the_cursor_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.services.stream, "QUIET_S", 1000)  # what it does not know is no reason to wait
    journal = Journal(tmp_path / "j.db")
    sender = RecordSender(tmp_path / "r.sock")
    newer = Newer(line="L", t_utc_ns=1)
    journal.append(outcome(1))
    for _ in range(600):  # more than two batches of nothing that is known
        journal.append(newer)
    journal.append(outcome(602))
    # Nothing would wake the stream for what becomes durable after its first look.
    while journal.pending()[0]:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    with capture_logs() as log:
        await _pass_over(journal, sender, newer, tmp_path)
    journal.close()
    sender.close()
    assert [e["event"] for e in log] == ["a record is not known here and is passed over"], "said once, for more will come"


async def _pass_over(journal: Journal, sender: RecordSender, newer: Record, tmp_path: Path) -> None:
    async with RecordStream("L", tmp_path / "r.sock", tmp_path / "j.db", 0) as stream:
        assert [r.seq for r in await take(stream, 2)] == [1, 602]
        assert (stream.unknown, stream.missing, stream.cursor) == (600, 0, 602)
        sender.send(replace(newer, seq=journal.append(newer)))  # nothing to be had: it waits for the next
        waiting = asyncio.create_task(stream.batch())
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        assert not done
        sender.send(replace(outcome(604), seq=journal.append(outcome(604))))
        async with asyncio.timeout(10):
            assert [r.seq for r in await waiting] == [604]
        assert (stream.unknown, stream.cursor) == (601, 604)


async def test_a_new_journal_at_the_path_is_read_from_its_start(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    for i in range(1, 6):
        journal.append(outcome(i))
    journal.close()
    async with RecordStream("L", tmp_path / "r.sock", tmp_path / "j.db", 0) as stream:
        await take(stream, 5)
        for f in tmp_path.glob("j.db*"):
            f.unlink()
        fresh = Journal(tmp_path / "j.db")
        fresh.append(outcome(9))
        (record,) = await take(stream, 1)
        assert isinstance(record, PartOutcome)
        assert (record.seq, record.part_id) == (1, 9)
        fresh.close()


async def test_a_full_socket_drops_and_counts_and_never_blocks(tmp_path: Path) -> None:
    sender = RecordSender(tmp_path / "r.sock")
    journal = Journal(tmp_path / "j.db")
    async with RecordStream("L", tmp_path / "r.sock", tmp_path / "j.db", 0) as stream:
        for i in range(1, 3001):  # the loop is not given a chance to receive
            sender.send(replace(outcome(i), seq=journal.append(outcome(i))))
        assert sender.dropped > 0
        assert [r.seq for r in await take(stream, 3000)] == list(range(1, 3001))
    assert not sender.send(replace(outcome(1), seq=1))
    journal.close()
    sender.close()
