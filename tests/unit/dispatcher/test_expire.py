"""Workers that have gone silent lose their jobs; others keep theirs."""

from __future__ import annotations

import asyncio

import pytest

from plasmid.backends.local import LEASE_MS, LocalBackend
from plasmid.dispatcher import expire
from tests.worlds import WORKER, World

GRACE_MS = expire.grace_ms(LEASE_MS)


async def a_running_job(world: World) -> str:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    return job


async def test_a_silent_worker_loses_its_job_which_starts_again_twice_then_fails(
    world: World,
) -> None:
    job = await a_running_job(world)
    for attempt in (0, 1):
        world.clock.advance(LEASE_MS)
        assert await world.expire() == 0
        assert await world.state(job) == "running"
        world.clock.advance(1)
        assert await world.expire() == 1
        described = await world.describe(job)
        assert (described["state"], described["try"]) == ("runnable", attempt + 1)
        assert described["failureCounts"] == {"UnresponsiveWorker": attempt + 1}
        await world.lease(job)
    world.clock.advance(LEASE_MS + 1)
    assert await world.expire() == 1
    described = await world.describe(job)
    assert (described["state"], described["failureReason"]) == ("failed", "UnresponsiveWorker")
    assert "local has not been heard of for 10 s" in described["failureMessage"]
    assert "try 2" in described["failureMessage"]


async def test_a_worker_that_keeps_calling_keeps_its_jobs(world: World) -> None:
    job = await a_running_job(world)
    for _ in range(100):
        world.clock.advance(LEASE_MS)
        await world.sync()
        assert await world.expire() == 0
    assert await world.state(job) == "running"
    assert await world.finish(job) == "done"


async def test_what_a_worker_reports_after_its_lease_is_refused_and_dropped(world: World) -> None:
    job = await a_running_job(world)
    token = world.token_of(job)
    world.clock.advance(LEASE_MS + 1)
    await world.expire()
    for verb, body in (
        ("finished", {"output": {"x": 1}}),
        ("log", {"entries": [], "cursors": {}}),
        ("logCursors", {}),
    ):
        refusal = await world.refused(
            f"/internal/{job}/{verb}", {"worker": "local", "attempt": 0, **body}, as_=WORKER
        )
        assert refusal.type == "InvalidState"
        assert "does not hold try 0" in refusal.message
    assert (await world.refused("/system/whoami", as_=token)).type == "InvalidAuthentication"
    reply = await world.sync()
    assert reply["stop"] == [{"job": job, "attempt": 0}]


async def test_a_job_that_is_being_stopped_by_a_silent_worker_is_over(world: World) -> None:
    job = await a_running_job(world)
    await world.call(f"/{job}/terminate")
    world.clock.advance(LEASE_MS)
    await world.expire()
    assert await world.state(job) == "terminating"
    world.clock.advance(1)
    assert await world.expire() == 1
    assert await world.state(job) == "terminated"


async def test_a_tree_on_a_silent_worker_ends_once(world: World) -> None:
    root = await a_running_job(world)
    children = [await world.a_subjob(root) for _ in range(3)]
    await world.lease(children[0])
    for _ in range(2):
        world.clock.advance(LEASE_MS + 1)
        await world.expire()
        await world.sync()
        await world.place()
        await world.sync()
    world.clock.advance(LEASE_MS + 1)
    while await world.expire():
        pass
    states = {await world.state(job) for job in (root, *children)}
    assert states == {"failed"}


@pytest.mark.parametrize("is_stopping", [False, True])
async def test_after_a_start_of_the_server_workers_get_time_to_call(
    world: World, *, is_stopping: bool
) -> None:
    job = await a_running_job(world)
    if is_stopping:
        await world.call(f"/{job}/terminate")
    before = await world.state(job)
    # a day of outage; nothing is known of the worker by the new server
    world.clock.advance(24 * 3600 * 1000)
    world.platform.backend = world.dispatcher.backend = LocalBackend()
    world.dispatcher.started_ms = world.clock.now_ms
    world.clock.advance(GRACE_MS)
    assert await world.expire() == 0
    await world.sync()
    world.clock.advance(LEASE_MS)
    assert await world.expire() == 0
    assert await world.state(job) == before
    world.clock.advance(1)
    assert await world.expire() == 1
    assert await world.state(job) == ("terminated" if is_stopping else "runnable")


async def test_a_worker_that_never_calls_again_after_a_start_loses_its_jobs(world: World) -> None:
    job = await a_running_job(world)
    world.platform.backend = world.dispatcher.backend = LocalBackend()
    world.dispatcher.started_ms = world.clock.advance(3600 * 1000)
    world.clock.advance(GRACE_MS + 1)
    assert await world.expire() == 1
    assert await world.state(job) == "runnable"


async def test_a_tick_with_nothing_to_do_says_so(world: World) -> None:
    summary = await expire.tick(world.clock.now_ms, world.dispatcher)
    assert (summary.chore, summary.count) == ("expire", 0)


async def looked(world: World) -> int:
    """Let the dispatcher look as its loop does; return how many tries were taken."""
    return (await expire.look(world.clock.now_ms, world.dispatcher)).count


@pytest.mark.parametrize("jump_ms", [3600 * 1000, -3600 * 1000])
async def test_a_server_that_was_stopped_or_whose_clock_was_moved_takes_no_job_for_it(
    world: World, jump_ms: int
) -> None:
    job = await a_running_job(world)
    assert await looked(world) == 0
    world.clock.advance(jump_ms)
    assert await looked(world) == 0
    for _ in range(GRACE_MS // 1000):
        world.clock.advance(1000)
        assert await looked(world) == 0
    assert await world.state(job) == "running"
    world.clock.advance(max(0, -jump_ms))  # so that the history of the job stays one
    world.dispatcher.looked_ms = world.clock.now_ms
    world.clock.advance(1000)
    assert await looked(world) == 1
    assert await world.state(job) == "runnable"


async def test_a_worker_that_calls_after_a_stop_of_the_server_keeps_its_job(world: World) -> None:
    job = await a_running_job(world)
    assert await looked(world) == 0
    world.clock.advance(3600 * 1000)
    for _ in range(60):
        assert await looked(world) == 0
        await world.sync()
        world.clock.advance(1000)
    assert await world.finish(job) == "done"


async def test_a_silent_worker_is_found_within_eleven_seconds(world: World) -> None:
    await a_running_job(world)
    for _ in range(LEASE_MS // 1000):
        assert await looked(world) == 0
        world.clock.advance(1000)
    assert await looked(world) == 0
    world.clock.advance(1000)
    assert await looked(world) == 1


async def test_while_calls_wait_for_that_of_another_no_worker_is_silent(world: World) -> None:
    job = await a_running_job(world)
    ended: list[int] = []
    is_over = asyncio.Event()

    async def look_again_and_again() -> None:
        while not is_over.is_set():
            ended.append(await looked(world))
            await asyncio.to_thread(int)  # others have a turn

    async with asyncio.TaskGroup() as group:
        async with world.database.transaction():  # a large one, behind which the worker waits
            group.create_task(look_again_and_again())
            for _ in range(2 * expire.LOOKS_A_LEASE):
                for _ in range(2):
                    await asyncio.to_thread(int)  # others have a turn
                world.clock.advance(LEASE_MS // expire.LOOKS_A_LEASE)
        await asyncio.to_thread(int)
        is_over.set()
    assert await world.state(job) == "running"
    assert ended
    assert set(ended) == {0}
    world.clock.advance(GRACE_MS // 2)
    await world.sync()
    world.clock.advance(GRACE_MS // 2 + 1)
    assert await world.expire() == 0
