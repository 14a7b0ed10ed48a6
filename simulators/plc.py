"""The PLC's program: part tracking, token latching, the gates, ownership, modes and adjustments; one call a scan.

It is the other half of the handshake, written from its description and from nothing of the gateway, so that the two check
each other. It sees only its inputs and its memory: no socket, no clock, no truth about the parts. Whatever serves the
memory to clients must not let a request run during a scan.

Fail-safe rules that stand here and nowhere else: the gate is closed unless a part that may pass (in Automatic: one with a
latched PASS; :mod:`simulators.plc_gate`) is in front of it and no other part is; a token is latched only under the granted
epoch of an owner whose heart beats, for a part that is being tracked; after a start, and after the belt's counts were lost
(:mod:`simulators.plc_counts`), nothing passes until the belt has moved on by the distance from the camera to the gate, and
nothing passes while the line is stopped.

The order within a scan is part of the contract with the generated function block: owner, inputs, photo-eye, tokens, reset,
the gateway's stop request, the stops by level in the order of their numbers, the parts that have arrived as the gates stood
until now, the bin, and then the gates for what comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.core.tags import TagMap
from simulators.plant import EventKind, Mode, PlcEvent, PlcInputs, PlcOutputs, Settings
from simulators.plc_ack import TRIGGER_ENABLE, AckExchange, CommandExchange, Said
from simulators.plc_adjust import AdjustService
from simulators.plc_counts import BeltCounts
from simulators.plc_gate import ExitRule
from simulators.plc_head import Head
from simulators.plc_memory import Analog, BlockMemory
from simulators.plc_owner import Ownership
from simulators.plc_reject import RejectStation
from simulators.plc_tracking import Decision, ShiftRegister

ADJUST_PERMIT = 0x0100
MODE_SHIFT = 9
STOP_REQUEST_PERMIT = 0x0800


class InterfaceMap(Protocol):
    """What the program needs of a loaded map."""

    @property
    def map(self) -> TagMap:
        """Return the layout of the blocks."""
        ...

    @property
    def checksum(self) -> int:
        """Return the InterfaceChecksum that the program carries as a constant."""
        ...


class PlcLogic:
    """The program and its memory: ``up``, ``extra`` (plc->gw) and ``down`` (gw->plc), which a protocol server shares."""

    def __init__(
        self,
        loaded_map: InterfaceMap,
        *,
        camera_to_gate: int,
        gate_window: int,
        params: Mapping[str, float] | None = None,
        retentive: bool = False,
        last_part_id: int = 0,
        confirm_within: int = 0,
        most_without_token: int = 0,
        settings: Settings | None = None,
    ) -> None:
        """Power up; the first scan is a first scan.

        ``camera_to_gate``: encoder counts from the photo-eye, which triggers the camera, to the gate. ``gate_window``: the
        gate is set that many counts before a part arrives and held as many after; it must exceed the counts of one scan, or
        they are taken for lost, and with them must stay below half the part spacing: overlapping windows close the gate to good
        parts, and a belt that moves a part spacing in one scan takes the next part through a gate that nobody could close.
        ``params``: set-points at power-up by tag name (default: the middle of the tag's range). ``retentive``: PartId goes on
        counting after a restart; otherwise it begins again after ``last_part_id``. ``confirm_within``: counts behind the gate
        within which a part turned away falls past the bin sensor, where one is fitted; less than the least part spacing, or a
        part's fall would stand for its neighbour's. ``most_without_token``: so many parts in a row without a token stop the
        line; 0: never.
        ``settings``: the other constants, by default those of :class:`simulators.plant.Settings`.
        """
        if not 0 < gate_window <= camera_to_gate:
            raise ValueError(f"gate_window {gate_window} must be in 1 … camera_to_gate {camera_to_gate}")
        tag_map = loaded_map.map
        self._up = BlockMemory(tag_map.up, tag_map.order)
        self._down = BlockMemory(tag_map.down, tag_map.order)
        self._extra = tuple(BlockMemory(block, tag_map.order) for block in tag_map.extra)
        self.up: bytearray = self._up.data
        """Bytes of the plc->gw block, written by the scan alone."""
        self.down: bytearray = self._down.data
        """Bytes of the gw->plc block, written by clients, cleared at a (re)start."""
        self.extra: tuple[bytearray, ...] = tuple(memory.data for memory in self._extra)
        """Bytes of the further plc->gw blocks, in the map's order, written by the scan alone."""
        self.running = True
        """False while the CPU is in STOP."""
        self._checksum = loaded_map.checksum
        self._retentive = retentive
        self._power_up_part_id = last_part_id
        self._part_id = last_part_id
        settings = settings or Settings()
        if not settings.bypass_max_ms < 1 << 31:
            raise ValueError(f"bypass_max_ms {settings.bypass_max_ms:g} must be below 2^31: what is used up has 32 bits")
        self._rule = ExitRule(self._down, settings)
        self._tracking = ShiftRegister(
            self._down, camera_to_gate=camera_to_gate, gate_window=gate_window, exit_of=self._rule.exit_of
        )
        self._counts = BeltCounts(camera_to_gate=camera_to_gate, gate_window=gate_window, scan_ms=settings.scan_ms)
        self._owner = Ownership(self._up, self._down)
        self._station = RejectStation(
            self._up,
            self._down,
            camera_to_gate=camera_to_gate,
            confirm_within=confirm_within,
            most_without_token=most_without_token,
            most_rejects=settings.max_consecutive_rejects,
        )
        self._adjust = AdjustService(tag_map, self._up, self._down, params or {})
        self._process = {
            tag.name: Analog(memory.cell(tag.name), tag.scale)
            for memory, block in zip((self._up, *self._extra), (tag_map.up, *tag_map.extra), strict=True)
            for tag in block.tags
            if tag.role in ("", "process") and tag.count == 0 and not tag.fields
        }
        self._commands = CommandExchange(self._up, self._down)
        self._ack = AckExchange(self._down, self._tracking) if tag_map.handshake == "ack" else None
        self._head = Head(self._up, self._extra)
        self._control = self._up.role("control")
        self._first_scan = True
        self._gate = Decision.CLOSED
        self._stopped = False
        self._events: list[PlcEvent] = []
        self._load_start_values()

    @property
    def part_id(self) -> int:
        """Return the PartId given last."""
        return self._part_id

    def stop(self) -> None:
        """Put the CPU in STOP: no scan runs, outputs fall to their safe state, the memory stays readable, the belt coasts."""
        self.running = False
        self._gate = Decision.CLOSED

    def run(self) -> None:
        """Put the CPU in RUN; from STOP that is a warm restart."""
        if not self.running:
            self.restart()

    def restart(self, *, last_part_id: int | None = None, checksum: int | None = None, keeps_down: bool = False) -> None:
        """Restart the CPU (power loss, new program): memory takes its start values, the next scan is a first scan.

        ``last_part_id`` is what a counter kept elsewhere goes on from; ``checksum`` comes with another program.
        ``keeps_down``: the gw->plc block is retentive, against the advice, and keeps its last claim and tokens.
        """
        self.running = True
        self._first_scan = True
        self._gate = Decision.CLOSED
        if last_part_id is not None:
            self._power_up_part_id = last_part_id
        if checksum is not None:
            self._checksum = checksum
        self._load_start_values(keeps_down=keeps_down)

    def scan(self, inputs: PlcInputs) -> PlcOutputs:
        """Execute one cycle: inputs → program → memory and outputs.

        In STOP nothing is executed; edges of the photo-eye are lost, as on the machine.
        """
        if self.running:
            self._scan(inputs)
        else:
            self._events = []
        return PlcOutputs(
            gate_open=self._gate is Decision.OPEN,
            recheck_open=self._gate is Decision.RECHECK,
            params=self._adjust.values(),
            stop_line=bool(self._station.stop),
            stop_reason=self._station.reason,
            owner_alive=self.running and self._owner.alive,
            rejecting=not self.running or self._counts.rejecting,
            events=tuple(self._events),
        )

    def _scan(self, inputs: PlcInputs) -> None:
        self._events = []
        if self._first_scan:
            self._start(inputs)
        self._head.beat(inputs.now_ms)
        owner = self._owner.scan(inputs.now_ms)
        if owner:
            self._event("owner", inputs, detail=owner)
        if owner == "granted":
            self._adjust.baseline()
        lost = self._counts.lost(inputs, (part.encoder for part in self._tracking))
        self._rule.look(inputs, counts_lost=lost)
        for encoder in inputs.latches:
            self._assign(encoder, inputs)
        if lost:  # no part can be followed by such counts, and a fall cannot be told from another
            self._tracking.clear()
            self._station.lose()
        if self._owner.alive:
            self._latch(inputs)
        self._station.reset(inputs.reset, self._rule.causes)
        if self._stopped and not self._station.stop:
            self._event("released", inputs)
            self._stopped = False
        self._station.heed_request(permitted=inputs.stop_permit and self._owner.alive)
        self._station.watch(self._rule.causes)
        self._move_gate(inputs)
        for name, value in inputs.process.items():
            if name in self._process:
                self._process[name].set(value)
        answer = self._adjust.scan(permit=inputs.permit, hmi=inputs.hmi)
        if answer:
            self._event("adjusted", inputs, detail=answer)
        self._show_control(inputs)

    def _latch(self, inputs: PlcInputs) -> None:
        """Take the verdicts that have come: from the ring, or with the classic exchange from its results."""
        epoch = self._owner.epoch
        if self._ack is None:
            latched = self._tracking.latch_tokens(epoch)
        else:
            latched = self._ack.results(epoch, speaks=self._owner.speaks)
        for part in latched:
            self._rule.latched(part, spoken=self._owner.speaks)
            self._event("latched", inputs, part.part_id, part.encoder, verdict=part.verdict)

    def _show_control(self, inputs: PlcInputs) -> None:
        """Write the control word: what the operator permits and wishes, and the exchange's bits."""
        speaks = self._owner.speaks
        word = TRIGGER_ENABLE if self._ack is None else self._ack.scan(inputs.ack, speaks=speaks)
        word |= self._commands.scan(inputs.ack, speaks=speaks)
        word |= (ADJUST_PERMIT if inputs.permit else 0) | (STOP_REQUEST_PERMIT if inputs.stop_permit else 0)
        self._control.set(word | self._rule.mode << MODE_SHIFT)
        for said in (*self._commands.news(), *(self._ack.news() if self._ack is not None else ())):
            self._tell(said, inputs)

    def _tell(self, said: Said, inputs: PlcInputs) -> None:
        self._event(said.kind, inputs, said.part_id, verdict=said.verdict, detail=said.detail)

    def _load_start_values(self, *, keeps_down: bool = False) -> None:
        """Forget every part and the owner; show layout and byte order, so that no client ever reads a block without them."""
        for memory in (self._up, *self._extra):
            memory.clear()
        if not keeps_down:
            self._down.clear()
        self._tracking.clear()
        self._station.clear()
        self._rule.clear()
        self._owner.reset()
        self._adjust.reset()
        self._commands.reset()
        if self._ack is not None:
            self._ack.reset()
        if not self._retentive:
            self._part_id = self._power_up_part_id
        self._head.load(self._part_id, self._checksum)

    def _start(self, inputs: PlcInputs) -> None:
        """Do what only a first scan can do: take the belt's position, from which on nothing passes for a while."""
        self._first_scan = False
        self._head.start(inputs.now_ms)
        self._counts.start(inputs)
        self._event("restarted", inputs)

    def _assign(self, encoder: int, inputs: PlcInputs) -> None:
        """Make a part of a photo-eye edge."""
        self._part_id = 1 if self._part_id >= 0xFFFFFFFF else self._part_id + 1
        self._head.show(self._part_id, encoder, inputs.trace)
        self._tracking.admit(self._rule.admit(self._part_id, encoder, inputs))
        if self._ack is not None:
            self._ack.trigger(self._part_id, speaks=self._owner.speaks)
        self._event("assigned", inputs, self._part_id, encoder)

    def _move_gate(self, inputs: PlcInputs) -> None:
        """Report the parts that have arrived since the last scan, as the gate stood then; set the gate for what comes."""
        self._counts.clear(inputs.encoder)
        passed = self._gate is Decision.OPEN
        for part in self._tracking.arrived(inputs.encoder):
            automatic = self._rule.mode_of(part) is Mode.AUTOMATIC
            self._station.leave(part, took=self._gate, sensor=inputs.bin_edges is not None, automatic=automatic)
            if part.exit is not self._gate:
                part.exit = Decision.CLOSED  # never move the gate behind a part that has gone another way
            detail = part.why if not self._counts.rejecting else "belt not yet cleared after start"
            self._event("decided", inputs, part.part_id, part.encoder, verdict=part.verdict, passed=passed, detail=detail)
        for part in self._station.confirm(inputs.bin_edges or (), inputs.encoder):
            self._event("unconfirmed", inputs, part.part_id, part.encoder, verdict=part.verdict)
        if self._station.stop and not self._stopped:
            self._event("stopped", inputs, detail=self._station.stop)
            self._stopped = True
        self._rule.withdraw(self._tracking)
        gate = self._tracking.at_gate(inputs.encoder)
        if self._counts.rejecting or self._stopped or (gate is Decision.OPEN and self._rule.shut):
            gate = Decision.CLOSED
        self._gate = gate

    def _event(
        self,
        kind: EventKind,
        inputs: PlcInputs,
        part_id: int = 0,
        encoder: int = 0,
        *,
        verdict: str = "",
        passed: bool = False,
        detail: str = "",
    ) -> None:
        self._events.append(
            PlcEvent(
                kind=kind,
                now_ms=inputs.now_ms,
                part_id=part_id,
                encoder=encoder,
                epoch=self._owner.epoch,
                verdict=verdict,
                passed=passed,
                detail=detail,
            )
        )
