"""Seeded days in the life of a line: what the belt, the people and the gateway do, good and bad, for both PLCs alike."""

from __future__ import annotations

import random
from dataclasses import replace

from gateway.plc.maps import LoadedMap
from simulators.plant import AckInputs, PlcInputs, Settings
from tests.unit.interchange.program.belt import Belt
from tests.unit.interchange.program.st_machine import Machine
from tests.unit.interchange.program.twin import EPOCH, FAIL, NOT_INSPECTED, PASS, WINDOW, Twin

OTHER = 0x0BAD0002


def settings_of(dice: random.Random) -> Settings:
    return Settings(
        max_consecutive_rejects=dice.choice([0, 0, 4]),
        bypass_max_ms=dice.choice([600_000, 900]),
        bypass_max_parts=dice.choice([500, 3]),
        model_unverified=dice.choice(["pass", "hold", "reject"]),
        max_parts_per_s=dice.choice([0.0, 20.0, 20.0, 400.0]) if dice.random() < 0.3 else 0.0,
    )


def live(seed: int, loaded: LoadedMap, program: Machine, *, scans: int = 700) -> Twin:
    """Live through it; DifferentError if the two PLCs part ways."""
    dice = random.Random(seed)
    ack = loaded.map.handshake == "ack"
    twin = Twin(
        loaded,
        program,
        encoder=dice.choice([0, 0xFFFFFF00, 0x7FFFFF00, dice.getrandbits(32)]),
        clock=dice.choice([0, 0xFFFFF800, dice.getrandbits(32)]),
        last_part_id=dice.choice([0, 0xFFFFFFFA, 0xFFFE, dice.getrandbits(32)]),
        confirm_within=dice.choice([0, 40]),
        most_without_token=dice.choice([0, 2, 2]),
        settings=settings_of(dice),
    )
    Day(dice, twin, ack=ack).run(scans)
    return twin


