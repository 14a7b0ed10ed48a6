"""Parts that come again: a serial number seen before is a re-inspection, linked to the first record of it.

Serials are remembered in the operations database, in the transaction that moves the cursor: so it holds over every restart,
each record counts exactly once, and a part that comes back on another line of this gateway is known too. Nothing here
touches a record: the journal is never written twice.
"""

from __future__ import annotations

import structlog

from gateway.core.events import PartJudged, Record
from gateway.record.ops import OpsDatabase, Reinspection

_log = structlog.get_logger("serials")


class Serials:
    """One line's serials between its records and the next commit: :meth:`save` inside it, :meth:`saved` after it."""

    def __init__(self, line: str, ops: OpsDatabase) -> None:
        """Take where they are kept."""
        self._line = line
        self._ops = ops
        self._waiting: list[PartJudged] = []
        self._found: list[Reinspection] = []

    def take(self, record: Record) -> None:
        """Take a numbered record."""
        if isinstance(record, PartJudged) and record.serial:
            self._waiting.append(record)

    def save(self) -> None:
        """Write them down; to be called again when the commit fails. Raises what the database raises."""
        self._found = []
        for part in self._waiting:
            again = self._ops.add_serial(
                serial=part.serial, line=self._line, epoch=part.epoch, part_id=part.part_id, t_utc_ns=part.t_utc_ns
            )
            if again is not None:
                self._found.append(again)

    def saved(self) -> None:
        """Forget what is on the disk now, and say which parts came again."""
        self._waiting.clear()
        for again in self._found:
            _log.info(
                "a part was inspected again",
                serial=again.serial,
                line=again.line,
                part_id=again.part_id,
                count=again.count,
                first_line=again.first_line,
                first_part_id=again.first_part_id,
            )
        self._found = []
