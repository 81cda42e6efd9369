"""A job's `dependsOn` lists what it has launched and what has not ended yet (F.5)."""

from __future__ import annotations

from typing import Any

from tests.worlds import World


async def depends_on(world: World, job: str) -> list[str]:
    described = await world.describe(job, fields={"dependsOn": True})
    found = described["dependsOn"]
    assert isinstance(found, list)
    return found


async def test_unfinished_masters_that_a_job_launched_are_listed_and_sub_jobs_are_not(
    world: World,
) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project, access={"project": "CONTRIBUTE"})
    record = await world.a_record(project, close=True)
    root = await world.a_job(applet, dependsOn=[record])
    assert await depends_on(world, root) == [record]
    await world.lease(root)
    as_ = world.token_of(root)
    sub = await world.a_subjob(root)
    await world.lease(sub)
    assert await depends_on(world, root) == [record]
    run = f"/{applet}/run"
    body: dict[str, Any] = {"input": {}}
    first, second = [await world.new(run, body, as_=as_) for _ in range(2)]
    world.clock.advance(1)
    of_sub = await world.new(run, body, as_=world.token_of(sub))
    await world.new(run, {**body, "detach": True}, as_=as_)
    assert sorted(await depends_on(world, root)) == sorted([record, first, second])
    assert await depends_on(world, sub) == [of_sub]
    await world.finish(first)
    assert await depends_on(world, root) == [record, second]
    for job in (second, of_sub, sub, root):
        await world.finish(job)
    assert await depends_on(world, root) == [record]
    assert await depends_on(world, sub) == []


async def test_a_find_lists_them_too(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    root = await world.a_job(applet)
    await world.fail(root, "ExecutionError")
    await world.lease(root)
    world.clock.advance(1)
    child = await world.new(f"/{applet}/run", {"input": {}}, as_=world.token_of(root))
    question = {"describe": {"fields": {"dependsOn": True}}, "includeRestarted": True}
    for route in ("findExecutions", "findJobs"):
        answer = await world.call(f"/system/{route}", question)
        found = [(entry["id"], entry["describe"]["dependsOn"]) for entry in answer["results"]]
        assert found == [(child, []), (root, [child]), (root, [])]
    answer = await world.call("/system/findJobs", {"describe": {"fields": {"state": True}}})
    assert all(set(entry["describe"]) == {"state"} for entry in answer["results"])
    assert (await world.call("/system/findJobs"))["results"][0].keys() == {"id"}
