"""The watchdog over the event loop: a thread that notices when the loop does not turn, and says where it stands.

The PLC needs no telling: a loop that does not turn sends no heartbeat, and no token. This is for the people who must find the
cause. A pause of the whole process (it was stopped, or the machine) looks the same from outside and is told apart. It must
not know what runs on the loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
import time
import traceback
from dataclasses import dataclass

import structlog

BEAT_S = 0.02
LOOK_S = 0.025
STALLED_NS = 100_000_000
"""With beat and look added, a stall is noticed within 150 ms."""
IDLE_SHARE = 0.5
"""A pause in which the process had less than this share of one processor was no work of its own."""
HUNG_NS = 20_000_000_000
FRAMES = 30
"""Innermost frames of the stack that is logged."""

log = structlog.get_logger("watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The watching thread itself did not run for so long; ``busy`` says that the process did all the same."""

    pause_ns: int
    busy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """The loop has not turned for so long; ``ended`` says that it does again."""

    stalled_ns: int
    ended: bool


class Judgement:
    """What the looks of the thread mean. Pure: each look brings the times, in ns."""

    def __init__(self, now_ns: int, cpu_ns: int) -> None:
        """Begin now."""
        self._looked_ns = now_ns
        self._cpu_ns = cpu_ns
        self._last_beat_ns = now_ns
        self._stalled_since_ns: int | None = None
        self.stood_ns = 0
        """For how long the loop has been seen not to turn, 0 when it does; a pause of the process does not count."""

    def look(self, now_ns: int, beat_ns: int, cpu_ns: int) -> Pause | Stall | None:
        """Take a look: the loop's last beat was at ``beat_ns``, the process has used ``cpu_ns`` of processor time so far."""
        gap_ns, used_ns = now_ns - self._looked_ns, cpu_ns - self._cpu_ns
        self._looked_ns, self._cpu_ns = now_ns, cpu_ns
        before_ns, self._last_beat_ns = self._last_beat_ns, beat_ns
        if self._stalled_since_ns is not None:
            if beat_ns == before_ns:
                self.stood_ns += min(gap_ns, STALLED_NS)
                return None
            since_ns, self._stalled_since_ns, self.stood_ns = self._stalled_since_ns, None, 0
            return Stall(stalled_ns=beat_ns - since_ns, ended=True)
        if gap_ns > STALLED_NS:
            # Whoever was paused as well can say nothing of the loop; the next look can.
            return Pause(pause_ns=gap_ns, busy=used_ns > IDLE_SHARE * gap_ns)
        if now_ns - beat_ns > STALLED_NS:
            self._stalled_since_ns = beat_ns
            return Stall(stalled_ns=now_ns - beat_ns, ended=False)
        return None


class LoopWatch:
    """Watches the running loop between :meth:`start` and :meth:`stop`, which are called on the loop's own thread."""

    def __init__(self) -> None:
        """Take the running loop; RuntimeError without one."""
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._stop = threading.Event()
        self._beat_ns = time.monotonic_ns()
        self._timer: asyncio.TimerHandle | None = None
        # In a copy of this context, so that its log lines carry the same names.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._watch,), name="loop watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """End; waits for the thread, which sleeps for no longer than a look."""
        self._stop.set()
        if self._timer is not None:
            self._timer.cancel()
        self._thread.join()

    def _beat(self) -> None:
        self._beat_ns = time.monotonic_ns()
        self._timer = self._loop.call_later(BEAT_S, self._beat)

    def _watch(self) -> None:
        judgement = Judgement(time.monotonic_ns(), time.process_time_ns())
        while not self._stop.wait(LOOK_S):
            match judgement.look(time.monotonic_ns(), self._beat_ns, time.process_time_ns()):
                case Pause(pause_ns=pause_ns, busy=False):
                    log.warning("the process was stopped, or got no processor", pause_ms=pause_ns // 1_000_000)
                case Pause(pause_ns=pause_ns, busy=True):
                    log.warning("one call held the interpreter", pause_ms=pause_ns // 1_000_000, stack=self._stack())
                case Stall(stalled_ns=stalled_ns, ended=False):
                    log.error("the event loop does not turn", stalled_ms=stalled_ns // 1_000_000, stack=self._stack())
                case Stall(stalled_ns=stalled_ns, ended=True):
                    log.warning("the event loop turns again", stalled_ms=stalled_ns // 1_000_000)
            if judgement.stood_ns > HUNG_NS:
                log.error("the event loop hangs: the process ends, to be started afresh", stack=self._stack())
                sys.stderr.flush()
                os._exit(1)

    def _stack(self) -> list[str]:
        """Return where the loop's thread stands, the innermost call last."""
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001 - there is no other way to see another thread
        if frame is None:
            return []
        stack = list(traceback.walk_stack(frame))[:FRAMES]
        return [f"{f.f_code.co_filename}:{line} {f.f_code.co_qualname}" for f, line in reversed(stack)]
