"""The timing diagrams of docs/handshake-timing.md are what the transition tables say today.

Drawn anew by ``python -m tests.golden.test_timing``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.ack import ResultEvent
from gateway.interchange.program.timing import ack_diagram, timing_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "handshake-timing.md"


def test_the_page_is_what_the_tables_say() -> None:
    assert timing_page() == PAGE.read_text(encoding="utf-8")


def test_a_step_that_the_tables_do_not_have_cannot_be_drawn() -> None:
    with pytest.raises(KeyError):
        ack_diagram([("ResultsValid without a payload", {}, [ResultEvent.WRITTEN])])


if __name__ == "__main__":
    PAGE.write_text(timing_page(), encoding="utf-8")
