"""A leash: ``python -m simulators.leash COMMAND…`` runs a command and interrupts it when stdin ends.

``gateway run`` is a service and does not care for its stdin. On a leash it stops in order when the demo that started it ends,
even by ``kill -9``. It passes everything else on: stdout, stderr, the exit status.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    """Run the command; return its exit status, 128 + n when signal n ended it."""
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as process:  # noqa: S603 - the command is the argument
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda number, _: process.send_signal(number))
        threading.Thread(target=_interrupt_at_the_end_of_stdin, args=(process,), daemon=True).start()
        status = process.wait()
    return status if status >= 0 else 128 - status


def _interrupt_at_the_end_of_stdin(process: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    process.send_signal(signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
