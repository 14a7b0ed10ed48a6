"""The Machine Vision types in a server are those of the official file, node by node."""

from __future__ import annotations

import base64
import csv
from collections.abc import Callable
from typing import Any

import pytest
from asyncua import Server
from lxml import etree

from gateway.opcua.mv.dictionary import binary_schema, xml_schema
from gateway.opcua.mv.namespace import URI
from gateway.opcua.mv.types import add_types
from tests.conftest import SHARED
from tests.contract.mv_fingerprint import Lines, from_nodeset, from_server

NODESETS = SHARED / "nodesets"
OFFICIAL = NODESETS / "Opc.Ua.MachineVision.NodeSet2.xml"


async def built() -> Lines:
    server = Server()
    await server.init()
    await server.register_namespace("urn:ours")
    assert await add_types(server.iserver) == 3
    assert (await server.get_namespace_array())[2:] == ["urn:ours", URI]
    return from_server(server.iserver.aspace)


@pytest.mark.skipif(not OFFICIAL.exists(), reason=f"needs the official node set: {OFFICIAL.name} beside the repository")
async def test_every_node_is_as_in_the_official_file() -> None:
    ours, official = await built(), from_nodeset(OFFICIAL)
    assert sum(node.startswith("mv:") for node in official) == 790
    differ = [
        f"{n}\n  ours     {ours.get(n)}\n  official {official.get(n)}"
        for n in {*ours, *official}
        if ours.get(n) != official.get(n)
    ]
    assert not differ, f"{len(differ)} nodes differ:\n" + "\n".join(sorted(differ)[:20])


@pytest.mark.skipif(not OFFICIAL.exists(), reason=f"needs the official list of ids beside {OFFICIAL.name}")
async def test_every_id_of_the_official_list_is_there() -> None:
    ours = await built()
    with (NODESETS / "MachineVision_NodeIds.csv").open(newline="", encoding="utf-8") as file:
        listed = {f"mv:{number}": node_class for _, number, node_class in csv.reader(file)}
    assert {node: line.partition(" | ")[0] for node, line in ours.items() if node.startswith("mv:")} == listed


@pytest.mark.skipif(not OFFICIAL.exists(), reason=f"needs the official node set: {OFFICIAL.name} beside the repository")
@pytest.mark.parametrize(("dictionary", "ours"), [("6001", binary_schema), ("6003", xml_schema)])
def test_the_dictionaries_describe_the_same_structures(dictionary: str, ours: Callable[[], bytes]) -> None:
    root = etree.parse(str(OFFICIAL)).getroot()
    (text,) = root.xpath(f'//*[@NodeId="ns=1;i={dictionary}"]/*[local-name()="Value"]/*/text()')
    official = described(base64.b64decode(text))
    assert len(official) == 17
    assert described(ours()) == official


def described(schema: bytes) -> dict[str, list[tuple[str | None, ...]]]:
    """Return the fields of each structure, inherited ones too, their types with prefixes spelled out."""
    told: dict[str, list[tuple[str | None, ...]]] = {}
    for structure in etree.fromstring(schema).iter("{*}StructuredType", "{*}complexType"):
        name = structure.get("Name") or structure.get("name")
        bases = [told[e.get("base").partition(":")[2]] for e in structure.iter("{*}extension")]
        told[name] = [f for base in bases for f in base] + [field(f) for f in structure.iter("{*}Field", "{*}element")]
    return {name: fields for name, fields in told.items() if not name.startswith("ListOf")}


def field(f: Any) -> tuple[str | None, ...]:
    prefix, _, name = (f.get("TypeName") or f.get("type")).partition(":")
    more = [f.get(key) for key in ("Length", "SwitchField", "LengthField")]
    return f.get("Name") or f.get("name"), f.nsmap[prefix], name, *more
