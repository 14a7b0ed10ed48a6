"""Further blocks through the whole link on real sockets: strings, times, arrays, all Modbus areas; bytes packed by hand."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.integration.plc_stand import REPO, plc_stand, until
from tests.integration.test_link import linked

TYPES = "  Pair: [{name: Code, type: Word}, {name: Text, type: 'String[3]'}]\nblocks:\n"
TAGS = """
    name: DB_Oven
    dir: plc->gw
    tags:
      - {name: Oven, type: Real, role: process}
      - {name: Program, type: "String[6]"}
      - {name: Since, type: DTL}
      - {name: Zone, type: "Array[1..2] of Pair"}
      - {name: Soak, type: Time}
"""
OVEN = (
    struct.pack(">f", 1.5)
    + b"\x06\x03P12\0\0\0"
    + struct.pack(">HBBBBBBI", 2026, 11, 24, 3, 17, 59, 5, 1)
    + b"\x00\x01\x03\x01A\0\0\0"
    + b"\x00\x02\x03\x02BC\0\0"
    + struct.pack(">i", -1500)
)
WANT = {
    "Oven": 1.5,
    "Program": "P12",
    "Since": "2026-11-24T17:59:05.000000001",
    "Zone[1].Code": 1,
    "Zone[1].Text": "A",
    "Zone[2].Code": 2,
    "Zone[2].Text": "BC",
    "Soak": -1500,
}
MODBUS_MORE = """
  - at: IR:5
    name: Inputs
    dir: plc->gw
    tags:
      - {name: Level, type: Int, scale: {raw: [0, 27648], eng: [0, 100]}}
      - {name: Guard, type: Bool, at: IR:6.9}
  - at: "000010"
    name: Coils
    dir: plc->gw
    tags:
      - {name: Run, type: Bool}
      - {name: Fault, type: Bool, at: CO:19}
  - {at: DI:0, name: Switches, dir: plc->gw, tags: [{name: Door, type: "Array[0..2] of Bool"}]}
"""


@pytest.mark.parametrize("protocol", ["s7", "modbus"])
async def test_values_of_every_kind_reach_the_image(protocol: str, tmp_path: Path) -> None:
    text = (REPO / "plc_maps" / f"demo_{protocol}.yaml").read_text().replace("blocks:\n", TYPES)
    head = "  - db: 110" if protocol == "s7" else "  - at: HR:400"
    text = text.replace("order: CDAB", "order: ABCD") + head + TAGS
    want: dict[str, object] = dict(WANT)
    if protocol == "modbus":
        text += MODBUS_MORE
        want |= {"Level": 50, "Guard": True, "Run": False, "Fault": True, "Door[0]": True, "Door[1]": False, "Door[2]": True}
    file = tmp_path / "map.yaml"
    file.write_text(text)
    async with plc_stand(protocol, map_file=file) as stand:
        stand.logic.extra[0][:] = OVEN
        if protocol == "modbus":
            stand.logic.extra[1][:] = struct.pack(">HH", 13824, 1 << 9)
            stand.logic.extra[2][:] = bytes([0, 0b100])  # coils 9 and on: 19 is the eleventh
            stand.logic.extra[3][:] = bytes([0b101, 0])
        async with linked(stand) as (link, ear):
            await until(lambda: link.state == "up" and ear.up is not None, "up")
            assert ear.up is not None
            values = ear.up.values
            assert {name: values[name] for name in want} == want
