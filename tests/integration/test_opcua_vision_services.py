"""The vision system of a real services process: it follows the records, answers from the journal, and asks control alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.status_codes import StatusCodes

from gateway.core.commands import Answer, Command, SetRecipe
from gateway.opcua.access import Role, account, editing
from gateway.opcua.mv.structs import RecipeIdExternalDataType, RecipeIdInternalDataType, ResultIdDataType
from gateway.opcua.security import own_certificate
from tests.integration.services_stand import LINE, ServicesStand, services_stand, until

STATION = f"{LINE}.Cam1"
PASSWORD = "Kupfer-77"
RECIPES = [{"number": 1, "name": "Small", "model_id": "m/1"}, {"number": 2, "name": "Large", "model_id": "m/2"}]


@contextlib.asynccontextmanager
async def connected(stand: ServicesStand) -> AsyncIterator[Client]:
    """Connect an engineer."""
    with editing(stand.data / "opcua-users.json") as accounts:
        accounts["engineer"] = account("engineer", Role.ENGINEER, PASSWORD)
    own = own_certificate(stand.folder / "client", "urn:client", "127.0.0.1")
    trusted = stand.data / "pki" / "trusted" / "certs"
    (trusted / "client.der").write_bytes(own.certificate.read_bytes())
    client = Client(stand.ready["opcua"], timeout=20)
    client.session_timeout = 600_000
    client.application_uri = "urn:client"
    client.set_user("engineer")
    client.set_password(PASSWORD)
    await client.set_security(SecurityPolicyBasic256Sha256, own.certificate, own.key)
    async with client:
        yield client


async def number(client: Client, machine: str) -> Any:
    """Return a state's number, or the name of the status that says why there is none."""
    shown = await client.get_node(f"ns=2;s={STATION}.{machine}.CurrentState.Number").read_data_value(raise_on_bad_status=False)
    return shown.Value.Value if shown.StatusCode.is_good() else shown.StatusCode.name


async def shows(client: Client, machine: str, wanted: Any) -> None:
    for _ in range(200):
        if await number(client, machine) == wanted:
            return
        await asyncio.sleep(0.05)
    assert await number(client, machine) == wanted


async def call(client: Client, owner: str, method: str, *args: ua.Variant) -> tuple[int, list[Any]]:
    request = ua.CallMethodRequest(
        ObjectId=ua.NodeId(f"{STATION}.{owner}", 2), MethodId=ua.NodeId(f"{STATION}.{owner}.{method}", 2)
    )
    request.InputArguments = list(args)
    (result,) = await client.uaclient.call([request])
    return int(result.StatusCode.value), [v.Value for v in result.OutputArguments or []]


def structure(value: Any) -> ua.Variant:
    return ua.Variant(value, ua.VariantType.ExtensionObject)


def int32(value: int) -> ua.Variant:
    return ua.Variant(value, ua.VariantType.Int32)


async def by_id(client: Client, id: str) -> tuple[int, list[Any]]:
    return await call(client, "ResultManagement", "GetResultById", structure(ResultIdDataType(Id=id)), int32(0))  # type: ignore[call-arg]


async def test_records_become_states_and_results_and_outlive_a_kill() -> None:
    async with services_stand() as stand:
        stand.config["lines"][0].update(recipes=RECIPES, config_checksum=0xAB)
        await stand.start()
        async with connected(stand) as client:
            await shows(client, "VisionStateMachine", "BadNoCommunication")
            await stand.control.start()
            stand.line_ready(recipe="Small")
            await shows(client, "VisionStateMachine", 4)
            await shows(client, "VisionStateMachine.AutomaticModeStateMachine", 6)
            for defect in ("", "scratch"):
                stand.part(defect)
            await stand.processed()
            await shows(client, "VisionStateMachine.AutomaticModeStateMachine", 8)
            status, outputs = await by_id(client, f"{LINE}-00000001-2")
            assert (status, outputs[1].ResultContent[2].Value) == (0, "scratch")
            assert outputs[1].InternalConfigurationId.Id == "000000AB"
            last = await client.get_node(f"ns=2;s={STATION}.ResultManagement.Results.Last").read_value()
            assert last == outputs[1]
            await stand.control.stop()
            await shows(client, "VisionStateMachine", "BadNoCommunication")
        await stand.kill()
        await stand.control.start()
        await stand.start()
        async with connected(stand) as client:
            await shows(client, "VisionStateMachine", 4)
            assert (await by_id(client, f"{LINE}-00000001-1"))[0] == 0
            assert (await by_id(client, f"{LINE}-00000001-3"))[0] == StatusCodes.BadNotFound


async def test_a_recipe_is_ordered_from_control_and_nothing_else_ever_reaches_it() -> None:
    def answer(command: Command) -> Answer | None:
        return Answer(id=command.id, result="confirmed" if command == asked() else "refused: only the PLC may")

    def asked() -> Command | None:
        return next((c for c in stand.control.commands if isinstance(c, SetRecipe) and c.recipe == 2), None)

    async with services_stand() as stand:
        stand.config["lines"][0].update(recipes=RECIPES, config_checksum=0xAB)
        stand.control.answer = answer
        await stand.control.start()
        await stand.start()
        async with connected(stand) as client:
            stand.line_ready()
            await shows(client, "VisionStateMachine", 4)
            cause = int32(0), ua.Variant("x", ua.VariantType.String)
            machine = "VisionStateMachine"
            for owner, method in ((machine, "Halt"), (f"{machine}.AutomaticModeStateMachine", "Stop")):
                assert (await call(client, owner, method, *cause))[0] == StatusCodes.BadNotExecutable
            assert stand.control.commands == []
            for name, status in (("Large", 0), ("Small", StatusCodes.BadInvalidState)):
                external = RecipeIdExternalDataType(Id=name)  # type: ignore[call-arg]
                ids = structure(external), structure(RecipeIdInternalDataType())
                assert (await call(client, "RecipeManagement", "PrepareRecipe", *ids))[0] == status
            await until(lambda: len(stand.control.commands) == 2, "both orders were sent")
            assert [(type(c), c.recipe, c.by) for c in stand.control.commands] == [
                (SetRecipe, 2, "operator"),
                (SetRecipe, 1, "operator"),
            ]
