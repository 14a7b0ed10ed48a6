"""Structures on the wire: type ids, masks, and back again."""

from __future__ import annotations

import dataclasses
from datetime import UTC

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import extensionobject_from_binary, extensionobject_to_binary, variant_from_binary, variant_to_binary
from asyncua.ua.uatypes import type_is_optional

from gateway.opcua.mv import dictionary, structs
from gateway.opcua.mv.ids import FACTS, named, of

TIME = ua.DateTime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
RESULT = structs.ResultDataType(
    ResultId=structs.ResultIdDataType(Id=ua.String("01J")),
    IsPartial=False,
    ResultState=ua.Int32(structs.ResultState.COMPLETED),
    PartId=structs.PartIdDataType(Id=ua.String("P7")),
    InternalRecipeId=structs.RecipeIdInternalDataType(Id=ua.String("bottle"), Version=ua.String("3"), Hash=b"\x01\x02"),
    InternalConfigurationId=structs.ConfigurationIdDataType(Id=ua.String("conf")),
    JobId=structs.JobIdDataType(Id=ua.String("J1")),
    CreationTime=TIME,
    ProcessingTimes=structs.ProcessingTimesDataType(StartTime=TIME, EndTime=TIME, ProcessingDuration=ua.Double(12.5)),
    ResultContent=[ua.Variant(1, ua.VariantType.Int32), ua.Variant("scratch", ua.VariantType.String)],
)


def there_and_back(value: object) -> object:
    return extensionobject_from_binary(Buffer(extensionobject_to_binary(value)))


def test_a_result_comes_back_as_it_went() -> None:
    back = there_and_back(RESULT)
    assert back == RESULT
    assert isinstance(back, structs.ResultDataType)
    assert back.HasTransferableDataOnFile is None and back.MeasId is None


def test_a_list_of_results_fits_a_variant() -> None:
    variant = ua.Variant([RESULT, structs.ResultDataType()], ua.VariantType.ExtensionObject)
    assert variant_from_binary(Buffer(variant_to_binary(variant))).Value == variant.Value


@pytest.mark.parametrize(
    ("cls", "encoding"),
    [
        (structs.RecipeIdExternalDataType, 5002),
        (structs.RecipeIdInternalDataType, 5268),
        (structs.ConfigurationIdDataType, 5090),
        (structs.BinaryIdBaseDataType, 5027),
    ],
)
def test_a_derived_structure_is_no_alias_of_its_base(cls: type, encoding: int) -> None:
    # 01 = four-byte id, namespace 3; then a body: mask 0b1001, Id, Version, Description (a text and no locale)
    value = cls(Id="a", Version="1", Description=ua.LocalizedText("d"))
    body = bytes.fromhex("09000000 01000000 61 01000000 31 02 01000000 64".replace(" ", ""))
    head = bytes([1, 3]) + encoding.to_bytes(2, "little") + b"\x01" + len(body).to_bytes(4, "little")
    assert extensionobject_to_binary(value) == head + body
    assert type(there_and_back(value)) is cls
    assert cls.data_type == named(cls.__name__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", structs.STRUCTS)
def test_every_structure_has_the_ids_and_names_of_the_tables(name: str) -> None:
    cls, fact = structs.STRUCTS[name], FACTS[name]
    assert ua.extension_objects_by_typeid[of(f"{name}.Default Binary")] is cls
    assert ua.typeid_by_extension_objects[cls] == of(f"{name}.Default Binary")
    assert ua.extension_objects_by_datatype[of(name)] is cls
    assert there_and_back(cls()) == cls()
    names = [f.name for f in dataclasses.fields(cls)]
    assert ("Encoding" in names) == any(f.optional for f in dictionary.fields(name))
    assert fact.children[0].browse_name == "Default Binary"


def test_each_optional_field_alone_sets_its_own_bit() -> None:
    optional = [f.name for f in dictionary.fields("ResultDataType") if f.optional]
    for bit, name in enumerate(optional):
        kind = ua.ua_binary.get_safe_type_hints(structs.ResultDataType, {"ua": ua})[name]
        assert type_is_optional(kind)
        value = structs.ResultDataType()
        setattr(value, name, getattr(RESULT, name) or _any(name))
        encoded = extensionobject_to_binary(value)
        assert int.from_bytes(encoded[9:13], "little") == 1 << bit, name
        assert there_and_back(value) == value


def _any(name: str) -> object:
    if name in ("HasTransferableDataOnFile", "IsSimulated"):
        return True
    return structs.STRUCTS[next(f.data_type for f in dictionary.fields("ResultDataType") if f.name == name)]()


def test_result_state_numbers() -> None:
    assert [s.value for s in structs.ResultState] == [0, 1, 2, 3, 4]
