"""Acknowledgements in the real services process: a kill neither loses nor doubles one, and what went meanwhile has gone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.core.events import AlarmChanged
from gateway.opcua.access import Role, account, editing
from gateway.opcua.security import own_certificate
from gateway.record.ops import OpsDatabase
from tests.integration.events_client import Watcher, condition, watch
from tests.integration.services_stand import LINE, ServicesStand, services_stand, until

STATION = f"{LINE}.Cam1"
ACKNOWLEDGE = ObjectIds.AcknowledgeableConditionType_Acknowledge
CONFIRM = ObjectIds.AcknowledgeableConditionType_Confirm
PASSWORD = "Kupfer-77"


def alarm(stand: ServicesStand, code: str, active: bool, *others: str) -> None:
    every = (code, *others) if active else others
    stand.record(AlarmChanged(line=LINE, t_utc_ns=time.time_ns(), code=code, active=active, detail="why", all_active=every))


@contextlib.asynccontextmanager
async def operator(stand: ServicesStand) -> AsyncIterator[Client]:
    with editing(stand.data / "opcua-users.json") as accounts:
        accounts["olga"] = account("olga", Role.OPERATOR, PASSWORD)
    own = own_certificate(stand.folder / "client", "urn:client", "127.0.0.1")
    (stand.data / "pki" / "trusted" / "certs" / "client.der").write_bytes(own.certificate.read_bytes())
    client = Client(stand.ready["opcua"], timeout=5)
    client.session_timeout, client.application_uri = 600_000, "urn:client"
    client.set_user("olga")
    client.set_password(PASSWORD)
    await client.set_security(SecurityPolicyBasic256Sha256, own.certificate, own.key)
    async with client:
        yield client


async def do(watcher: Watcher, method: int, code: str, event_id: bytes, comment: str = "") -> int:
    words = ua.Variant(ua.LocalizedText(comment), ua.VariantType.LocalizedText)
    return await watcher.call(method, ua.Variant(event_id, ua.VariantType.ByteString), words, on=condition(code, STATION))


async def states(watcher: Watcher) -> dict[str, tuple[bool, bool]]:
    """Refresh, and return (acknowledged, confirmed) of every retained condition."""
    watcher.seen.clear()
    assert await watcher.refresh() == 0
    await until(lambda: any(e["EventType"] == ua.NodeId(ObjectIds.RefreshEndEventType) for e in watcher.seen), "refreshed")
    start = [e["EventType"] for e in watcher.seen].index(ua.NodeId(ObjectIds.RefreshStartEventType))
    retained = [e for e in watcher.seen[start:] if e["ConditionName"]]
    return {e["ConditionName"]: (e["AckedState/Id"], e["ConfirmedState/Id"]) for e in retained}


async def test_an_acknowledgement_survives_a_kill_and_is_done_once() -> None:
    async with services_stand() as stand:
        await stand.control.start()
        await stand.start()
        stand.line_ready()
        async with operator(stand) as client:
            watcher = await watch(client)
            alarm(stand, "CAMERA", True)
            alarm(stand, "OVERLOAD", True, "CAMERA")
            await watcher.wait(2)
            by_code = {e["ConditionName"]: e for e in watcher.seen}
            assert await do(watcher, ACKNOWLEDGE, "CAMERA", by_code["CAMERA"]["EventId"], "on my way") == 0
            # Answered Good: from here on no kill may take it back.
            await stand.kill()
        # The camera comes back, and another alarm comes, while services is down.
        alarm(stand, "CAMERA", False, "OVERLOAD")
        alarm(stand, "JOURNAL", True, "OVERLOAD")
        stand.line_ready(recipe="A")
        await stand.start()
        await stand.processed()
        async with operator(stand) as client:
            watcher = await watch(client)
            await until(lambda: stand.control.probes > 1, "control is asked")
            assert await states(watcher) == {"CAMERA": (True, False), "OVERLOAD": (False, True), "JOURNAL": (False, True)}
            camera = next(e for e in watcher.seen if e["ConditionName"] == "CAMERA")
            assert (camera["Comment"].Text, camera["ClientUserId"]) == ("on my way", "olga")
            assert camera["Message"].Text.startswith("Over: ")
            assert await do(watcher, ACKNOWLEDGE, "CAMERA", camera["EventId"]) == StatusCodes.BadConditionBranchAlreadyAcked
            assert await do(watcher, CONFIRM, "CAMERA", camera["EventId"]) == 0
            assert "CAMERA" not in await states(watcher)
        assert await stand.stop() == 0
        ops = OpsDatabase(stand.data / "ops.db")
        done = [(o.user, o.what, o.name) for o in ops.orders.of(STATION) if o.ending == "done"]
        ops.close()
    assert done == [("olga", "acknowledge", "CAMERA"), ("olga", "confirm", "CAMERA")]
