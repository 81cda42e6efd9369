"""Containers whose time has come are removed, a batch at a time (contract C.10)."""

from __future__ import annotations

from plasmid.dispatcher import outlived
from plasmid.executions import settle
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


async def test_a_batch_is_limited_and_the_rest_follows(world: World) -> None:
    await kept_workspaces(world, outlived.BATCH_MAX + 1)
    world.clock.advance(settle.WORKSPACE_KEPT_MS)
    assert await world.remove_outlived() == outlived.BATCH_MAX
    assert await world.remove_outlived() == 1
    assert await world.remove_outlived() == 0
