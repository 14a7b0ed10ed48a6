"""From an OPC UA client to the PLC and back: real services, real control and a simulated PLC; and the trend beside them."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.attribute_ids import AttributeIds

from gateway.core.commands import AdjustParameter
from gateway.frames.stamps import status_to_json
from gateway.opcua.access import Role, account, editing
from gateway.opcua.flat import CMD_RESULTS
from gateway.opcua.security import own_certificate
from tests.integration.services_stand import LINE, RULE, TAG, ServicesStand, services_stand, until
from tests.integration.test_control_process import MODEL, Control, control
from tests.integration.test_recipes import brightness, picture

PASSWORD = "Kupfer-77"
BOOL, INT, UINT, FLOAT, TEXT = (
    ua.VariantType.Boolean,
    ua.VariantType.Int32,
    ua.VariantType.UInt32,
    ua.VariantType.Float,
    ua.VariantType.String,
)


class Screen:
    """A client at one station."""

    def __init__(self, client: Client, station: str) -> None:
        self.client, self.station = client, station
        self.number = 0

    def _id(self, tag: str) -> ua.NodeId:
        return ua.NodeId(f"{self.station}.Tags.{tag}", 2)

    async def write(self, *values: tuple[str, Any, ua.VariantType]) -> list[str]:
        asked = [
            ua.WriteValue(self._id(t), AttributeIds.Value, Value=ua.DataValue(ua.Variant(v, kind))) for t, v, kind in values
        ]
        return [c.name for c in await self.client.uaclient.session.write(ua.WriteParameters(asked))]

    async def read(self, *tags: str) -> list[Any]:
        nodes = [self.client.get_node(self._id(t)) for t in tags]
        return [v.Value.Value for v in await self.client.read_attributes(nodes, AttributeIds.Value)]

    async def good(self, tag: str) -> None:
        """Wait until a tag's value is that of now."""
        node = self.client.get_node(self._id(tag))
        for _ in range(400):
            if (await node.read_data_value(raise_on_bad_status=False)).StatusCode.value == ua.StatusCodes.Good:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"not in time: {tag} is Good")

    async def shows(self, tag: str, value: Any) -> None:
        await self.until(tag, lambda shown: shown == value, f"{tag} shows {value}")

    async def until(self, tag: str, fits: Callable[[Any], object], why: str) -> None:
        for _ in range(400):
            if fits((await self.read(tag))[0]):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"not in time: {why}")

    async def command(self, request: str, *arguments: tuple[str, Any, ua.VariantType]) -> tuple[str, str]:
        """Give a command as a PLC does, and return its result and text."""
        (done,) = await self.read("Cmd.CmdSeqDone")
        self.number = done + 1
        values = [("Cmd.CmdSeq", self.number, UINT), *arguments, (f"Cmd.{request}", True, BOOL)]
        codes = await self.write(*values)
        assert codes == ["Good"] * len(values), codes
        await self.shows("Cmd.CmdSeqDone", self.number)
        result, text = await self.read("Cmd.CmdResult", "Cmd.CmdText")
        assert await self.write((f"Cmd.{request}", False, BOOL)) == ["Good"]
        return CMD_RESULTS[result], text


@contextlib.asynccontextmanager
async def screen(stand: ServicesStand, user: str, station: str) -> AsyncIterator[Screen]:
    own = own_certificate(stand.folder / "client", "urn:client", "127.0.0.1")
    client = Client(stand.ready["opcua"], timeout=30)
    client.session_timeout = 600_000
    client.application_uri = "urn:client"
    client.set_user(user)
    client.set_password(PASSWORD)
    await client.set_security(SecurityPolicyBasic256Sha256, own.certificate, own.key)
    async with client:
        yield Screen(client, station)


def let_in(stand: ServicesStand) -> None:
    """Trust the clients' certificate, and make an operator and an engineer, before the first start."""
    own = own_certificate(stand.folder / "client", "urn:client", "127.0.0.1")
    trusted = stand.data / "pki" / "trusted" / "certs"
    trusted.mkdir(parents=True)
    (trusted / "client.der").write_bytes(own.certificate.read_bytes())
    with editing(stand.data / "opcua-users.json") as accounts:
        for role in (Role.OPERATOR, Role.ENGINEER):
            accounts[role.name.lower()] = account(role.name.lower(), role, PASSWORD)


def orders(stand: ServicesStand) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{stand.data / 'ops.db'}?mode=ro", uri=True)) as db:
        return db.execute("SELECT user, what, name, value, number, ending FROM orders ORDER BY n").fetchall()


