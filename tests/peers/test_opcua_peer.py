"""The OPC UA server against a client that is not asyncua's: node-opcua, over a secure channel with a user name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from gateway.opcua.flat import HEALTH, MODES, TAGS
from gateway.opcua.mv.namespace import URI
from gateway.opcua.server import NAMESPACE
from tests.integration.opcua_stand import APPLICATION, PASSED, UP, VALUES, OpcUaStand, opcua_stand
from tests.peers import peer

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

CAPTURED = "2026-09-21T14:13:19.980Z"
WRITTEN = "2026-09-21T14:13:20.000Z"


async def converse(stand: OpcUaStand) -> dict[str, Any]:
    """Run the client's sequence, show a new result while it watches, and return its answers."""
    folder = stand.folder / "peer"
    peer.keys(folder, stand.own)
    peer.server_certificate(folder, stand)
    answers: dict[str, Any] = {}
    async for said in peer.said("opcua_client.mjs", stand.server.url, "Line1.Cam1", str(folder), stand.password):
        answers = said
        if said.get("event") == "watching":
            await stand.show(
                replace(PASSED, seq=2, part_id=78, disposition="FAIL", defect="scratch", label="scratch"),
                station="Line1.Cam1",
            )
    return answers


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def answers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Any]]:
    async with opcua_stand(tmp_path_factory.mktemp("opcua")) as stand:
        await stand.show(UP, replace(PASSED, seq=1, part_id=77), VALUES)
        yield await converse(stand)


async def test_the_channel_is_signed_and_encrypted(answers: dict[str, Any]) -> None:
    assert answers["channel"] == {"policy": "Aes256_Sha256_RsaPss", "mode": "SignAndEncrypt"}
    assert answers["namespaces"] == ["http://opcfoundation.org/UA/", APPLICATION, NAMESPACE, URI]


async def test_whoever_has_no_security_or_no_password_stays_outside(answers: dict[str, Any]) -> None:
    refused = answers["refused"]
    assert "let in" not in refused.values()
    assert "ANONYMOUS" in refused["anonymous"], "the server does not even offer it"
    assert "BadUserAccessDenied" in refused["wrongPassword"]


async def test_every_tag_is_found_by_browsing_under_its_stable_id(answers: dict[str, Any]) -> None:
    nodes = answers["nodes"]
    assert {f"Tags.{t.name}" for t in TAGS} < set(nodes)
    assert all(nodes[f"Tags.{t.name}"] == f"ns=2;s=Line1.Cam1.Tags.{t.name}" for t in TAGS)
    assert nodes["Tags.Params.Oven.Temp"] == "ns=2;s=Line1.Cam1.Tags.Params.Oven_Temp"


async def test_every_tag_is_read_with_its_type_quality_and_times(answers: dict[str, Any]) -> None:
    values = answers["values"]
    for tag in TAGS:
        value = values[f"Tags.{tag.name}"]
        assert value["source"] and value["server"], tag.name
        assert value["type"] == (tag.type if value["status"].startswith(("Good", "Uncertain")) else "Null"), tag.name
    assert values["Tags.Result.Ok"] | {"server": ""} == {
        "value": True,
        "type": "Boolean",
        "status": "Good",
        "source": CAPTURED,
        "server": "",
    }
    assert values["Tags.Result.CaptureTime"]["value"] == CAPTURED
    assert {values[f"Tags.{t.name}"]["source"] for t in TAGS if t.name.startswith("Result.")} == {CAPTURED}
    assert (values["Tags.Result.Seq"]["value"], values["Tags.Result.CommitSeq"]["value"]) == (1, 1)
    assert (values["Tags.Result.Score"]["value"], values["Tags.Result.ResultId"]["value"]) == (0.875, "Line1-0000BEEF-77")
    assert (values["Tags.Params.Oven.Temp"]["value"], values["Tags.Params.Oven.Temp"]["source"]) == (180.5, WRITTEN)
    assert values["Tags.Plc.LastPartId"]["status"] == "BadWaitingForInitialData"
    assert values["Tags.Health.Drift"]["status"] == "BadNotSupported"


async def test_texts_ranges_and_units_are_read(answers: dict[str, Any]) -> None:
    values = answers["values"]
    assert values["Tags.Plc.Mode.EnumStrings"]["value"] == list(MODES)
    assert values["Tags.Health.Imaging.EnumStrings"]["value"] == list(HEALTH)
    assert values["Tags.Params.Oven.Temp.EURange"]["value"] == [20, 300]
    assert values["Tags.Params.Oven.Temp.EngineeringUnits"]["value"] == {
        "unitId": 4408652,
        "text": "°C",
        "namespace": "http://www.opcfoundation.org/UA/units/un/cefact",
    }


async def test_a_new_result_reaches_its_subscription(answers: dict[str, Any]) -> None:
    last = {name.removeprefix("Result."): seen[-1] for name, seen in answers["watched"].items()}
    assert {n: v["value"] for n, v in last.items()} == {"Seq": 2, "PartId": 78, "Ok": False, "CommitSeq": 2}
    assert {v["source"] for v in last.values()} == {CAPTURED}
    assert {v["status"] for v in last.values()} == {"Good"}
    assert answers["watched"]["Result.CommitSeq"][0]["value"] == 1


async def test_it_cannot_write(answers: dict[str, Any]) -> None:
    assert set(answers["writes"].values()) <= {"BadNotWritable", "BadUserAccessDenied"}
