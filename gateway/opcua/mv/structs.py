"""The structures of OPC 40100-1 as dataclasses that the OPC UA library encodes, each with its own type and encoding id.

A derived structure here has all the fields of its base: the library would take one without fields of its own for the base
itself. The fields are in wire order; one that is None is left out, and a bit of ``Encoding`` says so. Whoever fills in a text
trims it. It must not know where a value comes from.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC
from enum import IntEnum
from typing import Any, TypeVar

from asyncua import ua

from gateway.opcua.mv.namespace import mv

STRUCTS: dict[str, type] = {}
"""Every structure that can stand on the wire, by its name."""

_T = TypeVar("_T")


def _struct(data_type: int, binary: int) -> Any:
    """Make the class a structure with these ids, and known to the library."""

    def known(cls: type[_T]) -> type[_T]:
        cls = dataclass(slots=True)(cls)
        cls.data_type = mv(data_type)  # type: ignore[attr-defined]
        # Not by name: other specifications have a ResultDataType too, and the library would mix them up.
        ua.extension_objects_by_datatype[mv(data_type)] = cls
        ua.datatype_by_extension_object[cls] = mv(data_type)
        ua.extension_objects_by_typeid[mv(binary)] = cls
        ua.typeid_by_extension_objects[cls] = mv(binary)
        STRUCTS[cls.__name__] = cls
        return cls

    return known


def _as(data_type: str, default: Any = dataclasses.MISSING, *, new: Any = dataclasses.MISSING) -> Any:
    """Return a field whose data type is another one than the annotation says."""
    metadata = {"data_type": data_type}
    if new is not dataclasses.MISSING:
        return field(default_factory=new, metadata=metadata)
    return field(default=default, metadata=metadata)


def _mask() -> Any:
    """Return the field in whose place the mask of the optional fields is encoded."""
    return field(default=ua.UInt32(0), repr=False, compare=False)


def _text() -> Any:
    return _as("TrimmedString", ua.String(""))


class SystemState(IntEnum):
    """What a system is doing, as the semiconductor industry counts its time (E10)."""

    PRD_1 = 1
    SBY_2 = 2
    ENG_3 = 3
    SDT_4 = 4
    UDT_5 = 5
    NST_6 = 6


class TriStateBoolean(IntEnum):
    """A filter for a Boolean that can also not matter."""

    FALSE_0 = 0
    TRUE_1 = 1
    DONTCARE_2 = 2


class ResultState(IntEnum):
    """How far a result is. The specification has plain numbers here, no enumeration."""

    UNDEFINED = 0
    COMPLETED = 1
    PROCESSING = 2
    ABORTED = 3
    FAILED = 4


for _data_type, _enum in ((3014, TriStateBoolean), (3023, SystemState)):
    ua.enums_by_datatype[mv(_data_type)] = _enum
    ua.enums_datatypes[_enum] = mv(_data_type)


@_struct(3019, 5027)
class BinaryIdBaseDataType:
    """Identifies something that has a version and a hash."""

    Encoding: ua.UInt32 = _mask()
    Id: ua.String = _text()
    Version: ua.String | None = _as("TrimmedString", None)
    Hash: ua.ByteString | None = None
    HashAlgorithm: ua.String | None = None
    Description: ua.LocalizedText | None = None


@_struct(3002, 5002)
class RecipeIdExternalDataType(BinaryIdBaseDataType):
    """Identifies a recipe as the plant calls it."""


@_struct(3013, 5268)
class RecipeIdInternalDataType(BinaryIdBaseDataType):
    """Identifies a recipe as the vision system calls it."""


@_struct(3008, 5090)
class ConfigurationIdDataType(BinaryIdBaseDataType):
    """Identifies a configuration."""


@_struct(3016, 5008)
class JobIdDataType:
    """Identifies a job of the system."""

    Id: ua.String = _text()


@_struct(3021, 5274)
class ResultIdDataType:
    """Identifies a result of the system."""

    Id: ua.String = _text()


@_struct(3015, 5006)
class MeasIdDataType:
    """Identifies a measurement, as the client calls it."""

    Encoding: ua.UInt32 = _mask()
    Id: ua.String = _text()
    Description: ua.LocalizedText | None = None


@_struct(3004, 5013)
class PartIdDataType:
    """Identifies the part that was looked at."""

    Encoding: ua.UInt32 = _mask()
    Id: ua.String = _text()
    Description: ua.LocalizedText | None = None


@_struct(3003, 5224)
class ProductIdDataType:
    """Identifies a product."""

    Encoding: ua.UInt32 = _mask()
    Id: ua.String = _text()
    Description: ua.LocalizedText | None = None


@_struct(3020, 5272)
class ProductDataType:
    """A product."""

    ExternalId: ProductIdDataType = field(default_factory=ProductIdDataType)


@_struct(3005, 5016)
class ProcessingTimesDataType:
    """When a result was begun and done; durations in milliseconds."""

    Encoding: ua.UInt32 = _mask()
    StartTime: ua.DateTime = _as("UtcTime", new=lambda: ua.DateTime(1601, 1, 1, tzinfo=UTC))
    EndTime: ua.DateTime = _as("UtcTime", new=lambda: ua.DateTime(1601, 1, 1, tzinfo=UTC))
    AcquisitionDuration: ua.Double | None = _as("Duration", None)
    ProcessingDuration: ua.Double | None = _as("Duration", None)


@_struct(3007, 5088)
class ConfigurationDataType:
    """A configuration: what it is called, and when it was changed."""

    Encoding: ua.UInt32 = _mask()
    HasTransferableDataOnFile: ua.Boolean | None = None
    ExternalId: ConfigurationIdDataType | None = None
    InternalId: ConfigurationIdDataType = field(default_factory=ConfigurationIdDataType)
    LastModified: ua.DateTime = _as("UtcTime", new=lambda: ua.DateTime(1601, 1, 1, tzinfo=UTC))


@_struct(3011, 5246)
class ConfigurationTransferOptions:
    """Which configuration is to be fetched or sent as a file."""

    InternalId: ConfigurationIdDataType = field(default_factory=ConfigurationIdDataType)


@_struct(3012, 5248)
class RecipeTransferOptions:
    """Which recipe is to be fetched or sent as a file."""

    InternalId: RecipeIdInternalDataType = field(default_factory=RecipeIdInternalDataType)


@_struct(3022, 5276)
class ResultTransferOptions:
    """Which result is to be fetched as a file."""

    Id: ResultIdDataType = field(default_factory=ResultIdDataType)


@_struct(3024, 5278)
class SystemStateDescriptionDataType:
    """What the system is doing, in a number and in words."""

    Encoding: ua.UInt32 = _mask()
    State: SystemState = _as("SystemStateDataType", SystemState.SBY_2)
    StateDescription: ua.String | None = _as("TrimmedString", None)


@_struct(3006, 5018)
class ResultDataType:
    """A result. It has no field for the verdict: that is in ``ResultContent``, with whatever else the system found."""

    Encoding: ua.UInt32 = _mask()
    ResultId: ResultIdDataType = field(default_factory=ResultIdDataType)
    HasTransferableDataOnFile: ua.Boolean | None = None
    IsPartial: ua.Boolean = False  # type: ignore[assignment] # the library's Boolean is no bool
    IsSimulated: ua.Boolean | None = None
    ResultState: ua.Int32 = _as("ResultStateDataType", ua.Int32(0))
    MeasId: MeasIdDataType | None = None
    PartId: PartIdDataType | None = None
    ExternalRecipeId: RecipeIdExternalDataType | None = None
    InternalRecipeId: RecipeIdInternalDataType = field(default_factory=RecipeIdInternalDataType)
    ProductId: ProductIdDataType | None = None
    ExternalConfigurationId: ConfigurationIdDataType | None = None
    InternalConfigurationId: ConfigurationIdDataType = field(default_factory=ConfigurationIdDataType)
    JobId: JobIdDataType = field(default_factory=JobIdDataType)
    CreationTime: ua.DateTime = _as("UtcTime", new=lambda: ua.DateTime(1601, 1, 1, tzinfo=UTC))
    ProcessingTimes: ProcessingTimesDataType | None = None
    ResultContent: list[ua.Variant] | None = _as("BaseDataType", None)
