"""Placing runnable jobs on the machine."""

from __future__ import annotations

import pytest

from plasmid.dispatcher import place
from plasmid.domain.placement import Machine
from plasmid.metadata import queue, schema
from plasmid.metadata.database import Reader
from plasmid.methods.call import Limits
from tests.worlds import ALICE, BOB, EVE, GIB, World


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


async def test_a_job_may_be_kept_in_the_queue_for_a_while(world: World) -> None:
    """A test platform's: clients' tests look at jobs that have not begun."""
    world.dispatcher.queue_ms_min = 30_000
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.sync()
    world.clock.advance(29_999)
    await world.sync()
    assert await world.place() == 0
    world.clock.advance(1)
    assert await world.place() == 1
    assert await world.state(job) == "running"
    # the time in which it waits for another job does not count
    applet = (await world.job_row(job)).executable
    await world.a_job(applet, dependsOn=[job])
    await world.sync()
    world.clock.advance(30_000)
    await world.finish(job)
    await world.sync()
    assert await world.place() == 0


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
    original = queue.find_next

    async def and_then(reader: Reader, each_max: int) -> list[queue.Turn]:
        found = await original(reader, each_max)
        await world.call(f"/{job}/terminate")
        if what == "gone":
            async with world.database.transaction() as tx:
                await tx.execute(schema.jobs.delete().where(schema.jobs.c.id == job))
        return found

    monkeypatch.setattr(queue, "find_next", and_then)
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


async def test_users_share_the_machine_and_nobody_more_than_the_cap(world: World) -> None:
    """Alice has queued ten before bob and eve came with two each; each may run three."""
    project = await world.a_project()
    for user in ("user-bob", "user-eve"):
        await world.a_member(project, "CONTRIBUTE", user=user)
    applet = await world.an_applet(project)
    made: dict[str, str] = {}
    for name, token, count in (("a", ALICE, 10), ("b", BOB, 2), ("e", EVE, 2)):
        for number in range(count):
            made[await world.a_job(applet, as_=token)] = f"{name}{number}"
            world.clock.advance(1)
    world.dispatcher.machine = Machine(1 << 50, 5, user_jobs_max=3)
    starts: list[set[str]] = []
    most = 0
    while world.held or not starts:
        await world.sync()
        await world.place()
        starts.append({made[entry["job"]] for entry in (await world.sync())["start"]})
        held = [job for job in made if job in {held for held, _ in world.held}]
        most = max(most, sum(made[job].startswith("a") for job in held))
        if held:
            await world.finish(held[-1])
    assert starts[:4] == [{"a0", "a1", "b0", "b1", "e0"}, {"e1"}, {"a2"}, set()]
    assert set().union(*starts) == set(made.values())
    assert most == 3


async def test_on_a_machine_for_one_job_users_take_turns(world: World) -> None:
    project = await world.a_project()
    await world.a_member(project, "CONTRIBUTE")
    applet = await world.an_applet(project)
    made: dict[str, str] = {}
    for name, token in (("a0", ALICE), ("a1", ALICE), ("a2", ALICE), ("b0", BOB), ("b1", BOB)):
        made[await world.a_job(applet, as_=token)] = name
        world.clock.advance(1)
    world.dispatcher.machine = Machine(1, 1)
    order = []
    for _ in made:
        await world.sync()
        await world.place()
        (job,) = [entry["job"] for entry in (await world.sync())["start"]]
        order.append(made[job])
        await world.finish(job)
    assert order == ["a0", "b0", "a1", "b1", "a2"]


async def test_the_oldest_of_low_priority_runs_after_an_hour_among_many_that_are_high(
    world: World,
) -> None:
    applet = await world.an_applet(await world.a_project())
    low = await world.a_job(applet, priority="low")
    world.clock.advance(1)
    await world.a_job(applet, priority="low", rank=5)
    world.dispatcher.machine = Machine(1, 1)
    for _ in range(20):
        await world.a_job(applet, priority="high")
    for minutes in range(0, 70, 10):
        await world.sync()
        await world.place()
        (job,) = [entry["job"] for entry in (await world.sync())["start"]]
        if job == low:
            assert minutes == 60
            await world.finish(low)
            return
        await world.finish(job)
        world.clock.advance(10 * 60 * 1000 + 1)
    raise AssertionError("it never ran")


async def test_a_parent_that_waits_for_what_it_has_started_apart_makes_room_for_it(
    world: World,
) -> None:
    world.dispatcher.machine = Machine(1, 1, user_jobs_max=1)
    project = await world.a_project()
    applet = await world.an_applet(project, access={"project": "CONTRIBUTE"})
    parent = await world.a_job(applet)
    await world.lease(parent)
    body = {"input": {}, "detach": True, "project": project}
    apart = await world.new(f"/{applet}/run", body, as_=world.token_of(parent))
    await world.lease(apart)
    other = await world.a_job(applet)
    assert await world.place() == 0
    for job in (apart, parent, other):
        assert await world.finish(job) == "done"
