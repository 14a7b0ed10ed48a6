"""Who may do what: roles, users and their passwords, and how often one may guess.

Nothing has a default password: the first start makes a user ``viewer`` with a random one. The file is looked at again whenever
it has changed, so that a user who was removed is gone without a restart. It must not know certificates or tags.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import structlog

from gateway.core.errors import ConfigError
from gateway.opcua.security import write_private

SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 14, 8, 1
FAILED_LOGINS_PER_PEER = 20
FAILED_LOGINS = 120
"""Within a minute, of one address and of all: checking a password takes a processor 30 ms."""
MAX_NAME = 64

_log = structlog.get_logger("opcua")


class Role(IntEnum):
    """What a user may do; each role may do everything a lower one may."""

    OBSERVER = 1
    """Reads."""
    OPERATOR = 2
    """Gives commands and acknowledges alarms."""
    ENGINEER = 3
    """Changes parameters and recipes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user: ``scrypt`` is the hash of the password with ``salt`` (32 and 16 bytes); '' names whoever gave no name."""

    name: str
    role: Role
    salt: bytes = b""
    scrypt: bytes = b""


def account(name: str, role: Role, password: str) -> Account:
    """Return a user with this password. ConfigError for a name or a password that nobody could log in with."""
    if not name or len(name) > MAX_NAME or not name.isprintable() or name != name.strip():
        raise ConfigError(f"user name {name!r}: 1 to {MAX_NAME} printable characters, no blank at either end")
    if not password:
        raise ConfigError(f"user {name}: the password is empty")
    salt = secrets.token_bytes(16)
    return Account(name=name, role=role, salt=salt, scrypt=_scrypt(password, salt))


def read_accounts(path: Path) -> dict[str, Account]:
    """Return the users of a file by name. Raises ConfigError when it is damaged or readable by others.

    A user without a role is an observer: so were all before there were roles.
    """
    try:
        mode, body = path.stat().st_mode, path.read_bytes()
    except OSError as e:
        raise ConfigError(f"{path}: cannot be read ({e.strerror})") from e
    if mode & 0o077:
        raise ConfigError(f"{path}: others may read it; run: chmod 600 {path}")
    try:
        found = json.loads(body)["users"].items()
        return {str(name): _account(str(name), entry) for name, entry in found}
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ConfigError(f"{path}: damaged ({e!r}); move it away to have a new one made") from e


def write_accounts(path: Path, accounts: Mapping[str, Account]) -> None:
    """Replace the users of a file."""
    users = {
        a.name: {
            "role": a.role.name.lower(),
            "salt": base64.b64encode(a.salt).decode(),
            "scrypt": base64.b64encode(a.scrypt).decode(),
        }
        for a in accounts.values()
    }
    write_private(path, json.dumps({"users": users}, indent=2, ensure_ascii=False).encode() + b"\n")


@contextmanager
def editing(path: Path) -> Iterator[dict[str, Account]]:
    """Let one program at a time change the users; what the block leaves in the mapping is written at its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        accounts = read_accounts(path) if path.exists() else {}
        yield accounts
        write_accounts(path, accounts)


class Users:
    """The users file as it is now."""

    def __init__(self, path: Path) -> None:
        """Load the file, making it with one user ``viewer`` and a random password when there is none.

        The password is then in :attr:`new_password_file`. Raises ConfigError when the file is damaged or readable by others.
        """
        self.path = path
        self.new_password_file: Path | None = None
        if not path.exists():
            self._first_start()
        self._accounts = read_accounts(path)
        self._seen = self._stamp()
        self._trouble = ""
        # Compared when the user is unknown, so that the time tells nothing.
        self._nobody = Account(name="", role=Role.OBSERVER, salt=secrets.token_bytes(16), scrypt=secrets.token_bytes(32))

    def refresh(self) -> bool:
        """Read the file again if it has changed; False while it cannot be used: then nobody new may log in."""
        if (stamp := self._stamp()) != self._seen:
            self._seen = stamp
            try:
                self._accounts = read_accounts(self.path)
            except ConfigError as e:
                self._trouble = str(e)
                _log.error("OPC UA users: nobody new may log in", error=self._trouble)
            else:
                self._trouble = ""
                _log.info("OPC UA users read", users=len(self._accounts))
        return not self._trouble

    def find(self, name: str) -> Account | None:
        """Return a user as of the last :meth:`refresh`."""
        return self._accounts.get(name)

    def check(self, name: str, password: str) -> Account | None:
        """Return the user when this is its password (takes some 30 ms, whether it exists or not)."""
        found = self._accounts.get(name)
        known = found or self._nobody
        right = hmac.compare_digest(_scrypt(password, known.salt), known.scrypt)
        return found if right and not self._trouble else None

    def _stamp(self) -> tuple[int, ...]:
        try:
            s = self.path.stat()
        except OSError:
            return ()
        return (s.st_ino, s.st_mtime_ns, s.st_size, s.st_mode)

    def _first_start(self) -> None:
        password = secrets.token_urlsafe(12)
        note = self.path.with_name(f"{self.path.stem}-viewer-password.txt")
        write_private(note, f"{password}\n".encode())
        write_accounts(self.path, {"viewer": account("viewer", Role.OBSERVER, password)})
        self.new_password_file = note


class FailedLogins:
    """Counts wrong passwords of the last minute, and says when an address, or everybody, must wait."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take a clock of monotonic seconds."""
        self._clock = clock
        self._failed: deque[tuple[float, str]] = deque(maxlen=FAILED_LOGINS)

    def blocked(self, peer: str) -> bool:
        """Return whether ``peer`` may not try a password now."""
        now = self._clock()
        while self._failed and self._failed[0][0] <= now - 60:
            self._failed.popleft()
        return len(self._failed) == FAILED_LOGINS or self._count(peer) >= FAILED_LOGINS_PER_PEER

    def failed(self, peer: str, user: str) -> None:
        """Count a failure; the first of an address within a minute is logged, and the one that blocks it."""
        self._failed.append((self._clock(), peer))
        count = self._count(peer)
        if count in (1, FAILED_LOGINS_PER_PEER):
            # As ASCII: the name comes from a stranger.
            _log.warning("OPC UA login refused", peer=peer, user=ascii(user[:64]), blocked=count > 1)

    def _count(self, peer: str) -> int:
        return sum(1 for _, who in self._failed if who == peer)


def _account(name: str, entry: Mapping[str, str]) -> Account:
    try:
        role = Role[entry.get("role", "observer").upper()]
    except KeyError:
        raise ValueError(f"{name}: role {entry['role']!r} is none of observer, operator, engineer") from None
    return Account(name=name, role=role, salt=_bytes(entry["salt"], 16), scrypt=_bytes(entry["scrypt"], 32))


def _bytes(text: str, size: int) -> bytes:
    value = base64.b64decode(text, validate=True)
    if len(value) != size:
        raise ValueError(f"{size} bytes expected, {len(value)} found")
    return value


def _scrypt(password: str, salt: bytes) -> bytes:
    body = password.encode(errors="surrogateescape")
    return hashlib.scrypt(body, salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, dklen=32)
