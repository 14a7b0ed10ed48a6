"""What a client sees of a station over a real, secure channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua import server as server_module
from gateway.opcua.flat import EVALUATIONS, MODES, TAGS
from gateway.opcua.sessions import LIMITS
from gateway.opcua.station import Update
from tests.integration.opcua_stand import (
    APPLICATION,
    CAPTURED_NS,
    PASSED,
    T0,
    UP,
    VALUES,
    OpcUaStand,
    node,
    nothing_left,
    opcua_stand,
    read,
    until,
    variables,
)

# One server for all: filling an address space takes a second.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpcUaStand]:
    async with opcua_stand(tmp_path_factory.mktemp("opcua")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nothing_left(stand: OpcUaStand) -> AsyncIterator[None]:
    async with nothing_left(stand):
        yield


# --- what is there --------------------------------------------------------------------------------------------------------


async def test_the_server_tells_who_it_is_and_how_much_it_bears(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        standard, vision = "http://opcfoundation.org/UA/", "http://opcfoundation.org/UA/MachineVision"
        assert await client.get_namespace_array() == [standard, APPLICATION, server_module.NAMESPACE, vision]
        info = await client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_BuildInfo)).read_value()
        assert (info.ProductName, info.ManufacturerName) == ("Vision Gateway", "Vision Gateway")
        for known, limit in LIMITS.items():
            assert await client.get_node(ua.NodeId(known)).read_value() == limit
        (certificate,) = {e.ServerCertificate for e in await client.get_endpoints()}
        assert certificate == (stand.pki / "own/certs/gateway.der").read_bytes()


async def test_a_tag_that_was_never_written_waits_for_its_first_value(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        # Whether it is being commissioned the server knows by itself.
        names = [t.name for t in TAGS if t.name != "Status.Commissioning"] + ["Params.Oven_Temp", "Params.Speed"]
        for name, value in zip(names, await read(client, *names, station="Line9.Cam1"), strict=True):
            assert value.StatusCode.value == StatusCodes.BadWaitingForInitialData, name
            assert value.Value.Value is None and value.SourceTimestamp and value.ServerTimestamp, name


async def test_texts_units_and_ranges_stand_beside_the_tags(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        texts = await (await node(client, "Result.Evaluation").get_child("0:EnumStrings")).read_value()
        assert [t.Text for t in texts] == list(EVALUATIONS)
        texts = await (await node(client, "Plc.Mode").get_child("0:EnumStrings")).read_value()
        assert [t.Text for t in texts] == list(MODES)
        oven = node(client, "Params.Oven_Temp")
        assert (await oven.read_browse_name()).Name == "Oven.Temp"
        band = await (await oven.get_child("0:EURange")).read_value()
        assert (band.Low, band.High) == (20.0, 300.0)
        unit = await (await oven.get_child("0:EngineeringUnits")).read_value()
        assert (unit.UnitId, unit.DisplayName.Text) == (4408652, "°C")


async def test_a_reader_changes_nothing(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        await stand.show(UP, PASSED, VALUES)
        every = await variables(client)
        assert len(every) > len(TAGS) + 10
        levels = await client.read_attributes(every, ua.AttributeIds.AccessLevel)
        writable = {n.nodeid.Identifier for n, level in zip(every, levels, strict=True) if level.Value.Value & 2}
        commands = [f"Line1.Cam1.Tags.{t.name}" for t in TAGS if t.role is not None]
        assert writable == {*commands, "Line1.Cam1.Tags.Params.Oven_Temp"}
        levels = await client.read_attributes(every, ua.AttributeIds.UserAccessLevel)
        assert {level.Value.Value for level in levels} == {1, 5}, "this user only reads, now and what was"
        tags = [n for n in every if n.nodeid.Identifier not in writable]
        before = await client.read_attributes(tags, ua.AttributeIds.Value)
        diagnostics = client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerDiagnostics_EnabledFlag))
        asked = [
            ua.WriteValue(n.nodeid, attribute, Value=ua.DataValue(ua.Variant(1, ua.VariantType.Int32)))
            for n in [*tags, diagnostics]
            for attribute in (ua.AttributeIds.Value, ua.AttributeIds.DisplayName, ua.AttributeIds.AccessLevel)
        ]
        codes = await client.uaclient.session.write(ua.WriteParameters(asked))
        assert {c.value for c in codes} == {StatusCodes.BadNotWritable} and len(codes) == len(asked)
        assert await client.read_attributes(tags, ua.AttributeIds.Value) == before
        with pytest.raises(ua.UaStatusCodeError):
            await client.nodes.objects.add_folder(2, "mine")
        with pytest.raises(ua.UaStatusCodeError):
            await client.delete_nodes([tags[0]])
        with pytest.raises(ua.uaerrors.BadMethodInvalid):
            await client.nodes.server.call_method("0:GetMonitoredItems", ua.Variant(1, ua.VariantType.UInt32))


# --- results and quality --------------------------------------------------------------------------------------------------


def captured(value: ua.DataValue) -> bool:
    return bool(value.SourceTimestamp == datetime.fromtimestamp(CAPTURED_NS / 1e9, UTC))


async def test_the_tags_of_one_result_have_its_capture_time(stand: OpcUaStand) -> None:
    names = [t.name for t in TAGS if t.name.startswith("Result.")]
    async with stand.connected() as client:
        texts = {"serial": "S1", "lot": "L1", "product": "P1", "carrier": "C1", "recipe": "lids", "mode": "AUTOMATIC"}
        await stand.show(UP, replace(PASSED, seq=1001, part_id=501, **texts))
        result = dict(zip(names, await read(client, *names), strict=True))
        assert all(captured(v) for v in result.values())
        assert {v.StatusCode.value for v in result.values()} == {StatusCodes.Good}
        assert result["Result.Seq"].Value.Value == result["Result.CommitSeq"].Value.Value == 1001
        assert result["Result.CaptureTime"].Value.Value == result["Result.Seq"].SourceTimestamp
        assert result["Result.Score"].Value == ua.Variant(0.875, ua.VariantType.Float)
        assert result["Result.PartId"].Value == ua.Variant(501, ua.VariantType.UInt32)


async def test_a_reader_who_finds_seq_and_commitseq_equal_has_one_result(stand: OpcUaStand) -> None:
    ids = [ua.NodeId(f"Line1.Cam1.Tags.Result.{n}", 2) for n in ("Seq", "PartId", "ResultId", "CommitSeq")]
    torn = whole = 0
    await stand.show(UP, PASSED)

    def writing() -> asyncio.Task[None]:
        return asyncio.create_task(stand.show(*(replace(PASSED, seq=n, part_id=n) for n in range(2000, 2050))))

    task = writing()
    while not task.done():
        await asyncio.sleep(0)
        seq, part, result, commit = (stand.iserver.read_attribute_value(i).Value.Value for i in ids)
        if seq != commit:
            torn += 1
        elif seq >= 2000:
            whole += 1
            assert (part, result) == (seq, f"Line1-0000BEEF-{seq}")
    await task
    assert torn and whole, "both were seen"


async def test_a_reader_that_polls_knows_a_whole_result_and_a_whole_picture(stand: OpcUaStand) -> None:
    """Over the wire and while both are written: whatever has equal numbers belongs together."""
    names = ["Result.Seq", "Result.PartId", "Defects.Class", "Result.Serial", "Result.CommitSeq"]
    pictures = ["Image.Seq", "Image.Thumb", "Image.ThumbSeq"]
    station = stand.stations["Line1.Cam1"]
    seen = {"whole": 0, "whole at once": 0, "pictures": 0}

    async def writing() -> None:
        for n in range(3000, 3200):
            failed = replace(PASSED, seq=n, part_id=n, serial=f"S{n}", disposition="FAIL", defect=f"D{n}", label="scratch")
            await stand.show(failed)
            await stand.server.write("Line1.Cam1", station.thumb(str(n).encode() * 1000, n, T0))
            await asyncio.sleep(0.01)

    async with stand.connected() as client:

        async def values(*tags: str) -> list[Any]:
            return [v.Value.Value for v in await read(client, *tags)]

        await stand.show(UP, PASSED)
        task = asyncio.create_task(writing())
        while not task.done():
            # Three requests, between which the server may write: what is written last is read first.
            (commit,) = await values(names[-1])
            part, classes, serial = await values(*names[1:-1])
            (seq,) = await values(names[0])
            if seq == commit and seq >= 3000:
                seen["whole"] += 1
                assert (part, classes[0], serial) == (seq, f"D{seq}", f"S{seq}")
            # Or all in one.
            seq, part, classes, serial, commit = await values(*names)
            if seq == commit and seq >= 3000:
                seen["whole at once"] += 1
                assert (part, classes[0], serial) == (seq, f"D{seq}", f"S{seq}")
            first, thumb, last = await values(*pictures)
            if first is not None and first == last:
                seen["pictures"] += 1
                assert thumb == str(first).encode() * 1000
        await task
    assert all(seen.values()), seen


async def test_arrays_have_sixteen_elements_and_pictures_their_type(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        await stand.show(UP, replace(PASSED, seq=21, disposition="FAIL", defect="scratch", label="scratch"))
        score = node(client, "Defects.Score")
        assert await score.read_value_rank() == ua.ValueRank.OneDimension
        assert await score.read_array_dimensions() == [16]
        assert await score.read_data_type() == ua.NodeId(ua.ObjectIds.Float)
        names = ["Defects.Count", "Defects.Class", "Defects.Score", "Defects.X"]
        count, classes, scores, x = await read(client, *names)
        assert (count.Value.Value, classes.Value.Value) == (1, ["scratch", *[""] * 15])
        assert scores.Value.Value == pytest.approx([0.125, *[0.0] * 15]) and len(scores.Value.Value) == 16
        assert x.StatusCode.name == "BadNoData" and x.Value.Value is None, "not known is no 0"
        thumb = node(client, "Image.Thumb")
        assert await thumb.read_data_type() == ua.NodeId(ua.ObjectIds.ImageJPG)
        await stand.server.write("Line1.Cam1", stand.stations["Line1.Cam1"].thumb(b"\xff\xd8jpeg", 21, T0))
        assert await thumb.read_value() == b"\xff\xd8jpeg"


async def test_a_subscriber_sees_a_new_result(stand: OpcUaStand) -> None:
    seen: dict[str, list[ua.DataValue]] = {}

    class Handler:
        def datachange_notification(self, n: Any, value: Any, data: Any) -> None:
            seen.setdefault(n.nodeid.Identifier.rpartition(".")[2], []).append(data.monitored_item.Value)

    async with stand.connected() as client:
        await stand.show(UP, replace(PASSED, seq=11))
        subscription = await client.create_subscription(100, Handler())
        await subscription.subscribe_data_change([node(client, f"Result.{n}") for n in ("Ok", "PartId", "CommitSeq")])
        await until(lambda: len(seen) == 3, "the first values")
        await stand.show(replace(PASSED, seq=12, part_id=77, disposition="FAIL", defect="scratch", label="scratch"))
        await until(lambda: seen["CommitSeq"][-1].Value.Value == 12, "the new result")
        assert (seen["Ok"][-1].Value.Value, seen["PartId"][-1].Value.Value) == (False, 77)
        assert captured(seen["CommitSeq"][-1])
        await subscription.delete()


async def test_quality_is_true(stand: OpcUaStand) -> None:
    unseen = replace(PASSED, disposition="NOT_INSPECTED", scores={}, label="", t_exposed_mono_ns=0, t_frame_mono_ns=0)
    ok, score, oven, recipe = "Result.Ok", "Result.Score", "Params.Oven_Temp", "Status.RecipeName"

    async with stand.connected() as client:

        async def statuses(*names: str) -> list[str]:
            return [v.StatusCode.name for v in await read(client, *names)]

        await stand.show(UP, PASSED, VALUES)
        assert await statuses(ok, score, oven, recipe) == ["Good"] * 4
        await stand.show(unseen)
        assert await statuses(ok, score, "Result.LatencyMs") == ["Good", "BadDeviceFailure", "BadNoData"]
        await stand.show(PASSED, replace(UP, ready=False, offline_reason="JOURNAL", error="JOURNAL"))
        assert await statuses(ok, score, oven) == ["UncertainLastUsableValue"] * 2 + ["Good"]
        assert (await read(client, score))[0].Value.Value == 0.875, "the last usable value is there to be used"
        await stand.show(replace(UP, camera_up=False, ready=False, error="CAMERA"))
        assert await statuses(ok, score) == ["BadNoCommunication"] * 2
        assert (await read(client, ok))[0].Value.Value is None
        await stand.show(replace(UP, model_id="", ready=False))
        assert await statuses(ok, recipe) == ["BadOutOfService"] * 2
        await stand.show(UP)
        await stand.server.write("Line1.Cam1", stand.stations["Line1.Cam1"].alive(False, T0))
        assert await statuses(ok, oven, recipe) == ["BadNoCommunication"] * 2 + ["UncertainLastUsableValue"]
        await stand.server.write("Line1.Cam1", stand.stations["Line1.Cam1"].alive(True, T0))
        await stand.server.write("Line1.Cam1", [Update(tag="Health.Imaging", value=3, t_utc_ns=T0)])
        assert await statuses("Health.Imaging", "Health.Drift") == ["Good", "BadNotSupported"]


async def test_a_write_of_what_there_is_not_is_a_bug(stand: OpcUaStand) -> None:
    with pytest.raises(KeyError):
        await stand.server.write("Line1.Cam1", [Update(tag="Result.Nothing", value=1, t_utc_ns=T0)])
