"""What every gateway must do, whatever way its results are taken: ownership, tokens, baseline, offline, alarms.

Each check stands for itself: it begins with a fresh PLC, and its docstring is the requirement that the report prints.
"""

from __future__ import annotations

import asyncio

from simulators.conformance.bench import (
    ALARM_ACTIVE,
    CLEAR_ERROR,
    MODE_MANUAL,
    ONLINE,
    SET_OFFLINE,
    TRIGGER_READY,
    WRITE_S,
    Bench,
    expect,
)

OFFLINE_BY_PLC = 5
QUIET_S = 1.0


def fold(epoch: int) -> int:
    """Return the ⊕ of an epoch's two words: all that a token's Check holds of it."""
    return epoch >> 16 ^ epoch & 0xFFFF


async def claim(bench: Bench) -> None:
    """Claim with a nonce other than 0; once granted, show it as OwnerEpoch beside a moving heartbeat."""
    await bench.fresh()
    expect(bench.said("owner.epoch") == bench.owner.epoch, "OwnerEpoch is not the granted nonce", bench)
    await bench.while_(lambda: bench.owner.alive, "a heartbeat that moves at least every 300 ms", 2.0)


async def no_grant_no_word(bench: Bench) -> None:
    """Write nothing but the claim without a grant: no heartbeat, no status, no token."""
    await bench.fresh()
    bench.grants = False
    bench.restart()
    await asyncio.sleep(WRITE_S)
    bench.restart()  # what was on its way at the first one has arrived
    await bench.until(lambda: bench.said("claim.nonce"), "a claim", bench.limits.ready)
    await bench.part()
    await bench.while_(lambda: not bench.said("gateway.heartbeat"), "no heartbeat without a grant", QUIET_S)
    expect(not bench.status1 and not any(map(any, bench.ring())), "status or tokens were written without a grant", bench)


async def a_found_claim_is_drawn_anew(bench: Bench) -> None:
    """Claim anew when a restarted PLC does not grant the claim that it finds."""
    await bench.fresh()
    before = bench.owner.epoch
    bench.owner.reset()
    await bench.until(lambda: bench.owner.epoch, "another claim", bench.limits.ready)
    expect(
        bench.owner.epoch != before and fold(bench.owner.epoch) != fold(before),
        "the new nonce is not unlike the old one",
        bench,
    )


async def wrong_interface(bench: Bench) -> None:
    """Claim nothing while the InterfaceChecksum is another; claim again when it is right."""
    await bench.fresh()
    bench.restart(checksum=bench.loaded.checksum ^ 1)
    await bench.until(lambda: not bench.owner.alive, "the old epoch ends", bench.limits.signal)
    beat = await bench.settled("gateway.heartbeat")
    await bench.while_(lambda: not bench.said("claim.nonce"), "no claim", 2.0)
    expect(bench.said("gateway.heartbeat") == beat, "the heartbeat moves", bench)
    await bench.fresh()


async def baseline(bench: Bench) -> None:
    """Take the first read as no edge: no token for parts of before the grant, one for the first after it."""
    await bench.fresh()
    bench.restart(part_id=100)
    before = [bench.assign() for _ in range(3)]
    await bench.ready()
    await bench.while_(lambda: not any(map(bench.token, before)), "no token for what came before", QUIET_S)
    await bench.judged(await bench.part())


async def token(bench: Bench) -> None:
    """Give each part one token, in slot PartId mod 8, with the right check, that stands; inspect it."""
    await bench.fresh()
    for _ in range(10):
        part = await bench.wanted()
        verdict = await bench.judged(part)
        expect(verdict != "NOT_INSPECTED", f"part {part} was not inspected: no picture came for it, or too late", bench)
    slot = bench.ring()[part % 8]
    await bench.while_(lambda: bench.ring()[part % 8] == slot, "the token stands", QUIET_S)


async def part_id_wraps(bench: Bench) -> None:
    """Go on judging when PartId wraps from 16#FFFFFFFF to 1."""
    await bench.fresh()
    bench.restart(part_id=0xFFFFFFFE)
    await bench.ready()
    parts = []
    for _ in range(3):
        parts.append(await bench.part())
        await bench.judged(parts[-1])
    expect(parts[1:] == [1, 2], "the bench did not wrap", bench)


