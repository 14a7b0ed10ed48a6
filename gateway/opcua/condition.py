"""The conditions of one line as OPC 10000-9 means them: each alarm active or not, acknowledged, confirmed, commented. Pure.

There are no branches: a condition that comes again while an earlier time is not acknowledged is one to be acknowledged. Nothing
here clears a cause. Every change has an EventId of its own, and is kept with the cursor of the records that made it. It must
not know the server, a clock or a database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from gateway.core.events import AlarmChanged
from gateway.opcua.alarm_texts import ALARMS

MAX_COMMENT = 500
MAX_USER = 64
MAX_DETAIL = 400
MAX_CHANGES = 64
"""So many are told one by one; of more only the newest of each condition."""

Trouble = Literal["unknown condition", "unknown event", "already acknowledged", "already confirmed", "not saved"]


class ConditionError(Exception):
    """Why something could not be done to a condition."""

    def __init__(self, why: Trouble) -> None:
        """Take why."""
        super().__init__(why)
        self.why: Trouble = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How one condition stands; times are UTC, ns since 1970, 0 when there was none."""

    code: str
    active: bool = False
    acked: bool = True
    confirmed: bool = True
    """False from the acknowledgement until it is confirmed, too."""
    detail: str = ""
    count: int = 0
    time_ns: int = 0
    """Of the last change."""
    active_ns: int = 0
    """When it came or went."""
    acked_ns: int = 0
    confirmed_ns: int = 0
    comment: str = ""
    comment_ns: int = 0
    user: str = ""
    """Who wrote the comment, acknowledged or confirmed last."""
    event_id: str = ""
    """Of the event that told this state, in hex."""

    @property
    def retain(self) -> bool:
        """Return whether a person must still look at it."""
        return self.active or not self.acked or not self.confirmed


class LineConditions:
    """The conditions of one line. Records go in by :meth:`take`; what a person does by the methods named after it."""

    def __init__(self, new_event_id: Callable[[], bytes], kept: Any = None) -> None:
        """Go on from what :meth:`state` returned, if anything; ``new_event_id`` returns one that no other event has."""
        self._new_event_id = new_event_id
        self._conditions = {code: _restored(code, (kept or {}).get(code)) for code in ALARMS}
        self._changes: list[Condition] = []
        self._fed = False

    def __getitem__(self, code: str) -> Condition:
        """Return how a condition stands. Raises ConditionError when there is none with this code."""
        if code not in self._conditions:
            raise ConditionError("unknown condition")
        return self._conditions[code]

    @property
    def all(self) -> tuple[Condition, ...]:
        """Return every condition."""
        return tuple(self._conditions.values())

    @property
    def fed(self) -> bool:
        """Return whether the line's control process answers, so that what stands here is so now."""
        return self._fed

    @property
    def changed(self) -> bool:
        """Return whether there are changes that :meth:`changes` has not returned."""
        return bool(self._changes)

    def changes(self) -> list[Condition]:
        """Return the states that came since the last call, in order; each is to be told by one event."""
        told, self._changes = self._changes, []
        if len(told) <= MAX_CHANGES:
            return told
        newest = {each.code: each for each in told}
        return [each for each in told if newest[each.code] is each]

    def state(self) -> dict[str, Any]:
        """Return what is to be kept, as JSON."""
        return {each.code: asdict(each) for each in self._conditions.values() if each.event_id}

    # -- what the line says -------------------------------------------------------------------------------------------------

    def take(self, record: AlarmChanged) -> None:
        """Take one change. It also names every alarm that is active after it, so a lost record is made good by the next."""
        now = record.t_utc_ns
        if record.code in self._conditions:
            (self._come if record.active else self._go)(record.code, record.detail, record.count, now)
        self.stand(record.all_active, now)

    def stand(self, active: tuple[str, ...], now_ns: int) -> None:
        """Take which alarms are active now, of which some may have come or gone unseen."""
        for code, each in self._conditions.items():
            if each.active and code not in active:
                self._go(code, "it is over", each.count, now_ns)
            elif not each.active and code in active:
                self._come(code, "", 1, now_ns)

    def alive(self, alive: bool, now_ns: int) -> None:
        """Take whether control answers: what somebody must look at is told again when that changes."""
        if alive == self._fed:
            return
        self._fed = alive
        for each in self.all:
            if each.retain:
                self._set(replace(each, time_ns=now_ns))

    def _come(self, code: str, detail: str, count: int, now_ns: int) -> None:
        each = self._conditions[code]
        self._set(
            replace(
                each,
                active=True,
                acked=False,
                confirmed=True,
                detail=detail[:MAX_DETAIL],
                count=count,
                time_ns=now_ns,
                active_ns=now_ns,
                comment="",
                comment_ns=0,
                user="",
            )
        )

    def _go(self, code: str, detail: str, count: int, now_ns: int) -> None:
        each = self._conditions[code]
        if each.active:
            self._set(replace(each, active=False, detail=detail[:MAX_DETAIL], count=count, time_ns=now_ns, active_ns=now_ns))

    # -- what a person does -------------------------------------------------------------------------------------------------

    def acknowledge(self, code: str, event_id: bytes | None, comment: str, user: str, now_ns: int) -> Condition:
        """Acknowledge; return how it stood before, for :meth:`undo`.

        ``event_id`` names the event that the person has seen, None whatever stands now. An empty comment leaves the last one.
        Raises ConditionError.
        """
        each = self._seen(code, event_id)
        if each.acked:
            raise ConditionError("already acknowledged")
        self._set(_commented(replace(each, acked=True, acked_ns=now_ns, confirmed=False), comment, user, now_ns))
        return each

    def confirm(self, code: str, event_id: bytes | None, comment: str, user: str, now_ns: int) -> Condition:
        """Confirm that what was to be done is done; as :meth:`acknowledge`, which must have come before."""
        each = self._seen(code, event_id)
        if each.confirmed:
            raise ConditionError("already confirmed")
        self._set(_commented(replace(each, confirmed=True, confirmed_ns=now_ns), comment, user, now_ns))
        return each

    def add_comment(self, code: str, event_id: bytes | None, comment: str, user: str, now_ns: int) -> Condition:
        """Write a comment; as :meth:`acknowledge`, but an empty one takes the last away."""
        each = self._seen(code, event_id)
        self._set(replace(_commented(each, comment, user, now_ns), comment=comment[:MAX_COMMENT], comment_ns=now_ns))
        return each

    def undo(self, before: Condition) -> None:
        """Take back the last change of a condition: it could not be kept, and nobody was told of it."""
        self._conditions[before.code] = before
        self._changes.pop()

    def _seen(self, code: str, event_id: bytes | None) -> Condition:
        each = self[code]
        # One that never came has no event: there is nothing to be said about it.
        if not each.event_id or (event_id is not None and event_id.hex() != each.event_id):
            raise ConditionError("unknown event")
        return each

    def _set(self, each: Condition) -> None:
        new = replace(each, event_id=self._new_event_id().hex())
        self._conditions[each.code] = new
        self._changes.append(new)


def _commented(each: Condition, comment: str, user: str, now_ns: int) -> Condition:
    changed = replace(each, user=user[:MAX_USER], time_ns=now_ns)
    return replace(changed, comment=comment[:MAX_COMMENT], comment_ns=now_ns) if comment else changed


def _restored(code: str, kept: Any) -> Condition:
    known = {f.name for f in fields(Condition)}
    values = {k: v for k, v in kept.items() if k in known} if isinstance(kept, dict) else {}
    return Condition(**{**values, "code": code})
