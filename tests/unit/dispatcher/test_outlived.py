"""Containers whose time has come are removed, a batch at a time (contract C.10)."""

from __future__ import annotations

from plasmid.dispatcher import outlived
from plasmid.executions import settle
from plasmid.metadata import projects
from tests.worlds import World


async def kept_workspaces(world: World, count: int) -> list[str]:
    applet = await world.an_applet(await world.a_project())
    workspaces = []
    for _ in range(count):
        job = await world.a_job(applet, delayWorkspaceDestruction=True)
        workspaces.append((await world.describe(job))["workspace"])
        await world.finish(job)
    return workspaces


async def test_nothing_goes_before_its_time(world: World) -> None:
    (workspace,) = await kept_workspaces(world, 1)
    assert await world.remove_outlived() == 0
    await world.describe(workspace)


async def test_the_bytes_of_what_lay_only_there_are_freed(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    job = await world.a_job(applet, delayWorkspaceDestruction=True)
    workspace = (await world.lease(job))["environment"]["DX_WORKSPACE_ID"]
    file = await world.a_closed_file(workspace, as_=world.token_of(job))
    await world.finish(job)
    world.clock.advance(settle.WORKSPACE_KEPT_MS)
    assert await world.remove_outlived() == 1
    assert (await world.refused(f"/{file}/describe")).type == "ResourceNotFound"
    assert await world.collect() == 1


def steps_of_search(world: World, now_ms: int) -> int:
    """Return how many steps the database takes to find what has outlived its time."""
    steps: list[None] = []
    database, query = world.database._writer, projects._OUTLIVED
    database.set_progress_handler(lambda: steps.append(None), 1)
    found = database.execute(query.text, {**query.defaults, "t": now_ms, "n": 100}).fetchall()
    database.set_progress_handler(None, 1)
    assert len(found) == 3
    return len(steps)


async def test_workspaces_are_found_without_a_look_at_the_jobs(world: World) -> None:
    await kept_workspaces(world, 3)
    now_ms = world.clock() + settle.WORKSPACE_KEPT_MS
    before = steps_of_search(world, now_ms)
    applet = await world.an_applet(await world.a_project())
    for _ in range(5):
        await world.a_job(applet)
    assert steps_of_search(world, now_ms) == before


async def test_a_batch_is_limited_and_the_rest_follows(world: World) -> None:
    await kept_workspaces(world, outlived.BATCH_MAX + 1)
    world.clock.advance(settle.WORKSPACE_KEPT_MS)
    assert await world.remove_outlived() == outlived.BATCH_MAX
    assert await world.remove_outlived() == 1
    assert await world.remove_outlived() == 0
