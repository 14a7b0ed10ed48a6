"""A PLC on the bench: the handshake's blocks built by hand, a belt, and a gateway's hand on the down block.

Every byte that a test writes or expects is packed here with ``struct`` at the offsets of the handshake's description.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway.core.tags import Block, Field, Handshake, ModbusAddress, S7Address, Scale, Tag, TagMap, WordOrder
from simulators.plant import PlcEvent, PlcInputs, PlcOutputs, Settings
from simulators.plc import PlcLogic

CHECKSUM = 0xC0FFEE42
EPOCH = 0x5EED0001
PASS, FAIL, NOT_INSPECTED = 0xA55A, 0x5AA5, 0x3CC3
GATE = 1000
WINDOW = 10
#: Nominal time from scan to scan with which a belt that leaps from the photo-eye to the gate is believed.
LEAP = 0.05


def _tag(name: str, datatype: str, offset: int, size: int, role: str) -> Tag:
    return Tag(name=name, datatype=datatype, offset=offset, size=size, role=role)


def _ring(name: str, role: str, offset: int, fields: Iterable[tuple[str, str, int]]) -> Tag:
    members = tuple(Field(name=n, datatype=t, offset=o) for n, t, o in fields)
    return Tag(name=name, datatype=name, offset=offset, count=8, size=64, role=role, fields=members)


def handshake_map(
    order: WordOrder = "ABCD", *, modbus: bool = False, handshake: Handshake = "ring", extra: tuple[Block, ...] = ()
) -> TagMap:
    """Return both blocks with two parameters and two process values behind the handshake."""
    up = Block(
        name="Up",
        base=ModbusAddress(area="HR", register=100) if modbus else S7Address(db=100, byte=0),
        direction="plc->gw",
        size=186,
        tags=(
            _tag("Control", "Word", 0, 2, "control"),
            _tag("PlcHeartbeat", "UInt", 2, 2, "plc.heartbeat"),
            _tag("Command", "UInt", 4, 2, "command"),
            _tag("CommandArg", "UInt", 6, 2, "command.arg"),
            _tag("PartId", "UDInt", 8, 4, "part.id"),
            _tag("EncoderAtTrigger", "UDInt", 12, 4, "part.encoder"),
            _tag("InterfaceChecksum", "DWord", 16, 4, "interface.checksum"),
            _tag("SentinelReal", "Real", 20, 4, "sentinel.real"),
            _tag("SentinelDWord", "DWord", 24, 4, "sentinel.dword"),
            _tag("OwnerEpochEcho", "DWord", 28, 4, "owner.echo"),
            _tag("AdjustSeqEcho", "UInt", 32, 2, "adjust.echo.seq"),
            _tag("AdjustResult", "UInt", 34, 2, "adjust.echo.result"),
            _tag("AdjustValueEcho", "Real", 36, 4, "adjust.echo.value"),
            _ring("TriggerRing", "ring.trigger", 40, [("PartId", "UDInt", 0), ("Encoder", "UDInt", 4)]),
            _ring("OutcomeRing", "ring.outcome", 104, [("PartId", "UDInt", 0), ("Outcome", "UInt", 4), ("Reserve", "UInt", 6)]),
            Tag(name="Force", datatype="Real", offset=168, size=4, role="param", range=(80, 120)),
            Tag(
                name="Feed",
                datatype="Int",
                offset=172,
                size=2,
                role="param",
                range=(0, 60),
                scale=Scale(raw=(0, 27648), eng=(0, 120)),
            ),
            Tag(name="Moisture", datatype="Real", offset=174, size=4, role="process"),
            Tag(name="Speed", datatype="Int", offset=178, size=2, role="process", scale=Scale(raw=(0, 27648), eng=(0, 120))),
            Tag(name="Guard", datatype="Bool", offset=180, bit=3, size=0, role="process"),
            _tag("Count", "DInt", 182, 4, ""),
        ),
    )
    down = Block(
        name="Down",
        base=ModbusAddress(area="HR", register=300) if modbus else S7Address(db=101, byte=0),
        direction="gw->plc",
        size=148,
        tags=(
            _tag("Status1", "Word", 0, 2, "status1"),
            _tag("Status2", "Word", 2, 2, "status2"),
            _tag("GatewayHeartbeat", "UInt", 4, 2, "gateway.heartbeat"),
            _tag("ErrorCode", "UInt", 6, 2, "error.code"),
            _tag("ResultCode", "UInt", 10, 2, "result.code"),
            _tag("OwnerEpoch", "DWord", 12, 4, "owner.epoch"),
            _tag("ResultPartId", "UDInt", 24, 4, "result.part.id"),
            _tag("Score", "Real", 32, 4, "score"),
            _ring("Tokens", "ring.token", 64, [("PartId", "UDInt", 0), ("Verdict", "Word", 4), ("Check", "Word", 6)]),
            _tag("AdjustSeq", "UInt", 128, 2, "adjust.seq"),
            _tag("AdjustTagIndex", "UInt", 130, 2, "adjust.index"),
            _tag("AdjustValue", "Real", 132, 4, "adjust.value"),
            _tag("AdjustExpectedOld", "Real", 136, 4, "adjust.expected"),
            _tag("ClaimNonce", "DWord", 144, 4, "claim.nonce"),
        ),
    )
    return TagMap(name="bench", order=order, up=up, down=down, handshake=handshake, extra=extra)


@dataclass(frozen=True)
class BenchMap:
    """A loaded map, as far as the program looks at it."""

    map: TagMap
    checksum: int = CHECKSUM


class Rig:
    """The program under test, its scans and the bytes of a gateway; big-endian (order ABCD)."""

    def __init__(
        self,
        *,
        scan_ms: float = 10,
        encoder: int = 0,
        handshake: Handshake = "ring",
        extra: tuple[Block, ...] = (),
        settings: Settings | None = None,
        **options: object,
    ) -> None:
        settings = settings or Settings(scan_ms=LEAP)
        bench = BenchMap(handshake_map(handshake=handshake, extra=extra))
        self.plc = PlcLogic(bench, **({"camera_to_gate": GATE, "gate_window": WINDOW, "settings": settings} | options))  # type: ignore[arg-type]
        self.scan_ms = scan_ms
        self.now_ms = 0.0
        self.encoder = encoder & 0xFFFFFFFF
        self.beat = 0
        self.events: list[PlcEvent] = []

    def scan(
        self,
        *latches: int,
        move: int = 0,
        process: dict[str, float] | None = None,
        permit: bool = True,
        **signals: Any,
    ) -> PlcOutputs:
        self.now_ms += self.scan_ms
        self.encoder = (self.encoder + move) & 0xFFFFFFFF
        outputs = self.plc.scan(
            PlcInputs(
                now_ms=self.now_ms, encoder=self.encoder, latches=latches, process=process or {}, permit=permit, **signals
            )
        )
        self.events += outputs.events
        return outputs

    def cleared(self) -> Rig:
        """Take the first scan and move the belt on until parts may pass."""
        self.scan()
        self.scan(move=GATE)
        return self

    def owned(self, epoch: int = EPOCH) -> Rig:
        """Claim and beat once."""
        self.claim(epoch)
        self.scan()
        self.heartbeat(epoch)
        self.scan()
        return self

    def claim(self, nonce: int) -> None:
        struct.pack_into(">I", self.plc.down, 144, nonce)

    def heartbeat(self, epoch: int = EPOCH) -> None:
        self.beat += 1
        struct.pack_into(">H", self.plc.down, 4, self.beat & 0xFFFF)
        struct.pack_into(">I", self.plc.down, 12, epoch)

    def token(
        self, part_id: int, verdict: int = PASS, epoch: int = EPOCH, *, check: int | None = None, slot: int | None = None
    ) -> None:
        if check is None:
            check = (part_id >> 16) ^ (part_id & 0xFFFF) ^ verdict ^ (epoch >> 16) ^ (epoch & 0xFFFF)
        at = 64 + 8 * (part_id % 8 if slot is None else slot)
        struct.pack_into(">IHH", self.plc.down, at, part_id, verdict, check)

    def up(self, fmt: str, offset: int) -> tuple[int | float, ...]:
        return struct.unpack_from(">" + fmt, self.plc.up, offset)

    @property
    def echo(self) -> int:
        return int(self.up("I", 28)[0])

    def outcome(self, part_id: int) -> int:
        """Return the outcome ring's entry of the part, 0 if its slot holds another."""
        found, outcome, _ = self.up("IHH", 104 + 8 * (part_id % 8))
        return int(outcome) if found == part_id else 0

    def of(self, kind: str) -> list[PlcEvent]:
        return [event for event in self.events if event.kind == kind]
