"""What jobs wait for is kept by target, and written only where it differs."""

from __future__ import annotations

import pytest

from plasmid.domain.links import JobReference
from plasmid.metadata import objects, waits
from tests import turns
from tests.worlds import World

SOURCE, OTHER, RECORD = ("job-" + "S" * 24, "job-" + "T" * 24, "record-" + "R" * 24)


@pytest.fixture
async def job(world: World) -> str:
    """A job that waits; what is written of its waits is taken back for the audit."""
    applet = await world.an_applet(await world.a_project())
    return await world.a_job(applet, dependsOn=[await world.a_job(applet)])


async def test_a_wait_keeps_what_is_wanted_of_its_target(world: World, job: str) -> None:
    (real,) = await waits.find_targets(world.database.reader, job)
    wanted = [JobReference(SOURCE, "x", index=1), JobReference(SOURCE, "y", metadata="name")]
    async with world.database.transaction() as tx:
        await waits.replace(tx, job, {SOURCE, RECORD, real}, {SOURCE: wanted})
        (waiter,) = await waits.find_waiters(tx, SOURCE)
        assert (waiter.job, waiter.references) == (job, wanted)
        (waiter,) = await waits.find_waiters(tx, RECORD)
        assert (waiter.launched_by, waiter.references) == ("user-alice", [])
        await waits.replace(tx, job, {real})
        assert await waits.find_waiters(tx, SOURCE) == []


async def test_only_what_differs_is_written(world: World, job: str) -> None:
    (real,) = await waits.find_targets(world.database.reader, job)
    told: list[str] = []
    async with world.database.transaction() as tx:
        await waits.replace(tx, job, {real, SOURCE})
        world.database._writer.set_trace_callback(told.append)
        await waits.replace(tx, job, {real, OTHER})
        world.database._writer.set_trace_callback(None)
        assert await waits.find_targets(tx, job) == {real, OTHER}
        await waits.drop(tx, job, OTHER)
    kinds = [statement.split()[0] for statement in told]
    assert kinds == ["SELECT", "DELETE", "INSERT"]


async def test_the_last_wait_is_told_from_one_of_several(world: World, job: str) -> None:
    (real,) = await waits.find_targets(world.database.reader, job)
    async with world.database.transaction() as tx:
        assert not await waits.has_others(tx, job, real)
        await waits.replace(tx, job, {real, SOURCE})
        assert await waits.has_others(tx, job, real)
        await waits.drop(tx, job, SOURCE)


async def test_only_what_is_awaited_is_found_of_what_was_removed(world: World, job: str) -> None:
    (real,) = await waits.find_targets(world.database.reader, job)
    assert await waits.find_awaited(world.database.reader, [RECORD, real, OTHER]) == [real]
    assert await waits.find_awaited(world.database.reader, []) == []


async def test_more_targets_than_a_statement_has_places_for_are_found(
    world: World, job: str
) -> None:
    (real,) = await waits.find_targets(world.database.reader, job)
    many = [f"job-{number:024d}" for number in range(40_000)]
    assert await waits.find_awaited(world.database.reader, [*many, real]) == [real]


async def test_others_have_their_turn_while_many_targets_are_looked_for(world: World) -> None:
    many = [f"job-{number:024d}" for number in range(4 * objects.SOME)]
    with turns.counted() as beside:
        await waits.find_awaited(world.database.reader, many)
    assert beside.count >= 3
