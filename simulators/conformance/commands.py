"""What a gateway must do with commands: CommandExecuting, then CommandCompleted or CommandFailed until ExecuteCommand drops.

The same for both ways of taking results. Each check stands for itself, as in ``checks``.
"""

from __future__ import annotations

from simulators.conformance.bench import (
    COMMAND_COMPLETED,
    COMMAND_EXECUTING,
    COMMAND_FAILED,
    EXECUTE_COMMAND,
    ONLINE,
    TEST_RUN_READY,
    TRIGGER_READY,
    Bench,
    expect,
)

GO_ONLINE, GO_OFFLINE, SET_RECIPE, TEST_RUN = 1, 2, 3, 4
NO_COMMAND = 999
NO_RECIPE = 65535
ENDED = COMMAND_COMPLETED | COMMAND_FAILED
ANY = COMMAND_EXECUTING | ENDED


async def execute(bench: Bench, command: int, arg: int = 0) -> bool:
    """Go through one command as a PLC does; return whether it was completed."""
    expect(not bench.status1 & ANY, "a command's bits stand before it is given", bench)
    bench.up.role("command").set(command)
    bench.up.role("command.arg").set(arg)
    bench.set(EXECUTE_COMMAND)
    await bench.until(lambda: bench.status1 & ENDED, f"an end of command {command}", bench.limits.command)
    ended = bench.status1 & ENDED
    expect(ended in (COMMAND_COMPLETED, COMMAND_FAILED), "CommandCompleted and CommandFailed at once", bench)
    bench.up.role("command").set(NO_COMMAND)
    await bench.while_(lambda: bench.status1 & ANY == ended, "the answer is held until ExecuteCommand drops", 0.5)
    bench.set(EXECUTE_COMMAND, on=False)
    await bench.until(lambda: not bench.status1 & ANY, "the answer drops with ExecuteCommand", bench.limits.signal)
    return ended == COMMAND_COMPLETED


async def unknown_command(bench: Bench) -> None:
    """Answer a command that does not exist with CommandFailed, held until ExecuteCommand drops."""
    await bench.fresh()
    expect(not await execute(bench, NO_COMMAND), f"command {NO_COMMAND} was completed", bench)


async def command_found_on_the_first_read(bench: Bench) -> None:
    """Carry out no command whose ExecuteCommand is set already when the link comes up."""
    await bench.fresh()
    bench.restart()
    bench.up.role("command").set(GO_OFFLINE)
    bench.set(EXECUTE_COMMAND)
    await bench.ready()
    await bench.while_(lambda: bench.status1 & ONLINE, "it stays online", 1.0)
    bench.set(EXECUTE_COMMAND, on=False)
    await bench.until(lambda: not bench.status1 & ANY, "no answer after ExecuteCommand dropped", bench.limits.signal)


async def offline_and_online(bench: Bench) -> None:
    """Go offline and online by command; parts in between are NOT_INSPECTED."""
    await bench.fresh()
    expect(await execute(bench, GO_OFFLINE), "GoOffline failed", bench)
    await bench.until(lambda: not bench.status1 & (TRIGGER_READY | ONLINE), "TriggerReady and Online drop", bench.limits.signal)
    expect(await bench.judged(await bench.part()) == "NOT_INSPECTED", "a part was inspected offline", bench)
    expect(await execute(bench, GO_ONLINE), "GoOnline failed", bench)
    await bench.until(lambda: bench.status1 & TRIGGER_READY, "TriggerReady comes back", bench.limits.signal)


async def recipe_change(bench: Bench) -> None:
    """Change to a recipe that exists and show it as CurrentRecipe; fail with one that does not; come back with the first."""
    await bench.fresh()
    recipe = bench.recipe
    expect(await execute(bench, SET_RECIPE, recipe), f"SetRecipe {recipe} failed", bench)
    await bench.until(lambda: bench.status1 & TRIGGER_READY, "TriggerReady", bench.limits.signal)
    expect(bench.said("recipe.current") == recipe, f"CurrentRecipe is {bench.said('recipe.current')}, not {recipe}", bench)
    before = bench.said("inspection.id")
    part = await bench.wanted()
    await bench.until(
        lambda: bench.said("inspection.id") != before and bench.said("result.part.id") == part,
        f"a result for part {part}",
        bench.limits.part,
    )
    judged = bench.said("recipe.judgment")
    expect(judged == recipe, f"RecipeDuringJudgment of part {part} is {judged}, not {recipe}", bench)
    expect(
        not await execute(bench, SET_RECIPE, NO_RECIPE), f"SetRecipe {NO_RECIPE}, which should not exist, was completed", bench
    )
    expect(bench.said("recipe.current") != NO_RECIPE, "CurrentRecipe is the one that failed", bench)
    expect(await execute(bench, SET_RECIPE, recipe), f"SetRecipe {recipe} failed after a failed one", bench)
    await bench.until(lambda: bench.status1 & TRIGGER_READY, "TriggerReady", bench.limits.signal)


async def test_run(bench: Bench) -> None:
    """Judge the golden pictures at TestRun, complete it, and give no part's token for them."""
    await bench.fresh()
    expect(bench.status2 & TEST_RUN_READY, "TestRunReady is not set: the gateway has no golden pictures", bench)
    ring = bench.ring()
    expect(await execute(bench, TEST_RUN), "TestRun failed", bench)
    expect(bench.ring() == ring, "the token ring changed", bench)
    await bench.until(lambda: bench.status1 & TRIGGER_READY, "TriggerReady", bench.limits.signal)
    await bench.judged(await bench.wanted())


CHECKS = (unknown_command, command_found_on_the_first_read, offline_and_online)
NEEDS_RECIPE = (recipe_change,)
NEEDS_GOLDEN = (test_run,)
