"""A serial number seen again, through kills of the real services process: linked to its first record, and counted once."""

from __future__ import annotations

from gateway.record.ops import OpsDatabase
from tests.integration.services_stand import LINE, services_stand, until


async def test_a_serial_seen_again_is_linked_to_its_first_record_whatever_is_killed_in_between() -> None:
    async with services_stand() as stand:
        await stand.start()
        for n in range(20):
            stand.part(serial=f"SN{n}")
        await stand.processed()
        await stand.kill()
        for n in range(20):
            stand.part("scratch", serial=f"SN{n}" if n % 2 else "")
        await stand.start()
        await until(lambda: stand.cursor() > 20, "it has begun")
        await stand.kill()
        stand.part(serial="SN3")
        await stand.start()
        await stand.processed()
        assert await stand.stop() == 0
        ops = OpsDatabase(stand.data / "ops.db")
        try:
            found = {n: ops.reinspections(f"SN{n}") for n in range(20)}
        finally:
            ops.close()
    assert [n for n, again in found.items() if again] == list(range(1, 20, 2))
    for n, again in found.items():
        for count, inspection in enumerate(again, start=2):
            assert (inspection.first_line, inspection.first_epoch, inspection.first_part_id) == (LINE, 1, n + 1)
            assert inspection.count == count
    assert [r.part_id for r in found[3]] == [24, 41]
