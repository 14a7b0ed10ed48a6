"""What node-opcua gets for reading parts, writing, calling and watching: structures, rights, deadbands, and every refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio

from gateway.opcua.desk import Done, NobodyThere, Order, What
from gateway.opcua.mv.ids import of
from gateway.opcua.mv.recipe_calls import Recipe
from tests.integration.opcua_stand import PASSED, PASSWORD, T0, UP, VALUES, nothing_left, opcua_stand
from tests.peers import peer

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

STATION, OTHER = "Line1.Cam1", "Line2.Cam1"
RECIPES = (Recipe(number=1, name="Small", model_id="surface/3"), Recipe(number=2, name="Large", model_id="surface/4"))
SMALL = replace(UP, recipe="Small")
FAILED = replace(
    PASSED, disposition="FAIL", defect="scratch", label="scratch", recipe="Small", recipe_number=1, model_id="surface/3"
)


@dataclass(slots=True, kw_only=True)
class WillingDesk(NobodyThere):
    """Does whatever it is asked, and writes it down."""

    asked: list[Order] = field(default_factory=list)

    async def ask(self, order: Order) -> Done:
        self.asked.append(order)
        return Done(ok=True, text="done")


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One run of the client: its answers, and what the desk was asked meanwhile."""

    answers: dict[str, Any]
    asked: list[Order]

    def __getitem__(self, user: str) -> Any:
        """Return the answers of one user's session."""
        return self.answers[user]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def talk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Talk]:
    desk, folder = WillingDesk(), tmp_path_factory.mktemp("peer")
    async with opcua_stand(tmp_path_factory.mktemp("opcua"), desk=desk, recipes=RECIPES) as stand:
        await stand.show(SMALL, FAILED, VALUES)
        vision = stand.server.vision
        await vision[STATION].tick(True, T0)
        await vision[STATION].take([SMALL, FAILED])
        peer.keys(folder, stand.own)
        peer.server_certificate(folder, stand)
        answers: dict[str, Any] = {}
        async with nothing_left(stand):
            async for said in peer.said("opcua_requests.mjs", stand.server.url, str(folder), stand.password, PASSWORD):
                answers = said
                if "event" in said:
                    await vision[OTHER].tick(True, T0)
                    await vision[OTHER].take([SMALL, FAILED])
                    for oven in (200.0, 210.0):  # the last word: whatever the events brought was told before
                        await stand.show(replace(VALUES, values={"Oven.Temp": oven, "Speed": 12.0}))
        yield Talk(answers=answers, asked=desk.asked)


async def test_structures_are_read_and_sent(talk: Talk) -> None:
    told = talk["observer"]["structures"]
    content = [2, "FAIL", "scratch", 0.125, ["good", "scratch"], [0.875, 0.125], []]
    assert told["last"] == ["ResultDataType", "Line1-0000BEEF-41", "surface/3", content]
    recipes = [["RecipeIdInternalDataType", str(r.number), r.model_id] for r in RECIPES]
    assert told["recipes"] == ["Good", recipes], "an array of structures, asked for with structures"


async def test_part_of_an_array_is_read(talk: Talk) -> None:
    invalid, nothing = "BadIndexRangeInvalid", "BadIndexRangeNoData"
    assert talk["observer"]["parts"] == {
        "0:1": ["scratch", ""],
        "1": [""],
        "14:99": ["", ""],
        "16": nothing,
        "16:20": nothing,
        "1:0": invalid,
        "x": invalid,
        "0:1,0:1": invalid,
        "scalar": invalid,
    }


async def test_a_wrong_call_is_refused_argument_by_argument(talk: Talk) -> None:
    invalid, mismatch = "BadInvalidArgument", "BadTypeMismatch"
    assert talk["observer"]["structures"]["calls"] == {
        "unknownResult": "BadNotFound",
        "tooFew": "BadArgumentsMissing",
        "tooMany": "BadTooManyArguments",
        "wrongType": [invalid, ["Good", mismatch]],
        "wrongStructure": [invalid, [mismatch, "Good"]],
        "noStructure": [invalid, [mismatch, "Good"]],
        "array": [invalid, ["Good", mismatch]],
        "outOfRange": [invalid, ["Good", "Good", "BadOutOfRange", "Good", "Good", "Good"]],
        "unknownMethod": "BadMethodInvalid",
        "otherObject": "BadMethodInvalid",
    }


@pytest.mark.parametrize(
    ("user", "reset"),
    [
        ("observer", [True, False, "BadUserAccessDenied"]),
        ("operator", [True, True, "Good"]),
        ("engineer", [True, True, "Good"]),
    ],
)
async def test_who_may_call_is_told_and_enforced(talk: Talk, user: str, reset: list[bool | str]) -> None:
    assert talk[user]["mayCall"] == {"Halt": [False, False, "BadNotExecutable"], "Reset": reset}


@pytest.mark.parametrize(
    ("user", "writable", "status"),
    [
        ("observer", False, "BadUserAccessDenied"),
        ("operator", False, "BadUserAccessDenied"),
        ("engineer", True, "Good"),
    ],
)
async def test_a_parameter_is_written_by_an_engineer_alone(talk: Talk, user: str, writable: bool, status: str) -> None:
    written = talk[user]["written"]
    assert (bool(written["level"] & 2), written["value"]) == (writable, status)


async def test_what_does_not_fit_is_not_written(talk: Talk) -> None:
    refused = {name: status for name, status in talk["engineer"].items() if name not in ("written", "mayCall")}
    assert refused == {
        "tooHot": "BadOutOfRange",
        "wrongType": "BadTypeMismatch",
        "part": "BadIndexRangeInvalid",
        "partOfArray": "BadNotWritable",
        "noRange": "BadNotWritable",
    }


async def test_only_what_was_let_through_reached_the_line(talk: Talk) -> None:
    reset = [Order(station=STATION, user=u, what=What.ERROR_RESET, comment="tidy") for u in ("operator", "engineer")]
    adjusted = Order(station=STATION, user="engineer", what=What.ADJUST, name="Oven.Temp", value=185.5)
    assert talk.asked == [reset[0], adjusted, reset[1]]


async def test_range_and_unit_are_found_as_those_of_an_analog_item(talk: Talk) -> None:
    assert talk["observer"]["analog"] == {"range": [20, 300], "unit": "°C", "unitId": 4408652}


async def test_a_deadband_in_percent_is_one_of_the_range(talk: Talk) -> None:
    watched = talk["observer"]["watched"]
    assert watched["oven"] == [180.5, 210], "10 % of 280 °C: 200 °C is too near"
    refused = {name: watched["made"][name] for name in ("tooWide", "noRange", "noNumber")}
    assert refused == {
        "tooWide": "BadDeadbandFilterInvalid",
        "noRange": "BadMonitoredItemFilterUnsupported",
        "noNumber": "BadMonitoredItemFilterUnsupported",
    }


async def test_of_type_takes_the_events_of_a_subtype_and_no_others(talk: Talk) -> None:
    watched = talk["observer"]["watched"]
    assert {kind for (kind,) in watched["transitions"]} == {of("StateChangedEventType").to_string()}
    ready = of("ResultReadyEventType").to_string()
    assert watched["results"] == [[ready, "Line1-0000BEEF-41"]], "with a structure among its fields"
