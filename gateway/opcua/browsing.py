"""Browsing in pages: as many references as the client wants and no more than one answer may hold, the rest on demand.

The library returns everything at once, has no BrowseNext, and walks the tree of reference types anew for each reference, so
that one request could hold the loop for a second. Paths of names are followed here for the same reason. It must not know what
a node means.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import AddressSpace, NodeData
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

MAX_REFERENCES = 2000
"""In one answer: encoding them takes 20 ms."""
MAX_POINTS = 20
"""Places where one session may have stopped; the oldest are not given up, a further one is refused."""
YIELD_EVERY = 50
"""Nodes."""
MAX_STEPS = 400_000
"""References that the paths of one request may lead past; an honest one of 200 paths takes a tenth."""
YIELD_STEPS = 2000

_WHOLE = 0xFFFF_FFFF
"""What stands for a path that was followed to its end."""
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

    async def follow(self, paths: Sequence[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        """Return the nodes to which paths of names lead, each once. Raises ServiceError when the way is too long."""
        kinds: dict[tuple[ua.NodeId, bool], frozenset[ua.NodeId] | None] = {}
        results, steps, rested = [], 0, 0
        for path in paths:
            elements = path.RelativePath.Elements or []
            result, here = _start(path, elements, self._aspace)
            for element in elements if here else ():
                key = (element.ReferenceTypeId, bool(element.IncludeSubtypes))
                if key not in kinds:
                    kinds[key] = None if key[0].is_null() else frozenset(self._walk(key[0]) if key[1] else key[:1])
                found: dict[ua.NodeId, None] = {}
                for id in here:
                    node = self._aspace.get(id)
                    steps += 1 + self._step(node, element, kinds[key], found)
                    if steps > MAX_STEPS:
                        raise ServiceError(StatusCodes.BadTooManyOperations)
                    if steps - rested >= YIELD_STEPS:
                        rested = steps
                        await asyncio.sleep(0)
                here = found
            if here:
                result.Targets = [ua.BrowsePathTarget(id, ua.Index(_WHOLE)) for id in here]
            elif result.StatusCode.is_good():
                result.StatusCode = _status(StatusCodes.BadNoMatch)
            results.append(result)
        return results

    @staticmethod
    def _step(
        node: NodeData | None,
        element: ua.RelativePathElement,
        kinds: frozenset[ua.NodeId] | None,
        found: dict[ua.NodeId, None],
    ) -> int:
        """Add the nodes to which one element leads to ``found``; return how many references were looked at."""
        references = node.references if node is not None else []
        for ref in references:
            if (
                ref.BrowseName == element.TargetName
                and ref.IsForward != element.IsInverse
                and (kinds is None or ref.ReferenceTypeId in kinds)
            ):
                found[ref.NodeId] = None
        return len(references)

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


def _start(
    path: ua.BrowsePath, elements: Sequence[ua.RelativePathElement], aspace: AddressSpace
) -> tuple[ua.BrowsePathResult, dict[ua.NodeId, None]]:
    """Return where a path begins, or nothing and a result that says what is wrong with it."""
    code = 0
    if not elements:
        code = StatusCodes.BadNothingToDo
    elif not elements[-1].TargetName:
        code = StatusCodes.BadBrowseNameInvalid
    elif path.StartingNode not in aspace:
        code = StatusCodes.BadNodeIdInvalid
    return ua.BrowsePathResult(StatusCode=_status(code)), {} if code else {path.StartingNode: None}


def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))


def _bad(code: int) -> ua.BrowseResult:
    return ua.BrowseResult(StatusCode=_status(code))
