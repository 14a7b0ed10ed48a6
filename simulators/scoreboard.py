"""What the demo prints: where everything listens, a line a second, the score. Text for people, or one JSON object a line."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from simulators.demo_files import LINES
from simulators.records import JournalTail, read_actions

PLAIN_EVERY_S = 5.0
_PLANT = (
    "bypassed",
    "bypassed_defective",
    "monitored",
    "monitored_defective",
    "diverted",
    "rechecked",
    "challenges",
    "challenges_missed",
)
"""Figures about what the plant decided; told where there is anything to tell."""


class Scoreboard:
    """Prints to stdout; on a terminal the lines of the last second are redrawn in place."""

    def __init__(self, *, json_lines: bool, terminal: bool) -> None:
        """``json_lines`` for programs; ``terminal`` whether lines may be redrawn."""
        self._json = json_lines
        self._terminal = terminal
        self._drawn = 0
        self._next_plain = 0.0
        self._actions_shown: dict[str, str] = {}

    def started(self, where: dict[str, Any]) -> None:
        """Tell where everything listens."""
        if self._json:
            self._object(where)
            return
        print("The gateway runs. Press Ctrl-C to stop.\n")
        for name, line in where["lines"].items():
            print(f"  {name:<9} {line['protocol']:<7} PLC {line['plc']:<17} camera {line['camera']}")
        print(f"  OPC UA    {where['opcua']}  (SignAndEncrypt, user {where['opcua_user']}, password in")
        print(f"            {where['opcua_password_file']})")
        print(f"  files     {where['folder']}")
        print(f"  scenario  {where['scenario']}, seed {where['seed']}\n")
        sys.stdout.flush()

    def show(self, seconds: float, lines: dict[str, tuple[dict[str, Any], JournalTail]], ops: Path) -> None:
        """Show how things stand, and what the gateway has done since the last time."""
        news = self._news(ops)
        if self._json:
            self._object({"event": "score", "seconds": round(seconds, 1), "lines": {n: p for n, (p, _) in lines.items()}})
            for action in news:
                self._object({"event": "action", **action})
            return
        rows = [self._row(name, progress, tail) for name, (progress, tail) in lines.items()]
        if self._terminal and self._drawn:
            sys.stdout.write(f"\x1b[{self._drawn}A\x1b[J")
        for action in news:
            print(_sentence(action))
        self._drawn = 0
        if self._terminal:
            # A row that the terminal breaks in two could not be drawn over; what matters most comes first.
            rows = [row[: shutil.get_terminal_size().columns - 1] for row in rows]
        if self._terminal or seconds >= self._next_plain or news:
            self._next_plain = seconds + PLAIN_EVERY_S
            print("\n".join(rows))
            self._drawn = len(rows)
        sys.stdout.flush()

    def stopping(self) -> None:
        """Tell that the end has begun, and how to hurry it."""
        if not self._json:
            print("Stopping: the parts under way leave the belts first. Ctrl-C again stops at once.", flush=True)

    def final(self, result: dict[str, Any], failures: list[str]) -> None:
        """Print the score; in JSON it is the last line."""
        if self._json:
            for failure in failures:
                print(failure, file=sys.stderr)
            self._object(result)
            return
        print()
        keys = ("parts", "passed", "rejected", "defective", "escapes", "escapes_by_fault", "false_rejects", "mis_tracked")
        more = ("not_inspected", "good_lost")
        for name, line in result["lines"].items():
            print(f"{name} ({line['protocol']})")
            print("  " + "  ".join(f"{k} {line[k]}" for k in keys))
            accuracy = "-" if line["accuracy"] is None else f"{100 * line['accuracy']:.2f} %"
            print("  " + "  ".join(f"{k} {line[k]}" for k in more) + f"  accuracy {accuracy}")
            if told := [f"{k} {line[k]}" for k in _PLANT if line[k]]:
                print("  " + "  ".join(told))
            print("  token latency ms  " + "  ".join(f"{k} {_number(v)}" for k, v in line["latency_ms"].items()))
            for phase in line.get("phases", []):
                print(f"  {phase['name']:<28} {phase['parts']:>6} parts, {100 * phase['defect_rate']:.1f} % defective")
        for action in result["actions"]:
            print(_sentence(action))
        for failure in failures:
            print(f"FAILED: {failure}")
        sys.stdout.flush()

    def _row(self, name: str, progress: dict[str, Any], tail: JournalTail) -> str:
        line = next(x for x in LINES if x.name == name)
        rate = f"{100 * sum(tail.recent) / len(tail.recent):4.1f} %" if tail.recent else "   - "
        value = tail.values.get(line.tag)
        parameter = f"{line.tag} {value:g} {line.unit}" if value is not None else f"{line.tag} -"
        p50 = f"{statistics.median(tail.latencies):.1f}" if tail.latencies else "-"
        return (
            f"  {name:<9} parts {progress.get('parts', 0):>6}  "
            f"rejects of the last {len(tail.recent):>3} {rate}  {parameter:<19} "
            f"passed {progress.get('passed', 0):>6}  rejected {progress.get('rejected', 0):>5}  "
            f"not inspected {tail.not_inspected:>4}  token {p50} ms"
        )

    def _news(self, ops: Path) -> list[dict[str, Any]]:
        news = []
        for action in read_actions(ops):
            if action["state"] not in ("intent", "sent") and self._actions_shown.get(action["id"]) != action["state"]:
                self._actions_shown[action["id"]] = action["state"]
                news.append(action)
        return news

    def _object(self, value: dict[str, Any]) -> None:
        print(json.dumps(value, allow_nan=False), flush=True)


def _sentence(action: dict[str, Any]) -> str:
    result = f" ({action['result']})" if action["result"] else ""
    return f"  * {action['line']}: {action['kind']} {action.get('tag', '')} {action['state']}{result}: {action['evidence']}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
