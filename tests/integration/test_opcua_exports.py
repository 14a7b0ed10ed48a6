"""What is exported is what is served, and other servers can load it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest_asyncio
from asyncua import Server, ua
from asyncua.common.xmlimporter import XmlImporter

from gateway.interchange.ignition import served_ignition
from gateway.interchange.tag_list import HEADER, tag_list
from gateway.opcua.flat import TAGS
from gateway.opcua.mv.types import add_types
from gateway.opcua.nodeset_writer import nodeset
from gateway.opcua.served_tags import served_tags
from gateway.opcua.server import NAMESPACE
from gateway.opcua.snapshot import ServedNode, Snapshot, take
from tests.golden.test_opcua_nodes import STATIONS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def snapshot() -> Snapshot:
    return await take(STATIONS)


def leaves(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for child in node.get("tags", ()):
        yield from leaves(child)
    if node["tagType"] == "AtomicTag":
        yield node


async def test_another_server_that_loads_the_node_set_has_the_same_nodes(snapshot: Snapshot) -> None:
    text = nodeset(snapshot, version="1.2.3", published=datetime(2026, 1, 1, tzinfo=UTC))
    server = Server()
    await server.init()
    await server.register_namespace(NAMESPACE)
    await add_types(server.iserver)
    await XmlImporter(server, strict_mode=True, auto_load_definitions=False).import_xml(xmlstring=text)
    aspace = server.iserver.aspace
    for id, node in snapshot.nodes.items():
        assert id in aspace, id
        for name in ("NodeClass", "BrowseName", "DisplayName", "DataType", "ValueRank", "ArrayDimensions", "AccessLevel"):
            told = aspace.read_attribute_value(id, getattr(ua.AttributeIds, name))
            value = told.Value.Value if told.StatusCode.is_good() and told.Value is not None else None
            assert (value or None) == (node.attributes.get(name) or None), (id, name)
        theirs = {(r.ReferenceTypeId, r.IsForward, r.NodeId) for r in aspace[id].references}
        assert {(r.ReferenceTypeId, r.IsForward, r.NodeId) for r in node.references} <= theirs, id
        if node.value is not None and not is_foreign(node):
            told = aspace.read_attribute_value(id, ua.AttributeIds.Value)
            assert plain(told.Value.Value) == plain(node.value.Value), id
    # The importer itself adds an object that describes the namespace, with a numeric id.
    assert set(snapshot.nodes) == {id for id in aspace.keys() if id.NamespaceIndex == 2 and isinstance(id.Identifier, str)}


def is_foreign(node: ServedNode) -> bool:
    assert node.value is not None
    data_type = node.attributes["DataType"]
    return node.value.VariantType == ua.VariantType.ExtensionObject and data_type.NamespaceIndex != 0


def plain(value: Any) -> Any:
    """Return a value for comparing: the importer makes an empty text of a text that is not there."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, ua.Argument):
        return value.Name, value.DataType, value.ValueRank
    return repr(value).replace("None", "''")


async def test_the_tag_list_has_every_tag_of_every_station(snapshot: Snapshot) -> None:
    rows = list(csv.DictReader(io.StringIO(tag_list(served_tags(snapshot)))))
    assert tuple(rows[0]) == HEADER
    assert [r["NodeId"] for r in rows] == sorted(r["NodeId"] for r in rows)
    of = {r["NodeId"]: r for r in rows}
    params = [f"ns=2;s=Line1.Cam1.Tags.Params.{p.node_name}" for s in STATIONS[:1] for p in s.params]
    assert set(of) == {f"ns=2;s={s.id}.Tags.{t.name}" for s in STATIONS for t in TAGS} | set(params)
    state = of["ns=2;s=Line1.Cam1.Tags.Status.State"]
    assert (state["BrowsePath"], state["DataType"], state["Access"]) == ("Line1.Cam1/Tags/Status/State", "UInt32", "R")
    assert state["Values"].startswith("0 Starting; 1 Ready")
    oven = of["ns=2;s=Line1.Cam1.Tags.Params.Oven_Temp"]
    assert [oven[k] for k in ("DataType", "Unit", "Low", "High")] == ["Float", "°C", "20", "300"]
    score = of["ns=2;s=Line2.Cam1.Tags.Defects.Score"]
    assert [score[k] for k in ("ValueRank", "ArrayLength")] == ["1", "16"]
    assert of["ns=2;s=Line1.Cam1.Tags.Cmd.TestRun"]["Access"] == "RW"


async def test_ignition_gets_the_same_tags_in_folders(snapshot: Snapshot) -> None:
    tree = json.loads(served_ignition(served_tags(snapshot)))
    assert (tree["name"], [line["name"] for line in tree["tags"]]) == ("Lines", ["Line1", "Line2"])
    assert [camera["name"] for camera in tree["tags"][0]["tags"]] == ["Cam1"]
    tags = {t["opcItemPath"]: t for t in leaves(tree)}
    assert set(tags) == {t.id for t in served_tags(snapshot)}
    assert all(tags[t.id]["readOnly"] is not t.writable for t in served_tags(snapshot))
    kinds = {
        name: tags[f"ns=2;s=Line1.Cam1.Tags.{name}"]["dataType"] for name in ("Defects.Score", "Image.Thumb", "Result.Seq")
    }
    assert kinds == {"Defects.Score": "Float4Array", "Image.Thumb": "ByteArray", "Result.Seq": "Int8"}
    one = json.loads(served_ignition([t for t in served_tags(snapshot) if t.path[0] == "Line2.Cam1"]))
    assert one["name"] == "Line2"


async def test_the_same_stations_give_the_same_file(snapshot: Snapshot) -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    shuffled = await take([replace(s, params=tuple(reversed(s.params))) for s in reversed(STATIONS)])
    assert sorted(nodeset(shuffled, version="1", published=when).splitlines()) == sorted(
        nodeset(snapshot, version="1", published=when).splitlines()
    )
