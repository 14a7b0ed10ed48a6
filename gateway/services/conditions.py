"""Keeps the conditions of one line in the operations database, in the transaction that moves the cursor.

So a kill neither loses nor doubles what a person did or an alarm that came. What a person asks for stands there with who asked
and how it ended, before the answer. It must not know a node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.core.events import AlarmChanged, Record
from gateway.opcua.condition import Condition, ConditionError, LineConditions
from gateway.opcua.conditions import Deed
from gateway.opcua.event_data import new_event_id
from gateway.record.ops import OpsDatabase
from gateway.services.audit import Audit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    deed: Deed
    code: str
    comment: str
    user: str


class KeptConditions:
    """One line's conditions between what changes them and the next commit: :meth:`save` inside it, :meth:`saved` after it."""

    def __init__(
        self, line: str, station: str, ops: OpsDatabase, audit: Audit, commit: Callable[[], bool], clock: Callable[[], int]
    ) -> None:
        """Go on from what is kept. ``commit`` commits everything of the line and tells whether it did; ``clock``: UTC ns."""
        self._key = f"conditions.{line}"
        self._station = station
        self._ops = ops
        self._audit = audit
        self._commit = commit
        self._clock = clock
        self._done: list[_Done] = []
        self.conditions = LineConditions(new_event_id, ops.state(self._key))

    @property
    def urgent(self) -> bool:
        """Return whether there is something new to tell, which is to be on the disk first."""
        return self.conditions.changed

    def take(self, record: Record) -> None:
        """Take one record of the line, in order."""
        if isinstance(record, AlarmChanged):
            self.conditions.take(record)

    def do(self, deed: Deed, code: str, event_id: bytes | None, comment: str, user: str, *, audit: bool = True) -> None:
        """Carry out what a person asked for; see :class:`gateway.opcua.conditions.Keeper`."""
        conditions = self.conditions
        change = {"acknowledge": conditions.acknowledge, "confirm": conditions.confirm, "comment": conditions.add_comment}[deed]
        try:
            before = change(code, event_id, comment, user, self._clock())
        except ConditionError as error:
            if audit:
                self._audit.refuse(user, deed, code, comment, error.why)
            raise
        self._keep([before], [_Done(deed=deed, code=code, comment=comment, user=user)] if audit else [])

    def confirm_all(self, comment: str, user: str) -> int:
        """Confirm all that waits for it, in one commit; see :class:`gateway.opcua.conditions.Keeper`."""
        codes = [each.code for each in self.conditions.all if not each.confirmed]
        if codes:
            now = self._clock()
            before = [self.conditions.confirm(code, None, comment, user, now) for code in codes]
            self._keep(before, [_Done(deed="confirm", code=code, comment=comment, user=user) for code in codes])
        return len(codes)

    def _keep(self, before: Sequence[Condition], done: Sequence[_Done]) -> None:
        """Commit what was done to conditions that stood as ``before``, or take all of it back and raise."""
        waiting, kept = len(self._done), False
        self._done += done
        try:
            kept = self._commit()
        finally:
            if not kept:
                for each in reversed(before):
                    self.conditions.undo(each)
                del self._done[waiting:]
        if not kept:
            raise ConditionError("not saved")

    def save(self) -> None:
        """Write down how the conditions stand, and who did what; to be called again when the commit fails."""
        self._ops.set_state(self._key, self.conditions.state())
        for done in self._done:
            n = self._ops.orders.add(
                station=self._station, user=done.user, what=done.deed, name=done.code, comment=done.comment
            )
            self._ops.orders.end(n, "done", "confirmed")

    def saved(self) -> None:
        """Forget what is on the disk now."""
        self._done.clear()
