"""Results: how they are found, read and fetched as files (chapters 7 and 9)."""

from __future__ import annotations

from gateway.opcua.mv.spec.facts import PLACEHOLDER, Fact, M, O, obj, object_type, var
from gateway.opcua.mv.spec.methods import method, transfer

RESULTS: tuple[Fact, ...] = (
    Fact(
        id=2002,
        node_class="VariableType",
        name="ResultType",
        by="HasSubtype",
        type="BaseDataVariableType",
        data_type="ResultDataType",
        children=(
            var(6046, "ResultId", "ResultIdDataType", M),
            var(6047, "HasTransferableDataOnFile", "Boolean", O),
            var(6052, "IsPartial", "Boolean", M),
            var(6053, "IsSimulated", "Boolean", O),
            var(6054, "ResultState", "ResultStateDataType", M),
            var(6055, "MeasId", "MeasIdDataType", O),
            var(6094, "PartId", "PartIdDataType", O),
            var(6095, "ExternalRecipeId", "RecipeIdExternalDataType", O),
            var(6284, "InternalRecipeId", "RecipeIdInternalDataType", M),
            var(6327, "ProductId", "ProductIdDataType", O),
            var(6328, "ExternalConfigurationId", "ConfigurationIdDataType", O),
            var(6329, "InternalConfigurationId", "ConfigurationIdDataType", M),
            var(6330, "JobId", "JobIdDataType", M),
            var(6331, "CreationTime", "UtcTime", M),
            var(6332, "ProcessingTimes", "ProcessingTimesDataType", O),
            var(6333, "ResultContent", "BaseDataType", O, dimensions=(1,)),
        ),
    ),
    object_type(
        1007,
        "ResultManagementType",
        "BaseObjectType",
        obj(5245, "Results", "ResultFolderType", O),
        transfer(5251, "Result", timeout=6543, read=(7067, 6541, 6542), write=(7077, 6546, 6547), commit=(7071, 6544, 6545)),
        method(7007, "GetResultComponentsById", M, 6024, 6025),
        method(7026, "GetResultById", M, 6209, 6210),
        method(7089, "GetResultListFiltered", M, 6213, 6214),
        method(7090, "ReleaseResultHandle", O, 6217, 6218),
    ),
    object_type(
        1016,
        "ResultFolderType",
        "FolderType",
        var(
            6168,
            "<ResultVariable>",
            "ResultDataType",
            PLACEHOLDER,
            var(6334, "CreationTime", "UtcTime", M),
            var(6335, "InternalConfigurationId", "ConfigurationIdDataType", M),
            var(6336, "InternalRecipeId", "RecipeIdInternalDataType", M),
            var(6356, "IsPartial", "Boolean", M),
            var(6357, "JobId", "JobIdDataType", M),
            var(6379, "ResultId", "ResultIdDataType", M),
            var(6548, "ResultState", "ResultStateDataType", M),
            type="ResultType",
        ),
    ),
    object_type(
        1039,
        "ResultTransferType",
        "TemporaryFileTransferType",
        method(7058, "0:GenerateFileForRead", M, 6169, 6170, of="Result"),
    ),
)
