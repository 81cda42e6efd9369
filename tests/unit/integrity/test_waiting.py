"""I1 and I14: a job that would wait for ever is found, and woken."""

from __future__ import annotations

from tests.unit.integrity.conftest import Damaged
from tests.worlds import World


async def waiting_pair(world: World) -> tuple[str, str]:
    """Return a job that runs and one that waits for it."""
    applet = await world.an_applet(await world.a_project())
    source = await world.a_job(applet)
    await world.lease(source)
    return source, await world.a_job(applet, dependsOn=[source])


async def test_a_platform_in_the_middle_of_its_work_is_sound(damaged: Damaged) -> None:
    world = damaged.world
    source, waiter = await waiting_pair(world)
    child = await world.a_subjob(source)
    await world.finish(child)
    assert await damaged.find() == []
    await world.finish(source)
    assert await world.finish(waiter) == "done"
    assert await damaged.find() == []


async def test_a_waiter_that_was_not_woken_is_found_and_woken(damaged: Damaged) -> None:
    world = damaged.world
    source, waiter = await waiting_pair(world)
    await world.finish(source)
    await damaged.falsify(
        f"UPDATE jobs SET state = 'waiting_on_input', state_transitions ="
        f""" '[{{"newState":"waiting_on_input","setAt":1}}]' WHERE id = '{waiter}'"""
    )
    await damaged.falsify(f"INSERT INTO waits (job, target) VALUES ('{waiter}', '{source}')")
    assert await damaged.found() == [("I1", waiter)]
    assert await damaged.repair() == 0
    assert await world.state(waiter) == "runnable"


async def test_the_waiter_of_a_failed_source_is_found_and_fails(damaged: Damaged) -> None:
    world = damaged.world
    source, waiter = await waiting_pair(world)
    await world.rows("CREATE TABLE kept AS SELECT * FROM jobs")
    await world.rows("CREATE TABLE kept_waits AS SELECT * FROM waits")
    await world.fail(source)
    assert await world.state(waiter) == "failed"
    await damaged.falsify(f"DELETE FROM jobs WHERE id = '{waiter}'")
    await damaged.falsify(f"INSERT INTO jobs SELECT * FROM kept WHERE id = '{waiter}'")
    await damaged.falsify("INSERT INTO waits SELECT * FROM kept_waits")
    found = await damaged.found()
    assert ("I14", waiter) in found
    await damaged.repair()
    row = await world.job_row(waiter)
    assert (row.state, row.failure_reason) == ("failed", "DependencyUnsatisfiable")
    assert ("I14", waiter) not in await damaged.found()


async def test_a_job_that_waits_for_nothing_is_found_and_moves_on(damaged: Damaged) -> None:
    world = damaged.world
    source, waiter = await waiting_pair(world)
    await damaged.falsify(f"DELETE FROM waits WHERE job = '{waiter}'")
    assert await damaged.found() == [("I1", waiter)]
    assert await damaged.repair() == 0
    assert await world.state(waiter) == "waiting_on_input"
    await world.finish(source)
    assert await world.state(waiter) == "runnable"


async def test_an_output_that_waits_for_nothing_is_found_and_settled(damaged: Damaged) -> None:
    world = damaged.world
    parent = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(parent)
    child = await world.a_subjob(parent)
    await world.report(parent, output={})
    assert await world.state(parent) == "waiting_on_output"
    await damaged.falsify(f"DELETE FROM waits WHERE job = '{parent}'")
    assert ("I1", parent) in await damaged.found()
    assert await damaged.repair() == 0
    assert await world.finish(child) == "done"
    assert await world.state(parent) == "done"


async def test_an_idle_job_is_found_and_moves_on(damaged: Damaged) -> None:
    world = damaged.world
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await damaged.falsify(
        f"UPDATE jobs SET state = 'idle', state_transitions = '[]' WHERE id = '{job}'"
    )
    assert await damaged.found() == [("I1", job)]
    assert await damaged.repair() == 0
    assert await world.state(job) == "runnable"


async def test_a_running_job_without_worker_is_found(damaged: Damaged) -> None:
    source, _ = await waiting_pair(damaged.world)
    await damaged.falsify(f"UPDATE jobs SET worker = NULL WHERE id = '{source}'")
    assert await damaged.found() == [("I1", source)]


async def test_a_waiter_for_an_object_that_closed_is_found_and_woken(damaged: Damaged) -> None:
    world = damaged.world
    project = await world.a_project()
    record = await world.a_record(project)
    applet = await world.an_applet(project)
    waiter = await world.a_job(applet, dependsOn=[record])
    assert await damaged.find() == []
    await damaged.falsify(f"UPDATE objects SET state = 'closed' WHERE id = '{record}'")
    assert await damaged.found() == [("I1", waiter)]
    assert await damaged.repair() == 0
    assert await world.state(waiter) == "runnable"


async def test_an_object_that_nobody_can_close_any_more_is_found(damaged: Damaged) -> None:
    world = damaged.world
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    workspace = (await world.job_row(job)).workspace
    record = await world.a_record(workspace, as_=world.token_of(job))
    child = await world.a_subjob(job)
    await world.report(job, output={"x": {"$dnanexus_link": record}})
    assert await damaged.find() == []
    await damaged.falsify(f"DELETE FROM waits WHERE target = '{child}'")
    await damaged.falsify(f"DELETE FROM tokens WHERE job = '{child}'")
    await damaged.falsify(
        f"UPDATE jobs SET state = 'terminated', state_transitions ="
        """ '[{"newState":"runnable","setAt":1},{"newState":"terminated","setAt":1}]'"""
        f" WHERE id = '{child}'"
    )
    assert await damaged.found() == [("I1", job)]
    assert "no job can close" in await damaged.details()
    assert await damaged.repair() == 0
    assert await world.state(job) == "failed"


async def test_jobs_that_wait_in_a_circle_are_found(damaged: Damaged) -> None:
    world = damaged.world
    source, first = await waiting_pair(world)
    second = await world.a_job((await world.job_row(first)).executable, dependsOn=[first])
    assert await damaged.find() == []
    await damaged.falsify(f"UPDATE waits SET target = '{second}' WHERE job = '{first}'")
    assert await damaged.found() == [("I1", min(first, second))]
    assert "in a circle" in await damaged.details()
    await world.finish(source)
