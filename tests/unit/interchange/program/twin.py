"""The generated ST and the simulated PLC side by side: the same inputs and the same gateway, scan by scan, must give the same.

What is executed is the whole program as exported for a Modbus PLC, register copies included; what is compared are outputs,
set-points and every byte of the PLC's block.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from gateway.interchange.program.iec import iec_sources
from gateway.plc.maps import LoadedMap, load_map
from simulators.plant import PlcInputs, PlcOutputs, Settings
from simulators.plc import PlcLogic
from simulators.plc_tracking import VERDICTS
from tests.unit.interchange.program.st_machine import Instance, Machine, Record

MAPS = Path(__file__).resolve().parents[4] / "plc_maps"
TAGS = """\
      - {name: MoldTemp, type: Real, role: param, unit: C, range: [180, 240], step: 5, rate_per_min: 6}
      - {name: Feed, type: Int, role: param, unit: mm, range: [0, 60], step: 5, rate_per_min: 6,
         scale: {raw: [0, 27648], eng: [0, 120]}}
      - {name: Guard, type: Bool, role: process}
      - {name: Big, type: LReal, role: process}
"""
EPOCH = 0x5EED0001
PASS, FAIL, NOT_INSPECTED = 0xA55A, 0x5AA5, 0x3CC3
GATE, WINDOW = 1000, 10


def map_text(handshake: str = "ring", order: str = "CDAB") -> str:
    """Return a Modbus map with two parameters and two measured values."""
    lines = (MAPS / "demo_modbus.yaml").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not any(f"name: {n}," in line for n in ("MoldTemp", "ToolWear"))]
    at = next(i for i, line in enumerate(kept) if "LineSpeed" in line)
    text = "".join(kept[:at]) + TAGS + "".join(kept[at + 1 :])
    return text.replace("handshake: ring", f"handshake: {handshake}").replace("order: CDAB", f"order: {order}")


@cache
def loaded_map(folder: Path, handshake: str = "ring", order: str = "CDAB") -> LoadedMap:
    """Load it from a file in ``folder``."""
    file = folder / f"{handshake}_{order}.yaml"
    file.write_text(map_text(handshake, order))
    return load_map(file)


@cache
def sources(folder: Path, handshake: str = "ring", order: str = "CDAB") -> dict[str, str]:
    """Return the generated ST."""
    return iec_sources(Path("bench.yaml"), loaded_map(folder, handshake, order))


def machine(texts: dict[str, str]) -> Machine:
    """Return the texts ready to run."""
    names = ("VisionTypes.st", "VisionRegisters.st", "FB_VisionGate.st", "GVL_Vision.st", "PRG_Vision.st")
    return Machine(*[texts[name] for name in names])


def registers(data: bytearray) -> list[int]:
    """Return a block's bytes as the registers of a Modbus slave."""
    return list(struct.unpack(f">{len(data) // 2}H", data))


class DifferentError(AssertionError):
    """The two do not agree."""


