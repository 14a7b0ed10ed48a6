"""How the PLC is shown results: through the token ring alone, or with the classic exchange beside it (``handshake: ack``).

Apart from the line so that its story is the same for both. With the classic exchange a part must have had a Trigger of its own
to pass, and a result is shown once its token has been acknowledged by the PLC, so that the token is in the ring before
ResultsValid is there. The section is written as often as the exchange moves on: payload, then validity
(:mod:`gateway.core.ack` says why). It must not know the link: it is told what was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway.control.status import Status
from gateway.core.ack_exchange import NO_TRIGGER, OWN_BITS, AckExchange
from gateway.core.events import PartJudged
from gateway.core.handshake import SLOTS, Status1
from gateway.core.part import next_part_id
from gateway.core.tags import Scalar
from gateway.plc.listener import UpImage

NO_ROOM = "the PLC has not yet taken the result whose token stands in its slot"


class RingResults:
    """Results by the ring alone: the status section shows the last one, for people."""

    def __init__(self, status: Status) -> None:
        """Show them through ``status``."""
        self._status = status

    def baseline(self, up: UpImage) -> Sequence[int]:
        """Take the first read after a (re)connect; return the parts that are lost by it."""
        return ()

    def read(self, before: UpImage, up: UpImage) -> Sequence[int]:
        """Take a read after ``before``; return the parts that are lost by it, to become NOT_INSPECTED."""
        return ()

    def trouble(self, part_id: int) -> str | None:
        """Return why the exchange lets this part not be judged, or ''; None while that is not known yet."""
        return ""

    def no_room(self, part_id: int) -> str:
        """Return why this part can have no token now, or ''."""
        return ""

    def exposed(self, part_id: int) -> None:
        """Take note that all frames of a part are there."""

    def show(self, record: PartJudged, labels: Sequence[str]) -> None:
        """Show a judged part whose token the PLC has; its defect's code is its place in ``labels``, from 1."""
        self._status.show(record, labels)

    def over(self, part_id: int) -> None:
        """Take note that a part has its record."""

    def lost(self) -> None:
        """Forget parts and results: their epoch is void."""

    def section(self) -> Mapping[str, Scalar]:
        """Return the status section by role, as it is to be written now."""
        return self._status.section()

    def written(self) -> None:
        """Take note that the PLC has what :meth:`section` returned last."""


class AckResults(RingResults):
    """Results by the classic exchange; ``changed`` is called whenever the section is to be written at once."""

    def __init__(
        self, status: Status, *, scan_ns: int, positions: int, mono_ns: Callable[[], int], changed: Callable[[], None]
    ) -> None:
        """``scan_ns`` is the PLC's scan, ``positions`` the number of parts in one picture."""
        super().__init__(status)
        self._exchange = AckExchange(scan_ns=scan_ns, positions=positions)
        self._mono_ns = mono_ns
        self._changed = changed
        self._labels: dict[str, Sequence[str]] = {}
        """By model: a result may wait while the recipe is changed."""
        self._shown: PartJudged | None = None
        self._told = 0
        self._composed = 0

    def baseline(self, up: UpImage) -> Sequence[int]:
        """Take the first read after a (re)connect; return the parts that are lost by it."""
        lost = self._exchange.baseline(up.control)
        self._step()
        return lost

    def read(self, before: UpImage, up: UpImage) -> Sequence[int]:
        """Take a read after ``before``; return the parts that are lost by it, to become NOT_INSPECTED."""
        parts, part_id = [], before.part_id
        while part_id != up.part_id:
            part_id = next_part_id(part_id)
            parts.append((part_id, up.triggers[part_id % SLOTS][1]))
        ready, error = self._status.ready, self._status.error
        lost = self._exchange.read(up.control, parts, ready=ready, error=error, now_ns=up.t_mono_ns)
        self._step()
        return lost

    def trouble(self, part_id: int) -> str | None:
        """Return why the exchange lets this part not be judged, or ''; None while its Trigger may still come."""
        triggered = self._exchange.triggered(part_id)
        return None if triggered is None else "" if triggered else NO_TRIGGER

    def no_room(self, part_id: int) -> str:
        """Return why this part can have no token now, or ''."""
        room = self._exchange.has_room(part_id, self._mono_ns())
        self._step()
        return "" if room else NO_ROOM

    def exposed(self, part_id: int) -> None:
        """Take note that all frames of a part are there."""
        self._exchange.exposed(part_id)
        self._step()

    def show(self, record: PartJudged, labels: Sequence[str]) -> None:
        """Take a judged part whose token the PLC has; it is shown when its turn has come."""
        self._labels[record.model_id] = labels
        self._exchange.show(record, self._mono_ns())
        self._step()

    def over(self, part_id: int) -> None:
        """Take note that a part has its record."""
        self._exchange.over(part_id)
        self._step()

    def lost(self) -> None:
        """Forget parts and results: their epoch is void."""
        self._exchange.lost()
        self._step()

    def section(self) -> Mapping[str, Scalar]:
        """Return the status section by role, as it is to be written now."""
        exchange = self._exchange
        self._composed = exchange.changes
        section = self._status.section()
        # A line that is not ready any more says so before the next read of the PLC: there may be none.
        bits = exchange.bits if self._status.ready else exchange.bits & ~Status1.TRIGGER_READY
        return {
            **section,
            "status1": int(section["status1"]) & ~int(OWN_BITS) | int(bits),
            "error.code": int(exchange.error),
            "acquisition.id": exchange.acquisition_id,
            "buffers.remaining": exchange.remaining,
        }

    def written(self) -> None:
        """Take note that the PLC has what :meth:`section` returned last; what waited for that becomes valid."""
        self._exchange.written(self._composed, self._mono_ns())
        self._step()

    def _step(self) -> None:
        """Have what the exchange has just done shown, and written."""
        result = self._exchange.result
        if result is not self._shown and result is not None:
            self._status.show(result, self._labels.get(result.model_id, ()))
        self._shown = result
        if self._exchange.changes != self._told:
            self._told = self._exchange.changes
            self._changed()
