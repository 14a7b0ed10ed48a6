"""What a child process does at its start."""

from __future__ import annotations

import gc

import pytest

from gateway.process import all_made_stays


def test_the_collector_rests_while_much_is_made_even_when_that_fails() -> None:
    assert gc.isenabled()
    with pytest.raises(ValueError, match="taken"), all_made_stays():
        assert not gc.isenabled()
        raise ValueError("taken")
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with all_made_stays():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
