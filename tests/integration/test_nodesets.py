"""Users' node sets in a running server: after our namespaces, with complete definitions, and never in our way."""

from __future__ import annotations

from pathlib import Path

import pytest
from asyncua import Server, ua

from gateway.core.errors import ConfigError
from gateway.opcua.mv.namespace import URI as MV
from gateway.opcua.mv.types import add_types
from gateway.opcua.nodesets import load_nodesets
from gateway.process import all_made_stays
from tests.conftest import SHARED
from tests.contract.mv_fingerprint import from_server

OURS = "urn:ours"
RESULT = SHARED / "nodesets" / "Opc.Ua.Machinery.Result.NodeSet2.xml"
VISION = SHARED / "nodesets" / "Opc.Ua.MachineVision.NodeSet2.xml"
official = pytest.mark.skipif(not RESULT.exists(), reason="needs the official node sets beside the repository")

PLANT = """<?xml version="1.0"?>
<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd" xmlns:uax="http://opcfoundation.org/UA/2008/02/Types.xsd">
 <NamespaceUris><Uri>urn:plant</Uri><Uri>http://opcfoundation.org/UA/MachineVision</Uri></NamespaceUris>
 <Models><Model ModelUri="urn:plant" Version="1.0" PublicationDate="2024-01-01T00:00:00Z">
  <RequiredModel ModelUri="http://opcfoundation.org/UA/MachineVision" Version="1.0.0" PublicationDate="2019-07-11T10:18:27Z"/>
 </Model></Models>
 <UADataType NodeId="ns=1;i=1" BrowseName="1:Base" IsAbstract="true">
  <References><Reference ReferenceType="i=45" IsForward="false">i=22</Reference></References>
  <Definition Name="1:Base">
   <Field Name="Id" DataType="i=12"/>
   <Field Name="Note" DataType="i=12" IsOptional="true"/>
  </Definition>
 </UADataType>
 <UADataType NodeId="ns=1;i=2" BrowseName="1:Derived">
  <References>
   <Reference ReferenceType="i=45" IsForward="false">ns=1;i=1</Reference>
   <Reference ReferenceType="i=38">ns=1;i=4</Reference>
   <Reference ReferenceType="i=38">ns=1;i=3</Reference>
  </References>
  <Definition Name="1:Derived"/>
 </UADataType>
 <UAObject NodeId="ns=1;i=3" BrowseName="Default Binary">
  <References><Reference ReferenceType="i=40">i=76</Reference></References>
 </UAObject>
 <UAObject NodeId="ns=1;i=4" BrowseName="Default XML">
  <References><Reference ReferenceType="i=40">i=76</Reference></References>
 </UAObject>
 <UAVariable NodeId="ns=1;i=5" BrowseName="1:Value" DataType="ns=1;i=2">
  <References>
   <Reference ReferenceType="i=40">i=63</Reference>
   <Reference ReferenceType="i=35" IsForward="false">i=85</Reference>
  </References>
  <Value><uax:ExtensionObject><uax:TypeId><uax:Identifier>ns=1;i=4</uax:Identifier></uax:TypeId>
   <uax:Body><Derived xmlns="urn:plant"><Id>x</Id></Derived></uax:Body></uax:ExtensionObject></Value>
 </UAVariable>
 <UAObjectType NodeId="ns=1;s=Camera" BrowseName="1:CameraType">
  <References><Reference ReferenceType="i=45" IsForward="false">ns=2;i=1003</Reference></References>
 </UAObjectType>
</UANodeSet>
"""


async def server() -> Server:
    server = Server()
    with all_made_stays():
        await server.init()
        await server.register_namespace(OURS)
        await add_types(server.iserver)
    return server


async def test_a_plants_own_types_come_after_ours(tmp_path: Path) -> None:
    path = tmp_path / "plant.xml"
    path.write_text(PLANT)
    s = await server()
    before = from_server(s.iserver.aspace)
    await load_nodesets(s, [path], OURS)
    assert (await s.get_namespace_array())[2:] == [OURS, MV, "urn:plant"]
    derived = await s.get_node(ua.NodeId(2, 4)).read_data_type_definition()
    assert [(f.Name, f.IsOptional) for f in derived.Fields] == [("Id", False), ("Note", True)]
    assert derived.StructureType == ua.StructureType.StructureWithOptionalFields
    assert (derived.DefaultEncodingId, derived.BaseDataType) == (ua.NodeId(3, 4), ua.NodeId(1, 4))
    camera = s.get_node(ua.NodeId("Camera", 4))
    (parent,) = await camera.get_references(ua.ObjectIds.HasSubtype, ua.BrowseDirection.Inverse)
    assert parent.NodeId == ua.NodeId(1003, 3)
    assert (await s.get_node(ua.NodeId(5, 4)).read_value()) is None  # a default of its own structure, which nobody can make
    del s.iserver.aspace[camera.nodeid]
    system = s.iserver.aspace[ua.NodeId(1003, 3)]
    system.references[:] = [r for r in system.references if r.NodeId != camera.nodeid]
    assert from_server(s.iserver.aspace) == before  # ours are as they were


@official
async def test_machinery_result_loads_beside_machine_vision_and_the_official_file_is_what_we_have() -> None:
    s = await server()
    before = from_server(s.iserver.aspace)
    await load_nodesets(s, [RESULT, VISION], OURS)
    uri = "http://opcfoundation.org/UA/Machinery/Result/"
    assert (await s.get_namespace_array())[2:] == [OURS, MV, uri]
    verdicts = await s.get_node(ua.NodeId(3002, 4)).read_data_type_definition()
    assert [f.Name for f in verdicts.Fields] == ["Undefined", "OK", "NotOK", "NotDecidable"]
    assert sum(node.NamespaceIndex == 4 for node in s.iserver.aspace.keys()) >= 119
    assert from_server(s.iserver.aspace) == before


async def test_a_file_for_a_newer_standard_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plant.xml"
    newer = '<RequiredModel ModelUri="http://opcfoundation.org/UA/" PublicationDate="2999-01-01T00:00:00Z"/></Model>'
    path.write_text(PLANT.replace("</Model>", newer))
    with pytest.raises(ConfigError, match="needs the OPC UA standard of 2999-01-01.*take a file for an older version"):
        await load_nodesets(await server(), [path], OURS)


async def test_a_node_without_a_parent_is_refused_not_left_out(tmp_path: Path) -> None:
    path = tmp_path / "plant.xml"
    path.write_text(PLANT.replace('<Reference ReferenceType="i=38">ns=1;i=3</Reference>', ""))
    with pytest.raises(ConfigError, match=r"plant\.xml:22: ns=1;i=3 cannot be added: it has no parent that is known"):
        await load_nodesets(await server(), [path], OURS)


async def test_what_the_importer_cannot_take_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "plant.xml"
    path.write_text(PLANT.replace('NodeId="ns=1;i=5"', 'NodeId="ns=1;i=5" ValueRank="x"'))
    with pytest.raises(ConfigError, match=r"plant\.xml: cannot be loaded \(ValueError.*take it off opcua\.nodesets"):
        await load_nodesets(await server(), [path], OURS)
