"""A finding: what is so, why it matters, what to do; and the guard that turns a check's own failure into one.

Pure but for the guard's time limit. It must not know any check.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

Severity = Literal["ok", "warning", "error"]
CHECK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """What was looked at: ``clock``, ``plc.checksum``."""
    subject: str
    """Which one of its kind: a line, a camera, a file; '' for the machine."""
    severity: Severity
    what: str
    why: str = ""
    """Why it matters; '' when all is well."""
    remedy: str = ""
    """What to do; '' when all is well."""


def ok(check: str, what: str, subject: str = "") -> Finding:
    """Return that all is well."""
    return Finding(check=check, subject=subject, severity="ok", what=what)


def warning(check: str, what: str, why: str, remedy: str, subject: str = "") -> Finding:
    """Return that something may go wrong."""
    return Finding(check=check, subject=subject, severity="warning", what=what, why=why, remedy=remedy)


def error(check: str, what: str, why: str, remedy: str, subject: str = "") -> Finding:
    """Return that something is wrong."""
    return Finding(check=check, subject=subject, severity="error", what=what, why=why, remedy=remedy)


Check = Callable[[], Iterator[Finding] | AsyncIterator[Finding]]


async def guarded(name: str, check: Check, subject: str = "", *, timeout_s: float = CHECK_TIMEOUT_S) -> list[Finding]:
    """Return what a check finds; a check that raises, or does not end, adds a finding that names it.

    A plain generator runs in a thread that nobody waits for at the end: it may hang on a device or a disk.
    """
    found: list[Finding] = []
    try:
        async with asyncio.timeout(timeout_s):
            looking = check()
            if isinstance(looking, AsyncIterator):
                async for finding in looking:
                    found.append(finding)
            else:
                await in_thread(partial(_drain, looking, found))
            return found
    except TimeoutError:
        what = f"the check did not end within {timeout_s:g} s"
    # The one broad except of the gateway: whoever calls the doctor has trouble already, and must be told the rest of it
    # whatever is broken on this machine; nothing is decided on the strength of what is caught here.
    except Exception as bug:  # noqa: BLE001
        where = traceback.extract_tb(bug.__traceback__)[-1]
        what = f"the check itself failed: {type(bug).__name__}: {bug} ({where.filename}:{where.lineno})"
    why = "nothing is known of the rest that it should have looked at"
    return [*found, error(name, what, why, "please report this text", subject)]


def _drain(looking: Iterator[Finding], found: list[Finding]) -> None:
    for finding in looking:
        found.append(finding)


async def in_thread(work: Callable[[], None]) -> None:
    """Run ``work`` in a daemon thread: asyncio's own pool would be waited for at the end, however long it hangs."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(bug: BaseException | None) -> None:
        if done.done():
            return
        if bug is None:
            done.set_result(None)
        else:
            done.set_exception(bug)

    def run() -> None:
        bug: BaseException | None = None
        try:
            work()
        except BaseException as raised:  # noqa: BLE001 - raised again where it is waited for
            bug = raised
        with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
            loop.call_soon_threadsafe(settle, bug)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    await done


def worst(findings: Iterable[Finding]) -> Severity:
    """Return the worst severity; ok when there is none."""
    severities = {f.severity for f in findings}
    return "error" if "error" in severities else "warning" if "warning" in severities else "ok"
