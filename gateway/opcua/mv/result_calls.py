"""The methods of ResultManagement: they answer from the journal, through the archive. It must not know a node or a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.status_codes import StatusCodes

from gateway.core.errors import GatewayError
from gateway.core.events import PartJudged
from gateway.opcua.archive import Archive, Filter, active_at
from gateway.opcua.methods import Caller, Handler
from gateway.opcua.mv.configuration import configuration_id
from gateway.opcua.mv.outputs import NO_ERROR, boolean, number, structure
from gateway.opcua.mv.results import id_of, result_of
from gateway.opcua.mv.structs import (
    ConfigurationIdDataType,
    MeasIdDataType,
    PartIdDataType,
    ProcessingTimesDataType,
    ProductIdDataType,
    RecipeIdExternalDataType,
    ResultDataType,
)
from gateway.opcua.result_id import parse
from gateway.record.search import Found

MAX_LISTED = 100
"""Results in one answer, about 100 KB; IsComplete then says that there are more."""


class ResultCalls:
    """The result methods of one station."""

    def __init__(self, line: str, archive: Archive) -> None:
        """Take whose results, and where they are."""
        self._line = line
        self._archive = archive
        self.handlers: dict[str, Handler] = {
            "GetResultById": self._by_id,
            "GetResultComponentsById": self._components,
            "GetResultListFiltered": self._listed,
            "ReleaseResultHandle": self._release,
        }

    def result(self, record: PartJudged) -> ResultDataType:
        """Return a part's result, with the configuration that was active then."""
        active = active_at(self._archive.configurations(self._line), record.t_utc_ns)
        return result_of(record, configuration_id(active))

    async def _find(self, id: Any) -> ResultDataType:
        """Return the result with this ResultIdDataType; BadNotFound for one of another line, too."""
        told = parse(id_of(id))
        if told is None or told[0] != self._line:
            raise ServiceError(StatusCodes.BadNotFound)
        try:
            record = await self._archive.part(*told)
        except GatewayError as error:
            raise ServiceError(StatusCodes.BadResourceUnavailable) from error
        if record is None:
            raise ServiceError(StatusCodes.BadNotFound)
        return self.result(record)

    async def _by_id(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        result = await self._find(args[0])
        return [caller.handles.give(owner, args[1]), structure(result), NO_ERROR]

    async def _components(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        r = await self._find(args[0])
        return [
            boolean(False),
            caller.handles.give(owner, args[1]),
            boolean(False),
            boolean(False),
            ua.Variant(r.ResultState, ua.VariantType.Int32),
            structure(r.MeasId or MeasIdDataType()),
            structure(r.PartId or PartIdDataType()),
            structure(r.ExternalRecipeId or RecipeIdExternalDataType()),
            structure(r.InternalRecipeId),
            structure(r.ProductId or ProductIdDataType()),
            structure(ConfigurationIdDataType()),
            structure(r.InternalConfigurationId),
            structure(r.JobId),
            ua.Variant(r.CreationTime, ua.VariantType.DateTime),
            structure(r.ProcessingTimes or ProcessingTimesDataType()),
            ua.Variant(r.ResultContent, ua.VariantType.Variant, is_array=True),
            NO_ERROR,
        ]

    async def _listed(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        state, measured, part, external, internal, ext_config, config, product, job, most, start, timeout = args
        wanted = Filter(
            state=state,
            meas_id=id_of(measured),
            part_id=id_of(part),
            recipe=id_of(external),
            recipe_number=id_of(internal),
            model_id=str(internal.Version or "") if internal is not None else "",
            product=id_of(product),
            job=id_of(job),
            configuration=id_of(config),
        )
        found = Found(parts=(), complete=True)
        if not id_of(ext_config):  # no configuration has a name but its own
            limit = min(most or MAX_LISTED, MAX_LISTED)
            try:
                found = await self._archive.parts(self._line, wanted, skip=start, limit=limit)
            except GatewayError as error:
                raise ServiceError(StatusCodes.BadResourceUnavailable) from error
        results = [self.result(record) for record in found.parts]
        handle = caller.handles.give(owner, timeout)
        return [boolean(found.complete), number(len(results)), handle, structure(results), NO_ERROR]

    async def _release(self, caller: Caller, owner: ua.NodeId, args: list[Any]) -> Sequence[ua.Variant]:
        caller.handles.release(owner, args[0])
        return [NO_ERROR]