class Twin:
    """Both PLCs, and a gateway's hand on the block that it writes; the registers are packed here by hand (order CDAB)."""

    def __init__(
        self,
        loaded: LoadedMap,
        program: Machine,
        *,
        encoder: int = 0,
        clock: int = 0,
        last_part_id: int = 0,
        confirm_within: int = 0,
        most_without_token: int = 0,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or Settings()
        self.plc = PlcLogic(
            loaded,
            camera_to_gate=GATE,
            gate_window=WINDOW,
            retentive=True,
            last_part_id=last_part_id,
            confirm_within=confirm_within,
            most_without_token=most_without_token,
            settings=settings,
        )
        self.program = program
        self._outcomes: set[tuple[int, int, int]] = set()
        self.globals = Record()
        for v in program.library.units["GLOBAL"].variables:
            setattr(self.globals, v.name, program.new(v.type))
        self.main = program.instance("PRG_Vision")
        self.main.GVL_Vision = self.globals
        gate = self.gate
        gate.PartCount = last_part_id
        gate.CameraToGate, gate.GateWindow, gate.ConfirmWithin = GATE, WINDOW, confirm_within
        gate.MaxConsecutiveNoToken, gate.MaxConsecutiveRejects = most_without_token, settings.max_consecutive_rejects
        gate.BypassMaxMs, gate.BypassMaxParts = int(settings.bypass_max_ms), settings.bypass_max_parts
        gate.ModelUnverifiedReaction = ("pass", "hold", "reject").index(settings.model_unverified)
        gate.MaxPartsPerS, gate.ScanMs = settings.max_parts_per_s, int(settings.scan_ms)
        gate.LinkCycleMs = int(settings.link_cycle_ms)
        self.now_ms, self.encoder, self.clock, self.beat = 0, encoder & 0xFFFFFFFF, clock, 0
        self.out = PlcOutputs(gate_open=False)
        self.seen: Counter[str] = Counter()
        """What has happened, for the tests to see that their days are worth something."""

    @property
    def gate(self) -> Instance:
        found: Instance = self.globals.Gate
        return found

    def scan(
        self, inputs: PlcInputs | None = None, *, move: int = 0, ms: int = 10, latch: int | None = None, **more: Any
    ) -> PlcOutputs:
        """Give both the same and compare."""
        self.now_ms += ms
        self.encoder = (self.encoder + move) & 0xFFFFFFFF
        latches = () if latch is None else (latch & 0xFFFFFFFF,)
        inputs = replace(inputs or PlcInputs(now_ms=0, encoder=0), **more)
        inputs = replace(inputs, now_ms=self.now_ms, encoder=self.encoder, latches=latches)
        self.globals.DB_VisionDown_Registers = registers(self.plc.down)
        self.out = self.plc.scan(inputs)
        self._give(inputs)
        self.main.call()
        self._compare()
        self._note()
        return self.out

    def travel(self, counts: int, inputs: PlcInputs | None = None, **more: Any) -> PlcOutputs:
        """Move the belt on in as few scans as its counts are believed in."""
        while counts > WINDOW:
            self.scan(inputs, move=WINDOW, **more)
            counts -= WINDOW
        return self.scan(inputs, move=counts, **more)

    def restart(self, *, keeps_down: bool = False) -> None:
        """Restart both CPUs."""
        self.plc.restart(keeps_down=keeps_down)
        self.gate.restart()
        for v in self.program.library.units["GLOBAL"].variables:
            if v.name != "Gate":
                setattr(self.globals, v.name, self.program.new(v.type))

    def _give(self, inputs: PlcInputs) -> None:
        gate = self.gate
        gate.NowMs, gate.Encoder = (self.now_ms + self.clock) & 0xFFFFFFFF, inputs.encoder
        gate.PartEdge, gate.PartEncoder = bool(inputs.latches), inputs.latches[0] if inputs.latches else 0
        gate.Mode, gate.Simulation = inputs.mode, inputs.simulation
        gate.AdjustPermit, gate.StopRequestPermit, gate.Reset = inputs.permit, inputs.stop_permit, inputs.reset
        gate.ChallengePart, gate.AuditPart, gate.ExternalReject = inputs.challenge, inputs.audit, inputs.external_reject
        gate.BinFitted, edges = inputs.bin_edges is not None, inputs.bin_edges or ()
        gate.BinEdge, gate.BinEncoder = bool(edges), edges[0] if edges else 0
        gate.EjectorHome, gate.AirPressureOk = inputs.ejector_home, inputs.air_ok
        gate.BinFull, gate.BinUnlocked, gate.EncoderFault = inputs.bin_full, inputs.bin_unlocked, inputs.encoder_fault
        gate.RecheckFitted = inputs.recheck_fitted
        for name, value in inputs.hmi.items():
            setattr(gate, f"Set_{name}", value)
        ack, has = inputs.ack, {v.name for v in gate._unit.variables}
        gate.SetOffline, gate.ClearError = ack.set_offline, ack.clear_error
        gate.Execute = ack.command is not None
        gate.CommandNo, gate.CommandArg = ack.command or (0, 0)
        if "Arm" in has:
            gate.Arm, gate.Buffered = ack.trigger_enable, ack.buffered

    def _compare(self) -> None:
        gate, out = self.gate, self.out
        ours = (gate.GateOpen, gate.RecheckGate, gate.StopLine, gate.StopReason, gate.OwnerAlive, gate.Rejecting)
        theirs = (out.gate_open, out.recheck_open, out.stop_line, int(out.stop_reason), out.owner_alive, out.rejecting)
        if ours != theirs:
            raise DifferentError(f"at {self.now_ms} ms: ST {ours}, simulated PLC {theirs}")
        if {n: getattr(gate, f"Out_{n}") for n in out.params} != dict(out.params):
            raise DifferentError(f"at {self.now_ms} ms: set-points {out.params}")
        if {p.part_id: p.verdict for p in self.plc._tracking._parts} != self._verdicts():
            raise DifferentError(f"at {self.now_ms} ms: verdicts {self._verdicts()}")
        found, block = self.globals.DB_VisionUp_Registers, registers(self.plc.up)
        if found != block:
            wrong = [(i, f"{a:04X}", f"{b:04X}") for i, (a, b) in enumerate(zip(found, block, strict=True)) if a != b]
            raise DifferentError(f"at {self.now_ms} ms: (register, ST, simulated PLC) {wrong}")

    def _verdicts(self) -> dict[int, str]:
        """Return PartId → latched verdict, without the parts that are only kept until they have fallen."""
        gate = self.gate
        parts = [gate.Parts[(gate.First + n) % 64] for n in range(gate.Count)]
        return {p.PartId: VERDICTS.get(p.Verdict, "") for p in parts if not p.Gone}

    def _note(self) -> None:
        seen, out = self.seen, self.out
        seen["gate"] += out.gate_open
        seen["recheck"] += out.recheck_open
        seen[f"stop {int(out.stop_reason)}"] += 1
        ring = struct.iter_unpack(">HHHH", self.plc.up[104:168])
        outcomes = {(part, high, outcome) for part, high, outcome, _ in ring if part or high}
        for _, _, outcome in outcomes - self._outcomes:
            seen[f"outcome {outcome}"] += 1
        self._outcomes = outcomes
        for event in out.events:
            seen[event.kind] += 1
            seen[event.detail] += event.kind == "owner"
            if event.kind == "adjusted":
                seen[f"adjusted {event.detail.split(': ')[1].split(',')[0]}"] += 1

    # -- the gateway's hand, register order CDAB
    def put(self, form: str, offset: int, value: float) -> None:
        data = struct.pack(f">{form}", value)
        self.plc.down[offset : offset + len(data)] = data[2:] + data[:2] if len(data) == 4 else data

    def claim(self, nonce: int = EPOCH) -> None:
        self.put("I", 144, nonce)

    def heartbeat(self, epoch: int = EPOCH) -> None:
        self.beat += 1
        self.put("H", 4, self.beat & 0xFFFF)
        self.put("I", 12, epoch)

    def status(self, status1: int = 0, status2: int = 0) -> None:
        self.put("H", 0, status1)
        self.put("H", 2, status2)

    def token(self, part_id: int, verdict: int = PASS, epoch: int = EPOCH, *, spoil: int = 0, slot: int | None = None) -> None:
        check = (part_id >> 16) ^ (part_id & 0xFFFF) ^ verdict ^ (epoch >> 16) ^ (epoch & 0xFFFF) ^ spoil
        at = 64 + 8 * (part_id % 8 if slot is None else slot)
        self.put("I", at, part_id)
        self.put("H", at + 4, verdict)
        self.put("H", at + 6, check)

    def adjust(self, seq: int, index: int, value: float, expected: float) -> None:
        self.put("f", 132, value)
        self.put("f", 136, expected)
        self.put("H", 130, index)
        self.put("H", 128, seq)

    def owned(self) -> Twin:
        """Clear the belt, claim and beat once."""
        self.scan()
        self.travel(GATE)
        self.claim()
        self.scan()
        self.heartbeat()
        self.scan()
        return self
