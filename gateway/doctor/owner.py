"""A gateway of one link and no camera: owns the line as control would, and gives every part NOT_INSPECTED, or nothing.

It is the link's listener, apart from :mod:`gateway.doctor.commission` because it is protocol and no story. There is no way
here to say PASS.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence

from gateway.core.errors import DeviceError
from gateway.core.handshake import OfflineReason, Outcome, Status1, VerdictRing
from gateway.core.tags import Scalar
from gateway.core.verdict import Disposition
from gateway.plc.link import Link
from gateway.plc.listener import LinkState, TraceImage, UpImage
from gateway.plc.maps import LoadedMap

LOOK_S = 0.01
OUTCOMES = frozenset(int(o) for o in Outcome if o is not Outcome.NONE)
LEAVE_S = 1.0


class Owner:
    """Owns, or waits to own, the line of one map."""

    def __init__(self, loaded: LoadedMap) -> None:
        """Nothing is opened before :meth:`start`."""
        self.link = Link(loaded.plc.build(loaded.map), loaded.map, loaded.checksum, self, mono_ns=time.monotonic_ns)
        self._task: asyncio.Task[None] | None = None
        self._ring = VerdictRing()
        self._known: int | None = None
        self._admitting = False
        self._seen_ns: dict[int, int] = {}
        self.state: LinkState = "down"
        self.detail = ""
        self.lost = ""
        """Why it owns no more, once it has lost the line."""
        self.beats = True
        self.ready = False
        self.up: UpImage | None = None
        self.read_ms: list[float] = []
        """Duration of each cyclic read."""
        self.parts: list[int] = []
        """Parts that came since :meth:`admit`, each with a NOT_INSPECTED on its way."""
        self.acked_ms: dict[int, float] = {}
        """By part: from its trigger seen to its token acknowledged."""
        self.outcomes: dict[int, Outcome] = {}

    @property
    def epoch(self) -> int:
        """Return the granted epoch, 0 without one."""
        return self.link.epoch

    def start(self) -> None:
        """Connect and claim."""
        self._task = asyncio.create_task(self.link.run())

    def admit(self) -> None:
        """Raise TriggerReady, and give each part that comes from now on its NOT_INSPECTED."""
        self._admitting = self.ready = True

    async def wait(self, condition: Callable[[], bool], patience_s: float) -> bool:
        """Return whether the condition came true in time. A bug in the link comes out of here."""
        until = time.monotonic() + patience_s
        while not condition():
            if self._task is not None and self._task.done():
                self._task.result()
            if time.monotonic() > until:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    async def leave(self) -> None:
        """Say that nothing is ready any more, and let go of the line; safe twice."""
        if self._task is None:
            return
        self.ready = self._admitting = False
        with contextlib.suppress(DeviceError, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self.link.write_status_now()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    # -- the link's listener ----------------------------------------------------------------------------------------------

    def on_state(self, state: LinkState, detail: str) -> None:
        """Take the link's state."""
        self.state, self.detail = state, detail or self.detail

    def on_owner_lost(self, reason: str) -> None:
        """Forget every token."""
        self.lost = reason
        self._ring.clear()

    def on_baseline(self, up: UpImage) -> None:
        """Take the first read: parts up to it are none of ours."""
        self._known, self.up = up.part_id, up

    def on_up(self, up: UpImage) -> None:
        """Take a read: new parts and outcomes."""
        self.read_ms.append((up.t_mono_ns - up.t_asked_mono_ns) / 1e6)
        del self.read_ms[:-10_000]
        self.up = up
        if up.part_id != self._known:
            if self._admitting and up.part_id:
                self._turn_away(up)
            self._known = up.part_id
        for part_id, outcome in up.outcomes:
            if part_id in self._seen_ns and outcome in OUTCOMES:
                self.outcomes.setdefault(part_id, Outcome(outcome))

    def _turn_away(self, up: UpImage) -> None:
        self.parts.append(up.part_id)
        self._seen_ns[up.part_id] = up.t_mono_ns
        if self._ring.put(up.part_id, Disposition.NOT_INSPECTED, self.epoch):
            self.link.tokens_changed()

    def trace_wanted(self) -> bool:
        """Return that nobody wants the parts' papers."""
        return False

    def on_trace(self, image: TraceImage) -> None:
        """Take nothing: it was not wanted."""

    def tokens(self) -> Sequence[tuple[int, int, int]]:
        """Return the ring."""
        return self._ring.words()

    def on_tokens_acked(self, part_ids: frozenset[int], t_mono_ns: int) -> None:
        """Note when the PLC had the tokens."""
        for part_id in part_ids & self._seen_ns.keys():
            self.acked_ms.setdefault(part_id, (t_mono_ns - self._seen_ns[part_id]) / 1e6)

    def alive(self) -> bool:
        """Return whether the heart is to beat."""
        return self.beats

    def status(self) -> Mapping[str, Scalar]:
        """Return the status section: ready or not, and nothing else."""
        if self.ready:
            return {"status1": int(Status1.TRIGGER_READY | Status1.ONLINE)}
        return {"status1": int(OfflineReason.STARTING) << 4}

    def on_status_written(self) -> None:
        """Take note of nothing."""
