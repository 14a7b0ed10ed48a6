"""FB_VisionGate, as exported, against the simulated PLC: the same day on the line must end in the same bytes and outputs.

More seeds than at every commit: ``python -m tests.unit.interchange.program.test_equality 1000``.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from simulators.plant import Settings
from tests.unit.interchange.program import twin as twins
from tests.unit.interchange.program.scenarios import live
from tests.unit.interchange.program.st_parser import StError
from tests.unit.interchange.program.twin import EPOCH, FAIL, GATE, WINDOW, DifferentError, Twin, loaded_map, machine, sources

SEEDS = 14


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps")


@pytest.mark.parametrize("handshake", ["ring", "ack"])
def test_both_do_the_same_on_every_day(folder: Path, handshake: str) -> None:
    """And the days are worth something: every outcome, stop, answer and change of owner has happened."""
    program = machine(sources(folder, handshake))
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        seen += live(seed, loaded_map(folder, handshake), program).seen
    wanted = [f"outcome {n}" for n in range(1, 7)] + [
        "gate",
        "at an open gate",
        "recheck",
        "granted",
        "lost",
        "resumed",
        "restarted",
        "released",
    ]
    wanted += ["adjusted accepted", "adjusted clamped", "adjusted no permit", "adjusted stale expected-old", "command"]
    if handshake == "ack":
        wanted += ["missed", "result", "refused", "exposed"]
    assert [w for w in wanted if not seen[w]] == []
    stops = {n for n in range(1, 12) if seen[f"stop {n}"]}
    assert stops >= ({1, 2, 3, 5, 6, 7, 8, 9, 10, 11} if handshake == "ring" else {1, 5, 6, 7, 8, 9})


# What is taken out of the program, and that the comparison finds it.
MUTATIONS = {
    "any check is good": (
        " AND Entry.Check = Check;",
        ";",
    ),
    "the epoch is no part of the check": (
        "UDINT_TO_DWORD(Entry.PartId) XOR Epoch",
        "UDINT_TO_DWORD(Entry.PartId)",
    ),
    "a token counts in any slot": (
        " AND UDINT_TO_INT(Entry.PartId MOD 8) = i",
        "",
    ),
    "the last token wins": (
        "Parts[k].PartId = Entry.PartId AND Parts[k].Verdict = 16#0000",
        "Parts[k].PartId = Entry.PartId",
    ),
    "a token counts after the gate was set": (
        "16#0000 AND Parts[k].Way = EXIT_NOBODY THEN",
        "16#0000 THEN",
    ),
    "a FAIL passes": (
        "PartMode = MODE_AUTOMATIC AND Parts[k].Verdict = VERDICT_PASS THEN",
        "PartMode = MODE_AUTOMATIC THEN",
    ),
    "what is not decided passes": (
        "PartWay := EXIT_SCRAP;\n                PartMode := Key;",
        "PartWay := EXIT_OK;\n                PartMode := Key;",
    ),
    "a challenge part may pass": (
        "IF Past >= 0 OR Parts[k].Challenge OR",
        "IF Past >= 0 OR",
    ),
    "opening wins over rejecting": (
        "Decision <> Parts[k].Way THEN\n                Decision := EXIT_SCRAP;",
        "Decision <> Parts[k].Way THEN\n                Decision := EXIT_OK;",
    ),
    "tokens of a dead owner count": (
        "    IF OwnerAlive THEN\n        FOR i",
        "    IF Epoch <> 16#00000000 THEN\n        FOR i",
    ),
    "the watchdog sleeps": (
        "WATCHDOG_MS : UDINT := 300",
        "WATCHDOG_MS : UDINT := 3000",
    ),
    "any heartbeat counts": (
        " AND Down.OwnerEpoch = Epoch THEN",
        " THEN",
    ),
    "a second claim is granted at once": (
        "IF NOT OwnerAlive AND Nonce",
        "IF Nonce",
    ),
    "a claim found at the start is granted": (
        " AND Nonce <> FoundNonce THEN",
        " THEN",
    ),
    "no coasting": (
        "RecheckGate := FALSE;\n        Rejecting := TRUE;\n        StartedAt := Encoder;\n",
        "RecheckGate := FALSE;\n",
    ),
    "no coasting after a fault of the encoder": (
        "Count := 0;\n        Rejecting := TRUE;\n        StartedAt := Encoder;\n",
        "Count := 0;\n",
    ),
    "counts may jump": (
        " OR Counts / Steps > GateWindow;",
        ";",
    ),
    "counts may jump back": (
        "        Counts := LastEncoder - Encoder;\n",
        "        Counts := 0;\n",
    ),
    "a long gap between two calls is taken for a jump": (
        "Steps := (Elapsed - 1) / ScanMs + 1;",
        "Steps := 1;",
    ),
    "a part may lie before the photo-eye": (
        "        IF NOT Parts[k].Gone AND DWORD_TO_DINT(UDINT_TO_DWORD(Counts)) < -Window THEN",
        "        IF FALSE THEN",
    ),
    "the gate opens in a stop": (
        "NOT Rejecting AND NOT StopLine AND Key",
        "NOT Rejecting AND Key",
    ),
    "Manual lets pass": (
        " AND Key <> MODE_MANUAL AND NOT Simulated;",
        ";",
    ),
    "a held button resets": (
        "IF Reset AND NOT ResetBefore AND NOT",
        "IF Reset AND NOT",
    ),
    "a stop is reset while its cause stands": (
        " AND NOT CauseStands THEN",
        " THEN",
    ),
    "a neighbour's fall is proof": (
        " AND Past >= 0 AND Past <= Confirm THEN",
        " THEN",
    ),
    "set-points move without a permit": (
        "IF NOT AdjustPermit THEN\n                Result",
        "IF FALSE THEN\n                Result",
    ),
    "no number is a set-point": (
        "NOT (ABS(Value) <= REAL_LIMIT)",
        "ABS(Value) > REAL_LIMIT",
    ),
    "PartId 0 is given": (
        "PartCount := 1;",
        "PartCount := 0;",
    ),
    "a key turned in the window lets pass": (
        " AND Parts[k].LetBy <> Key THEN\n            Parts[k].Way := EXIT_SCRAP;",
        " AND Parts[k].LetBy <> Key THEN\n            Parts[k].Way := EXIT_OK;",
    ),
    "parts are followed over a fault of the encoder": (
        "        First := 0;\n        Count := 0;\n        Rejecting := TRUE;",
        "        Rejecting := TRUE;",
    ),
    "Bypass without end": (
        "    ELSIF BypassMs <= BypassMaxMs THEN\n        BypassMs := BypassMs + (NowMs - LastMs);\n",
        "",
    ),
}


#: Where it makes a difference on few days, one of those to begin with; any later one will do.
FOUND_AT = {"Manual lets pass": 19}


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_rule_left_out_is_found(folder: Path, what: str) -> None:
    old, new = MUTATIONS[what]
    texts = sources(folder)
    text = texts["FB_VisionGate.st"]
    assert old in text
    program = machine(texts | {"FB_VisionGate.st": text.replace(old, new)})
    with pytest.raises((DifferentError, StError)):
        for seed in range(FOUND_AT.get(what, 0), 60):
            live(seed, loaded_map(folder), program)


@pytest.mark.parametrize(
    ("old", "new"),
    [(" AND Entry.PartId = ResultId AND Entry.Verdict = Shown;", ";"), ("(NOT PartWaits OR TokenThere)", "TRUE")],
)
def test_a_rule_of_the_classic_exchange_left_out_is_found(folder: Path, old: str, new: str) -> None:
    """A result without its token, and one that says another thing than its token."""
    texts = sources(folder, "ack")
    assert old in texts["FB_VisionGate.st"]
    program = machine(texts | {"FB_VisionGate.st": texts["FB_VisionGate.st"].replace(old, new)})
    with pytest.raises((DifferentError, StError)):
        for seed in range(40):
            live(seed, loaded_map(folder, "ack"), program)


# -- what the simulated PLC has not: a register of fixed length, milliseconds that wrap, a task that stood still


def bench(folder: Path, **options: object) -> Twin:
    return Twin(loaded_map(folder), machine(sources(folder)), **options).owned()  # type: ignore[arg-type]


def alone(twin: Twin, *, move: int = 0, ms: int = 10, edge: bool = False) -> None:
    """Run the function block without its twin."""
    twin.now_ms += ms
    twin.encoder = (twin.encoder + move) & 0xFFFFFFFF
    gate = twin.gate
    gate.NowMs, gate.Encoder, gate.PartEdge, gate.PartEncoder = twin.now_ms & 0xFFFFFFFF, twin.encoder, edge, twin.encoder
    twin.globals.DB_VisionDown_Registers = twins.registers(twin.plc.down)
    twin.main.call()


def test_a_full_register_turns_parts_away_and_stops_the_line(folder: Path) -> None:
    twin = bench(folder)
    gate = twin.gate
    for _ in range(64):
        alone(twin, move=1, edge=True)
        twin.heartbeat()
    assert (gate.Count, gate.StopReason) == (64, 0)
    first = gate.Parts[gate.First].PartId
    alone(twin, move=1, edge=True)
    assert (gate.Count, gate.StopReason, gate.Rejecting, gate.GateOpen) == (64, 12, True, False)
    assert gate.Parts[gate.First].PartId == first  # nothing was overwritten
    assert twin.globals.DB_VisionUp.PartId == gate.PartCount  # the gateway hears of the part all the same
    gate.Reset = True
    alone(twin)
    assert (gate.StopReason, gate.Rejecting) == (0, True)
    for _ in range(GATE // WINDOW - 1):
        alone(twin, move=WINDOW)
    alone(twin, move=WINDOW - 1)
    assert gate.Rejecting
    alone(twin, move=1)
    assert not gate.Rejecting


def test_an_owner_that_has_died_stays_dead_when_the_milliseconds_wrap(folder: Path) -> None:
    twin = bench(folder)
    gate = twin.gate
    for step in range(0, 1 << 32, 1 << 26):
        gate.LastMs = (twin.now_ms + (1 << 26) - 10) & 0xFFFFFFFF  # the task was called all the while
        alone(twin, ms=1 << 26)
        assert not gate.OwnerAlive, step


def test_a_task_that_stood_still_starts_anew(folder: Path) -> None:
    """Some PLCs keep their variables from STOP to RUN; the belt has coasted all the same."""
    twin = bench(folder)
    gate = twin.gate
    assert not gate.Rejecting
    alone(twin, ms=1000)
    assert not gate.Rejecting and gate.Epoch == EPOCH
    alone(twin, ms=1001)
    assert gate.Rejecting and gate.Epoch == 0 and not gate.OwnerAlive


@pytest.mark.parametrize(
    "wrong", [{"GateWindow": 0}, {"GateWindow": GATE + 1}, {"CameraToGate": 1 << 31}, {"ConfirmWithin": 1 << 31}]
)
def test_settings_that_make_no_sense_stop_the_line(folder: Path, wrong: dict[str, int]) -> None:
    twin = bench(folder)
    for name, value in wrong.items():
        setattr(twin.gate, name, value)
    alone(twin)
    assert twin.gate.StopReason == 13 and not twin.gate.GateOpen
    twin.gate.Reset = True
    alone(twin)
    assert twin.gate.StopReason == 13


def test_an_instance_that_nobody_has_wired_stops_the_line(folder: Path) -> None:
    """The inputs' start values are those of broken wires."""
    gate = machine(sources(folder)).instance("FB_VisionGate")
    program = machine(sources(folder))
    gate = program.instance("FB_VisionGate")
    gate.call(Up=program.new("ST_DB_VisionUp"), Down=program.new("ST_DB_VisionDown"))
    assert gate.StopLine and not gate.GateOpen


def test_a_ring_too_slow_for_the_part_rate_stops_the_line(folder: Path) -> None:
    slow = Settings(max_parts_per_s=100.0, scan_ms=10, link_cycle_ms=20)
    twin = bench(folder, settings=slow)
    assert twin.gate.StopReason == 11


def test_a_fail_is_turned_away(folder: Path) -> None:
    """The plainest case, readable: of two parts the good one passes and the bad one does not."""
    twin = bench(folder)
    for n, verdict in ((1, twins.PASS), (2, FAIL)):
        twin.scan(latch=twin.encoder, move=5)
        twin.token(n, verdict)
        twin.heartbeat()
        twin.travel(95)
    for _ in range(230):
        twin.heartbeat()
        twin.scan(move=5)
    assert (twin.seen["outcome 1"], twin.seen["outcome 2"]) == (1, 1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        for kind in ("ring", "ack"):
            for number in range(int(sys.argv[1])):
                live(number, loaded_map(Path(name), kind), machine(sources(Path(name), kind)))
            print(f"{kind}: {sys.argv[1]} days alike")
