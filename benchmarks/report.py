"""Where benchmarks leave their tables: between two markers of a document, with the command and the machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
RELIABILITY = DOCS / "reliability.md"


def machine() -> str:
    """Return what a figure depends on besides the program."""
    processor = next((x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x), "")
    return f"{os.cpu_count()} cores ({processor or platform.machine()}), Python {platform.python_version()}"


def write_section(document: Path, section: str, text: str, command: str = "") -> None:
    """Replace what stands between the section's markers; a document without them gets them at its end."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    old = document.read_text(encoding="utf-8") if document.exists() else ""
    if begin not in old:
        old = f"{old}\n{begin}\n{end}\n".lstrip()
    note = f"`{command}` on {machine()}.\n\n" if command else ""
    document.write_text(f"{old.split(begin)[0]}{begin}\n{note}{text}\n{end}{old.split(end)[1]}", encoding="utf-8")
