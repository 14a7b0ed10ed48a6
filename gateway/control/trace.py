"""Serial, lot, product and carrier of the parts: which texts of the PLC's trace block belong to which part, and since when.

The block holds one part's texts at a time. They belong to a part only if the block names exactly its PartId, and only when
two reads with a scan of the PLC between them have shown the block alike: one that meets the PLC's writing is torn. A block that
has not changed since the last baseline says nothing: a PLC keeps it over a restart, after which PartIds come again. What it
never showed is unknown and is not guessed. No token waits for a text; a part's record waits for it a moment. Nothing
here has a say in whether a part passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from gateway.core.events import PartJudged
from gateway.core.part import next_part_id
from gateway.plc.listener import TraceImage

HOLD_NS = 200_000_000
"""How long after its trigger was seen a part's record waits for the texts."""
KEEP = 1024

_WORDS = frozenset({"noread", "badread", "error", "null", "none", "unknown"})

_log = structlog.get_logger("trace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What the trace block says of one part; empty means unknown."""

    serial: str = ""
    lot: str = ""
    product: str = ""
    carrier: str = ""


UNKNOWN = Texts()


def serial_of(text: str) -> str:
    """Return the serial number that the text is, or '': code readers and PLCs have words for "nothing read"."""
    letters = "".join(c for c in text.casefold() if c.isalnum())
    return "" if letters in _WORDS or not letters.strip("0") else text


class Trace:
    """The texts by part, and the records that wait for them; ``done`` takes each record once."""

    def __init__(self, done: Callable[[PartJudged], None], *, settle_ns: int) -> None:
        """``settle_ns`` is the PLC's scan: how long the block must look the same."""
        self._done = done
        self._settle_ns = settle_ns
        self._open: dict[int, int] = {}
        """Until when the record of a part may wait, in the order of the parts; those whose texts are not decided."""
        self._texts: dict[int, Texts] = {}
        """What is known of parts without a record."""
        self._held: dict[int, PartJudged] = {}
        self._last: TraceImage | None = None
        self._first: TraceImage | None = None
        """What the block showed first since the last baseline or abandon."""
        self._old = True
        """It has shown nothing else since: it may be about a part of the same PartId before a restart."""
        self._since_ns = 0
        self._urgent = False
        self.garbled = 0
        """Texts that were none: an impossible length, or what cannot be printed."""

    def admitted(self, before: int, head: int, now_ns: int) -> None:
        """Take note that the parts after ``before`` up to ``head`` were seen just now."""
        while before != head:
            before = next_part_id(before)
            self._open[before] = now_ns + HOLD_NS
            self._urgent = True

    def wanted(self, now_ns: int) -> bool:
        """Return whether the block is worth a read: a part was just seen, or one lacks its texts and a scan has passed."""
        if not self._open:
            return False
        return self._urgent or self._last is None or now_ns - self._last.t_mono_ns >= self._settle_ns

    def take(self, image: TraceImage) -> None:
        """Take a read of the block."""
        if image.first:
            self._doubt()
        last, self._last, self._urgent = self._last, image, False
        self._first = self._first or image
        self._old = self._old and _alike(image, self._first)
        if last is None or not _alike(image, last):
            self._since_ns = image.t_mono_ns
            return
        # From the answer of the first read to the question of this one: in between the PLC has scanned.
        settled = image.t_asked_mono_ns - self._since_ns >= self._settle_ns
        if self._old or not settled or image.part_id not in self._open:
            return
        for part_id in list(self._open):
            if part_id == image.part_id:
                self._decide(part_id, self._known(image))
                break
            self._decide(part_id, UNKNOWN)  # the block has moved on without having been read for it

    def judged(self, record: PartJudged, now_ns: int) -> None:
        """Take a part's finished record, and pass it on with its texts: now, or as soon as they are decided."""
        part_id = record.part_id
        if now_ns < self._open.get(part_id, 0):
            self._held[part_id] = record
            return
        self._open.pop(part_id, None)
        self._done(_with(record, self._texts.pop(part_id, UNKNOWN)))

    def expire(self, now_ns: int) -> None:
        """Pass on the records that have waited long enough."""
        for part_id in [p for p in self._held if now_ns >= self._open[p]]:
            self._decide(part_id, UNKNOWN)

    def leaves(self, part_id: int) -> None:
        """Take note that a part has left the line: its record goes before that of its outcome."""
        if part_id in self._held:
            self._decide(part_id, UNKNOWN)

    def abandon(self) -> None:
        """Pass on every record and forget everything: PartIds may come again."""
        for part_id in list(self._held):
            self._decide(part_id, UNKNOWN)
        self._open.clear()
        self._texts.clear()
        self._doubt()

    def _doubt(self) -> None:
        self._last = self._first = None
        self._old = True

    def _decide(self, part_id: int, texts: Texts) -> None:
        del self._open[part_id]
        if (record := self._held.pop(part_id, None)) is not None:
            self._done(_with(record, texts))
        elif texts != UNKNOWN:
            self._texts[part_id] = texts
            while len(self._texts) > KEEP:
                del self._texts[next(iter(self._texts))]

    def _known(self, image: TraceImage) -> Texts:
        bad = [name for name, text in image.texts.items() if text is None]
        if bad:
            self.garbled += len(bad)
            if self.garbled.bit_count() == 1:  # the 1st, 2nd, 4th, …: a PLC that goes on so may not fill the log
                _log.warning(
                    "the trace block holds bytes that are no text: unknown for this part",
                    part_id=image.part_id,
                    texts=bad,
                    count=self.garbled,
                    remedy="look at the String's length byte in the PLC, and at the map's offsets",
                )
        texts = Texts(**{name: text for name, text in image.texts.items() if text})
        return replace(texts, serial=serial_of(texts.serial))


def _alike(one: TraceImage, other: TraceImage) -> bool:
    return (one.part_id, one.texts) == (other.part_id, other.texts)


def _with(record: PartJudged, texts: Texts) -> PartJudged:
    return replace(record, serial=texts.serial, lot=texts.lot, product=texts.product, carrier=texts.carrier)
