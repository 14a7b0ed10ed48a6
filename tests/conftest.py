"""What every test shares: no task, no thread and no child process may outlive its test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

REPO = Path(__file__).resolve().parent.parent
SHARED = REPO.parent / "shared"


@pytest_asyncio.fixture(autouse=True)
async def _no_leaked_tasks(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail an asynchronous test that leaves a task running."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    leaked = [t for t in asyncio.all_tasks() - before if not t.done() and t is not asyncio.current_task()]
    for task in leaked:
        task.cancel()
    assert not leaked, f"tasks left running: {leaked}"


@pytest.fixture(scope="session")
def shared_data() -> Iterator[Path]:
    """Return the folder of research pictures, or skip with the reason."""
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip("the research pictures are not beside this checkout (../shared/data)")
    yield data
