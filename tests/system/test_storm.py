"""The share of the storm that every commit has to stand: a hundred thousand parts on each protocol."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from simulators.storm.episode import NEVER

PARTS = 200_000


def storm(*arguments: str, hash_seed: str = "random") -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "simulators.storm", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.timeout(900)
def test_no_defective_part_passes_in_a_storm() -> None:
    tally = storm("--parts", str(PARTS), "--seed", "1")
    assert tally["parts"] == PARTS
    for never in (*NEVER, "bugs"):
        assert tally[never] == 0, never
    assert isinstance(tally["faults"], dict)
    assert sum(tally["faults"].values()) > PARTS / 800
    # Virtual time: the same code gives the same number on every machine.
    assert isinstance(tally["good_lost_share"], float)
    assert tally["good_lost_share"] <= 0.04


def test_the_trace_is_the_same_in_another_process() -> None:
    again = [storm("--parts", "2000", "--seed", "9", "--every", "40", hash_seed=seed)["trace_hash"] for seed in ("1", "2")]
    assert again[0] == again[1]
