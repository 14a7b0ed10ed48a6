"""What is shown of a batch, how evidence reads, and which pictures are taken from the rings."""

from pathlib import Path
from typing import Any

import numpy as np

from gateway.actions.adjust import Baseline
from gateway.core.events import PartJudged
from gateway.frames import FrameRing
from gateway.monitoring.trend import TrendDetector
from gateway.opcua.station import Station, Update
from gateway.record.images import PictureStore
from gateway.services.evidence import sentence
from gateway.services.line import newest
from gateway.services.pixels import Pictures

T = 1_700_000_000 * 10**9


def part(seq: int, disposition: str = "PASS", **frame: Any) -> PartJudged:
    return PartJudged(
        line="L", t_utc_ns=T + seq, seq=seq, part_id=seq, epoch=1, disposition=disposition, camera="Cam1", **frame
    )


def test_of_a_large_batch_the_newest_value_of_each_tag_is_written_and_the_commit_last() -> None:
    station = Station()
    updates = [u for seq in range(1, 50) for u in station.apply(part(seq))]
    shown = newest(updates)
    assert len({u.tag for u in shown}) == len(shown)
    values = {u.tag: u.value for u in shown}
    assert (values["Result.Seq"], values["Result.CommitSeq"], values["Result.PartId"]) == (49, 49, 49)
    assert shown[-1].tag == "Result.CommitSeq"


def test_the_order_of_the_last_updates_stays() -> None:
    updates = [Update(tag=t, value=v, t_utc_ns=T) for t, v in (("a", 1), ("b", 1), ("a", 2), ("c", 1))]
    assert [(u.tag, u.value) for u in newest(updates)] == [("b", 1), ("a", 2), ("c", 1)]
    assert newest([]) == []


def test_the_evidence_is_one_sentence_without_terms_of_statistics() -> None:
    detector = TrendDetector(p0=0.0135, arl0=100_000)
    for i in range(200):
        bad = i >= 160 and i % 4 == 0
        detector.update(part_id=1000 + i, t_utc_ns=T + i * 10**9, defect="scratch" if bad else None)
    text = sentence(detector.onset(), Baseline(parts=2000, defects=20))
    assert text == (
        "10 of the last 40 parts were defective (25.0 %), most often scratch (10); usual is 1.0 % (counted over 2000 parts). "
        "It began between part 1000 (22:13:20 UTC) and part 1164 (22:16:04 UTC)."
    )
    assert "usual is 1.0 %" in sentence(None, Baseline(parts=2000, defects=20))


def test_pictures_come_from_the_ring_while_the_frame_stands(tmp_path: Path) -> None:
    store = PictureStore(tmp_path / "pictures", 100, 0.0, min_free_mb=0)
    pictures = Pictures({"Cam1": tmp_path / "ring"}, store)
    pictures.keep(part(1, "FAIL", frame_slot=0, frame_generation=2, frame_shape=(4, 4, 1)))
    assert store.counts().dropped == 1, "there is no ring"
    ring = FrameRing.create(tmp_path / "ring", slots=2, slot_bytes=4096)
    try:
        image = np.arange(48, dtype=np.uint8).reshape(6, 8, 1)
        slot, generation = ring.write(image)
        pictures.keep(part(2, "FAIL", frame_slot=slot, frame_generation=generation, frame_shape=(6, 8, 1)))
        pictures.keep(part(3, "PASS", frame_slot=slot, frame_generation=generation, frame_shape=(6, 8, 1)))
        pictures.keep(part(4, "FAIL", frame_slot=slot, frame_generation=generation))
        for _ in range(2):
            ring.write(image)
        pictures.keep(part(5, "FAIL", frame_slot=slot, frame_generation=generation, frame_shape=(6, 8, 1)))
        assert store.counts().dropped == 3, "no ring, no shape, overwritten"
        # Another file at the path, as after a change of geometry.
        ring.close()
        (tmp_path / "ring").unlink()
        ring = FrameRing.create(tmp_path / "ring", slots=4, slot_bytes=4096)
        slot, generation = ring.write(image)
        pictures.keep(part(6, "FAIL", frame_slot=slot, frame_generation=generation, frame_shape=(6, 8, 1)))
    finally:
        ring.close()
        pictures.close()
        store.close()
    assert store.counts().kept == 2
    assert len(list((tmp_path / "pictures").rglob("*.jpg"))) == 1, "the same bytes are one file"
