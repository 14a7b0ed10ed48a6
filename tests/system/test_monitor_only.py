"""``gateway run --monitor-only`` beside an inspection that decides: it judges, records, reports, and writes nothing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pytest

from gateway.core.events import LineState, PartJudged, PartOutcome, ProcessValues, Record
from gateway.record.journal import JournalReader
from simulators import plc_s7
from simulators.plant import Mode
from simulators.plc_modbus import ModbusServer
from simulators.render import render
from tests.integration.plc_stand import PROTOCOLS, Stand, plc_stand
from tests.system.one_line import eventually
from tests.system.test_conformance import MODEL, free_port

R = TypeVar("R", bound=Record)
READS = (1, 2, 3, 4)
"""Modbus' functions that read."""
SCRATCHED = 3
"""The fourth picture, and so the fourth part, is a defective one."""


def write_files(folder: Path, plc: Stand) -> Path:
    rng = np.random.default_rng(1)
    (folder / "pictures").mkdir()
    for i in range(6):
        picture = render(rng, "scratch" if i == SCRATCHED else "good")
        assert cv2.imwrite(str(folder / "pictures" / f"{i}.png"), picture)
    text = Path(plc.loaded.map.file).read_text()
    for port in (102, 502):
        text = text.replace(f"port: {port}", f"port: {plc.port}")
    (folder / "map.yaml").write_text(text)
    config = folder / "gateway.yaml"
    config.write_text(f"""
data: data
opcua: {{port: {free_port()}}}
lines:
  - name: Watched
    plc: map.yaml
    model: {MODEL}
    bind: {{by: time, window: 80}}
    rate: {{parts_per_s: 5}}
    gate_deadline_ms: 2000
    cameras: [{{name: Cam1, kind: folder, path: pictures, trigger: software}}]
""")
    return config


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_nothing_is_written_and_every_disagreement_is_reported(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = log_writes(monkeypatch)
    async with plc_stand(protocol) as plc:
        plc.mode = Mode.MONITOR_ONLY
        config = write_files(tmp_path, plc)
        command = [sys.executable, "-m", "gateway.cli", "run", "--monitor-only", str(config)]
        with (tmp_path / "log").open("wb") as log:
            gateway = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        try:
            journal = JournalReader(tmp_path / "data" / "Watched" / "journal.db")

            def of(kind: type[R]) -> list[R]:
                return [r for r in journal.since(0) if isinstance(r, kind)]

            await eventually(lambda: any(r.ready for r in of(LineState)), "the line is ready")
            await plc.roll(20_000)  # the belt clears
            for n in range(6):
                plc.external_reject = n == 0
                plc.pass_part()
                await asyncio.sleep(0.3)
            await plc.roll(21_000)
            await eventually(lambda: len(of(PartOutcome)) == 6, "every part has left")
            await eventually(lambda: of(LineState)[-1].disagreements == 2, "the line says how many disagreements")
        finally:
            gateway.terminate()
            async with asyncio.timeout(30):
                await gateway.wait()
        parts, outcomes, values = of(PartJudged), of(PartOutcome), of(ProcessValues)
        assert written == []
        assert not any(plc.logic.down)
        assert plc.seen("owner") == []
        assert plc.seen("latched") == []
    assert [p.disposition for p in parts] == ["FAIL" if n == SCRATCHED else "PASS" for n in range(6)]
    assert {(p.token, p.mode) for p in parts} == {("withheld", "MONITOR_ONLY")}
    assert all(p.t_acked_mono_ns == 0 for p in parts)
    assert [o.outcome for o in outcomes] == ["REJECTED", *["PASSED"] * 5]
    assert [o.disagrees_with for o in outcomes] == ["PASS", "", "", "FAIL", "", ""]
    assert {r.monitor_only for r in of(LineState)} == {True}
    assert values[-1].mode == "MONITOR_ONLY"


def log_writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return what takes note of every write that a client asks of a simulated PLC, whatever becomes of it."""
    written: list[bytes] = []
    s7, modbus = plc_s7._CpuServer._write, ModbusServer._serve

    def write(self: Any, items: Any, data: bytes) -> bytes:
        written.append(data)
        return s7(self, items, data)

    async def serve(self: Any, function: int, *request: Any) -> Any:
        if function not in READS:
            written.append(bytes([function]))
        return await modbus(self, function, *request)

    monkeypatch.setattr(plc_s7._CpuServer, "_write", write)
    monkeypatch.setattr(ModbusServer, "_serve", serve)
    return written
