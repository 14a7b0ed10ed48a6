"""The operations database: effects and cursor together or not at all, intents along their table."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.core.errors import GatewayError
from gateway.record.ops import OpsDatabase, read_actions


def add(ops: OpsDatabase, id: str = "a1", line: str = "Line1") -> bool:
    return ops.add_intent(id=id, line=line, kind="adjust", payload={"tag": "Press", "value": 2.5}, evidence="defects rise")


def test_cursor_and_effects_are_committed_together(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    assert ops.cursor("Line1") == ("", 0)
    with ops.transaction():
        ops.set_cursor("Line1", "j", 7)
        ops.set_state("counters.Line1", {"total": 3})
    with pytest.raises(RuntimeError), ops.transaction():
        ops.set_cursor("Line1", "j", 8)
        ops.set_state("counters.Line1", {"total": 4})
        add(ops)
        raise RuntimeError
    ops.close()
    again = OpsDatabase(tmp_path / "ops.db")
    assert again.cursor("Line1") == ("j", 7)
    assert again.state("counters.Line1") == {"total": 3}
    assert again.state("other") is None
    assert again.actions() == []
    again.close()


def test_an_intent_is_known_by_its_id_and_goes_its_way(tmp_path: Path) -> None:
    now = 1_000_000_000_000_000_000
    ops = OpsDatabase(tmp_path / "ops.db", clock=lambda: now)
    assert add(ops)
    assert not add(ops), "the same id is the same intent"
    assert [i.state for i in ops.open_intents("Line1")] == ["intent"]
    now += 2_500_000_000
    ops.set_intent("a1", "sent")
    assert [i.payload for i in ops.open_intents("Line1")] == [{"tag": "Press", "value": 2.5}]
    ops.set_intent("a1", "confirmed", "confirmed")
    assert ops.open_intents("Line1") == []
    expected = {
        "id": "a1",
        "line": "Line1",
        "kind": "adjust",
        "tag": "Press",
        "value": 2.5,
        "evidence": "defects rise",
        "state": "confirmed",
        "result": "confirmed",
        "created": "2001-09-09T01:46:40.000+00:00",
        "sent": "2001-09-09T01:46:42.500+00:00",
        "ended": "2001-09-09T01:46:42.500+00:00",
    }
    assert ops.actions("Line1") == [expected]
    assert ops.actions("Line2") == []
    assert read_actions(tmp_path / "ops.db") == [expected]
    assert read_actions(tmp_path / "none.db") == []
    ops.close()


@pytest.mark.parametrize("path", [["confirmed"], ["expired", "sent"], ["sent", "unknown", "confirmed"], ["sent", "expired"]])
def test_an_intent_takes_no_forbidden_way(tmp_path: Path, path: list) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    add(ops)
    for state in path[:-1]:
        ops.set_intent("a1", state)
    with pytest.raises(ValueError, match="cannot become"):
        ops.set_intent("a1", path[-1])
    with pytest.raises(ValueError, match="unknown"):
        ops.set_intent("nobody", "sent")
    ops.close()


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "ops.db").write_bytes(b"x" * 5000)
    with pytest.raises(GatewayError, match="move a damaged file away"):
        OpsDatabase(tmp_path / "ops.db")


_WRITER = """
import sys
from gateway.record.ops import OpsDatabase
ops = OpsDatabase(sys.argv[1])
seq = ops.cursor("L")[1]
print("up", flush=True)
while True:
    seq += 1
    with ops.transaction():
        ops.set_cursor("L", "j", seq)
        ops.set_state("counters", {"total": seq})
    if seq % 100 == 0:
        print(seq, flush=True)
"""


def test_kill_9_leaves_cursor_and_effects_agreed(tmp_path: Path) -> None:
    script = tmp_path / "writer.py"
    script.write_text(_WRITER)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    floor = 0
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, str(script), str(tmp_path / "ops.db")], env=env, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"up\n"
        floor = int(writer.stdout.readline())
        writer.kill()
        writer.wait()
        writer.stdout.close()
        ops = OpsDatabase(tmp_path / "ops.db")
        _, seq = ops.cursor("L")
        assert ops.state("counters") == {"total": seq}
        assert seq >= floor
        ops.close()
    check = sqlite3.connect(tmp_path / "ops.db")
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


def test_a_transaction_that_the_disk_refuses_says_why_and_the_next_one_may_succeed(tmp_path: Path) -> None:
    ops = OpsDatabase(tmp_path / "ops.db")
    (pages,) = ops._db.execute("PRAGMA page_count").fetchone()
    ops._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"), ops.transaction():
        ops.set_cursor("Line1", "j", 1)
        ops.set_state("big", "x" * 20_000)
    assert ops.cursor("Line1") == ("", 0), "nothing of it is kept"
    ops._db.execute("PRAGMA max_page_count = 1000000")
    with ops.transaction():
        ops.set_cursor("Line1", "j", 1)
    assert ops.cursor("Line1") == ("j", 1)
    ops.close()
