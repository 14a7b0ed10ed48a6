"""The fast way of records from control to services: one datagram a record, never waited for.

A lost datagram costs a moment, never a record: the receiver reads the journal. This side must not know who listens.
"""

from __future__ import annotations

import socket
from pathlib import Path

import structlog

from gateway.core.events import Record, to_json

MAX_DATAGRAM = 60_000

_log = structlog.get_logger("stream")


class RecordSender:
    """Sends records to a unix datagram socket that may not be there."""

    def __init__(self, path: str | Path) -> None:
        """Take the receiver's socket path; nothing is opened that could block."""
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.dropped = 0
        """Records that nobody took: no listener, a full buffer, or too long for one datagram."""

    def send(self, record: Record) -> bool:
        """Send ``record`` (with its journal number, or 0 for a passing state that is in no journal) and return whether it went.

        Never blocks and never raises for a missing or slow listener; what was not taken is counted in :attr:`dropped`.
        """
        body = to_json(record).encode()
        try:
            if len(body) > MAX_DATAGRAM:
                raise BlockingIOError("too long for one datagram")
            self._socket.sendto(body, self._path)
        except OSError as error:
            self.dropped += 1
            if self.dropped.bit_count() == 1:  # the 1st, 2nd, 4th, …: whoever does not listen may not fill the log
                _log.info("services did not take a record: they read it from the journal", dropped=self.dropped, why=str(error))
            return False
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
