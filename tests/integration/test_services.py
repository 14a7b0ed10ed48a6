"""The real services process: the loop closes through it, it survives every kill, and nothing that is missing stops it."""

import asyncio
import socket
from pathlib import Path
from typing import Any

from asyncua.ua.status_codes import StatusCodes

from gateway.core.commands import AdjustParameter
from gateway.core.events import ParameterWritten
from tests.integration.services_stand import LINE, ServicesStand, confirm, services_stand, until


async def shows(read: Any, tag: str, value: Any) -> None:
    """Wait until a tag shows a value."""
    async with asyncio.timeout(15):
        while True:
            if (await read(tag))[0][0] == value:
                return
            await asyncio.sleep(0.05)


async def test_from_a_rise_to_the_plc_and_to_scada() -> None:
    async with services_stand(pictures={"pass_share": 0}) as stand:
        await stand.control.start()
        await stand.start()
        assert stand.ready["opcua"].startswith("opc.tcp://127.0.0.1:")
        assert Path(stand.ready["viewer_password_file"]).stat().st_mode & 0o777 == 0o600
        await stand.warm_up()
        await stand.bad()
        await until(lambda: "confirmed" in stand.states(), f"the step is taken: {stand.actions()}")
        (command,) = stand.control.commands
        assert (command.line, command.tag, command.value, command.expected_old) == (LINE, "PressForce", 104.0, 100.0)
        (action,) = stand.actions()
        assert (action["id"], action["evidence"]) == (command.id, command.evidence)
        stand.part("scratch", picture=True)
        async with stand.client() as read:
            await shows(read, "Counters.Total", stand.part_id)
            await shows(read, "Result.CommitSeq", stand.journal.last_seq)
            await shows(read, "Health.Imaging", 0)
            shown = await read("Status.Ready", "Status.State", "Result.Evaluation", "Result.Seq", "Params.PressForce")
            assert [v for v, _ in shown] == [True, 1, 2, stand.journal.last_seq, 100.0]
            first = (await read("Status.Heartbeat"))[0][0]
            probes = stand.control.probes
            await until(lambda: stand.control.probes > probes + 2, "time passes")
            assert (await read("Status.Heartbeat"))[0][0] > first
        assert await stand.stop() == 0
        assert not (stand.folder / "records").exists()
        pictures = list((stand.data / "pictures").rglob("*.jpg"))
        assert len(pictures) == 1, "the reject's picture, read from the ring by its record"


async def test_with_nothing_around_it_serves_and_says_so() -> None:
    async with services_stand() as stand:
        await stand.start()
        async with stand.client() as read:
            state, total, imaging = await read("Status.State", "Counters.Total", "Health.Imaging")
            assert state == (4, StatusCodes.Good), "offline: nobody answers"
            assert total == (0, StatusCodes.Good)
            assert imaging[1] in (StatusCodes.Uncertain, StatusCodes.BadWaitingForInitialData)
            stand.line_ready()
            await stand.processed()
            assert (await read("Status.Ready"))[0][0] is False, "a record is no sign of life"
            await stand.control.start()
            await shows(read, "Status.Ready", True)
            stand.part("scratch")
            await shows(read, "Result.Evaluation", 2)
            await stand.control.stop()
            await shows(read, "Status.State", 4)
            assert (await read("Result.Evaluation"))[0][1] == StatusCodes.BadNoCommunication
            assert (await read("Health.Imaging"))[0] == (2, StatusCodes.Uncertain), "one part says little"
        assert await stand.stop() == 0


async def test_a_backlog_is_counted_but_not_acted_upon() -> None:
    async with services_stand() as stand:
        await stand.control.start()
        stand.line_ready()
        stand.values()
        for i in range(2000):
            stand.part("scratch" if i > 1000 and i % 4 == 3 else "", age_s=60)
        await stand.start()
        await stand.processed()
        async with stand.client() as read:
            await shows(read, "Counters.Total", 2000)
            await shows(read, "Result.CommitSeq", stand.journal.last_seq)
            assert (await read("Result.Seq"))[0][0] == stand.journal.last_seq
        assert stand.control.commands == []
        (action,) = stand.actions()
        assert (action["state"], action["why"]) == ("blocked", "stale")
        assert await stand.stop() == 0


async def test_killed_again_and_again_it_counts_every_part_once() -> None:
    async with services_stand() as stand:
        await stand.control.start()
        fed = 0
        for _ in range(3):
            await stand.start()
            for _ in range(100):
                stand.part("scratch" if fed % 100 == 99 else "")
                fed += 1
                if fed % 20 == 0:
                    await asyncio.sleep(0.01)
            await until(lambda: stand.cursor() > 0, "it has begun")
            await stand.kill()
            for _ in range(50):
                stand.part()
                fed += 1
        await stand.start()
        assert stand.ready["viewer_password_file"] is None, "told at the first start only"
        await stand.processed()
        counters = stand.state("counters")
        assert (counters["total"], counters["ok"], counters["not_ok"]) == (fed, fed - 3, 3)
        assert await stand.stop() == 0


