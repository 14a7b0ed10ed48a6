"""The whole gateway on a disk that fills up: pictures stop first, then PASS tokens, and when there is room all comes back.

The data folder is a small tmpfs of its own, which takes root to mount; elsewhere this is skipped with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators import stand as stand_module
from simulators.demo_files import LINES
from simulators.records import read_journal
from tests.system.one_line import eventually, one_line

SIZE_MB = 64
KEEP_FREE_MB = 24
"""Below this no picture is kept."""
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a small disk where the gateway will keep its data."""
    folder = tmp_path / "run" / "data"
    folder.mkdir(parents=True)
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "vision-gateway-test", str(folder)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no tmpfs can be mounted here: {error.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


@pytest.fixture
def small_watermark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a gateway.yaml whose watermark suits a small disk."""
    write = stand_module.write_gateway

    def write_gateway(folder: Path, lines: list[dict[str, Any]], *options: int) -> Path:
        path = write(folder, lines, *options)
        text = path.read_text()
        assert "max_mb: 200" in text
        path.write_text(text.replace("max_mb: 200", f"max_mb: 200\n  pass_share: 1.0\n  min_free_mb: {KEEP_FREE_MB}"))
        return path

    monkeypatch.setattr(stand_module, "write_gateway", write_gateway)


class Filler:
    """Takes the disk's room and gives it back."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "filler"

    def leave(self, free_mb: float) -> None:
        """Write until so little is free; with 0, until the disk refuses."""
        with self.file.open("ab", buffering=0) as f, contextlib.suppress(OSError):
            while free_mb == 0 or shutil.disk_usage(self.file.parent).free > free_mb * 1e6:
                f.write(bytes(1 << 16))

    def free(self) -> None:
        self.file.unlink()


async def test_pictures_stop_then_pass_tokens_and_all_comes_back(disk: Path, small_watermark: None) -> None:
    filler = Filler(disk)
    reserve = disk / "Press" / "journal.db.reserve"
    async with one_line(disk.parent, LINES[0], 15) as line:
        await line.passes()
        await eventually(lambda: list(disk.glob("pictures/*/*.jpg")), "pictures are kept")
        pids = line.pids()

        filler.leave(KEEP_FREE_MB / 2)
        await eventually(lambda: line.said("no pictures are kept: free the disk or lower pictures.max_mb"), "no pictures")
        await line.passes()
        assert reserve.exists()

        filler.leave(0)
        await eventually(lambda: not reserve.exists(), "the reserve is given to the journal")
        await eventually(lambda: line.said("line state")[-1]["why"] == "JOURNAL", "the line is offline")
        assert not line.said("line state")[-1]["ready"]
        for _ in range(3):
            filler.leave(0)  # whoever fills the disk takes what the reserve was, too
            await asyncio.sleep(0.3)
        seen = len(line.verdicts())
        await eventually(lambda: len(line.verdicts()) >= seen + 5, "verdicts go on")
        assert "PASS" not in list(line.verdicts().values())[seen:]

        filler.free()
        await eventually(lambda: line.said("line state")[-1]["ready"], "ready again")
        await line.passes()
        await eventually(reserve.exists, "the reserve is there again")
        await eventually(lambda: line.said("pictures are kept again"), "pictures")
        assert line.pids() == pids, "nobody fell"
    assert not line.said("records are being lost")
    records = read_journal(line.stand.journal("Press"))
    assert [r["seq"] for r in records] == list(range(1, len(records) + 1))
    line.check("passed_without_record", "without_disposition")
