"""A job that waits for many: what it shows, when it fails, and what the end of one costs (F.5)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.worlds import World

STATEMENTS_MAX = 60


def ref(job: str, field: str = "x", **more: Any) -> dict[str, Any]:
    return {"$dnanexus_link": {"job": job, "field": field, **more}}


def link(object_id: str) -> dict[str, Any]:
    return {"$dnanexus_link": object_id}


async def a_parent(world: World) -> str:
    parent = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(parent)
    return parent


async def sub_jobs(world: World, parent: str, count: int) -> list[str]:
    """Start sub-jobs one after another, so that the first has the first turn."""
    made = []
    for _ in range(count):
        world.clock.advance(1)
        made.append(await world.a_subjob(parent))
    return made


async def failure_of(world: World, job: str) -> tuple[str, str | None]:
    described = await world.describe(job)
    return described["failureReason"], described["failureMessage"]


@contextlib.contextmanager
def counted(world: World) -> Iterator[list[str]]:
    """Give the statements that the block runs."""
    told: list[str] = []
    world.database._writer.set_trace_callback(told.append)
    try:
        yield told
    finally:
        world.database._writer.set_trace_callback(None)


async def test_a_waiting_gather_shows_what_has_come_whoever_looks_how(world: World) -> None:
    parent = await a_parent(world)
    first, second, third = await sub_jobs(world, parent, 3)
    given = {"in": [ref(first), ref(second), {"deep": ref(third, "y")}], "n": 1}
    gather = await world.a_subjob(parent, "gather", given)
    await world.finish(second, {"x": [7, 8]})
    expected = {"in": [ref(first), 7, 8, {"deep": ref(third, "y")}], "n": 1}
    assert (await world.describe(gather))["input"] == expected
    assert await world.describe(gather, fields={"input": True}) == {"input": expected}
    found = await world.call("/system/findExecutions", {"id": gather, "describe": True})
    shown = {entry["id"]: entry["describe"] for entry in found["results"]}
    assert shown[gather]["input"] == expected
    assert shown[gather]["originalInput"] == given
    await world.finish(third, {"y": None, "x": 1})
    assert await failure_of(world, gather) == (
        "InputError",
        f'The output of {third} has no field "y" that an input refers to',
    )
    assert (await world.describe(gather))["input"] == expected


@pytest.mark.parametrize(
    ("reference", "output"),
    [
        ({"field": "x"}, {"y": 1}),
        ({"field": "x", "index": 2}, {"x": [1, 2]}),
        ({"field": "x", "metadata": "name"}, {"x": 1}),
    ],
)
async def test_a_wrong_output_of_one_of_many_fails_who_gathers_at_once(
    world: World, reference: dict[str, Any], output: dict[str, Any]
) -> None:
    parent = await a_parent(world)
    first, second, third = await sub_jobs(world, parent, 3)
    wrong = ref(second, **reference)
    gather = await world.a_subjob(parent, "gather", {"in": [ref(first), wrong, ref(third)]})
    await world.finish(first, {"x": 1})
    assert await world.state(gather) == "waiting_on_input"
    await world.finish(second, output)
    reason, message = await failure_of(world, gather)
    assert reason == "InputError"
    assert second in str(message)


async def test_metadata_of_an_output_is_shown_before_the_others_have_come(world: World) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project)
    sources = [await world.a_job(applet) for _ in range(2)]
    file = await world.a_closed_file(project, b"ACGT", name="reads.fq")
    gather = await world.a_job(
        applet, {"name": ref(sources[0], metadata="name"), "other": ref(sources[1])}
    )
    await world.finish(sources[0], {"x": link(file)})
    assert (await world.describe(gather))["input"]["name"] == "reads.fq"
    await world.call(f"/{project}/removeObjects", {"objects": [file]})
    shown = (await world.describe(gather))["input"]
    assert shown["name"] == ref(sources[0], metadata="name")
    await world.finish(sources[1], {"x": 1})
    reason, message = await failure_of(world, gather)
    assert (reason, file in str(message)) == ("InputError", True)


async def test_what_a_source_has_put_out_and_is_removed_meanwhile_fails_the_gather(
    world: World,
) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project)
    sources = [await world.a_job(applet) for _ in range(2)]
    gather = await world.a_job(applet, {"in": [ref(source) for source in sources]})
    file = await world.a_closed_file(project)
    await world.finish(sources[0], {"x": link(file)})
    await world.call(f"/{project}/removeObjects", {"objects": [file]})
    assert await world.state(gather) == "waiting_on_input"
    await world.finish(sources[1], {"x": 1})
    reason, message = await failure_of(world, gather)
    assert (reason, file in str(message)) == ("InputError", True)


async def test_a_source_that_is_restarted_is_awaited_until_its_last_try_is_done(
    world: World,
) -> None:
    parent = await a_parent(world)
    first, second = await sub_jobs(world, parent, 2)
    gather = await world.a_subjob(parent, "gather", {"in": [ref(first), ref(second)]})
    await world.finish(first, {"x": 1})
    other = await world.a_job(
        await world.an_applet(
            await world.a_project(),
            runSpec={"executionPolicy": {"restartOn": {"UnresponsiveWorker": 1}}},
        )
    )
    late = await world.a_job(
        await world.an_applet(await world.a_project()), {"in": [ref(other), ref(first)]}
    )
    await world.lease(other)
    assert await world.fail(other, "UnresponsiveWorker") == "runnable"
    assert (await world.describe(late))["input"]["in"] == [ref(other), 1]
    await world.finish(other, {"x": "again"})
    assert (await world.job_row(late)).input == {"in": ["again", 1]}
    await world.finish(second, {"x": 2})
    assert (await world.job_row(gather)).input == {"in": [1, 2]}


async def test_a_done_job_among_depends_on_and_references_is_one_wait(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    sources = [await world.a_job(applet) for _ in range(3)]
    job = await world.a_job(applet, {"in": [ref(sources[0])]}, dependsOn=sources)
    for source in sources:
        assert await world.state(job) == "waiting_on_input"
        await world.finish(source, {"x": 0})
    assert (await world.describe(job))["input"] == {"in": [0]}
    assert await world.state(job) == "runnable"


async def test_an_output_that_refers_to_children_shows_what_has_come(world: World) -> None:
    parent = await a_parent(world)
    first, second, third = await sub_jobs(world, parent, 3)
    await world.finish(parent, {"all": [ref(first), ref(second)]})
    await world.finish(first, {"x": 1})
    described = await world.describe(parent)
    assert (described["state"], described["output"]) == (
        "waiting_on_output",
        {"all": [1, ref(second)]},
    )
    await world.finish(third)
    await world.finish(second, {"x": 2})
    described = await world.describe(parent)
    assert (described["state"], described["output"]) == ("done", {"all": [1, 2]})


async def test_a_wrong_output_of_one_child_fails_the_output_of_its_parent_at_once(
    world: World,
) -> None:
    parent = await a_parent(world)
    first, second = await sub_jobs(world, parent, 2)
    await world.finish(parent, {"all": [ref(first), ref(second)]})
    await world.finish(first, {"y": 1})
    assert (await failure_of(world, parent))[0] == "OutputError"


# ---------------------------------------------------------------------- what one end costs


async def _cost_of_an_end(world: World, count: int, *, waits: str) -> list[str]:
    """Return the statements of the end of one of `count` sources that a job waits for."""
    parent = await a_parent(world)
    sources = await sub_jobs(world, parent, count)
    if waits == "input":
        await world.a_subjob(parent, "gather", {"in": [ref(source) for source in sources]})
    elif waits == "output":
        await world.finish(parent, {"all": [ref(source) for source in sources]})
    else:
        await world.finish(parent)
    await world.lease(sources[0])
    with counted(world) as told:
        await world.report(sources[0], output={"x": 1})
    return told


@pytest.mark.parametrize("waits", ["input", "output", "children"])
async def test_the_end_of_one_of_many_sources_costs_as_much_as_that_of_one_of_few(
    world: World, waits: str
) -> None:
    few = await _cost_of_an_end(world, 4, waits=waits)
    many = await _cost_of_an_end(world, 300, waits=waits)
    assert len(few) == len(many) < STATEMENTS_MAX
    # no other source is named: nothing grows inside the statements either
    assert sum(map(len, many)) < 1.1 * sum(map(len, few))


async def test_all_of_a_gather_comes_in_its_order(world: World) -> None:
    parent = await a_parent(world)
    sources = await sub_jobs(world, parent, 6)
    gather = await world.a_subjob(parent, "gather", {"in": [ref(source) for source in sources]})
    for source in sources:
        await world.lease(source)
    for source in sorted(sources):
        assert await world.state(gather) == "waiting_on_input"
        await world.finish(source, {"x": source})
    assert (await world.job_row(gather)).input == {"in": sources}
    assert await world.rows("SELECT * FROM waits") == []


async def test_a_long_chain_of_references_costs_the_same_at_each_link(world: World) -> None:
    parent = await a_parent(world)
    job, costs = await world.a_subjob(parent), []
    chain = [job]
    for _ in range(60):
        with counted(world) as told:
            job = await world.a_subjob(parent, "next", {"in": ref(job)})
        chain.append(job)
        costs.append(len(told))
    assert len(set(costs)) == 1
    assert costs[0] < STATEMENTS_MAX
    ends = []
    for number, link_of_chain in enumerate(chain[:-1]):
        await world.lease(link_of_chain)
        with counted(world) as told:
            await world.report(link_of_chain, output={"x": number})
        ends.append(len(told))
    assert len(set(ends)) == 1
    assert (await world.job_row(chain[-1])).input == {"in": 59}


async def test_stopping_a_wide_tree_touches_each_member_a_few_times(world: World) -> None:
    per_member = []
    for count in (20, 200):
        parent = await a_parent(world)
        sources = await sub_jobs(world, parent, count)
        await world.a_subjob(parent, "gather", {"in": [ref(source) for source in sources]})
        with counted(world) as told:
            await world.call(f"/{parent}/terminate")
        per_member.append(len(told) / count)
    assert per_member[1] < per_member[0] < STATEMENTS_MAX
    assert per_member[1] < 20


async def test_the_failure_of_one_of_a_wide_tree_touches_each_member_a_few_times(
    world: World,
) -> None:
    parent = await a_parent(world)
    sources = await sub_jobs(world, parent, 200)
    gather = await world.a_subjob(parent, "gather", {"in": [ref(source) for source in sources]})
    await world.lease(sources[0])
    with counted(world) as told:
        await world.report(sources[0], failure_reason="AppError", failure_message="broke")
    assert len(told) < 20 * len(sources)
    assert (await world.job_row(gather)).failure_reason == "JobTreeFailure"


async def test_removing_objects_asks_only_who_waits_for_these(world: World) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project)
    records = await world.many_records(project, 2)
    few = await _cost_of_removal(world, project, records[0])
    for _ in range(30):
        source = await world.a_job(applet)
        await world.a_job(applet, {"in": ref(source)})
    assert await _cost_of_removal(world, project, records[1]) == few


async def _cost_of_removal(world: World, project: str, record: str) -> int:
    await world.describe(project)  # a token that was forgotten is looked up here
    with counted(world) as told:
        await world.call(f"/{project}/removeObjects", {"objects": [record]})
    return len(told)
