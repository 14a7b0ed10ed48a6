"""The pictures kept: every reject and a seeded sample of the passes, within a size limit.

Pictures are the first thing to give up when the disk fills: they stop, are counted, and start again by themselves; the
record stream never waits for them. Files are named by the SHA-256 of their bytes, below a folder a UTC day. It must not know
where the pixels came from.
"""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import structlog

from gateway.core.errors import GatewayError
from gateway.core.events import PartJudged
from gateway.core.frame import Pixels

QUEUE = 32
JPEG_QUALITY = 92
MIN_FREE_MB = 256
RETRY_S = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pictures (
  path TEXT NOT NULL, bytes INTEGER NOT NULL, line TEXT NOT NULL, seq INTEGER NOT NULL, part_id INTEGER NOT NULL,
  t_utc_ns INTEGER NOT NULL, camera TEXT NOT NULL, disposition TEXT NOT NULL, defect TEXT NOT NULL,
  PRIMARY KEY (line, seq, part_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pictures_by_time ON pictures (t_utc_ns);
CREATE INDEX IF NOT EXISTS pictures_by_path ON pictures (path);
"""

_log = structlog.get_logger("pictures")


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureCounts:
    """What became of the pictures since the start."""

    kept: int
    dropped: int
    """Wanted, but the disk was full, the queue was full or the frame was gone."""
    stopped: str
    """Why no picture is kept at present; empty when all is well."""


class PictureStore:
    """Keeps pictures under ``directory`` from a thread of its own; no method waits for the disk but :meth:`close`."""

    def __init__(
        self,
        directory: str | Path,
        max_mb: float,
        pass_share: float,
        *,
        seed: int = 0,
        min_free_mb: float = MIN_FREE_MB,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep at most ``max_mb`` MB, ``pass_share`` (0–1) of the passes, and ``min_free_mb`` MB of the disk free.

        ``clock`` returns monotonic seconds. Raises GatewayError when the folder cannot be made.
        """
        self.directory = Path(directory)
        self._max_bytes = int(max_mb * 1e6)
        self._pass_share = pass_share
        self._seed = seed
        self._min_free = int(min_free_mb * 1e6)
        self._clock = clock
        self._kept = 0
        self._dropped = 0
        self._stopped = ""
        self._retry_at = 0.0
        self._queue: queue.Queue[tuple[PartJudged, Pixels] | None] = queue.Queue(QUEUE)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.directory / "index.db", isolation_level=None, timeout=5, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as e:
            raise GatewayError(f"pictures {self.directory}: {e}; name a folder that can be written") from e
        (self._bytes,) = self._db.execute(
            "SELECT coalesce(sum(bytes), 0) FROM (SELECT DISTINCT path, bytes FROM pictures)"
        ).fetchone()
        self._work = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    def wants(self, record: PartJudged) -> bool:
        """Return whether this part's picture is to be kept: every reject with a frame, and the seeded share of the passes."""
        if record.frame_slot < 0:
            return False
        if record.disposition != "PASS":
            return True
        key = f"{self._seed}|{record.line}|{record.epoch}|{record.part_id}".encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") < self._pass_share * 2**64

    def put(self, record: PartJudged, image: Pixels | None) -> None:
        """Keep ``image`` (u8[H, W, C]; None when the ring had moved on) for ``record``. Never waits, never raises."""
        if image is None:
            self._dropped += 1
            return
        try:
            self._queue.put_nowait((record, image))
        except queue.Full:
            self._dropped += 1

    def counts(self) -> PictureCounts:
        """Return the counts since the start."""
        return PictureCounts(kept=self._kept, dropped=self._dropped, stopped=self._stopped)

    def sweep(self) -> None:
        """Delete the oldest pictures beyond the size limit. Waits for the disk: call it from a thread."""
        with self._work:
            try:
                self._make_room(0)
            except (OSError, sqlite3.Error) as e:
                self._stop(str(e))

    def close(self) -> None:
        """Write what is queued and stop the thread."""
        self._queue.put(None)
        self._thread.join(10)
        self._db.close()

    # --- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            with self._work:
                self._keep(*item)

    def _keep(self, record: PartJudged, image: Pixels) -> None:
        if self._stopped and self._clock() < self._retry_at:
            self._dropped += 1
            return
        try:
            if shutil.disk_usage(self.directory).free < self._min_free:
                self._dropped += 1
                self._stop(f"less than {self._min_free / 1e6:.0f} MB of the disk are free")
                return
            self._write(record, image)
        except (OSError, sqlite3.Error, cv2.error) as e:
            self._dropped += 1
            self._stop(str(e))
            return
        self._kept += 1
        if self._stopped:
            _log.info("pictures are kept again", dropped=self._dropped)
            self._stopped = ""

    def _stop(self, reason: str) -> None:
        if not self._stopped:
            _log.warning("no pictures are kept: free the disk or lower pictures.max_mb", reason=reason, dir=str(self.directory))
        self._stopped = reason
        self._retry_at = self._clock() + RETRY_S

    def _write(self, record: PartJudged, image: Pixels) -> None:
        ok, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not ok:
            raise OSError("the picture could not be encoded")
        body = encoded.tobytes()
        day = datetime.fromtimestamp(record.t_utc_ns / 1e9, UTC).date().isoformat()
        path = f"{day}/{hashlib.sha256(body).hexdigest()}.jpg"
        file = self.directory / path
        self._make_room(len(body))
        # The row comes first: a kill in between leaves a row without a file, never a file that nobody deletes.
        known = self._db.execute("SELECT 1 FROM pictures WHERE path = ?", (path,)).fetchone()
        self._db.execute(
            "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                path,
                len(body),
                record.line,
                record.seq,
                record.part_id,
                record.t_utc_ns,
                record.camera,
                record.disposition,
                record.defect,
            ),
        )
        if known is None:
            self._bytes += len(body)
        if file.exists():
            return
        file.parent.mkdir(exist_ok=True)
        part = file.with_suffix(".part")
        try:
            part.write_bytes(body)
            os.replace(part, file)
        except OSError:
            part.unlink(missing_ok=True)
            self._forget(path, len(body))
            raise

    def _make_room(self, more: int) -> None:
        while self._bytes + more > self._max_bytes:
            row = self._db.execute("SELECT path, bytes FROM pictures ORDER BY t_utc_ns LIMIT 1").fetchone()
            if row is None:
                return
            (self.directory / row[0]).unlink(missing_ok=True)
            self._forget(*row)

    def _forget(self, path: str, size: int) -> None:
        self._db.execute("DELETE FROM pictures WHERE path = ?", (path,))
        self._bytes -= size