@contextlib.asynccontextmanager
async def alive_camera(c: Control) -> AsyncIterator[None]:
    """Say again and again, as capture does, that the camera is there."""

    async def tell() -> None:
        while True:
            with contextlib.suppress(OSError):
                c.tell(status_to_json("top", True))
            await asyncio.sleep(0.5)

    task = asyncio.create_task(tell())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def services_of(c: Control) -> dict[str, Any]:
    """Return the services' view of the line that control runs."""
    param = {"name": "PressForce", "unit": "kN", "range": [80, 120], "step": 4, "rate_per_min": 6}
    return {
        "name": "press",
        "cameras": ["top"],
        "journal": str(c.config.journal),
        "records_socket": str(c.config.records_socket),
        "commands_socket": str(c.config.commands_socket),
        "rings": {k: str(v) for k, v in c.config.rings.items()},
        "params": [param],
        "model_id": "demo_surface/1",
    }


async def test_what_clients_ask_for_reaches_the_plc(tmp_path: Path) -> None:
    picture(tmp_path / "right", "dark", 0)
    picture(tmp_path / "right", "bright", 250)
    picture(tmp_path / "wrong", "dark", 250)
    package = brightness(tmp_path / "brightness")
    recipes = [
        {"number": 1, "name": "surface", "model": MODEL},
        {"number": 2, "name": "brightness", "model": package, "golden": tmp_path / "right"},
        {"number": 3, "name": "mistaken", "model": package, "golden": tmp_path / "wrong"},
    ]
    known = [{"number": r["number"], "name": r["name"], "model_id": f"{r['name']}/1"} for r in recipes]
    async with (
        control("s7", recipes=recipes, recipe_authority="operator") as c,
        alive_camera(c),
        services_stand(lines=[services_of(c) | {"recipes": known}]) as stand,
    ):
        let_in(stand)
        await c.ready()
        await stand.start()
        async with screen(stand, "engineer", "press.top") as engineer, screen(stand, "operator", "press.top") as operator:
            await engineer.shows("Status.Online", True)
            await engineer.shows("Params.PressForce", 100.0)
            await _a_parameter(c, engineer, operator)
            await _recipes(c, engineer, operator)
            await _alarms(c, operator)
            await _parts(c, operator)
            assert c.process is not None
            c.process.kill()
            await c.process.wait()
            result, text = await operator.command("ErrorReset")
            assert result in ("Refused", "NoAnswer") and text, "the line is gone, and the client is told"
            await operator.shows("Status.Online", False)
            assert (await operator.command("TestRun"))[0] == "Refused"
        asked = orders(stand)
        assert ("engineer", "adjust", "PressForce", 102.0, 0, "done") in asked
        assert ("operator", "test run", "", 0.0, 1, "done") in asked
        assert ("engineer", "recipe", "", 9.0, 2, "range") in asked
        assert [a[4] for a in asked if a[4]] == list(range(1, len([a for a in asked if a[4]]) + 1)), "each number once"


async def _a_parameter(c: Control, engineer: Screen, operator: Screen) -> None:
    def holds() -> float:
        return float(c.plc.logic._adjust.values()["PressForce"])

    force = "Params.PressForce"
    await engineer.good(force)  # after a link that was lost for a moment it is not known what the PLC holds
    assert await engineer.write((force, 101.0, FLOAT)) == ["Good"]
    assert await engineer.write((force, 102.0, FLOAT)) == ["Good"], "at once after the first"
    assert holds() == 102.0
    await engineer.shows(force, 102.0)
    assert await operator.write((force, 101.0, FLOAT)) == ["BadUserAccessDenied"]
    assert await engineer.write((force, 107.0, FLOAT)) == ["BadOutOfRange"], "more than a step"
    assert await engineer.write((force, 121.0, FLOAT)) == ["BadOutOfRange"], "beyond the range"
    c.plc.permit = False
    await asyncio.sleep(0.3)
    assert await engineer.write((force, 103.0, FLOAT)) == ["BadRequestNotAllowed"], "the PLC does not permit it"
    c.plc.permit = True
    assert holds() == 102.0
    assert await engineer.read(force) == [102.0]


async def _recipes(c: Control, engineer: Screen, operator: Screen) -> None:
    result, text = await operator.command("TestRun")
    assert (result, text.partition(":")[0]) == ("Done", "confirmed") and "golden pictures" in text
    result, text = await engineer.command("RecipeSelect", ("Cmd.RecipeNo", 9, INT))
    assert (result, text) == ("Refused", "there is no recipe 9; gateway.yaml has: 1 surface, 2 brightness, 3 mistaken")
    assert (c._down("recipe.current"), *await engineer.read("Status.RecipeName")) == (1, "surface"), "a slip stops no line"
    result, text = await engineer.command("RecipeSelect", ("Cmd.RecipeNo", 3, INT))
    assert result == "Refused" and "golden pictures failed" in text
    await engineer.shows("Status.Alarms", "RECIPE")
    result, text = await operator.command("Acknowledge", ("Cmd.AckCode", "RECIPE", TEXT))
    assert result == "Done" and "as long as its cause does" in text, "seen, and not over by that"
    await engineer.shows("Status.Alarms", "RECIPE")
    assert await engineer.command("RecipeSelect", ("Cmd.RecipeNo", 2, INT)) == ("Done", "confirmed")
    await until(lambda: c._down("recipe.current") == 2, "the PLC is told")
    await engineer.shows("Status.RecipeName", "brightness")
    assert await operator.write(("Cmd.RecipeNo", 1, INT), ("Cmd.RecipeSelect", True, BOOL)) == ["BadUserAccessDenied"] * 2


