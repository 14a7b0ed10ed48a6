"""Ring entries that may be believed: what one read alone has shown may be torn, or have been damaged on its way.

A read that meets the PLC's writing shows a slot's new PartId with what belongs to the part before it in the slot. A trigger
is checked against the belt's motion (by the tracker) and must have been read alike twice; an outcome has nothing to be
checked against and must look the same for one scan of the PLC. Nothing here knows what an entry means.
"""

from __future__ import annotations

from collections.abc import Sequence

Entry = tuple[int, int]
KEEP = 1024


class Settled:
    """Follows one ring from read to read."""

    def __init__(self, settle_ns: int) -> None:
        """``settle_ns`` is how long an entry must stand unchanged: the PLC's scan; 0 believes the first read."""
        self._settle_ns = settle_ns
        self._since: list[tuple[Entry, int]] = []

    def take(self, ring: Sequence[Entry], asked_ns: int, now_ns: int) -> list[Entry]:
        """Return the entries of this read, asked and answered at these times, that have stood long enough."""
        before = self._since or [(entry, now_ns) for entry in ring]
        self._since = [(entry, since if entry == known else now_ns) for entry, (known, since) in zip(ring, before, strict=True)]
        # From the answer of the first read to the question of this one: in between the PLC has scanned.
        return [e for e, since in self._since if not self._settle_ns or asked_ns - since >= self._settle_ns]

    def clear(self) -> None:
        """Forget everything: PartIds may come again."""
        self._since = []


class Twice:
    """The entries that two reads, one after the other, have shown alike."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._last: Sequence[Entry] = ()
        self._alike: dict[int, int] = {}

    def take(self, ring: Sequence[Entry]) -> None:
        """Take a read."""
        self._alike.update(entry for entry, last in zip(ring, self._last, strict=False) if entry == last)
        self._last = ring
        while len(self._alike) > KEEP:
            del self._alike[next(iter(self._alike))]

    def get(self, part_id: int) -> int | None:
        """Return what stood beside this PartId in both reads, None if it was not read alike twice."""
        return self._alike.get(part_id)

    def bears_out(self, part_id: int, beside: int | None) -> bool:
        """Return whether nothing read speaks against ``beside``: it was read alike twice, or the next read may still say so."""
        known = self._alike.get(part_id)
        return known == beside if known is not None else self.may_come(part_id)

    def may_come(self, part_id: int) -> bool:
        """Return whether the next read can still show it: its slot has not been given to another part."""
        return any(known == part_id for known, _ in self._last)

    def clear(self) -> None:
        """Forget everything: PartIds may come again."""
        self._last = ()
        self._alike.clear()
