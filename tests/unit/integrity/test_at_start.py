"""What a crash could have left undone is done at the next start, quickly."""

from __future__ import annotations

import time

from plasmid.integrity import at_start
from plasmid.metadata import schema
from tests.unit.integrity.conftest import Damaged
from tests.unit.integrity.test_waiting import waiting_pair


async def test_a_sound_platform_needs_no_repair(damaged: Damaged) -> None:
    source, waiter = await waiting_pair(damaged.world)
    record = await damaged.world.a_record((await damaged.world.job_row(waiter)).project)
    applet = (await damaged.world.job_row(waiter)).executable
    await damaged.world.a_job(applet, dependsOn=[record, source])
    assert await at_start.repair(damaged.world.workshop()) == 0
    await damaged.world.finish(source)
    assert await at_start.repair(damaged.world.workshop()) == 0


async def test_a_waiter_that_was_not_woken_goes_on(damaged: Damaged) -> None:
    world = damaged.world
    source, waiter = await waiting_pair(world)
    await world.rows("CREATE TABLE kept AS SELECT * FROM jobs")
    await world.rows("CREATE TABLE kept_waits AS SELECT * FROM waits")
    await world.finish(source)
    await damaged.falsify(f"DELETE FROM jobs WHERE id = '{waiter}'")
    await damaged.falsify(f"INSERT INTO jobs SELECT * FROM kept WHERE id = '{waiter}'")
    await damaged.falsify("INSERT INTO waits SELECT * FROM kept_waits")
    assert await at_start.repair(world.workshop()) == 1
    assert await world.state(waiter) == "runnable"


async def test_a_waiter_for_a_removed_object_fails(damaged: Damaged) -> None:
    world = damaged.world
    project = await world.a_project()
    record = await world.a_record(project)
    waiter = await world.a_job(await world.an_applet(project), dependsOn=[record])
    await damaged.falsify(f"DELETE FROM objects WHERE id = '{record}'")
    assert await at_start.repair(world.workshop()) == 1
    assert await world.state(waiter) == "failed"


async def test_who_waits_for_an_analysis_goes_on_when_that_is_over(damaged: Damaged) -> None:
    world = damaged.world
    project = await world.a_project()
    applet = await world.an_applet(project)
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet})
    run = await world.call(f"/{workflow}/run", {"project": project, "input": {}})
    waiter = await world.a_job(applet, dependsOn=[run["id"]])
    assert await at_start.repair(world.workshop()) == 0
    await world.rows("CREATE TABLE kept AS SELECT * FROM jobs")
    await world.rows("CREATE TABLE kept_waits AS SELECT * FROM waits")
    await world.finish(run["stages"][0])
    await damaged.falsify(f"DELETE FROM jobs WHERE id = '{waiter}'")
    await damaged.falsify(f"INSERT INTO jobs SELECT * FROM kept WHERE id = '{waiter}'")
    await damaged.falsify("INSERT INTO waits SELECT * FROM kept_waits")
    assert await at_start.repair(world.workshop()) == 1
    assert await world.state(waiter) == "runnable"


async def test_a_job_that_waits_for_nothing_goes_on(damaged: Damaged) -> None:
    source, waiter = await waiting_pair(damaged.world)
    await damaged.falsify(f"DELETE FROM waits WHERE job = '{waiter}'")
    assert await at_start.repair(damaged.world.workshop()) == 1
    await damaged.world.finish(source)
    assert await damaged.world.state(waiter) == "runnable"


async def test_waits_and_tokens_of_jobs_that_are_over_go(damaged: Damaged) -> None:
    source, waiter = await waiting_pair(damaged.world)
    await damaged.falsify("CREATE TABLE kept AS SELECT * FROM tokens")
    await damaged.world.finish(source)
    await damaged.falsify(f"INSERT INTO tokens SELECT * FROM kept WHERE job = '{source}'")
    await damaged.falsify(f"INSERT INTO waits (job, target) VALUES ('{source}', '{waiter}')")
    assert await at_start.repair(damaged.world.workshop()) == 2
    assert await at_start.repair(damaged.world.workshop()) == 0
    assert await damaged.find() == []


async def test_a_hundred_thousand_jobs_do_not_make_a_start_slow(damaged: Damaged) -> None:
    world = damaged.world
    _, waiter = await waiting_pair(world)
    values = [
        {"id": "printf('job-%024d', value)", "state": "'done'", "output": "'{}'"}.get(
            column.name, column.name
        )
        for column in schema.jobs.columns
    ]
    await world.rows(
        "WITH RECURSIVE n(value) AS"
        " (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 100000)"
        f" INSERT INTO jobs SELECT {', '.join(values)} FROM n, jobs WHERE id = '{waiter}'"
    )
    begun = time.perf_counter()
    assert await at_start.repair(world.workshop()) == 0
    assert time.perf_counter() - begun < 0.3
