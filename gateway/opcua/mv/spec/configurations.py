"""Configurations: everything of a vision system beside its recipes that a result depends on (chapter 7)."""

from __future__ import annotations

from gateway.opcua.mv.spec.facts import PLACEHOLDER, Fact, M, O, obj, object_type, var
from gateway.opcua.mv.spec.methods import method, transfer

CONFIGURATIONS: tuple[Fact, ...] = (
    object_type(
        1006,
        "ConfigurationManagementType",
        "BaseObjectType",
        obj(5010, "Configurations", "ConfigurationFolderType", O),
        transfer(
            5266, "Configuration", timeout=6599, read=(7012, 6337, 6338), write=(7029, 6339, 6340), commit=(7113, 6600, 6601)
        ),
        var(6132, "ActiveConfiguration", "ConfigurationDataType", M),
        method(7025, "AddConfiguration", O, 6096, 6097),
        method(7041, "GetConfigurationById", M, 6100, 6101),
        method(7045, "GetConfigurationList", M, 6104, 6105),
        method(7046, "ReleaseConfigurationHandle", O, 6108, 6109),
        method(7047, "RemoveConfiguration", O, 6112, 6113),
        method(7048, "ActivateConfiguration", M, 6116, 6117),
    ),
    object_type(
        1011,
        "ConfigurationFolderType",
        "FolderType",
        var(6120, "<Configuration>", "ConfigurationDataType", PLACEHOLDER),
    ),
    object_type(
        1012,
        "ConfigurationTransferType",
        "TemporaryFileTransferType",
        method(7129, "0:GenerateFileForRead", M, 6617, 6618, of="Configuration"),
        method(7130, "0:GenerateFileForWrite", M, 6121, 6122, of="Configuration"),
    ),
)
