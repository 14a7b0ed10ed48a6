"""Events and conditions against a client that is not asyncua's: node-opcua's own functions for alarms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.core.events import Alarm
from tests.integration.events_client import alarm, line
from tests.integration.opcua_stand import PASSWORD, OpcUaStand, opcua_stand
from tests.peers import peer

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

CAMERA = "ns=2;s=Line1.Cam1.Conditions.CAMERA"


async def converse(stand: OpcUaStand, folder: Path) -> dict[str, Any]:
    """Run the client's sequence, let two alarms come while it watches, and return its answers."""
    peer.keys(folder, stand.own)
    peer.server_certificate(folder, stand)
    answers: dict[str, Any] = {}
    async with line(stand, folder) as feed:
        await feed.take(alarm(Alarm.JOURNAL))
        async for said in peer.said("opcua_events.mjs", stand.server.url, "Line1.Cam1", str(folder), PASSWORD):
            answers = said
            if said.get("event") == "watching":
                await feed.take(alarm(Alarm.CAMERA, all_active=("JOURNAL", "CAMERA"), seq=2))
    return answers


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    async with opcua_stand(tmp_path_factory.mktemp("opcua")) as stand:
        return await converse(stand, tmp_path_factory.mktemp("peer"))


async def test_of_type_takes_the_subtype_with_all_its_fields(answers: dict[str, Any]) -> None:
    assert answers["monitoring"] == "Good"
    assert answers["fields"] > 30
    assert answers["events"][0] == {
        "type": "ns=3;i=1035",
        "id": 16,
        "condition": CAMERA,
        "name": "CAMERA",
        "message": "A camera is missing: no sign of life. Check its power and its cable.",
        "severity": 800,
        "retain": True,
        "acked": False,
        "confirmed": True,
        "comment": "",
        "user": "",
    }


async def test_it_acknowledges_comments_and_confirms(answers: dict[str, Any]) -> None:
    done = {k: answers[k] for k in ("unknownEvent", "acknowledged", "again", "commented", "confirmed")}
    assert done == {
        "unknownEvent": "BadEventIdUnknown",
        "acknowledged": "Good",
        "again": "BadConditionBranchAlreadyAcked",
        "commented": "Good",
        "confirmed": "Good",
    }
    told = [(e["acked"], e["confirmed"], e["comment"], e["user"]) for e in answers["events"][:4]]
    assert told == [
        (False, True, "", ""),
        (True, False, "seen to it", "operator"),
        (True, False, "another word", "operator"),
        (True, True, "another word", "operator"),
    ]


async def test_a_refresh_finds_what_is_retained(answers: dict[str, Any]) -> None:
    assert sorted(answers["active"], key=lambda c: c["name"]) == [
        {"name": "CAMERA", "acked": True, "confirmed": False},
        {"name": "JOURNAL", "acked": False, "confirmed": True},
    ]
    assert answers["refreshed"] == "Good"
    start, *names, end = answers["refresh"]
    assert (start, end) == ("ns=0;i=2787", "ns=0;i=2788")
    assert sorted(names) == ["CAMERA", "JOURNAL"]
    assert answers["foreignRefresh"] == "BadSubscriptionIdInvalid"


async def test_a_wrong_filter_is_refused(answers: dict[str, Any]) -> None:
    assert "BadEventFilterInvalid" in answers["wrongFilter"]
