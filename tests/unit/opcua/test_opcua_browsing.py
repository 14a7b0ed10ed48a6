"""A deadband in percent, and browsing in pages, over a plain address space."""

from __future__ import annotations

import asyncio
import random

import pytest
import pytest_asyncio
from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import AddressSpace, ViewService
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua import browsing
from gateway.opcua.browsing import Browser
from gateway.opcua.deadband import in_units

pytestmark = pytest.mark.asyncio(loop_scope="module")
ANALOG, PLAIN, ENDLESS = ua.NodeId("analog", 2), ua.NodeId("plain", 2), ua.NodeId("endless", 2)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def aspace() -> AddressSpace:
    """Three variables: with a range of 20 to 300, without one, and with one that limits nothing."""
    server = Server()
    await server.init()
    for id, high in ((ANALOG, 300.0), (PLAIN, None), (ENDLESS, 3.4e38)):
        node = await server.nodes.objects.add_variable(id, ua.QualifiedName(str(id.Identifier), 2), 1.0)
        if high is not None:
            await node.add_property(ua.NodeId(f"{id.Identifier}.r", 2), ua.QualifiedName("EURange"), ua.Range(20.0, high))
    return server.iserver.aspace


def percent(value: float) -> ua.DataChangeFilter:
    return ua.DataChangeFilter(
        Trigger=ua.DataChangeTrigger.StatusValue,
        DeadbandType=ua.UInt32(ua.DeadbandType.Percent),
        DeadbandValue=ua.Double(value),
    )


@pytest.mark.parametrize(
    ("asked", "given"), [(0, 0.0), (10, 28.0), (100, 280.0), (101, -1.0), (-1, -1.0), (float("nan"), -1.0)]
)
async def test_percent_of_the_range(aspace: AddressSpace, asked: float, given: float) -> None:
    got = in_units(aspace, ANALOG, percent(asked))
    assert (got.DeadbandType, got.DeadbandValue, got.Trigger) == (
        ua.DeadbandType.Absolute,
        pytest.approx(given),
        ua.DataChangeTrigger.StatusValue,
    )


@pytest.mark.parametrize("node", [PLAIN, ENDLESS, ua.NodeId("none", 2)])
async def test_without_a_range_percent_stays_and_is_refused_later(aspace: AddressSpace, node: ua.NodeId) -> None:
    assert in_units(aspace, node, percent(10)).DeadbandType == ua.DeadbandType.Percent
    assert in_units(aspace, node, None) is None
    absolute = ua.DataChangeFilter(DeadbandType=ua.UInt32(ua.DeadbandType.Absolute), DeadbandValue=ua.Double(5))
    assert in_units(aspace, node, absolute) is absolute


def what(node: int = ua.ObjectIds.Server, kind: int = ua.ObjectIds.References, **how: object) -> ua.BrowseDescription:
    asked = ua.BrowseDescription(
        NodeId=ua.NodeId(node),
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=ua.NodeId(kind),
        IncludeSubtypes=True,
    )
    for name, value in how.items():
        setattr(asked, name, value)
    return asked


async def browse(browser: Browser, *asked: ua.BrowseDescription, most: int = 0) -> list[ua.BrowseResult]:
    params = ua.BrowseParameters(RequestedMaxReferencesPerNode=ua.UInt32(most), NodesToBrowse=list(asked))
    return await browser.browse(params)


async def test_the_same_is_found_as_the_library_finds(aspace: AddressSpace) -> None:
    asked = [
        what(),
        what(IncludeSubtypes=False),
        what(ReferenceTypeId=ua.NodeId()),
        what(BrowseDirection=ua.BrowseDirection.Both),
        what(BrowseDirection=ua.BrowseDirection.Inverse),
        what(kind=ua.ObjectIds.HasComponent),
        what(kind=ua.ObjectIds.Aggregates, NodeClassMask=ua.UInt32(ua.NodeClass.Method)),
    ]
    theirs = ViewService(aspace).browse(ua.BrowseParameters(NodesToBrowse=asked))
    ours = await browse(Browser(aspace), *asked)
    assert [[r.NodeId for r in one.References] for one in ours] == [[r.NodeId for r in one.References] for one in theirs]


async def test_what_cannot_be_browsed_is_said(aspace: AddressSpace) -> None:
    results = await browse(
        Browser(aspace), what(node=99_999_999), what(kind=99_999_999), what(BrowseDirection=ua.BrowseDirection.Invalid)
    )
    assert [r.StatusCode.value for r in results] == [
        StatusCodes.BadNodeIdUnknown,
        StatusCodes.BadReferenceTypeIdInvalid,
        StatusCodes.BadBrowseDirectionInvalid,
    ]


