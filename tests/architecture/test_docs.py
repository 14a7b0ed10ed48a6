"""What a document says of the code is there."""

from __future__ import annotations

import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


def test_every_test_that_the_rule_tables_name_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (REPO / "docs" / "driver-quality.md").read_text()))
    there = {name for file in (REPO / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}
    assert len(named) > 40
    assert named <= there, f"renamed or removed: {sorted(named - there)}"


def test_every_link_between_files_of_the_repository_leads_somewhere() -> None:
    broken = []
    for document in [*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            if not (document.parent / target).exists():
                broken.append(f"{document.relative_to(REPO)}: {target}")
    assert not broken
