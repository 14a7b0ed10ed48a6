"""The guard over those who are in goes on after a full disk, and whatever else ends it is not kept quiet."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gateway.opcua import guard as module
from gateway.opcua.guard import Guard


class EndedError(Exception):
    """What no look may expect."""


async def test_a_disk_error_is_no_end_and_any_other_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    nobody = cast(Any, None)
    guard = Guard(nobody, nobody, nobody, nobody)
    troubles: list[Exception] = [OSError("no room"), OSError("no room"), EndedError()]

    async def look() -> None:
        raise troubles.pop(0)

    monkeypatch.setattr(guard, "look", look)
    with pytest.raises(EndedError):
        await guard.run()
    assert troubles == []
