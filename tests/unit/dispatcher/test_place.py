"""Placing runnable jobs on the machine."""

from __future__ import annotations

import pytest

from plasmid.dispatcher import place
from plasmid.domain.placement import Machine
from plasmid.metadata import jobs, schema
from plasmid.metadata.database import Reader
from plasmid.methods.call import Limits
from tests.worlds import GIB, World


async def test_what_fits_is_leased_in_the_order_of_rank_and_age(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    ranked = []
    for rank in (0, 0, 5, -5):
        ranked.append(await world.a_job(applet, rank=rank))
        world.clock.advance(1)
    world.dispatcher.machine = Machine(64 * GIB, 1)
    await world.sync()
    order = []
    for _ in ranked:
        assert await world.place() == 1
        running = [job for job in ranked if await world.state(job) == "running"]
        order += running
        await world.sync()
        await world.finish(running[0])
    assert order == [ranked[2], ranked[0], ranked[1], ranked[3]]


async def test_nothing_is_placed_without_a_worker(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    assert await world.place() == 0
    await world.sync()
    world.clock.advance(15_000)
    assert await world.place() == 0
    assert await world.state(job) == "runnable"
    await world.sync()
    assert await world.place() == 1


async def test_a_lease_notes_worker_and_time(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    world.clock.advance(1234)
    await world.lease(job)
    row = await world.job_row(job)
    assert (row.worker, row.started_running_ms) == ("local", world.clock.now_ms)
    assert "stoppedRunning" not in await world.describe(job)


async def test_sub_jobs_run_beside_their_parent_on_a_machine_for_one_job(world: World) -> None:
    world.dispatcher.machine = Machine(1, 1)
    applet = await world.an_applet(await world.a_project())
    first = await world.a_job(applet)
    world.clock.advance(1)
    second = await world.a_job(applet)
    await world.lease(first)
    assert await world.state(second) == "runnable"
    child = await world.a_subjob(first)
    await world.lease(child)
    grandchild = await world.a_subjob(child)
    await world.lease(grandchild)
    assert await world.state(second) == "runnable"
    for job in (grandchild, child, first):
        assert await world.finish(job) == "done"
    assert await world.finish(second) == "done"


async def test_a_tree_that_has_begun_goes_on_before_another_begins(world: World) -> None:
    """Else every waiting root would be started, and held in memory, before the first child."""
    world.dispatcher.machine = Machine(64 * GIB, 1)
    applet = await world.an_applet(await world.a_project())
    roots = []
    for _ in range(3):
        roots.append(await world.a_job(applet))
        world.clock.advance(1)
    await world.lease(roots[0])
    child = await world.a_subjob(roots[0])
    await world.place()
    assert [await world.state(job) for job in (child, *roots[1:])] == [
        "running",
        "runnable",
        "runnable",
    ]


async def test_a_job_whose_executable_is_gone_fails_instead_of_waiting(world: World) -> None:
    project, other = await world.a_project(), await world.a_project()
    applet = await world.an_applet(other)
    job = await world.a_job(applet, project=project)
    await world.call(f"/{other}/removeObjects", {"objects": [applet]})
    await world.sync()
    await world.place()
    row = await world.job_row(job)
    assert (row.state, row.failure_reason) == ("failed", "ExecutionError")
    assert applet in (row.failure_message or "")


@pytest.mark.parametrize("what", ["terminated", "gone"])
async def test_a_job_that_moves_while_it_is_chosen_is_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    project = await world.a_project()
    job = await world.a_job(await world.an_applet(project))
    other = await world.a_job(await world.an_applet(project))
    await world.sync()
    original = jobs.find_unfinished_parents

    async def meanwhile(reader: Reader) -> set[str]:
        await world.call(f"/{job}/terminate")
        if what == "gone":
            async with world.database.transaction() as tx:
                await tx.execute(schema.jobs.delete().where(schema.jobs.c.id == job))
        return await original(reader)

    monkeypatch.setattr(jobs, "find_unfinished_parents", meanwhile)
    await world.place()
    assert await world.state(other) == "running"
    if what == "terminated":
        assert await world.state(job) == "terminated"


async def test_a_tick_with_nothing_to_do_says_so(world: World) -> None:
    summary = await place.tick(world.clock.now_ms, world.dispatcher)
    assert (summary.chore, summary.count) == ("place", 0)


async def test_each_job_has_a_card_of_its_own(world: World) -> None:
    cards = ("x.org/gpu=0", "x.org/gpu=1")
    machine = Machine(1 << 50, 8, gpus=cards)
    world.dispatcher.machine = machine
    world.platform.limits = Limits(machine=machine)
    needs = {"*": {"instanceType": "mem2_ssd1_gpu_x16"}}
    applet = await world.an_applet(await world.a_project(), runSpec={"systemRequirements": needs})
    made = [await world.a_job(applet) for _ in range(3)]
    await world.sync()
    assert await world.place() == 2
    started = (await world.sync())["start"]
    assert {tuple(a["resources"]["devices"]) for a in started} == {(cards[0],), (cards[1],)}
    first = started[0]
    await world.finish(first["job"])
    assert await world.place() == 1
    (last,) = (await world.sync())["start"]
    assert last["resources"]["devices"] == first["resources"]["devices"]
    assert last["job"] in made
