"""An analysis whose stages say something else of it is found, and moved on."""

from __future__ import annotations

import pytest

from tests.unit.integrity.conftest import Damaged
from tests.worlds import World


async def an_analysis(world: World) -> tuple[str, list[str]]:
    project = await world.a_project()
    applet = await world.an_applet(project)
    stages = [{"id": "a", "executable": applet}, {"id": "b", "executable": applet}]
    workflow = await world.a_workflow(project, *stages)
    made = await world.call(f"/{workflow}/run", {"project": project, "input": {}})
    return made["id"], made["stages"]


async def test_analyses_in_all_states_are_sound(damaged: Damaged) -> None:
    world = damaged.world
    for ending in ("finish", "fail"):
        _, jobs = await an_analysis(world)
        for job in jobs:
            assert await damaged.find() == []
            if await world.state(job) in ("runnable", "running"):
                await getattr(world, ending)(job)
            for entry in (await world.sync())["stop"]:
                await world.report(entry["job"])
    analysis, _ = await an_analysis(world)
    await world.call(f"/{analysis}/terminate")
    assert await damaged.find() == []


@pytest.mark.parametrize(("ending", "state"), [("finish", "done"), ("fail", "failed")])
async def test_one_that_did_not_hear_of_the_end_of_its_stages_is_moved_on(
    damaged: Damaged, ending: str, state: str
) -> None:
    world = damaged.world
    analysis, jobs = await an_analysis(world)
    for job in jobs:
        await world.lease(job)
    for job in jobs:
        if await world.state(job) == "running":
            await getattr(world, ending)(job)
    for entry in (await world.sync())["stop"]:
        await world.report(entry["job"])
    assert (await world.describe(analysis))["state"] == state
    begun = '[{"newState":"in_progress","setAt":1}]'
    await damaged.falsify(
        "UPDATE analyses SET state = 'in_progress', output = NULL,"
        f" state_transitions = '{begun}', settings = json_remove(settings, '$.failureReason')"
        f" WHERE id = '{analysis}'"
    )
    assert ("I1", analysis) in await damaged.found()
    assert "repair looks at them again" in await damaged.details()
    await damaged.repair()
    assert (await world.describe(analysis))["state"] == state
    assert await damaged.found() == []


async def test_one_that_is_over_before_a_stage_is_found(damaged: Damaged) -> None:
    analysis, _ = await an_analysis(damaged.world)
    moved = '[{"newState":"in_progress","setAt":1},{"newState":"failed","setAt":2}]'
    await damaged.falsify(
        f"UPDATE analyses SET state = 'failed', state_transitions = '{moved}'"
        f" WHERE id = '{analysis}'"
    )
    assert await damaged.found() == [("I13", analysis)]


async def test_one_that_is_done_without_its_stages_is_found(damaged: Damaged) -> None:
    world = damaged.world
    analysis, jobs = await an_analysis(world)
    for job in jobs:
        await world.finish(job)
    await damaged.falsify(f"UPDATE analyses SET output = NULL WHERE id = '{analysis}'")
    assert ("I3", analysis) in await damaged.found()


async def test_a_stage_that_is_gone_is_found(damaged: Damaged) -> None:
    analysis, jobs = await an_analysis(damaged.world)
    await damaged.falsify(f"DELETE FROM jobs WHERE id = '{jobs[0]}'")
    assert ("I1", analysis) in await damaged.found()
    assert f"its stage a should be {jobs[0]}, which is gone" in await damaged.details()


async def test_a_move_that_no_rule_allows_is_found(damaged: Damaged) -> None:
    analysis, _ = await an_analysis(damaged.world)
    moved = '[{"newState":"done","setAt":1},{"newState":"in_progress","setAt":2}]'
    await damaged.falsify(
        f"UPDATE analyses SET state_transitions = '{moved}' WHERE id = '{analysis}'"
    )
    assert ("I4", analysis) in await damaged.found()


async def test_its_workspace_is_there_as_long_as_its_tree_and_no_longer(damaged: Damaged) -> None:
    world = damaged.world
    analysis, jobs = await an_analysis(world)
    workspace = (await world.describe(analysis))["workspace"]
    await damaged.falsify(f"DELETE FROM containers WHERE id = '{workspace}'")
    assert await damaged.found() == [("places", analysis)]
    other, jobs = await an_analysis(world)
    workspace = (await world.describe(other))["workspace"]
    await world.rows(f"CREATE TABLE kept AS SELECT * FROM containers WHERE id = '{workspace}'")
    for job in jobs:
        await world.finish(job)
    assert ("places", workspace) not in await damaged.found()
    await damaged.falsify("INSERT INTO containers SELECT * FROM kept")
    assert ("places", workspace) in await damaged.found()
    await damaged.repair()
    assert ("places", workspace) not in await damaged.found()