async def test_pages_are_of_one_session_can_be_given_up_and_are_not_endless(aspace: AddressSpace) -> None:
    browser = Browser(aspace)
    results = await browse(browser, *[what()] * (browsing.MAX_POINTS + 1), most=1)
    assert results[-1].StatusCode.value == StatusCodes.BadNoContinuationPoints
    points = [r.ContinuationPoint for r in results[:-1]]
    assert len(set(points)) == browsing.MAX_POINTS
    (other,) = Browser(aspace).go_on(ua.BrowseNextParameters(False, points[:1]))
    assert other.StatusCode.value == StatusCodes.BadContinuationPointInvalid
    released = browser.go_on(ua.BrowseNextParameters(True, points))
    assert all(r.StatusCode.is_good() and not r.References for r in released)
    (again,) = browser.go_on(ua.BrowseNextParameters(False, points[:1]))
    assert again.StatusCode.value == StatusCodes.BadContinuationPointInvalid
    (fresh,) = await browse(browser, what(), most=1)
    assert fresh.StatusCode.is_good()


async def test_one_answer_holds_so_many_and_no_more(aspace: AddressSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "MAX_REFERENCES", 5)
    browser = Browser(aspace)
    first, second = await browse(browser, what(), what())
    assert (len(first.References), len(second.References)) == (5, 0)
    assert first.ContinuationPoint and second.ContinuationPoint
    (more,) = browser.go_on(ua.BrowseNextParameters(False, [second.ContinuationPoint]))
    assert [r.NodeId for r in more.References] == [r.NodeId for r in first.References]


# --- paths of names -------------------------------------------------------------------------------------------------------

KINDS = [ua.ObjectIds.References, ua.ObjectIds.HierarchicalReferences, ua.ObjectIds.Organizes, ua.ObjectIds.HasComponent, 0]
STARTS = [ua.ObjectIds.RootFolder, ua.ObjectIds.ObjectsFolder, ua.ObjectIds.Server, ua.ObjectIds.BaseObjectType]


def walked(space: AddressSpace, pick: random.Random) -> ua.BrowsePath:
    """Return a path along references that there are, with a wrong turn here and there."""
    here = start = ua.NodeId(pick.choice(STARTS))
    elements = []
    for _ in range(pick.randrange(5)):
        node = space.get(here)
        if node is None or not node.references:
            break
        ref = pick.choice(node.references)
        kind = pick.choice([ref.ReferenceTypeId, *map(ua.NodeId, KINDS), ua.NodeId(88_888_888)])
        name = pick.choice([*[ref.BrowseName] * 9, ua.QualifiedName("nowhere"), None])
        inverse = ref.IsForward is False if pick.random() < 0.95 else ref.IsForward
        elements.append(ua.RelativePathElement(kind, inverse, pick.random() < 0.8, name))
        here = ref.NodeId
    begin = start if pick.random() < 0.95 else ua.NodeId(99_999_999)
    return ua.BrowsePath(begin, ua.RelativePath(elements))


async def test_paths_lead_where_the_library_says(aspace: AddressSpace) -> None:
    pick = random.Random(7)
    paths = [path for _ in range(3000) if (path := walked(aspace, pick)).RelativePath.Elements]
    theirs = ViewService(aspace).translate_browsepaths_to_nodeids(paths)
    ours = await Browser(aspace).follow(paths)
    assert [r.StatusCode.value for r in ours] == [r.StatusCode.value for r in theirs]
    assert [r.Targets for r in ours] == [[t for n, t in enumerate(r.Targets) if t not in r.Targets[:n]] for r in theirs]
    assert sum(bool(r.Targets) for r in ours) > 300
    assert len({r.StatusCode.value for r in ours}) == 4, "found, no match, no name, no such node"


async def test_no_path_is_nothing_to_do(aspace: AddressSpace) -> None:
    (result,) = await Browser(aspace).follow([ua.BrowsePath(ua.NodeId(ua.ObjectIds.RootFolder))])
    assert result.StatusCode.value == StatusCodes.BadNothingToDo


def to_and_fro(times: int) -> list[ua.BrowsePath]:
    """Return paths over the type that has most references, each of 20 names."""
    structure, kind = ua.NodeId(ua.ObjectIds.Structure), ua.NodeId(ua.ObjectIds.HasSubtype)
    down = ua.RelativePathElement(kind, False, True, ua.QualifiedName("Argument"))
    up = ua.RelativePathElement(kind, True, True, ua.QualifiedName("Structure"))
    return [ua.BrowsePath(structure, ua.RelativePath([down, up] * 10)) for _ in range(times)]


async def test_others_have_their_turn_while_paths_are_followed(aspace: AddressSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    monkeypatch.setattr(browsing, "YIELD_STEPS", 100)
    results = await Browser(aspace).follow(to_and_fro(20))
    task.cancel()
    assert all(r.Targets[0].TargetId == ua.NodeId(ua.ObjectIds.Structure) for r in results)
    assert turns >= 200, "at each of the 200 visits of a node with hundreds of references"


async def test_a_request_whose_paths_are_too_long_a_way_is_refused(
    aspace: AddressSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "MAX_STEPS", 1000)
    with pytest.raises(ServiceError) as refused:
        await Browser(aspace).follow(to_and_fro(20))
    assert refused.value.code == StatusCodes.BadTooManyOperations