class Day:
    """State of people and gateway beside the two PLCs."""

    def __init__(self, dice: random.Random, twin: Twin, *, ack: bool) -> None:
        self.dice, self.twin, self.ack = dice, twin, ack
        self.epoch = EPOCH
        self.seq = 0
        self.calm = dice.random() < 0.35
        """Few disturbances, so that parts do pass."""
        self.bin = dice.random() < 0.4
        self.fallen: list[int] = []
        self.wait = 0
        self.home = dice.choice([0, 0, 0, 0, 2, 3])
        self.held = PlcInputs(now_ms=0, encoder=0, mode=self.home, permit=dice.random() < 0.7, stop_permit=dice.random() < 0.5,
                              simulation=dice.random() < 0.6, recheck_fitted=dice.random() < 0.5)  # fmt: skip
        self.status1 = self.status2 = 0
        self.belt = Belt(dice, dice.choice([200, 60, 25, 12]))
        self.pending: list[tuple[int, int]] = []
        """(scan at which its token comes, part)."""
        self.beating = True
        self.answers = dice.choice([0.95, 0.95, 0.4])

    def rarely(self, one_in: float) -> bool:
        return self.dice.random() < (0.15 if self.calm else 1.0) / one_in

    def run(self, scans: int) -> None:
        self.twin.scan(self.held)
        for n in range(scans):
            self.people()
            self.gateway(n)
            self.step(n)

    def people(self) -> None:
        dice, held = self.dice, self.held
        if self.rarely(60):
            held = replace(held, mode=dice.choice([0, 0, 0, 1, 2, 3, 7]))
        elif held.mode != self.home and dice.random() < 0.03:
            held = replace(held, mode=self.home)
        for name, one_in in (("permit", 80), ("stop_permit", 80), ("recheck_fitted", 300), ("simulation", 200)):
            if self.rarely(one_in):
                held = replace(held, **{name: not getattr(held, name)})
        for name, good in (
            ("ejector_home", True),
            ("air_ok", True),
            ("bin_full", False),
            ("bin_unlocked", False),
            ("encoder_fault", False),
        ):
            if getattr(held, name) is not good:
                held = replace(held, **{name: good}) if dice.random() < 0.2 else held
            elif self.rarely(250):
                held = replace(held, **{name: not good})
        held = replace(held, reset=dice.random() < (0.3 if self.twin.out.stop_line else 0.02))
        held = replace(held, challenge=dice.random() < 0.05, audit=dice.random() < 0.05, external_reject=dice.random() < 0.06)
        command = held.ack.command
        if command is None and self.rarely(60) and not self.twin.gate.CommandBusy and not self.twin.gate.CommandWaits:
            command = (dice.randint(1, 4), dice.randint(0, 9))
        elif command is not None and dice.random() < 0.3:
            command = None
        self.held = replace(
            held,
            ack=AckInputs(
                trigger_enable=not self.rarely(30), buffered=self.ack and (held.ack.buffered != self.rarely(50)),
                set_offline=self.rarely(50), clear_error=self.rarely(50), command=command,
            ),
        )  # fmt: skip

    def gateway(self, n: int) -> None:
        dice, twin = self.dice, self.twin
        echo = twin.plc._owner.epoch
        if echo != self.epoch and dice.random() < 0.3:
            self.epoch = dice.choice([EPOCH, OTHER, dice.getrandbits(32) | 1])
            twin.claim(self.epoch)
        if self.rarely(80):
            twin.claim(dice.choice([0, OTHER, dice.getrandbits(32)]))
        if self.rarely(120):
            self.beating = False
        elif not self.beating and dice.random() < 0.03:
            self.beating = True
        if self.beating and n % 5 == 0:
            twin.heartbeat(dice.choice([self.epoch] * 8 + [OTHER]) if self.rarely(3) else self.epoch)
        if self.rarely(50):
            self.status2 = dice.choice([0, 0x40, 0x80, 0x200, 0x2C0, dice.getrandbits(16)])
        elif dice.random() < 0.1:
            self.status2 = 0
        if self.rarely(10):
            self.status1 = dice.choice([0x1000, 0x2000, 0x4000, 0x0008, 0x0004, dice.getrandbits(16)])
        elif dice.random() < 0.4:
            self.status1 = 0
        self.acknowledge()
        for due, part_id in list(self.pending):
            if due <= n:
                self.pending.remove((due, part_id))
                self.judge(part_id)
        if self.rarely(12) or dice.random() < 0.03:
            self.disturb()
        if self.rarely(40) or (dice.random() < 0.02):
            self.ask()

    def acknowledge(self) -> None:
        """Write the status words; on an ack map answer Trigger and show the newest result."""
        twin, dice = self.twin, self.dice
        status1, status2 = self.status1, self.status2
        if self.ack:
            control = struct_word(twin.plc.up, 0)
            if control & 0x0002 and dice.random() < 0.7:
                status1 |= 0x0002
            if self.wait and dice.random() < 0.85:
                status1 |= 0x0800
                status2 = (status2 & ~7) | {PASS: 1, FAIL: 2, NOT_INSPECTED: 4}[self.shown]
                twin.put("I", 24, self.wait)
                if dice.random() < 0.1:
                    status2 ^= dice.choice([1, 2, 4])
        twin.status(status1, status2)

    shown = PASS
    key = 0
    """The key in the last scan."""
    back = 0
    """For so many scans the belt goes on running back."""

    def judge(self, part_id: int) -> None:
        verdict = self.dice.choice([PASS] * 6 + [FAIL] * 2 + [NOT_INSPECTED])
        self.twin.token(part_id, verdict, self.epoch)
        if verdict == PASS:
            self.belt.passes.add(part_id)
        self.wait, self.shown = part_id, verdict

    def disturb(self) -> None:
        """Put a token that must not count, or must not count twice."""
        dice, twin = self.dice, self.twin
        part_id = max(0, twin.plc.part_id - dice.randint(-1, 6)) & 0xFFFFFFFF
        late = [p for p in twin.plc._tracking._parts if p.gate_set and not p.verdict]
        if late:
            twin.token(late[0].part_id, PASS, self.epoch)
            self.belt.passes.add(late[0].part_id)
            return
        self.belt.passes.add(part_id)
        match dice.randint(0, 5):
            case 0:
                twin.token(part_id, PASS, self.epoch, spoil=1 << dice.randint(0, 15))
            case 1:
                twin.token(part_id, PASS, OTHER)
            case 2:
                twin.token(part_id, dice.choice([0, 0xFFFF, 0xA55B, 1]), self.epoch)
            case 3:
                twin.token(part_id, PASS, self.epoch, slot=(part_id + 1) % 8)
            case 4:
                at = 64 + 2 * dice.randint(0, 31)
                twin.put("H", at, dice.getrandbits(16))
            case 5:
                twin.token(part_id, dice.choice([PASS, FAIL]), self.epoch)

    def ask(self) -> None:
        """Ask for another set-point, rightly or not."""
        dice = self.dice
        self.seq = dice.choice([self.seq, (self.seq + 1) & 0xFFFF, 0])
        index = dice.choice([0, 0, 1, 2, 65535])
        now = list(self.twin.out.params.values()) or [210.0, 30.0]
        value = dice.choice([190.0, 200.5, 7.25, 60.0, -1e30, 1e30, float("nan"), float("inf"), 179.0, 241.0, 45.5])
        expected = dice.choice([now[min(index, 1)]] * 6 + [0.0, float("nan"), now[0] + 1.0])
        self.twin.adjust(self.seq, index, value, expected)

    def step(self, n: int) -> None:
        dice, twin = self.dice, self.twin
        if restarted := self.rarely(220):
            twin.restart(keeps_down=dice.random() < 0.4)
            self.held = replace(self.held, reset=False, ack=AckInputs())
            self.fallen.clear()
        move = 0 if twin.out.stop_line and dice.random() < 0.7 else dice.choice([3, 4, 5, 5, 6])
        ms, jump = dice.choice([10, 10, 10, 12, 25]), 0
        if self.rarely(100):
            ms, move = dice.choice([(10, -7), (10, 0), (40, 44), (291, 300), (700, 700)])
            self.back = dice.randint(0, 4) if move < 0 else 0
        elif self.back:
            self.back, ms, move = self.back - 1, 10, -7
        elif self.rarely(150):
            ms = dice.choice([301, 350, 900])
        elif self.rarely(600):
            ms, jump = 10, self.belt.jump(move)
        if self.held.encoder_fault and dice.random() < 0.3:
            jump = dice.choice([-(twin.encoder), dice.getrandbits(32)])  # the counter was reset, or jumped
        room = len(twin.plc._tracking) + len(self.belt.parts) < 120 and len(twin.plc._tracking) < 55
        late = dice.randint(1, 5) if self.rarely(20) else 0
        part = self.belt.go(n, move, twin.encoder, jump, room=room, late=late)
        edges: tuple[int, ...] | None = None
        if self.bin:
            edges = ()
            if self.fallen and dice.random() < 0.8:
                edges = ((self.fallen.pop(0)) & 0xFFFFFFFF,)
            elif self.rarely(60):
                edges = ((twin.encoder + move) & 0xFFFFFFFF,)
        opened, by_key = twin.out.gate_open, self.key in (2, 3)
        self.key = self.held.mode
        out = twin.scan(self.held, move=move + jump, ms=ms, latch=part.latch if part else None, bin_edges=edges)
        if part is not None:
            part.part_id = twin.plc.part_id
            if dice.random() < self.answers:
                self.pending.append((n + dice.randint(1, 60), twin.plc.part_id))
        self.belt.check(move, opened=opened, by_key=by_key)
        if restarted or self.held.encoder_fault or abs(jump) > 2 * WINDOW:
            self.belt.forget()
        twin.seen["at an open gate"] = self.belt.checked
        for event in out.events:
            if event.kind == "decided" and not event.passed and dice.random() < 0.9:
                self.fallen.append(event.encoder + 1000 + dice.randint(0, 38))


def struct_word(data: bytearray, at: int) -> int:
    return data[at] << 8 | data[at + 1]
