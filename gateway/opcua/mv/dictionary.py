"""The structures told in the two older ways, for clients that do not read a data type's definition.

The same dataclasses are the source of all three, so they cannot disagree.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from asyncua import ua
from asyncua.ua.ua_binary import get_safe_type_hints
from asyncua.ua.uatypes import type_is_optional, type_string_from_type

from gateway.opcua.mv.ids import FACTS, named
from gateway.opcua.mv.namespace import URI, XML_URI, mv
from gateway.opcua.mv.spec.data_types import STRUCTURES
from gateway.opcua.mv.spec.facts import Fact
from gateway.opcua.mv.structs import STRUCTS

_UA = "http://opcfoundation.org/UA/"
_ON_THE_WIRE = {"TrimmedString": "String", "ResultStateDataType": "Int32", "UtcTime": "DateTime", "Duration": "Double"}
"""What a data type that only adds a meaning is in the two schemas."""
_SCHEMA_TYPES = {
    "Boolean": ("opc:Boolean", "xs:boolean"),
    "Int32": ("opc:Int32", "xs:int"),
    "String": ("opc:CharArray", "xs:string"),
    "ByteString": ("opc:ByteString", "xs:base64Binary"),
    "DateTime": ("opc:DateTime", "xs:dateTime"),
    "Double": ("opc:Double", "xs:double"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a structure as the specification has it."""

    name: str
    data_type: str
    array: bool
    optional: bool


def fields(structure: str) -> list[Field]:
    """Return all the fields of this structure, inherited ones too."""
    cls = STRUCTS[structure]
    hints = get_safe_type_hints(cls, {"ua": ua})
    told = []
    for f in dataclasses.fields(cls):
        if f.name == "Encoding":
            continue
        hint = hints[f.name]
        data_type = f.metadata.get("data_type") or type_string_from_type(hint)
        told.append(Field(name=f.name, data_type=data_type, array="list" in str(hint), optional=type_is_optional(hint)))
    return told


def definition(structure: str) -> ua.StructureDefinition:
    """Return the definition that newer clients read."""
    fact = FACTS[structure]
    told = ua.StructureDefinition()
    told.DefaultEncodingId = mv(fact.children[0].id)
    told.BaseDataType = named(fact.type)
    told.Fields = []
    for f in fields(structure):
        item = ua.StructureField(Name=ua.String(f.name), DataType=named(f.data_type), IsOptional=f.optional)
        item.ValueRank = ua.Int32(1 if f.array else -1)
        item.ArrayDimensions = [ua.UInt32(1)] if f.array else []
        told.Fields.append(item)
    optional = any(f.optional for f in fields(structure))
    told.StructureType = ua.StructureType.StructureWithOptionalFields if optional else ua.StructureType.Structure
    return told


def binary_schema() -> bytes:
    """Return the dictionary of the binary encoding."""
    lines = [
        f'<opc:TypeDictionary xmlns:opc="http://opcfoundation.org/BinarySchema/" xmlns:ua="{_UA}" xmlns:tns="{URI}"'
        f' DefaultByteOrder="LittleEndian" TargetNamespace="{URI}">',
        f'<opc:Import Namespace="{_UA}"/>',
    ]
    for name in ("TriStateBooleanDataType", "SystemStateDataType"):
        lines.append(f'<opc:EnumeratedType LengthInBits="32" Name="{name}">')
        lines += [f'<opc:EnumeratedValue Name="{text}" Value="{value}"/>' for text, value in FACTS[name].values]
        lines.append("</opc:EnumeratedType>")
    for fact in STRUCTURES:
        lines += [f'<opc:StructuredType BaseType="ua:ExtensionObject" Name="{fact.name}">', *_bits(fact)]
        for f in fields(fact.name):
            switch = f' SwitchField="{f.name}Specified"' if f.optional else ""
            if f.array:
                lines.append(f'<opc:Field TypeName="opc:Int32" Name="NoOf{f.name}"{switch}/>')
                switch += f' LengthField="NoOf{f.name}"'
            lines.append(f'<opc:Field TypeName="{_binary_type(f.data_type)}" Name="{f.name}"{switch}/>')
        lines.append("</opc:StructuredType>")
    return "\n".join([*lines, "</opc:TypeDictionary>"]).encode()


def xml_schema() -> bytes:
    """Return the dictionary of the XML encoding."""
    lines = [
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:ua="{_UA}2008/02/Types.xsd" xmlns:tns="{XML_URI}"'
        f' targetNamespace="{XML_URI}" elementFormDefault="qualified">',
        f'<xs:import namespace="{_UA}2008/02/Types.xsd"/>',
    ]
    for name in ("TriStateBooleanDataType", "SystemStateDataType"):
        lines.append(f'<xs:simpleType name="{name}"><xs:restriction base="xs:string">')
        lines += [f'<xs:enumeration value="{text}_{value}"/>' for text, value in FACTS[name].values]
        lines.append(f'</xs:restriction></xs:simpleType><xs:element name="{name}" type="tns:{name}"/>')
    for fact in STRUCTURES:
        lines.append(f'<xs:complexType name="{fact.name}"><xs:sequence>')
        if any(f.optional for f in fields(fact.name)):
            lines.append('<xs:element minOccurs="0" name="EncodingMask" type="xs:unsignedInt"/>')
        for f in fields(fact.name):
            nillable = ' nillable="true"' if f.array else ""
            lines.append(f'<xs:element minOccurs="0" name="{f.name}" type="{_xml_type(f)}"{nillable}/>')
        lines.append(f'</xs:sequence></xs:complexType><xs:element name="{fact.name}" type="tns:{fact.name}"/>')
    return "\n".join([*lines, "</xs:schema>"]).encode()


def _bits(fact: Fact) -> list[str]:
    optional = [f.name for f in fields(fact.name) if f.optional]
    if not optional:
        return []
    bits = [f'<opc:Field TypeName="opc:Bit" Name="{name}Specified"/>' for name in optional]
    return [*bits, f'<opc:Field TypeName="opc:Bit" Length="{32 - len(optional)}" Name="Reserved1"/>']


def _binary_type(data_type: str) -> str:
    plain = _ON_THE_WIRE.get(data_type, data_type)
    if plain in _SCHEMA_TYPES:
        return _SCHEMA_TYPES[plain][0]
    if plain == "BaseDataType":
        return "ua:Variant"
    return f"tns:{plain}" if plain in FACTS else f"ua:{plain}"


def _xml_type(field: Field) -> str:
    plain = _ON_THE_WIRE.get(field.data_type, field.data_type)
    if plain == "BaseDataType":
        return "ua:ListOfVariant" if field.array else "ua:Variant"
    if plain in _SCHEMA_TYPES:
        return _SCHEMA_TYPES[plain][1]
    return f"tns:{plain}" if plain in FACTS else f"ua:{plain}"
