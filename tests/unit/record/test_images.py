"""Pictures: what is kept, what goes first, and what a full disk does to everything else (nothing)."""

import errno
import hashlib
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from gateway.core.events import PartJudged
from gateway.record import images
from gateway.record.images import PictureStore

DAY_NS = 86_400 * 10**9


def part(part_id: int, disposition: str = "FAIL", slot: int = 0, t: int = DAY_NS) -> PartJudged:
    return PartJudged(
        line="L", t_utc_ns=t, seq=part_id, part_id=part_id, epoch=5, disposition=disposition, frame_slot=slot, camera="Cam1"
    )


def picture(seed: int, size: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 1), dtype=np.uint8)


def files(root: Path) -> list[Path]:
    return sorted(root.glob("*/*"))


def test_rejects_and_a_seeded_share_of_the_passes_are_wanted(tmp_path: Path) -> None:
    store = PictureStore(tmp_path, 10, 0.1, seed=3)
    assert store.wants(part(1, "FAIL"))
    assert store.wants(part(1, "NOT_INSPECTED"))
    assert not store.wants(part(1, "FAIL", slot=-1)), "there is no frame to keep"
    chosen = [i for i in range(2000) if store.wants(part(i, "PASS"))]
    assert 140 <= len(chosen) <= 260
    store.close()
    same, other, none = (PictureStore(tmp_path, 10, s, seed=n) for s, n in ((0.1, 3), (0.1, 4), (0.0, 3)))
    assert [i for i in range(2000) if same.wants(part(i, "PASS"))] == chosen
    assert [i for i in range(2000) if other.wants(part(i, "PASS"))] != chosen
    assert not any(none.wants(part(i, "PASS")) for i in range(2000))
    for s in (same, other, none):
        s.close()


def test_a_picture_lies_under_its_day_and_its_hash(tmp_path: Path) -> None:
    store = PictureStore(tmp_path, 10, 0)
    store.put(part(1, t=DAY_NS + 5), picture(1))
    store.put(part(2, t=DAY_NS + 6), picture(1))
    store.put(part(3, t=2 * DAY_NS), None)
    store.close()
    (file,) = files(tmp_path)
    assert file.parent.name == "1970-01-02"
    assert file.name == hashlib.sha256(file.read_bytes()).hexdigest() + ".jpg"
    seen = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    assert float(np.abs(seen.astype(int) - picture(1)[..., 0]).mean()) < 12
    assert (store.counts().kept, store.counts().dropped, store.counts().stopped) == (2, 1, "")


def test_beyond_the_limit_the_oldest_goes_first_also_after_a_restart(tmp_path: Path) -> None:
    probe = cv2.imencode(".jpg", picture(1), [cv2.IMWRITE_JPEG_QUALITY, images.JPEG_QUALITY])[1].size
    store = PictureStore(tmp_path, 3.6 * probe / 1e6, 0)
    for i in range(1, 4):
        store.put(part(i, t=i * DAY_NS), picture(i))
    store.close()
    assert [f.parent.name for f in files(tmp_path)] == ["1970-01-02", "1970-01-03", "1970-01-04"]
    store = PictureStore(tmp_path, 3.6 * probe / 1e6, 0)
    store.put(part(9, t=9 * DAY_NS), picture(9))
    store.close()
    assert [f.parent.name for f in files(tmp_path)] == ["1970-01-03", "1970-01-04", "1970-01-10"]
    small = PictureStore(tmp_path, 1.5 * probe / 1e6, 0)
    small.sweep()
    small.close()
    assert [f.parent.name for f in files(tmp_path)] == ["1970-01-10"]


def test_a_full_disk_stops_pictures_only_and_they_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    store = PictureStore(tmp_path, 10, 0, clock=lambda: now)
    real = Path.write_bytes
    calls = 0

    def full(self: Path, data: bytes) -> int:
        nonlocal calls
        calls += 1
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    for i in range(1, 4):
        store.put(part(i), picture(i))
    drain(store)
    assert "No space left" in store.counts().stopped
    assert (store.counts().kept, store.counts().dropped) == (0, 3)
    assert calls == 1, "a full disk is not tried for every picture"
    assert files(tmp_path) == []
    monkeypatch.setattr(Path, "write_bytes", real)
    now += images.RETRY_S
    store.put(part(5), picture(5))
    drain(store)
    assert (store.counts().kept, store.counts().stopped) == (1, "")
    store.close()
    assert len(files(tmp_path)) == 1


def test_below_the_watermark_no_picture_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 100e6
    monkeypatch.setattr(images.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1e9, 0, free))
    store = PictureStore(tmp_path, 10, 0, min_free_mb=200, clock=lambda: 0.0)
    store.put(part(1), picture(1))
    drain(store)
    assert "200 MB" in store.counts().stopped
    store.close()
    assert files(tmp_path) == []


def drain(store: PictureStore) -> None:
    """Wait until the thread has taken everything queued so far: it works on one picture at a time, in order."""
    import time

    end = time.monotonic() + 10
    while not store._queue.empty():
        assert time.monotonic() < end
        time.sleep(0.002)
    with store._work:
        pass
