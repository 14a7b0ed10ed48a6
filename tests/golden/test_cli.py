"""Commands and options, as scripts have them written down: none is ever renamed or removed.

Words of help may change, and so may Python's way to lay them out; neither is looked at here. After a change on purpose:
``python -m tests.golden.test_cli`` writes the list anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli import command_line, main

GOLDEN = Path(__file__).with_name("cli.txt")


def commands(parser: argparse.ArgumentParser, path: str = "gateway") -> Iterator[str]:
    """Yield a line for each command with its arguments in their order and its options by name."""
    nested = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not nested:
        yield " ".join([path, *(said(a) for a in arguments(parser))])
    for action in nested:
        for name, child in action.choices.items():
            yield from commands(child, f"{path} {name}")


def arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    positional = [a for a in parser._actions if not a.option_strings]
    options = [a for a in parser._actions if a.option_strings and a.dest != "help"]
    return positional + sorted(options, key=lambda a: a.option_strings[-1])


def said(action: argparse.Action) -> str:
    name = "|".join(action.option_strings) or action.dest
    value = f" {action.metavar or action.dest.upper()}" if action.option_strings and action.nargs != 0 else ""
    choices = f" {{{','.join(map(str, action.choices))}}}" if action.choices else ""
    text = f"{name}{value}{choices}"
    return f"<{text}>" if action.required else f"[{text}]"


def listing() -> str:
    return "\n".join(sorted(commands(command_line()))) + "\n"


def test_commands_arguments_and_options_stand() -> None:
    assert listing() == GOLDEN.read_text(), "run: python -m tests.golden.test_cli, and say so in CHANGELOG.md"


@pytest.mark.parametrize("command", [line.split(" <")[0].split(" [")[0] for line in GOLDEN.read_text().splitlines()])
def test_every_command_has_help_and_wants_its_arguments(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*command.split()[1:], "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: {command}")
    with pytest.raises(SystemExit) as left:
        main([*command.split()[1:], "--no-such-option"])
    assert left.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_without_a_command_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


if __name__ == "__main__":
    GOLDEN.write_text(listing())
