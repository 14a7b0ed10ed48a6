"""Every OPC UA node that clients may have put into their projects: none is ever removed, renamed or retyped.

``opcua_nodes.txt`` has a line a node: id, class, browse name, type definition, data type, value rank, access level. A new node
is added to it on purpose: ``python -m tests.golden.test_opcua_nodes`` adds lines and refuses to take one away.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asyncua import ua
from asyncua.server.address_space import AddressSpace
from asyncua.ua.object_ids import ObjectIdNames

from gateway.opcua.flat import Param
from gateway.opcua.mv.namespace import NS as MACHINE_VISION
from gateway.opcua.mv.recipe_calls import Recipe
from gateway.opcua.server import NAMESPACE, OpcUaServer, StationNodes

GOLDEN = Path(__file__).with_name("opcua_nodes.txt")
PARAMS = (
    Param(name="Oven.Temp", unit="°C", range=(20.0, 300.0)),
    Param(name="Belt speed", unit="m/min"),
    Param(name="Lamp", unit="%", range=(0.0, 100.0)),
    Param(name="Nozzle", unit="bar", range=(0.0, 6.0), step=0.2, rate_per_min=4.0),
)
RECIPES = (Recipe(number=1, name="Small", model_id="surface/3"), Recipe(number=2, name="Large", model_id="surface/4"))
STATIONS = (StationNodes(id="Line1.Cam1", params=PARAMS, recipes=RECIPES), StationNodes(id="Line2.Cam1"))


async def nodes(folder: Path, stations: Sequence[StationNodes]) -> list[str]:
    """Return a line for each node of the own namespace, as a server with these stations builds them, sorted."""
    server = OpcUaServer(
        stations,
        host="127.0.0.1",
        port=0,
        application_uri="urn:vision-gateway:golden",
        pki=folder / "pki",
        users=folder / "users.json",
    )
    await server.start()
    assert server._server is not None
    aspace = server._server.iserver.aspace
    names = aspace.read_attribute_value(ua.NodeId(ua.ObjectIds.Server_NamespaceArray), ua.AttributeIds.Value).Value.Value
    assert names[2] == NAMESPACE
    lines = [describe(aspace, node) for node in aspace.keys() if node.NamespaceIndex not in (0, MACHINE_VISION)]
    await server.stop()
    return sorted(lines)


def describe(aspace: AddressSpace, node: ua.NodeId) -> str:
    """Return a node's line."""
    assert (node.NamespaceIndex, node.NodeIdType) == (2, ua.NodeIdType.String), node
    names = ["NodeClass", "BrowseName", "DataType", "ValueRank", "ArrayDimensions"]
    names += ["AccessLevel", "UserAccessLevel", "Executable"]
    read = {n: aspace.read_attribute_value(node, getattr(ua.AttributeIds, n)) for n in names}
    a = {n: v.Value.Value for n, v in read.items() if v.StatusCode.is_good()}
    kinds = [r.NodeId for r in aspace[node].references if r.ReferenceTypeId == ua.NodeId(ua.ObjectIds.HasTypeDefinition)]
    fields = [f"nsu={NAMESPACE};s={node.Identifier}", ua.NodeClass(a["NodeClass"]).name, a["BrowseName"].to_string()]
    fields += [type_name(aspace, kind) for kind in kinds]
    if "Executable" in a:
        fields.append("executable" if a["Executable"] else "never executable")
    if "DataType" in a:
        fields += [type_name(aspace, a["DataType"]), f"rank {a['ValueRank']} {a.get('ArrayDimensions') or ''}".strip()]
        fields.append(f"access {a['AccessLevel']} {a['UserAccessLevel']}")
    return " | ".join(fields)


def type_name(aspace: AddressSpace, node: ua.NodeId) -> str:
    """Return a type's name, one of the Machine Vision model with ``3:`` in front."""
    if node.NamespaceIndex == 0:
        return str(ObjectIdNames[node.Identifier])
    return str(aspace.read_attribute_value(node, ua.AttributeIds.BrowseName).Value.Value.to_string())


async def test_no_node_is_removed_retyped_or_added_unnoticed(tmp_path: Path) -> None:
    built, golden = await nodes(tmp_path, STATIONS), GOLDEN.read_text(encoding="utf-8").splitlines()
    gone = sorted(set(golden) - set(built))
    assert not gone, "removed or retyped, which no client's project survives:\n" + "\n".join(gone)
    new = sorted(set(built) - set(golden))
    assert not new, "new; if that is meant, run python -m tests.golden.test_opcua_nodes:\n" + "\n".join(new)
    assert built == golden


async def test_a_restart_and_another_order_change_no_node(tmp_path: Path) -> None:
    shuffled = [replace(s, params=s.params[::-1], recipes=s.recipes[::-1]) for s in reversed(STATIONS)]
    assert await nodes(tmp_path, STATIONS) == await nodes(tmp_path, STATIONS) == await nodes(tmp_path, shuffled)


async def test_a_further_station_leaves_the_others_alone(tmp_path: Path) -> None:
    more = [*STATIONS, StationNodes(id="Line0.Cam0", params=PARAMS)]
    added = set(await nodes(tmp_path, more)) - set(GOLDEN.read_text(encoding="utf-8").splitlines())
    assert {".".join(line.partition(";s=")[2].partition(" ")[0].split(".")[:2]) for line in added} == {"Line0.Cam0"}


def test_the_file_has_each_node_once_with_plain_ids() -> None:
    ids = [line.partition(" | ")[0] for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    assert len(set(ids)) == len(ids)
    assert all(i.isascii() and " " not in i for i in ids)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        now = asyncio.run(nodes(Path(folder), STATIONS))
    before = GOLDEN.read_text(encoding="utf-8").splitlines() if GOLDEN.exists() else []
    if lost := sorted(set(before) - set(now)):
        sys.exit("not written, these would be removed or retyped:\n" + "\n".join(lost))
    GOLDEN.write_text("\n".join(now) + "\n", encoding="utf-8")
