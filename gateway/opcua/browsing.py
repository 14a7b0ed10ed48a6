"""Browsing in pages: as many references as the client wants and no more than one answer may hold, the rest on demand.

The library returns everything at once, has no BrowseNext, and walks the tree of reference types anew for each reference, so
that one request could hold the loop for a second. It must not know what a node means.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator

from asyncua import ua
from asyncua.server.address_space import AddressSpace
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

MAX_REFERENCES = 2000
"""In one answer: encoding them takes 20 ms."""
MAX_POINTS = 20
"""Places where one session may have stopped; the oldest are not given up, a further one is refused."""
YIELD_EVERY = 50
"""Nodes."""

_SUBTYPE = ua.NodeId(ua.Int32(ObjectIds.HasSubtype))


class Browser:
    """What one session has browsed in part."""

    def __init__(self, aspace: AddressSpace) -> None:
        """Take the address space."""
        self._aspace = aspace
        self._points: dict[bytes, tuple[list[ua.ReferenceDescription], int]] = {}

    async def browse(self, params: ua.BrowseParameters) -> list[ua.BrowseResult]:
        """Return the references of nodes, at most ``RequestedMaxReferencesPerNode`` (0: any number) of each."""
        results, kinds, left = [], {}, MAX_REFERENCES
        for n, asked in enumerate(params.NodesToBrowse, 1):
            if asked.ReferenceTypeId not in kinds:
                kinds[asked.ReferenceTypeId] = self._kinds(asked.ReferenceTypeId)
            result = self._one(asked, kinds[asked.ReferenceTypeId])
            if result.StatusCode.is_good():
                most = params.RequestedMaxReferencesPerNode or MAX_REFERENCES
                result = self._page(result.References, most, left)
            left -= len(result.References)
            results.append(result)
            if n % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return results

    def go_on(self, params: ua.BrowseNextParameters) -> list[ua.BrowseResult]:
        """Return further references, or forget where the session had stopped."""
        results, left = [], MAX_REFERENCES
        for point in params.ContinuationPoints or ():
            rest = self._points.pop(bytes(point or b""), None)
            if rest is None:
                results.append(_bad(StatusCodes.BadContinuationPointInvalid))
            elif params.ReleaseContinuationPoints:
                results.append(ua.BrowseResult())
            else:
                results.append(self._page(*rest, left))
                left -= len(results[-1].References)
        return results

    def _page(self, references: list[ua.ReferenceDescription], most: int, left: int) -> ua.BrowseResult:
        size = min(most, left)
        if len(references) <= size:
            return ua.BrowseResult(References=references)
        if len(self._points) >= MAX_POINTS:
            return _bad(StatusCodes.BadNoContinuationPoints)
        point = secrets.token_bytes(16)
        self._points[point] = (references[size:], most)
        return ua.BrowseResult(References=references[:size], ContinuationPoint=ua.ByteString(point))

    def _one(self, asked: ua.BrowseDescription, kinds: frozenset[ua.NodeId] | None) -> ua.BrowseResult:
        node = self._aspace.get(asked.NodeId)
        if node is None:
            return _bad(StatusCodes.BadNodeIdUnknown)
        if asked.BrowseDirection not in (ua.BrowseDirection.Forward, ua.BrowseDirection.Inverse, ua.BrowseDirection.Both):
            return _bad(StatusCodes.BadBrowseDirectionInvalid)
        if kinds is not None and not kinds:
            return _bad(StatusCodes.BadReferenceTypeIdInvalid)
        if kinds is not None and not asked.IncludeSubtypes:
            kinds = frozenset((asked.ReferenceTypeId,))
        both = asked.BrowseDirection == ua.BrowseDirection.Both
        forward = asked.BrowseDirection == ua.BrowseDirection.Forward
        found = [
            ref
            for ref in node.references
            if (both or ref.IsForward == forward)
            and (kinds is None or ref.ReferenceTypeId in kinds)
            and (not asked.NodeClassMask or asked.NodeClassMask & ref.NodeClass)
        ]
        return ua.BrowseResult(References=found)

    def _kinds(self, kind: ua.NodeId) -> frozenset[ua.NodeId] | None:
        """Return a reference type with its subtypes; None for the null id, which means any; empty for no known type."""
        if kind.is_null():
            return None
        if self._aspace.get(kind) is None:
            return frozenset()
        return frozenset(self._walk(kind))

    def _walk(self, kind: ua.NodeId) -> Iterator[ua.NodeId]:
        yield kind
        node = self._aspace.get(kind)
        for ref in node.references if node is not None else ():
            if ref.IsForward and ref.ReferenceTypeId == _SUBTYPE:
                yield from self._walk(ref.NodeId)


def _bad(code: int) -> ua.BrowseResult:
    return ua.BrowseResult(StatusCode=ua.StatusCode(ua.UInt32(code)))