async def missed_trigger(bench: Bench) -> None:
    """Give NOT_INSPECTED for a trigger overwritten before it is read; alarm it until ClearError."""
    await bench.fresh()
    await _clear(bench)
    lost = bench.assign(shown=False)
    expect(await bench.judged(lost) == "NOT_INSPECTED", f"part {lost}, whose trigger was never seen, was judged", bench)
    await bench.until(lambda: bench.status2 & ALARM_ACTIVE, "AlarmActive", bench.limits.signal)
    await bench.judged(await bench.part())
    await bench.while_(lambda: bench.status2 & ALARM_ACTIVE, "AlarmActive until ClearError", QUIET_S)
    await _clear(bench)


async def _clear(bench: Bench) -> None:
    bench.set(CLEAR_ERROR)
    await bench.until(lambda: not bench.status2 & ALARM_ACTIVE, "AlarmActive drops at ClearError", bench.limits.signal)
    bench.set(CLEAR_ERROR, on=False)
    await asyncio.sleep(WRITE_S)  # long enough for the gateway to see it down


async def another_owner(bench: Bench) -> None:
    """Fall silent when the PLC names another owner; give no token of the old epoch any more."""
    await bench.fresh()
    old = bench.owner.epoch
    bench.grants = False
    other = old ^ 0x5A5A0001
    bench.up.role("owner.echo").set(other)
    bench.owner.epoch = other
    await bench.until(lambda: bench.said("claim.nonce") != old, "a new claim", bench.limits.ready)
    beat = await bench.settled("gateway.heartbeat")
    part = await bench.part()
    await bench.while_(lambda: bench.said("gateway.heartbeat") == beat, "no heartbeat beside another's epoch", QUIET_S)
    bench.owner.epoch = old
    expect(not bench.token(part), "a token under the old epoch was given to a part that came after the change", bench)
    bench.owner.epoch = other


async def restarted_plc(bench: Bench) -> None:
    """Claim anew after a restart of the PLC and judge its first part, although PartIds come again."""
    await bench.fresh()
    first = await bench.part()
    await bench.judged(first)
    epoch = bench.owner.epoch
    bench.restart()
    await bench.ready()
    expect(bench.owner.epoch != epoch, "the epoch is the one of before", bench)
    again = await bench.part()
    expect(again == first, "the bench did not give the PartId again", bench)
    await bench.judged(again)


async def plc_in_stop(bench: Bench) -> None:
    """Say nothing to a PLC whose heartbeat stands still; come back when it moves."""
    await bench.fresh()
    bench.beats = False
    beat = bench.said("gateway.heartbeat")
    await bench.until(lambda: bench.said("gateway.heartbeat") != beat, "a heartbeat", bench.limits.signal)
    await bench.until(lambda: not bench.owner.alive, "the gateway's heartbeat ends", 3.0)
    await bench.while_(lambda: not bench.owner.alive, "no heartbeat while the PLC is in STOP", QUIET_S)
    await bench.fresh()
    await bench.judged(await bench.part())


async def set_offline(bench: Bench) -> None:
    """Drop TriggerReady and Online at SetOffline, OfflineReason 5, parts NOT_INSPECTED; come back after it."""
    await bench.fresh()
    expect(bench.status1 & ONLINE and not bench.offline_reason(), "Online without an OfflineReason", bench)
    bench.set(SET_OFFLINE)
    await bench.until(lambda: not bench.status1 & (TRIGGER_READY | ONLINE), "TriggerReady and Online drop", bench.limits.signal)
    expect(bench.offline_reason() == OFFLINE_BY_PLC, "OfflineReason is not 5", bench)
    expect(await bench.judged(await bench.part()) == "NOT_INSPECTED", "a part was inspected offline", bench)
    bench.set(SET_OFFLINE, on=False)
    await bench.until(lambda: bench.status1 & TRIGGER_READY, "TriggerReady comes back", bench.limits.signal)


async def manual(bench: Bench) -> None:
    """Give NOT_INSPECTED to every part in Manual (jog)."""
    await bench.fresh()
    bench.set(MODE_MANUAL)
    expect(await bench.judged(await bench.part()) == "NOT_INSPECTED", "a part was inspected in Manual", bench)


CHECKS = (
    claim,
    no_grant_no_word,
    a_found_claim_is_drawn_anew,
    wrong_interface,
    baseline,
    token,
    part_id_wraps,
    missed_trigger,
    another_owner,
    restarted_plc,
    plc_in_stop,
    set_offline,
    manual,
)
