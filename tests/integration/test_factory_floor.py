"""The factory's key switch, stations and contacts from outside: what a gateway reads of them over both protocols."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.score import score_line
from tests.integration.factory_client import factory, passing_gateway
from tests.integration.plc_stand import PROTOCOLS
from tests.integration.test_factory import through

# A part is at the gate when the second one behind it has just passed the photo-eye.
PLAN = """scenario: 1
about: the floor
belt: {jitter: 0, gate_spacings: 2, press_spacings: 4}
process: {base: 0}
rejects: {bypass_max_parts: 4, reset_after_ms: 300}
station: {challenge: [5], audit: [6], external: [13]}
keys:
  - {at_part: 10, mode: monitor_only}
  - {at_part: 20, mode: automatic}
  - {at_part: 28, mode: manual}
  - {at_part: 34, mode: automatic}
  - {at_part: 40, mode: bypass}
faults:
  - {at_part: 48, kind: air_lost, for_ms: 100}
"""


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_key_the_stations_and_the_air(protocol: str, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    async with factory(tmp_path, protocol=protocol, parts=54, parts_per_s=20.0, scenario=str(plan)) as running:
        async with passing_gateway(running) as gateway:
            gateway.fails = frozenset({12, 21, 41})
            await through(running)
        assert await running.end() == 0, running.errors.decode()
    others = {n: outcome for n, outcome in gateway.outcomes.items() if n and outcome != 1}
    told = {5: 4, 6: 5, 13: 2, 21: 2, 40: 6, 41: 6, 42: 6, 43: 6, 44: 2} | dict.fromkeys(range(26, 34), 2)
    assert others == told
    passed = {e["n"] for e in running.ledger("gate") if e["passed"]}
    assert passed == {n for n in range(1, 55) if told.get(n, 1) in (1, 6)}
    stops = [e["detail"] for e in running.ledger("stopped")]
    assert stops == ["the limit of bypass is reached", "the air pressure is lost"]
    assert len(running.ledger("released")) == 2
    keys = [(e["mode"], e.get("by")) for e in running.ledger("key")]
    assert keys[-1] == ("automatic", "the operator")
    score = score_line(protocol, running.ledger(), [])
    assert (score["bypassed"], score["monitored"], score["challenges"], score["passed_without_token"]) == (4, 7, 1, 0)
