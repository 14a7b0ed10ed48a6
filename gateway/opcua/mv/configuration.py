"""ConfigurationManagement: one configuration, the one that runs. A change comes with gateway.yaml and a restart, not from here.

Its id is the checksum that the PLC is shown as ConfigChecksum. It must not know what the configuration says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.archive import Archive
from gateway.opcua.methods import Caller, Handler
from gateway.opcua.mv.outputs import NO_ERROR, boolean, number, structure
from gateway.opcua.mv.results import id_of, made, utc
from gateway.opcua.mv.structs import ConfigurationDataType, ConfigurationIdDataType


def configuration_id(id: str) -> ConfigurationIdDataType:
    """Return the structure for a checksum of eight hexadecimal digits, '' for one that is not known."""
    if not id:
        return ConfigurationIdDataType()
    return made(ConfigurationIdDataType, Id=ua.String(id), Hash=bytes.fromhex(id), HashAlgorithm=ua.String("CRC-32"))


class ConfigurationCalls:
    """The configuration methods of one station."""

    def __init__(self, line: str, archive: Archive) -> None:
        """Take whose configuration, and who knows it."""
        self._line = line
        self._archive = archive
        self.handlers: dict[str, Handler] = {
            "ActivateConfiguration": self._activate,
            "GetConfigurationById": self._by_id,
            "GetConfigurationList": self._listed,
            "ReleaseConfigurationHandle": self._release,
        }

    def active(self) -> ConfigurationDataType | None:
        """Return the configuration that runs, None when none is known."""
        known = self._archive.configurations(self._line)
        if not known:
            return None
        return made(
            ConfigurationDataType,
            HasTransferableDataOnFile=False,
            InternalId=configuration_id(known[-1].id),
            LastModified=utc(known[-1].since_ns),
        )

    def _the_active(self, id: Any) -> ConfigurationDataType:
        active = self.active()
        if active is None or id_of(id) != id_of(active.InternalId):
            raise ServiceError(StatusCodes.BadNotFound)
        return active

    async def _activate(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        self._the_active(args[0])  # there is no other one, and this one is active
        return [NO_ERROR]

    async def _by_id(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        active = self._the_active(args[0])
        return [caller.handles.give(owner, args[1]), structure(active), NO_ERROR]

    async def _listed(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        active, start = self.active(), args[1]
        listed = [active] if active is not None and start == 0 else []
        handle = caller.handles.give(owner, args[2])
        return [boolean(True), number(len(listed)), handle, structure(listed), NO_ERROR]

    async def _release(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        caller.handles.release(owner, args[0])
        return [NO_ERROR]
