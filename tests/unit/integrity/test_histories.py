"""I4: a history that is no path through the table of states is found."""

from __future__ import annotations

import pytest

from tests.unit.integrity.conftest import Damaged

RUNNABLE = '{"newState":"runnable","setAt":5}'
RUNNING = '{"newState":"running","setAt":6}'
DONE = '{"newState":"done","setAt":7}'


@pytest.mark.parametrize(
    "history, detail",
    [
        ([RUNNABLE, DONE], "it went from runnable to done"),
        ([RUNNABLE, RUNNING], "its last move was to running"),
        ([], "its last move was to idle"),
        ([RUNNABLE, RUNNING.replace("6", "4"), DONE], "the times of its moves go back"),
        ([RUNNABLE, RUNNING, DONE, RUNNING, DONE], "it went from done to running"),
    ],
)
async def test_a_wrong_history_is_found(damaged: Damaged, history: list[str], detail: str) -> None:
    world = damaged.world
    job = await world.a_job(await world.an_applet(await world.a_project()))
    assert await world.finish(job) == "done"
    assert await damaged.find() == []
    await damaged.falsify(f"UPDATE jobs SET state_transitions = '[{','.join(history)}]'")
    assert await damaged.found() == [("I4", job)]
    assert detail in await damaged.details()


async def test_a_wrong_history_of_an_earlier_try_is_found(damaged: Damaged) -> None:
    world = damaged.world
    spec = {"executionPolicy": {"restartOn": {"ExecutionError": 2}}}
    job = await world.a_job(await world.an_applet(await world.a_project(), runSpec=spec))
    await world.fail(job, "ExecutionError")
    assert await damaged.find() == []
    await damaged.falsify("UPDATE tries SET row = replace(row, '\"runnable\"', '\"idle\"')")
    assert await damaged.found() == [("I4", job)]
    assert "in try 0" in await damaged.details()
