"""What no row names goes from the stores, what one names stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from plasmid.blobs.folder import FolderStore
from plasmid.blobs.store import BlobStore
from plasmid.dispatcher import sweep
from plasmid.metadata import inspection
from tests.worlds import World


async def swept(world: World) -> int:
    world.clock.advance(sweep.OLD_MS + 1)
    return (await sweep.tick(world.clock.now_ms, world.dispatcher)).count


async def test_bytes_of_no_file_go_and_those_of_a_file_stay(world: World) -> None:
    project = await world.a_project()
    files = [await world.a_closed_file(project, b"kept") for _ in range(3)]
    world.blobs._blobs["blob-left"] = b"left"
    assert await swept(world) == 1
    assert await swept(world) == 0
    assert [await world.read(file) for file in files] == [b"kept"] * 3


async def test_bytes_that_are_found_on_a_later_page_stay(world: World) -> None:
    project = await world.a_project()
    file = await world.a_closed_file(project, b"kept")
    await world.rows(
        "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n"
        f" WHERE value < {inspection.PAGE_ROWS + 1})"
        " INSERT INTO parts SELECT 'file-0', value, 'orphan', 0, '', NULL FROM n"
    )
    assert await swept(world) == 0
    assert await world.read(file) == b"kept"


async def test_young_bytes_and_half_written_ones_stay(world: World, tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / "incoming" / "blob-half").touch()

    async def nothing() -> AsyncIterator[bytes]:
        yield b"x"

    await store.write("blob-young", nothing(), 1)
    [young] = [kept async for kept in store.every() if not kept.is_half]
    blobs: BlobStore = store
    world.dispatcher.blobs = blobs
    try:
        assert (await sweep.tick(young.changed_ms + 1, world.dispatcher)).count == 0
        assert (await sweep.tick(young.changed_ms + sweep.OLD_MS + 1, world.dispatcher)).count == 1
        assert [kept.name async for kept in store.every()] == ["blob-half"]
    finally:
        world.dispatcher.blobs = world.blobs


async def test_logs_go_with_their_project_and_not_before_their_job_is_over(world: World) -> None:
    project, other = await world.a_project(), await world.a_project()
    gone, stays = [await world.a_job(await world.an_applet(one)) for one in (project, other)]
    for job in (gone, stays):
        await world.lease(job)
        await world.log(job, "a line")
    await world.call(f"/{project}/destroy", {"terminateJobs": True})
    assert await swept(world) == 0
    await world.sync()
    await world.report(gone, failure_reason="Terminated")
    assert await swept(world) == 1
    assert [log.job async for log in world.logs.every()] == [stays]


async def test_others_come_in_between(world: World) -> None:
    await world.a_closed_file(await world.a_project())
    turns = 0

    async def count() -> None:
        nonlocal turns
        turns += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(count())
        await sweep.tick(world.clock.now_ms, world.dispatcher)
        assert turns == 1
