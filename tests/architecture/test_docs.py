"""What a document says of the code is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulators.storm.faults import KINDS

REPO = Path(__file__).resolve().parents[2]


TABLES = {"driver-quality.md": 40, "library-facts.md": 80, "failures.md": 60}
"""Documents that name tests, and at least how many."""


def defined_in(pattern: str) -> set[str]:
    return {name for file in (REPO / "tests").rglob(pattern) for name in re.findall(r"def (test_\w+)", file.read_text())}


def named_in(document: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", (REPO / "docs" / document).read_text()))


@pytest.mark.parametrize("document", TABLES)
def test_every_test_that_the_rule_tables_name_exists(document: str) -> None:
    named = named_in(document)
    assert len(named) >= TABLES[document]
    assert named <= defined_in("*.py"), f"renamed or removed: {sorted(named - defined_in('*.py'))}"


def test_every_fact_of_a_library_that_is_tested_is_told() -> None:
    assert not defined_in("test_library_facts*.py") - named_in("library-facts.md") - {"test_traps_would_be_seen"}


def test_every_kind_of_fault_of_the_storm_has_its_row() -> None:
    rows = [r.split(" | ") for r in (REPO / "docs" / "failures.md").read_text().splitlines() if r.startswith("| **")]
    assert {len(row) for row in rows} == {5}
    assert {kind for row in rows for kind in re.findall(r"`(\w+)`", row[3])} == set(KINDS)


def test_every_link_between_files_of_the_repository_leads_somewhere() -> None:
    broken = []
    for document in [*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            if not (document.parent / target).exists():
                broken.append(f"{document.relative_to(REPO)}: {target}")
    assert not broken
