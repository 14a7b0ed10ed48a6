"""How far a command is shows on a terminal only, and never mixes with its lines."""

from __future__ import annotations

import pytest

from gateway.cli.progress import ProgressLine


@pytest.mark.parametrize("terminal", [True, False])
def test_progress(terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    with ProgressLine() as line:
        for done in range(1, 4):
            line.show("reading", done, 300)
        line.say("said")
        line.show("reading", 300, 300)
    printed = capsys.readouterr()
    assert printed.out == "said\n"
    assert printed.err == ("\r\x1b[Kreading: 0 %\r\x1b[Kreading: 1 %\r\x1b[K\r\x1b[Kreading: 100 %\r\x1b[K" if terminal else "")
