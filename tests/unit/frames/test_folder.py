"""The folder of a running gateway: private, held by a lock, and removed by somebody else's start only when nobody holds it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.frames.folder import PREFIX, run_folder, sweep


def left_behind(parent: Path, name: str = PREFIX + "dead") -> Path:
    folder = parent / name
    folder.mkdir(mode=0o700)
    (folder / "Press.top.ring").write_bytes(b"x")
    return folder


def test_a_folder_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    with run_folder(tmp_path) as (folder, _):
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "Press.top.ring").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_removes_it_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), run_folder(tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_gateway_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    dead = left_behind(tmp_path)
    with run_folder(tmp_path) as (folder, _):
        assert list(tmp_path.iterdir()) == [folder]
    assert not dead.exists()


def test_the_folder_of_a_living_gateway_stays(tmp_path: Path) -> None:
    with run_folder(tmp_path) as (first, _), run_folder(tmp_path) as (second, _):
        assert sweep(tmp_path) == []
        assert {first, second} == set(tmp_path.iterdir())


def test_a_folder_is_held_until_the_last_process_lets_go(tmp_path: Path) -> None:
    """A child's inherited descriptor is the same open file as the supervisor's: here it is a duplicate."""
    with run_folder(tmp_path) as (folder, lock):
        first = os.dup(lock)
        second = os.dup(lock)
        os.close(first)
        assert sweep(tmp_path) == []
        kept = folder.rename(tmp_path / (PREFIX + "kept"))  # so that the end of the block does not remove it
    assert sweep(tmp_path) == [], "one process still holds it"
    os.close(second)
    assert sweep(tmp_path) == [kept]


def test_a_folder_that_is_about_to_be_locked_is_nobodys_leaving(tmp_path: Path) -> None:
    new = left_behind(tmp_path, "new-" + PREFIX + "born")
    assert sweep(tmp_path) == []
    assert new.exists()


def test_files_and_links_of_that_name_are_let_alone(tmp_path: Path) -> None:
    elsewhere = left_behind(tmp_path, "elsewhere")
    (tmp_path / (PREFIX + "file")).write_text("")
    (tmp_path / (PREFIX + "link")).symlink_to(elsewhere)
    assert sweep(tmp_path) == []
    assert (elsewhere / "Press.top.ring").exists()


def test_another_users_folder_is_let_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root could remove it, and must not: it is no business of this gateway."""
    other = left_behind(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert sweep(tmp_path) == []
    assert other.exists()