async def test_killed_with_a_step_under_way_it_is_taken_once() -> None:
    """Control took the step and then forgot it; services died before it heard. Nothing is sent again: the value tells."""
    async with services_stand() as stand:

        def take_and_say_nothing(command: AdjustParameter) -> None:
            stand.value = command.value

        await stand.control.start()
        await stand.start()
        await stand.warm_up()
        stand.control.answer = take_and_say_nothing
        await stand.bad()
        await until(lambda: stand.control.commands, "it asks")
        await stand.kill()
        assert stand.states() == ["sent"]
        await stand.control.stop()
        stand.control.answer = confirm
        await stand.control.start()
        await stand.start()
        stand.values()
        await until(lambda: stand.states() == ["confirmed"], f"it is cleared up: {stand.actions()}")
        assert "read back" in stand.actions()[0]["result"]
        assert len(stand.control.commands) == 1
        assert await stand.stop() == 0


async def test_control_lost_between_question_and_answer_is_not_asked_again() -> None:
    async with services_stand() as stand:
        await stand.control.start()
        await stand.start()
        await stand.warm_up()
        stand.control.answer = lambda command: None
        await stand.bad()
        await until(lambda: stand.control.commands, "it asks")
        probes = stand.control.probes
        await stand.control.stop()
        stand.control.answer = confirm
        await stand.control.start()
        await until(lambda: stand.control.probes > probes + 1, "the new control is found")
        assert len(stand.control.commands) == 1, "the new control would carry it out a second time"
        stand.value = 104.0
        stand.values()
        await until(lambda: stand.states() == ["confirmed"], f"read back: {stand.actions()}")
        assert await stand.stop() == 0


async def test_a_mute_control_is_cleared_up_by_its_record() -> None:
    async with services_stand() as stand:
        stand.config["lines"][0]["adjust"][0] = {**stand.config["lines"][0]["adjust"][0], "timeout_s": 0.5}
        await stand.control.start()
        await stand.start()
        await stand.warm_up()
        stand.control.answer = lambda command: None
        await stand.bad()
        await until(lambda: stand.control.commands, "it asks")
        (command,) = stand.control.commands
        stand.record(
            ParameterWritten(
                line=LINE,
                t_utc_ns=0,
                command_id=command.id,
                tag=command.tag,
                requested=command.value,
                old=100.0,
                new=104.0,
                result="confirmed",
            )
        )
        await until(lambda: stand.states() == ["confirmed"], f"by the record: {stand.actions()}")
        assert await stand.stop() == 0


async def test_the_end_of_stdin_ends_it_in_the_middle_of_everything() -> None:
    async with services_stand() as stand:
        await stand.control.start()
        await stand.start()
        await stand.warm_up()
        stand.control.answer = lambda command: None
        async with stand.client() as read:
            await read("Status.State")
            await stand.bad(parts=20)
            assert await stand.stop() == 0
        assert "Traceback" not in stand.log()


async def ends(stand: ServicesStand) -> int:
    process = await stand.spawn()
    async with asyncio.timeout(30):
        return await process.wait()


async def test_mistakes_end_it_with_a_remedy() -> None:
    async with services_stand() as stand:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            stand.config["opcua"]["port"] = taken.getsockname()[1]
            assert await ends(stand) == 1, "whoever holds it may let go of it: it is worth another start"
        assert "set opcua.port to another one" in stand.log()
        stand.config["opcua"]["port"] = 0
        stand.config["lines"][0]["params"] = []
        assert await ends(stand) == 2
        assert "PressForce is no parameter of Press" in stand.log()
        stand.config["lines"][0]["adjust"] = []
        (stand.data / "ops.db").write_bytes(b"x" * 5000)
        for more in ("ops.db-wal", "ops.db-shm"):
            (stand.data / more).unlink(missing_ok=True)
        assert await ends(stand) == 1
        assert "move a damaged file away" in stand.log()
        assert "Traceback" not in stand.log()


async def test_a_damaged_journal_of_one_line_costs_the_others_nothing() -> None:
    async with services_stand() as stand:
        other = {**stand.config["lines"][0], "name": "Other", "journal": str(stand.folder / "damaged.db")}
        other["records_socket"] = str(stand.folder / "other-records")
        stand.config["lines"].append(other)
        (stand.folder / "damaged.db").write_bytes(b"x" * 5000)
        await stand.start()
        await until(lambda: "move a damaged file away" in stand.log(), "it says so")
        stand.part()
        await stand.processed()
        assert stand.state("counters")["total"] == 1
        assert await stand.stop() == 0
