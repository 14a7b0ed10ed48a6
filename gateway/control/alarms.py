"""The alarms of a line: what a person must look at, apart from what each part's record says anyway.

Some stand as long as a condition does; the others happened once and are latched until the PLC acknowledges them with
ClearError. Neither changes any verdict: an alarm is told, never acted upon. It must not know the link, the clock or the
journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway.core.events import Alarm, AlarmChanged
from gateway.core.handshake import Mode, mode_of
from gateway.plc.listener import LinkState

STANDING = (
    Alarm.PLC_LINK,
    Alarm.PLC_REFUSED,
    Alarm.CAMERA,
    Alarm.JOURNAL,
    Alarm.SELF_CHECK,
    Alarm.CLOCK,
    Alarm.BYPASS,
    Alarm.CONFIG_REJECTED,
    Alarm.RECIPE,
)


def conditions(
    link: LinkState,
    detail: str,
    *,
    control: int,
    cameras_down: Sequence[str],
    journal_trouble: str,
    self_check: str,
    clock_step: str,
    config_rejected: str = "",
    recipe: str = "",
) -> dict[Alarm, str]:
    """Return which of :data:`STANDING` hold now, with words.

    ``self_check`` says what does not work, ``clock_step`` how the wall clock was set, ``config_rejected`` what is wrong with
    a gateway.yaml that does not run, ``recipe`` why none is in force; each is '' when all is well.
    That another gateway owns the line is none: a second one waits like that for as long as the first lives.
    """
    held = {
        Alarm.PLC_LINK: link == "down" and (detail or "no link"),
        Alarm.PLC_REFUSED: link == "refused" and (detail or "refused"),
        Alarm.CAMERA: bool(cameras_down) and f"no sign of life from {', '.join(cameras_down)}",
        Alarm.JOURNAL: journal_trouble,
        Alarm.SELF_CHECK: self_check,
        Alarm.CLOCK: clock_step,
        Alarm.BYPASS: mode_of(control) is Mode.BYPASS and "the PLC's key switch is in Bypass: parts pass uninspected",
        Alarm.CONFIG_REJECTED: config_rejected and f"the last good configuration runs: {config_rejected}",
        Alarm.RECIPE: recipe,
    }
    return {alarm: words for alarm, words in held.items() if words}


class Alarms:
    """The active alarms; at most one of each code. ``changed`` is told each coming and going, and nothing in between."""

    def __init__(self, line: str, changed: Callable[[AlarmChanged], None]) -> None:
        """Start without any; the records of the changes have no time yet."""
        self._line = line
        self._changed = changed
        self._active: dict[Alarm, int] = {}

    @property
    def active(self) -> tuple[Alarm, ...]:
        """Return the active ones, the oldest first."""
        return tuple(self._active)

    def stand(self, now: Mapping[Alarm, str]) -> None:
        """Take which conditions hold now, with words; a condition that is not named has ended."""
        for alarm in STANDING:
            if alarm in now and alarm not in self._active:
                self._come(alarm, now[alarm])
            elif alarm not in now and alarm in self._active:
                self._go(alarm, "it is over")

    def happened(self, alarm: Alarm, detail: str, times: int = 1) -> None:
        """Take something that happened; until it is acknowledged, more of it is only counted."""
        if alarm in self._active:
            self._active[alarm] += times
        else:
            self._come(alarm, detail, times)

    def acknowledge(self, by: str = "ClearError") -> None:
        """Let the latched ones go. What still stands cannot be talked away. ``by`` says whose word it was."""
        for alarm in self.active:
            if alarm not in STANDING:
                self._go(alarm, f"acknowledged by {by}")

    def acknowledge_one(self, code: str, by: str) -> str:
        """Let one latched alarm go; return '' or why it stays."""
        active = {alarm.value: alarm for alarm in self._active}
        if (alarm := active.get(code)) is None:
            return f"{code!r} is not active; there are: {', '.join(active) or 'none'}"
        if alarm in STANDING:
            return f"{code} stands as long as its cause does; there is nothing to acknowledge"
        self._go(alarm, f"acknowledged by {by}")
        return ""

    def _come(self, alarm: Alarm, detail: str, times: int = 1) -> None:
        self._active[alarm] = times
        self._tell(alarm, True, detail, times)

    def _go(self, alarm: Alarm, detail: str) -> None:
        self._tell(alarm, False, detail, self._active.pop(alarm))

    def _tell(self, alarm: Alarm, active: bool, detail: str, times: int) -> None:
        self._changed(
            AlarmChanged(
                line=self._line, t_utc_ns=0, code=alarm, active=active, detail=detail, count=times, all_active=self.active
            )
        )
