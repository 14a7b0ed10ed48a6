"""Who is let in: users, their roles, and guessing."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.core.errors import ConfigError
from gateway.opcua.access import (
    FAILED_LOGINS,
    FAILED_LOGINS_PER_PEER,
    MAX_NAME,
    FailedLogins,
    Role,
    Users,
    account,
    editing,
    read_accounts,
)

# --- users ----------------------------------------------------------------------------------------------------------------


def test_the_first_start_makes_a_viewer_with_a_random_password(tmp_path: Path) -> None:
    users = Users(tmp_path / "a" / "users.json")
    note = users.new_password_file
    assert note is not None
    password = note.read_text().strip()
    assert len(password) >= 16
    found = users.check("viewer", password)
    assert found is not None and found.role is Role.OBSERVER
    assert password not in users.path.read_text()
    assert {stat.S_IMODE(f.stat().st_mode) for f in (note, users.path)} == {0o600}
    other = Users(tmp_path / "b" / "users.json").new_password_file
    assert other is not None and other.read_text().strip() != password


def test_users_stay(tmp_path: Path) -> None:
    first = Users(tmp_path / "users.json")
    assert first.new_password_file is not None
    again = Users(tmp_path / "users.json")
    assert again.new_password_file is None
    assert again.check("viewer", first.new_password_file.read_text().strip())


def test_nobody_else_is_let_in(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    assert users.new_password_file is not None
    password = users.new_password_file.read_text().strip()
    for name, tried in (
        ("viewer", ""),
        ("viewer", password[:-1]),
        ("viewer", password + "\n"),
        ("Viewer", password),
        ("admin", password),
        ("admin", "admin"),
        ("", password),
        ("\udcff", "\udcff"),
    ):
        assert not users.check(name, tried), (name, tried)


def test_a_users_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    users.path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        Users(users.path)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"users": []}',
        b'{"users": {"viewer": {"salt": "", "scrypt": ""}}}',
        b'{"users": {"viewer": {"salt": "AAAAAAAAAAAAAAAAAAAAAA==", "scrypt": ""}}}',
        b'{"users": {"viewer": {"salt": "!!!", "scrypt": 5}}}',
        b'{"users": {"viewer": 5}}',
    ],
)
def test_a_damaged_users_file_is_refused(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "users.json"
    path.write_bytes(body)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="damaged"):
        Users(path)


def test_a_sound_file_of_several_users_is_read(tmp_path: Path) -> None:
    path = Users(tmp_path / "users.json").path
    raw = json.loads(path.read_bytes())
    raw["users"]["hmi"] = raw["users"]["viewer"]
    assert len(base64.b64decode(raw["users"]["hmi"]["scrypt"])) == 32
    path.write_text(json.dumps(raw))
    assert Users(path).check("hmi", (tmp_path / "users-viewer-password.txt").read_text().strip())


def test_a_user_without_a_role_is_an_observer_and_an_unknown_role_is_none(tmp_path: Path) -> None:
    path = Users(tmp_path / "users.json").path
    raw = json.loads(path.read_bytes())
    del raw["users"]["viewer"]["role"]
    path.write_text(json.dumps(raw))
    assert read_accounts(path)["viewer"].role is Role.OBSERVER
    raw["users"]["viewer"]["role"] = "admin"
    path.write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match="observer, operator, engineer"):
        read_accounts(path)


def add(path: Path, name: str, role: Role, password: str) -> None:
    with editing(path) as accounts:
        accounts[name] = account(name, role, password)


def test_users_that_are_added_changed_and_removed_count_without_a_restart(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    add(users.path, "anna", Role.OPERATOR, "first")
    assert users.check("anna", "first") is None, "it has not looked yet"
    assert users.refresh()
    found = users.check("anna", "first")
    assert found is not None and found.role is Role.OPERATOR
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600
    add(users.path, "anna", Role.ENGINEER, "second")
    assert users.refresh()
    now = users.find("anna")
    assert now is not None and now.role is Role.ENGINEER
    assert users.check("anna", "first") is None and users.check("anna", "second") == now
    with editing(users.path) as accounts:
        del accounts["anna"]
    assert users.refresh()
    assert users.find("anna") is None and users.check("anna", "second") is None
    assert users.find("viewer") is not None


def test_while_the_file_cannot_be_used_nobody_new_is_let_in(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    assert users.new_password_file is not None
    password = users.new_password_file.read_text().strip()
    good = users.path.read_bytes()
    for spoil in (lambda: users.path.write_bytes(b"{"), lambda: users.path.chmod(0o644), users.path.unlink):
        spoil()
        with capture_logs() as logs:
            assert not users.refresh() and not users.refresh()
        assert [e["log_level"] for e in logs] == ["error"], "said once"
        assert users.check("viewer", password) is None
        assert users.find("viewer") is not None, "who is in is not thrown out for a slip of an editor"
        users.path.write_bytes(good)
        users.path.chmod(0o600)
        assert users.refresh()
        assert users.check("viewer", password) is not None


@pytest.mark.parametrize("name", ["", " anna", "anna ", "an\nna", "x" * (MAX_NAME + 1)])
def test_a_name_that_nobody_could_type_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="user name"):
        account(name, Role.OBSERVER, "x")


def test_an_empty_password_is_refused() -> None:
    with pytest.raises(ConfigError, match="empty"):
        account("anna", Role.OBSERVER, "")


def test_who_edits_the_users_waits_for_another_who_does(tmp_path: Path) -> None:
    path = Users(tmp_path / "users.json").path
    children = []
    for n in range(4):
        if (pid := os.fork()) == 0:
            add(path, f"user{n}", Role.OBSERVER, "x")
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert read_accounts(path).keys() == {"viewer", "user0", "user1", "user2", "user3"}


# --- guessing -------------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def test_an_address_that_guesses_must_wait_and_others_need_not() -> None:
    clock = Clock()
    logins = FailedLogins(clock=clock)
    for _ in range(FAILED_LOGINS_PER_PEER):
        assert not logins.blocked("192.0.2.1")
        logins.failed("192.0.2.1", "viewer")
    assert logins.blocked("192.0.2.1")
    assert not logins.blocked("192.0.2.2")
    clock.s += 60
    assert not logins.blocked("192.0.2.1")


def test_many_addresses_together_must_wait_too() -> None:
    clock = Clock()
    logins = FailedLogins(clock=clock)
    for n in range(FAILED_LOGINS):
        logins.failed(f"192.0.2.{n}", "viewer")
    assert logins.blocked("198.51.100.1")
    clock.s += 60
    assert not logins.blocked("198.51.100.1")


def test_guessing_is_logged_when_it_begins_and_when_it_is_blocked() -> None:
    logins = FailedLogins(clock=Clock())
    with capture_logs() as logs:
        for _ in range(FAILED_LOGINS_PER_PEER):
            logins.failed("192.0.2.1", "x\n\udcff" + "y" * 1000)
    assert [e["blocked"] for e in logs] == [False, True]
    assert all(e["user"].isascii() and "\n" not in e["user"] and len(e["user"]) < 100 for e in logs)
