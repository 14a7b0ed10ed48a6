"""The older descriptions of the structures are well-formed and tell the same fields."""

from __future__ import annotations

from lxml import etree

from gateway.opcua.mv import dictionary
from gateway.opcua.mv.structs import STRUCTS

OPC = "{http://opcfoundation.org/BinarySchema/}"


def test_the_binary_schema_has_every_structure_with_a_mask_of_32_bits() -> None:
    root = etree.fromstring(dictionary.binary_schema())
    told = {s.get("Name"): s for s in root.iter(f"{OPC}StructuredType")}
    assert list(told) and set(told) == set(STRUCTS)
    for name, s in told.items():
        bits = [int(f.get("Length", "1")) for f in s if f.get("TypeName") == "opc:Bit"]
        assert sum(bits) == (32 if any(f.optional for f in dictionary.fields(name)) else 0)
        names = [f.get("Name") for f in s if f.get("TypeName") != "opc:Bit" and not f.get("Name").startswith("NoOf")]
        assert names == [f.name for f in dictionary.fields(name)]
        switches = {f.get("SwitchField") for f in s} - {None}
        assert switches == {f"{f.name}Specified" for f in dictionary.fields(name) if f.optional}


def test_the_xml_schema_is_a_schema_of_every_structure() -> None:
    root = etree.fromstring(dictionary.xml_schema())
    names = {t.get("name") for t in root.iter("{http://www.w3.org/2001/XMLSchema}complexType")}
    assert names == set(STRUCTS)


def test_types_that_only_add_a_meaning_are_plain_on_the_wire() -> None:
    schema = dictionary.binary_schema().decode()
    assert "TrimmedString" not in schema and "UtcTime" not in schema and "tns:Handle" not in schema
    assert (
        'TypeName="ua:Variant" Name="ResultContent" SwitchField="ResultContentSpecified" LengthField="NoOfResultContent"'
        in schema
    )
