"""Temporary workflows go a day after their last use, and nothing else does (contract E.7)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.dispatcher import temporary
from plasmid.metadata import workflows
from plasmid.metadata.database import Reader
from tests.worlds import World


@pytest.fixture
async def applet(world: World) -> str:
    return await world.an_applet(await world.a_project())


async def tick(world: World) -> int:
    return (await temporary.tick(world.clock.now_ms, world.dispatcher)).count


async def a_workflow(world: World, applet: str, **body: Any) -> str:
    project = (await world.describe(applet))["project"]
    stage = {"id": "a", "executable": applet}
    return await world.a_workflow(project, stage, **{"temporary": True, **body})


async def run(world: World, workflow: str) -> tuple[str, str]:
    project = (await world.describe(workflow))["project"]
    made = await world.call(f"/{workflow}/run", {"project": project, "input": {}})
    return str(made["id"]), str(made["stages"][0])


async def is_there(world: World, workflow: str) -> bool:
    return await world.rows(f"SELECT id FROM objects WHERE id = '{workflow}'") != []


async def test_one_goes_a_day_after_its_last_run(world: World, applet: str) -> None:
    workflow = await a_workflow(world, applet)
    analysis, job = await run(world, workflow)
    world.clock.advance(10 * temporary.KEPT_MS)
    assert await tick(world) == 0  # it is still run
    await world.finish(job)
    world.clock.advance(temporary.KEPT_MS)
    assert await tick(world) == 0
    world.clock.advance(1)
    assert await tick(world) == 1
    assert not await is_there(world, workflow)
    assert await tick(world) == 0
    # what was run is all there, and can be run again
    told = await world.describe(analysis)
    assert (told["state"], told["executable"]) == ("done", workflow)
    body = {"project": told["project"], "initializeFrom": {"id": analysis}, "temporary": True}
    await run(world, (await world.call("/workflow/new", body))["id"])


async def test_one_that_was_never_run_goes_a_day_after_it_was_changed(
    world: World, applet: str
) -> None:
    workflow = await a_workflow(world, applet)
    world.clock.advance(temporary.KEPT_MS)
    await world.call(f"/{workflow}/update", {"editVersion": 0, "title": "x"})
    world.clock.advance(temporary.KEPT_MS)
    assert await tick(world) == 0
    world.clock.advance(1)
    assert await tick(world) == 1
    assert not await is_there(world, workflow)


async def test_what_somebody_keeps_stays(world: World, applet: str) -> None:
    kept = [
        await a_workflow(world, applet, temporary=False, hidden=True),
        await a_workflow(world, applet),
        await a_workflow(world, applet),
    ]
    await world.call(f"/{kept[1]}/close")
    await world.call(f"/{kept[2]}/setVisibility", {"hidden": False})
    world.clock.advance(10 * temporary.KEPT_MS)
    assert await tick(world) == 0
    for workflow in kept:
        assert await is_there(world, workflow)


async def test_those_of_more_than_one_batch_all_go_at_once(
    world: World, applet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary, "BATCH_MAX", 2)
    every = [await a_workflow(world, applet) for _ in range(5)]
    world.clock.advance(temporary.KEPT_MS + 1)
    assert await tick(world) == 5
    assert not any([await is_there(world, workflow) for workflow in every])


async def test_one_that_is_run_while_it_is_looked_for_stays(
    world: World, applet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = await a_workflow(world, applet)
    left = await a_workflow(world, applet)
    world.clock.advance(temporary.KEPT_MS + 1)
    find = workflows.find_left_over

    async def find_and_run(reader: Reader, before_ms: int, limit: int) -> list[tuple[str, str]]:
        found = await find(reader, before_ms, limit)
        await run(world, workflow)
        return found

    monkeypatch.setattr(workflows, "find_left_over", find_and_run)
    assert await tick(world) == 1
    assert await is_there(world, workflow)
    assert not await is_there(world, left)
