"""What a gateway must do where the map says ``handshake: ack``: the classic exchange of a smart camera, tokens beside it.

Each check stands for itself, as in ``checks``.
"""

from __future__ import annotations

from simulators.conformance.bench import (
    ACQUISITION_ERROR,
    BUFFER_OVERRUN,
    BUFFER_RESULTS,
    BUSY,
    CLEAR_EXPOSURE_COMPLETE,
    EXPOSURE_COMPLETE,
    INSPECTION_COMPLETED,
    RESULTS_ACK,
    RESULTS_VALID,
    TRIGGER,
    TRIGGER_ACK,
    TRIGGER_ENABLE,
    TRIGGER_READY,
    VERDICT_BITS,
    Bench,
    expect,
)

BUFFERED = 8
"""Results that may wait for their InspectionResultsAck."""


async def result_of(bench: Bench, part: int) -> str:
    """Wait until the results shown are this part's; return its verdict, which the token must say as well."""
    await bench.until(
        lambda: bench.status1 & RESULTS_VALID and bench.said("result.part.id") == part,
        f"ResultsValid for part {part}",
        bench.limits.part,
    )
    shown = VERDICT_BITS.get(bench.status2 & 0b111, "none")
    token = bench.token(part)
    expect(token, f"ResultsValid for part {part} without its valid token in the ring", bench)
    expect(token == shown, f"Status2 says {shown} of part {part}, its token {token}", bench)
    return token


async def take(bench: Bench) -> None:
    """Acknowledge the results shown, as a PLC does in buffered mode."""
    bench.set(RESULTS_ACK)
    await bench.until(
        lambda: not bench.status1 & RESULTS_VALID, "ResultsValid drops at InspectionResultsAck", bench.limits.signal
    )
    bench.set(RESULTS_ACK, on=False)


async def arm(bench: Bench) -> None:
    """Show TriggerReady while TriggerEnable is set, and only then."""
    await bench.fresh()
    bench.set(TRIGGER_ENABLE, on=False)
    await bench.until(lambda: not bench.status1 & TRIGGER_READY, "TriggerReady drops", bench.limits.signal)
    bench.set(TRIGGER_ENABLE)
    await bench.until(lambda: bench.status1 & TRIGGER_READY, "TriggerReady comes back", bench.limits.signal)


async def exchange(bench: Bench) -> None:
    """Go through trigger, exposure and result; hold ExposureComplete until it is cleared; show results with the token there."""
    await bench.fresh()
    for _ in range(3):
        toggled = bench.status1 & INSPECTION_COMPLETED
        part = await bench.trigger()
        await bench.until(lambda: bench.status1 & EXPOSURE_COMPLETE, "ExposureComplete", bench.limits.part)
        verdict = await result_of(bench, part)
        expect(verdict != "NOT_INSPECTED", f"part {part} was not inspected: no picture came for it, or too late", bench)
        expect(not bench.status1 & BUSY, "Busy beside ResultsValid", bench)
        expect(bench.status1 & INSPECTION_COMPLETED != toggled, "InspectionCompleted did not toggle", bench)
        await bench.while_(lambda: bench.status1 & EXPOSURE_COMPLETE, "ExposureComplete is held", 0.3)
        bench.set(CLEAR_EXPOSURE_COMPLETE)
        await bench.until(lambda: not bench.status1 & EXPOSURE_COMPLETE, "ExposureComplete is cleared", bench.limits.signal)
        bench.set(CLEAR_EXPOSURE_COMPLETE, on=False)


async def missed_trigger(bench: Bench) -> None:
    """Answer a trigger without TriggerReady with AcquisitionError and no TriggerAck; clear it with the next good trigger."""
    await bench.fresh()
    bench.set(TRIGGER_ENABLE, on=False)
    await bench.until(lambda: not bench.status1 & TRIGGER_READY, "TriggerReady drops", bench.limits.signal)
    part = await bench.part()
    bench.set(TRIGGER)
    await bench.until(lambda: bench.status1 & ACQUISITION_ERROR, "AcquisitionError", bench.limits.signal)
    expect(not bench.status1 & TRIGGER_ACK, "TriggerAck for a missed trigger", bench)
    bench.set(TRIGGER, on=False)
    expect(bench.token(part) in ("", "NOT_INSPECTED"), f"part {part}, whose trigger was missed, was judged", bench)
    bench.set(TRIGGER_ENABLE)
    await bench.trigger()
    expect(not bench.status1 & ACQUISITION_ERROR, "AcquisitionError stands after a good trigger", bench)


async def buffered_results(bench: Bench) -> None:
    """Freeze the first of several buffered results until InspectionResultsAck, then show the next, in order."""
    await bench.fresh()
    bench.set(BUFFER_RESULTS)
    parts = [await bench.trigger() for _ in range(3)]
    await result_of(bench, parts[0])
    await bench.while_(
        lambda: bench.status1 & RESULTS_VALID and bench.said("result.part.id") == parts[0], "the first result is frozen", 1.0
    )
    for part in parts:
        await result_of(bench, part)
        await take(bench)
    await bench.while_(lambda: not bench.status1 & RESULTS_VALID, "no result is shown when all were taken", 0.3)


async def overrun(bench: Bench) -> None:
    """Say BufferOverrun when more results wait than the buffer holds; discard the new ones and keep the frozen ones."""
    await bench.fresh()
    bench.set(BUFFER_RESULTS)
    parts = [await bench.trigger() for _ in range(BUFFERED + 2)]
    await bench.until(lambda: bench.status1 & BUFFER_OVERRUN, "BufferOverrun", bench.limits.part)
    taken: list[int] = []
    while bench.status1 & RESULTS_VALID and len(taken) <= len(parts):
        taken.append(bench.said("result.part.id"))
        await take(bench)
        await bench.settled("result.part.id")
    expect(taken == parts[:BUFFERED], f"results were shown for parts {taken}, not {parts[:BUFFERED]}", bench)


CHECKS = (arm, exchange, missed_trigger, buffered_results, overrun)
