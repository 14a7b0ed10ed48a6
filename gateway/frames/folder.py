"""The folder of a running gateway: its frame rings and sockets, held by a lock, and the sweep of those that nobody holds.

The lock is taken on the folder itself and every process of the gateway holds it by the same open descriptor, so that it ends
with the last of them, however they end. What is left by a gateway that was killed is removed at the next start of any. It
must not know what lies in a folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "vg-run-"


@contextlib.contextmanager
def run_folder(parent: Path) -> Iterator[tuple[Path, int]]:
    """Sweep ``parent``, then give a fresh private folder in it and the descriptor of its lock; remove it at the end.

    The descriptor is to be inherited by every process that uses the folder. OSError when the folder cannot be made.
    """
    sweep(parent)
    new = Path(tempfile.mkdtemp(prefix="new-" + PREFIX, dir=parent))
    lock = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Under its final name the folder is locked from the first moment: a sweep in between would take it for left behind.
        folder = new.rename(parent / new.name.removeprefix("new-"))
        try:
            yield folder, lock
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def sweep(parent: Path) -> list[Path]:
    """Remove this user's folders that no living process holds; return which."""
    gone = []
    for folder in parent.glob(PREFIX + "*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # another user's, or removed meanwhile
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_uid == os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)
                gone.append(folder)
        except BlockingIOError:
            pass  # its gateway lives
        finally:
            os.close(lock)
    return gone
