"""The handshake's layout, as PLC programs have compiled it in: a change is a new protocol version, never a correction.

Printed anew by ``python -m tests.golden.test_handshake_layout`` when there is one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.tags import TagMap
from gateway.plc.driver import MAX_WRITE_BYTES
from gateway.plc.maps import handshake_layout, handshake_types, load_map

MAPS = Path(__file__).resolve().parents[2] / "plc_maps"
GOLDEN = Path(__file__).with_name("handshake_layout.txt")


def layout() -> str:
    """Return a line for each role: block, section, byte, type, name, role; and one for each UDT."""
    lines = [
        f"{block:<5}{tag.section:<8}{tag.at:>4}  {tag.type:<24}{tag.name:<22}{role}"
        for block, roles in handshake_layout().items()
        for role, tag in roles.items()
    ]
    lines += [f"type {name}: {', '.join(f'{m} {t}' for m, t in members)}" for name, members in handshake_types().items()]
    return "\n".join(lines) + "\n"


def test_names_types_offsets_roles_and_sections_stand() -> None:
    assert layout() == GOLDEN.read_text()


@pytest.mark.parametrize(("map_name", "checksum"), [("demo_s7", 0x914AD83F), ("demo_modbus", 0xDCEAEED9)])
def test_the_interface_checksums_of_the_demo_maps_stand(map_name: str, checksum: int) -> None:
    """A PLC holds it as a constant: computed otherwise, no machine would start."""
    assert load_map(MAPS / f"{map_name}.yaml").checksum == checksum


def sections(tag_map: TagMap) -> dict[str, list[tuple[int, int]]]:
    wanted = handshake_layout()["down"]
    found: dict[str, list[tuple[int, int]]] = {}
    for role, tag in tag_map.roles.items():
        if role in wanted:
            found.setdefault(wanted[role].section, []).append((tag.offset, tag.offset + tag.size))
    return found


def test_each_section_is_one_write_of_its_own() -> None:
    """At most 64 bytes, for longer S7 writes are split; and no section lies in another."""
    places = {k: (min(a for a, _ in v), max(b for _, b in v)) for k, v in sections(load_map(MAPS / "demo_s7.yaml").map).items()}
    assert places == {"status": (0, 56), "tokens": (64, 128), "adjust": (128, 140), "claim": (144, 148)}
    assert all(end - start <= MAX_WRITE_BYTES for start, end in places.values())
    ordered = sorted(places.values())
    assert all(a[1] <= b[0] for a, b in zip(ordered, ordered[1:], strict=False))


if __name__ == "__main__":
    GOLDEN.write_text(layout())