async def _alarms(c: Control, operator: Screen) -> None:
    for request, argument in (("Acknowledge", (("Cmd.AckCode", "OWNER_LOST", TEXT),)), ("ErrorReset", ())):
        c.plc.logic.restart()
        await operator.shows("Status.Alarms", "OWNER_LOST")
        assert await operator.command(request, *argument) == ("Done", "confirmed")
        await operator.shows("Status.AlarmCount", 0)
    await c.ready()


async def _parts(c: Control, operator: Screen) -> None:
    part = await c.part()
    await operator.shows("Result.PartId", part)
    await operator.until("Image.ThumbSeq", lambda shown: shown, "a picture")
    seq, first, thumb, last = await operator.read("Result.Seq", "Image.Seq", "Image.Thumb", "Image.ThumbSeq")
    assert thumb[:2] == b"\xff\xd8" and seq == first == last
    (total,) = await operator.read("Counters.Total")
    assert total >= 1
    assert await operator.command("CounterReset") == ("Done", "confirmed")
    assert await operator.read("Counters.Total", "Counters.Ok") == [0, 0]
    assert (await operator.read("Counters.ResetTime"))[0] is not None


async def test_a_parameter_that_an_engineer_moved_is_left_alone_by_the_rules() -> None:
    async with services_stand() as stand:
        let_in(stand)
        (line,) = stand.config["lines"]
        line["params"][0]["rate_per_min"] = 6
        assert line["adjust"] == [RULE]
        await stand.control.start()
        await stand.start()
        await stand.warm_up()
        async with screen(stand, "engineer", f"{LINE}.Cam1") as engineer:
            await engineer.shows("Status.Online", True)
            stand.values()  # what was recorded before that is not what the PLC holds now
            await engineer.good(f"Params.{TAG}")
            assert await engineer.write((f"Params.{TAG}", 102.0, FLOAT)) == ["Good"]
            (command,) = stand.control.commands
            assert isinstance(command, AdjustParameter)
            assert (command.value, command.expected_old) == (102.0, 100.0)
            assert await engineer.read(f"Params.{TAG}") == [100.0], "until the PLC says otherwise"
            stand.value = 102.0
            stand.values()
            await engineer.shows(f"Params.{TAG}", 102.0)
        await stand.bad()
        await until(lambda: stand.actions(), "the rule has seen the rise")
        (action,) = stand.actions()
        assert (action["state"], action["why"]) == ("blocked", "foreign")
        assert len(stand.control.commands) == 1, "and asked for nothing"


async def test_a_number_survives_the_death_of_services() -> None:
    async with services_stand() as stand:
        let_in(stand)
        stand.control.answer = lambda command: None
        await stand.control.start()
        await stand.start()
        await stand.warm_up()
        async with screen(stand, "operator", f"{LINE}.Cam1") as operator:
            run = [("Cmd.CmdSeq", 1, UINT), ("Cmd.TestRun", True, BOOL)]
            assert await operator.write(*run) == ["Good"] * 2
            await until(lambda: len(stand.control.commands) == 1, "control has it")
            assert CMD_RESULTS[(await operator.read("Cmd.CmdResult"))[0]] == "Running"
            await stand.kill()
            operator.client.disconnect_socket()
        await stand.start()
        async with screen(stand, "operator", f"{LINE}.Cam1") as operator:
            done, result, text = await operator.read("Cmd.CmdSeqDone", "Cmd.CmdResult", "Cmd.CmdText")
            assert (done, CMD_RESULTS[result]) == (1, "NoAnswer") and "may have been carried out" in text
            assert await operator.write(*run) == ["Good"] * 2, "sent again by a client that heard nothing"
            assert await operator.write(("Cmd.CmdSeq", 2, UINT), ("Cmd.ErrorReset", True, BOOL)) == ["Good"] * 2
            await until(lambda: len(stand.control.commands) == 2, "the next one")
        assert [type(x).__name__ for x in stand.control.commands] == ["RunTest", "ClearError"], "the first was sent once"
