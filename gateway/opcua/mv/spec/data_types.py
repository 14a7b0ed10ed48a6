"""Data types with their encodings, the dictionaries that describe them to older clients, the namespace (chapters 12 and 13)."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntEnum

from gateway.opcua.mv.namespace import URI, VERSION, XML_URI
from gateway.opcua.mv.spec.facts import Fact, Link, M, prop
from gateway.opcua.mv.structs import SystemState, TriStateBoolean


def simple(id: int, name: str, base: str) -> Fact:
    """Return a data type that is another one with a meaning."""
    return Fact(id=id, node_class="DataType", name=name, by="HasSubtype", type=base)


def enumeration(id: int, name: str, values_id: int, enum: type[IntEnum]) -> Fact:
    """Return an enumeration."""
    values = tuple((member.name, member.value) for member in enum)
    texts = Fact(
        id=values_id,
        node_class="Variable",
        name="0:EnumValues",
        by="HasProperty",
        type="PropertyType",
        data_type="EnumValueType",
        rank=1,
        dimensions=(len(values),),
        rule=M,
        values=values,
    )
    return Fact(id=id, node_class="DataType", name=name, by="HasSubtype", type="Enumeration", values=values, children=(texts,))


def structure(id: int, name: str, binary: tuple[int, int], xml: tuple[int, int], *, base: str = "Structure") -> Fact:
    """Return a structure; the ids of an encoding are its own and of its description."""
    return Fact(
        id=id,
        node_class="DataType",
        name=name,
        by="HasSubtype",
        type=base,
        abstract=name == "BinaryIdBaseDataType",
        children=(_encoding("0:Default Binary", *binary), _encoding("0:Default XML", *xml)),
    )


def _encoding(name: str, id: int, description: int) -> Fact:
    links = (Link(by="HasDescription", to=description),)
    return Fact(id=id, node_class="Object", name=name, by="HasEncoding", type="DataTypeEncodingType", links=links)


STRUCTURES: tuple[Fact, ...] = (
    structure(3019, "BinaryIdBaseDataType", (5027, 6033), (5271, 6034)),
    structure(3002, "RecipeIdExternalDataType", (5002, 6021), (5003, 6022), base="BinaryIdBaseDataType"),
    structure(3013, "RecipeIdInternalDataType", (5268, 6035), (5269, 6036), base="BinaryIdBaseDataType"),
    structure(3008, "ConfigurationIdDataType", (5090, 6354), (5091, 6355), base="BinaryIdBaseDataType"),
    structure(3016, "JobIdDataType", (5008, 6030), (5026, 6031)),
    structure(3021, "ResultIdDataType", (5274, 6039), (5275, 6040)),
    structure(3015, "MeasIdDataType", (5006, 6028), (5007, 6029)),
    structure(3004, "PartIdDataType", (5013, 6072), (5014, 6073)),
    structure(3003, "ProductIdDataType", (5224, 6071), (5225, 6093)),
    structure(3020, "ProductDataType", (5272, 6037), (5273, 6038)),
    structure(3005, "ProcessingTimesDataType", (5016, 6074), (5017, 6075)),
    structure(3007, "ConfigurationDataType", (5088, 6352), (5089, 6353)),
    structure(3011, "ConfigurationTransferOptions", (5246, 6125), (5247, 6126)),
    structure(3012, "RecipeTransferOptions", (5248, 6188), (5249, 6189)),
    structure(3022, "ResultTransferOptions", (5276, 6127), (5277, 6128)),
    structure(3024, "SystemStateDescriptionDataType", (5278, 6130), (5279, 6131)),
    structure(3006, "ResultDataType", (5018, 6076), (5019, 6077)),
)

_SIMPLE: tuple[Fact, ...] = (
    simple(3017, "TrimmedString", "String"),
    simple(3018, "Handle", "UInt32"),
    simple(3009, "ResultStateDataType", "Int32"),
    enumeration(3014, "TriStateBooleanDataType", 6367, TriStateBoolean),
    enumeration(3023, "SystemStateDataType", 6032, SystemState),
)

_REFERENCES: tuple[Fact, ...] = (
    Fact(id=4002, node_class="ReferenceType", name="FromTransition", by="HasSubtype", type="NonHierarchicalReferences"),
    Fact(id=4003, node_class="ReferenceType", name="ToTransition", by="HasSubtype", type="NonHierarchicalReferences"),
)


def _dictionary(id: int, system: str, uri_id: int, uri: str, encoding: int, value: str) -> Fact:
    """Return a dictionary with the description of each structure in the encoding of this index."""
    descriptions = []
    for fact in STRUCTURES:
        (link,) = fact.children[encoding].links
        description = Fact(
            id=int(link.to),
            node_class="Variable",
            name=fact.name,
            by="HasComponent",
            type="DataTypeDescriptionType",
            data_type="String",
            value=value.format(fact.name),
        )
        descriptions.append(description)
    return Fact(
        id=id,
        node_class="Variable",
        name="TypeDictionary",
        by="HasComponent",
        parent=system,
        type="DataTypeDictionaryType",
        data_type="ByteString",
        children=(prop(uri_id, "0:NamespaceUri", "String", "", value=uri), *descriptions),
    )


_METADATA = Fact(
    id=5009,
    node_class="Object",
    name=URI,
    by="HasComponent",
    parent="Server_Namespaces",
    type="NamespaceMetadataType",
    children=(
        prop(6549, "0:IsNamespaceSubset", "Boolean", "", value=False),
        prop(6552, "0:NamespacePublicationDate", "DateTime", "", value=datetime(2019, 7, 11, 10, 18, 27, tzinfo=UTC)),
        prop(6553, "0:NamespaceUri", "String", "", value=URI),
        prop(6554, "0:NamespaceVersion", "String", "", value=VERSION),
        prop(6556, "0:StaticNodeIdTypes", "IdType", "", value=(0,), dimensions=(1,)),
        prop(6558, "0:StaticNumericNodeIdRange", "NumericRange", "", rank=1),
        prop(6559, "0:StaticStringNodeIdPattern", "String", ""),
    ),
)

DATA_TYPES: tuple[Fact, ...] = (
    *_REFERENCES,
    *_SIMPLE,
    *STRUCTURES,
    _dictionary(6001, "OPCBinarySchema_TypeSystem", 6002, URI, 0, "{}"),
    _dictionary(6003, "XmlSchema_TypeSystem", 6020, XML_URI, 1, "//xs:element[@name='{}']"),
    _METADATA,
)
