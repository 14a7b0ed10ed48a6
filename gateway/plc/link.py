"""The one link to a PLC: the only code that reconnects, backs off, claims, reads cyclically and feeds the heartbeat.

It moves block images and knows the handshake; what a part is, and what is written into which slot, is the listener's affair.
Any error or cancelled call drops the connection. After every (re)connect the map is verified, ownership is settled, the tokens
that the PLC has are read back and the first read is handed over as a baseline. Nothing is said to the PLC, neither a token
nor a heartbeat, but on the strength of a fresh read that showed the own epoch: a process that was stopped reads before it
speaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator, Callable, Mapping

from gateway.core.errors import DeviceError, DeviceProtocolError, DeviceRefused, DeviceUnavailable, PartIdJump
from gateway.core.handshake import (
    HEARTBEAT_MS,
    LINK_TIMEOUT_MS,
    WATCHDOG_MS,
    AdjustResult,
    Token,
    epoch_fold,
    read_token,
)
from gateway.core.tags import Scalar, Span, TagMap
from gateway.plc.driver import PlcDriver, raise_if_cancelled
from gateway.plc.exchange import Exchange
from gateway.plc.extra import ExtraReader
from gateway.plc.listener import LinkState, Listener, UpImage
from gateway.plc.trace import TraceBlock
from gateway.plc.verify import verify_interface

BACKOFF_S = (0.02, 0.25)
REFUSED_PAUSE_S = (0.5, 8.0)
"""Longer each time that a link was refused which had come up: it comes and goes, and each change is recorded."""
CLAIM_REPEAT_S = 0.25
ADJUST_TIMEOUT_S = 2.0
STATUS_LOOK_S = 0.02


class Link:
    """Owns the driver. ``run()`` never returns but by cancellation; errors of the device become states."""

    def __init__(
        self,
        driver: PlcDriver,
        tag_map: TagMap,
        checksum: int,
        listener: Listener,
        *,
        mono_ns: Callable[[], int],
        poll_ms: float = 4.0,
        seed: int | None = None,
        monitor_only: bool = False,
    ) -> None:
        """``checksum`` is the map's InterfaceChecksum; ``seed`` makes nonces and jitter repeatable in simulations.

        ``monitor_only``: read, whoever owns the line, and write nothing at all.
        """
        self._monitor_only = monitor_only
        self._driver = driver
        self._map = tag_map
        self._checksum = checksum
        self._listener = listener
        self._mono_ns = mono_ns
        self._poll_s = poll_ms / 1e3
        self._random = random.Random(seed) if seed is not None else random.SystemRandom()  # noqa: S311 - not a secret
        self._exchange = Exchange(tag_map)
        self._extra = ExtraReader(tag_map)
        self._extra_is_there = False
        self._trace = TraceBlock.of(tag_map)
        self._lock = asyncio.Lock()
        self._further = asyncio.Lock()
        """The turn that all further requests share."""
        self._dirty = asyncio.Event()
        self._status_dirty = asyncio.Event()
        self._last: UpImage | None = None
        self._heartbeat = 0
        self._adjust_seq = 0
        self._adjusting = False
        self._waiting: set[asyncio.Future[UpImage]] = set()
        self._was_frozen = False
        self._past_epoch = 0
        self.state: LinkState = "down"
        self._owner = 0
        """The OwnerEpochEcho that must stand."""
        self.epoch = 0
        """The granted OwnerEpoch, 0 while this gateway owns nothing; a mere watcher tells the PLC's lives apart by it."""

    # -- for the line ---------------------------------------------------------------------------------------------------

    def tokens_changed(self) -> None:
        """Write the ring as soon as the wire is free."""
        if not self._monitor_only:  # nobody would clear it, and every further request waits for that
            self._dirty.set()

    def status_changed(self) -> None:
        """Write the status section as soon as the wire is free, if it has changed; it is looked at every 20 ms anyway."""
        self._status_dirty.set()

    async def next_image(self) -> UpImage:
        """Wait for the next cyclic read; DeviceUnavailable when the link is down or is lost before it."""
        if self.state != "up":
            raise DeviceUnavailable(self._map.name, "read", "the link is not up")
        future: asyncio.Future[UpImage] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            return await future
        finally:
            self._waiting.discard(future)

    async def adjust(self, index: int, value: float, expected_old: float) -> tuple[AdjustResult, float]:
        """Send one adjustment request and wait for the PLC's echo.

        Returns the PLC's result and the value that it echoed. Raises DeviceUnavailable when the link is down or no echo
        comes: then the outcome is unknown and must be read back.
        """
        if self.state != "up" or self._last is None or self._adjusting:
            raise DeviceUnavailable(self._map.name, "adjust", "the link is not up or another request is open")
        seq = self._adjust_seq = _next_seq(self._adjust_seq, self._last.adjust_seq)
        values = {"adjust.seq": seq, "adjust.index": index, "adjust.value": value, "adjust.expected": expected_old}
        self._adjusting = True
        try:
            async with asyncio.timeout(ADJUST_TIMEOUT_S):
                await self._write(*self._exchange.section("adjust", values))
                while (up := await self.next_image()).adjust_seq != seq:
                    pass
        except TimeoutError:
            raise DeviceUnavailable(self._map.name, "adjust", "the PLC did not echo the request") from None
        finally:
            self._adjusting = False
        try:
            return AdjustResult(up.adjust_result), up.adjust_value
        except ValueError:
            raise DeviceProtocolError(self._map.name, "adjust", f"unknown AdjustResult {up.adjust_result}") from None

    async def write_status_now(self) -> None:
        """Write the status section once, at the end of an orderly stop; does nothing when the link is not up."""
        if self.state == "up" and not self._monitor_only:
            async with self._lock:
                await self._write_status()

    # -- the life of the connection ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, verify, claim, cycle; on any device error drop the connection, back off and begin again."""
        try:
            await self._run()
        finally:
            self.state = "down"
            self._fail_waiting()

    async def _run(self) -> None:
        pause, refused_pause = BACKOFF_S[0], REFUSED_PAUSE_S[0]
        while True:
            errors: list[BaseException] = []
            begun_ns = self._mono_ns()
            try:
                await self._driver.connect()
                up = await self._verify()
                await self._verify_extra()
                before = self.epoch
                up = await self._own(up)
                if self.epoch == before and not self._monitor_only:
                    await self._read_back()
                self._tell(self._listener.on_baseline, up)
                self._last = up
                self._set_state("up", "")
                pause = BACKOFF_S[0]
                # A task of its own: before Python 3.13 a failed TaskGroup leaves its cancellation of the task around it
                # counted, and the driver would take that for a wish to end (raise_if_cancelled).
                await asyncio.create_task(self._cycle())
            except* DeviceError as group:
                errors = _flat(group)
            finally:
                await self._driver.close()
                self._extra.forget()
            # A connection that breaks in the moment of a cancellation shows as broken alone; the wish to end still stands.
            raise_if_cancelled()
            first = errors[0]
            refused = next((e for e in errors if isinstance(e, DeviceRefused)), None)
            self._fail_waiting()
            if refused:
                self._extra_is_there = False
            if not refused:
                refused_pause = REFUSED_PAUSE_S[0]
            elif self.state == "up":
                refused_pause = min(refused_pause * 2, REFUSED_PAUSE_S[1])
            self._set_state("refused" if refused else "down", str(refused or first))
            # Counted from the attempt's beginning: one that has timed out has waited already.
            spent_s, jitter = (self._mono_ns() - begun_ns) / 1e9, self._random.uniform(0.5, 1.0)
            await asyncio.sleep(refused_pause if refused else max(BACKOFF_S[0] * jitter, pause * jitter - spent_s))
            pause = min(pause * 2, BACKOFF_S[1])

    def _fail_waiting(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_exception(DeviceUnavailable(self._map.name, "read", "the link was lost"))

    async def _cycle(self) -> None:
        self.tokens_changed()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll_forever())
            if not self._monitor_only:
                group.create_task(self._write_tokens_forever())
                group.create_task(self._write_status_forever())
            if self._extra.runs:
                group.create_task(self._extra.read_forever(self._read_span, self._turn))
            if self._trace is not None:
                group.create_task(self._trace.read_forever(self._read_span, self._turn, self._listener, self._mono_ns))

    async def _verify(self) -> UpImage:
        """Refuse to run on another byte order or another layout than the map's."""
        data, asked_ns = await self._read()
        verify_interface(self._exchange.values(data), self._map, self._checksum)
        return self._image(data, asked_ns)

    async def _verify_extra(self) -> None:
        """Refuse to run on a map whose further blocks the PLC does not have; asked once, for a reconnect must be quick."""
        if not self._extra_is_there:
            await self._extra.read_once(self._read_span)
            self._extra_is_there = True

    async def _own(self, up: UpImage) -> UpImage:
        """Return once this gateway's own nonce was read back; until then it is read-only."""
        if self._was_frozen:
            up = await self._await_life(up)
        if self.epoch and up.owner == self._owner:
            return up
        if self.epoch:
            self._lose("the PLC was restarted or another gateway owns the line")
        nonce = self._draw_nonce(up.owner)
        if self._monitor_only:
            self.epoch, self._owner = nonce, up.owner
            return up
        claimed_ns = 0
        while up.owner != nonce:
            if self._mono_ns() - claimed_ns > CLAIM_REPEAT_S * 1e9:
                if claimed_ns and not up.owner:
                    # Nobody owns it and still no answer: the PLC was restarted and grants nothing that it finds there.
                    nonce = self._draw_nonce(up.owner)
                claimed_ns = self._mono_ns()
                await self._write(*self._exchange.section("claim", {"claim.nonce": nonce}))
            if up.owner:
                self._set_state("readonly", f"epoch 16#{up.owner:08X} owns the line; waiting for its heartbeat to stop")
            await asyncio.sleep(self._poll_s)
            up = await self._verify()  # while it waited, another program may have been downloaded
        self.epoch = self._owner = nonce
        return up

    async def _read_back(self) -> None:
        """Ask once which tokens arrived before the connection broke: their fate is then known before the next write."""
        span = self._exchange.token_span
        async with self._lock:
            data = await self._driver.read(span)
        slots = (Token(part_id=p, verdict=v, check=c) for p, v, c in self._exchange.ring(data))
        there = frozenset(t.part_id for t in slots if read_token(t, t.part_id, self.epoch) is not None)
        self._listener.on_tokens_acked(there, self._mono_ns())

    def _draw_nonce(self, owner: int) -> int:
        """Return a nonce that a token of the owner before, or of this gateway's last epoch, cannot be mistaken for."""
        folds = {0, epoch_fold(owner), epoch_fold(self._past_epoch)}
        while epoch_fold(nonce := self._random.randrange(1, 1 << 32)) in folds:
            pass
        return nonce

    def _lose(self, reason: str) -> None:
        self._past_epoch, self.epoch = self.epoch, 0
        self._listener.on_owner_lost(reason)

    def _tell(self, listener: Callable[[UpImage], None], up: UpImage) -> None:
        """Hand over an image; a PartId that counts anew voids the epoch, whoever the PLC says is the owner."""
        try:
            listener(up)
        except PartIdJump as jump:
            self._lose(str(jump))
            raise DeviceUnavailable(self._map.name, "read", str(jump)) from jump

    async def _await_life(self, up: UpImage) -> UpImage:
        first = up.heartbeat
        for _ in range(math.ceil(2 * WATCHDOG_MS / HEARTBEAT_MS)):
            if up.heartbeat != first:
                self._was_frozen = False
                return up
            await asyncio.sleep(HEARTBEAT_MS / 1e3)
            up = self._image(*await self._read())
        raise DeviceUnavailable(self._map.name, "read", "PlcHeartbeat stands still: the PLC is in STOP")

    async def _poll_forever(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        beat, beat_ns = -1, self._mono_ns()
        while True:
            up = self._image(*await self._read())
            if up.owner != self._owner:
                raise DeviceUnavailable(self._map.name, "read", "OwnerEpochEcho changed: the PLC was restarted or taken over")
            if up.heartbeat != beat:
                beat, beat_ns = up.heartbeat, up.t_mono_ns
            elif up.t_asked_mono_ns - beat_ns > WATCHDOG_MS * 1e6:
                self._was_frozen = True
                raise DeviceUnavailable(self._map.name, "read", "PlcHeartbeat stands still: the PLC is in STOP")
            self._last = up
            self._tell(self._listener.on_up, up)
            for future in self._waiting:
                if not future.done():
                    future.set_result(up)
            due = max(due + self._poll_s, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _write_tokens_forever(self) -> None:
        while True:
            await self._dirty.wait()
            # The ring is composed when the wire is free: what it waited for the wire may have cost a PASS its time.
            async with self._lock:
                if fresh := self._is_fresh():
                    self._dirty.clear()
                    ring = self._listener.tokens()
                    await self._driver.write(*self._exchange.tokens(ring))
                    self._listener.on_tokens_acked(frozenset(p for p, _, _ in ring if p), self._mono_ns())
            if not fresh:
                await self.next_image()

    async def _write_status_forever(self) -> None:
        loop = asyncio.get_running_loop()
        last: Mapping[str, Scalar] = {}
        written = 0.0
        while True:
            self._status_dirty.clear()
            status = dict(self._listener.status())
            if status != last or loop.time() - written >= HEARTBEAT_MS / 1e3:
                async with self._lock:
                    begun = loop.time()
                    if await self._write_status():
                        last, written = status, begun
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STATUS_LOOK_S):
                    await self._status_dirty.wait()

    async def _write_status(self) -> bool:
        """Write the status section, the caller having the wire; False, and nothing is written, without a fresh read.

        The heartbeat is counted up only while the listener is alive: else the PLC's watchdog must reject.
        """
        if not self._is_fresh():
            return False
        if self._listener.alive():
            self._heartbeat = self._heartbeat % 0xFFFF + 1
        values = {**self._listener.status(), "gateway.heartbeat": self._heartbeat, "owner.epoch": self.epoch}
        await self._driver.write(*self._exchange.section("status", values))
        self._listener.on_status_written()
        return True

    def _is_fresh(self) -> bool:
        """Return whether the last image came in time and lately, so that what it says of the PLC can be relied upon.

        In time: the answer that a stopped process finds when it is woken is as old as its question.
        """
        if (last := self._last) is None:
            return False
        took_ns, age_ns = last.t_mono_ns - last.t_asked_mono_ns, self._mono_ns() - last.t_mono_ns
        return max(took_ns, age_ns) <= LINK_TIMEOUT_MS * 1e6

    # -- the wire -----------------------------------------------------------------------------------------------------------

    async def _read(self) -> tuple[bytes, int]:
        """Return the up block and when it was asked for."""
        async with self._lock:
            asked_ns = self._mono_ns()
            return await self._driver.read(self._exchange.up), asked_ns

    async def _read_span(self, span: Span) -> bytes:
        async with self._lock:
            return await self._driver.read(span)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Enter after a poll, when no token waits for the wire: at most one further request lies between two polls.

        Whoever waits next begins to wait for a poll only when this turn is over.
        """
        async with self._further:
            await self.next_image()
            while self._dirty.is_set():
                await self.next_image()
            yield

    async def _write(self, span: Span, data: bytes) -> None:
        async with self._lock:
            await self._driver.write(span, data)

    def _image(self, data: bytes, asked_ns: int) -> UpImage:
        return self._exchange.image(data, asked_ns=asked_ns, now_ns=self._mono_ns(), extra=self._extra.values)

    def _set_state(self, state: LinkState, detail: str) -> None:
        if state != self.state:
            self.state = state
            self._listener.on_state(state, detail)


def _next_seq(sent: int, echoed: int) -> int:
    """Return an AdjustSeq that the PLC has neither been sent nor echoed last: it acts on a change alone. Never 0."""
    seq = (sent or echoed) % 0xFFFF + 1
    return seq if seq != echoed else seq % 0xFFFF + 1


def _flat(group: BaseExceptionGroup[DeviceError]) -> list[BaseException]:
    found: list[BaseException] = []
    for e in group.exceptions:
        found.extend(_flat(e) if isinstance(e, BaseExceptionGroup) else [e])
    return found
