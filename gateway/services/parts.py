"""One line's judged parts on their way into the index of parts, which is committed with the cursor. It asks nothing of it."""

from __future__ import annotations

from gateway.core.events import PartJudged, Record
from gateway.record.ops import OpsDatabase


class PartIndex:
    """Parts between their records and the next commit: :meth:`save` inside it, :meth:`saved` after it."""

    def __init__(self, line: str, ops: OpsDatabase) -> None:
        """Take where they are kept."""
        self._line = line
        self._ops = ops
        self._waiting: list[PartJudged] = []

    def take(self, record: Record) -> None:
        """Take a numbered record."""
        if isinstance(record, PartJudged):
            self._waiting.append(record)

    def save(self) -> None:
        """Write them down; to be called again when the commit fails. Raises what the database raises."""
        for part in self._waiting:
            self._ops.parts.add(line=self._line, epoch=part.epoch, part_id=part.part_id, seq=part.seq)

    def saved(self) -> None:
        """Forget what is on the disk now."""
        self._waiting.clear()
