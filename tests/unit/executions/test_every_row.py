"""Every row of the state table is walked by a job that somebody runs through the API (F.4).

A story drives a job over its row by what users, workers and the dispatcher can do: calls of the
HTTP door and ticks of chores. A row without a story fails, and so does a story that takes another
way.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from plasmid.dispatcher import release
from plasmid.domain import job_states
from plasmid.domain.job_states import TRANSITIONS, Event, State, Transition
from plasmid.integrity import checking
from tests.worlds import World

Story = Callable[[World], Awaitable[str]]
STORIES: dict[tuple[State, Event], list[Story]] = {}
S, E = State, Event


def story(state: State, event: Event) -> Callable[[Story], Story]:
    """Keep a story under its row; it returns the job that has just walked it."""

    def keep(told: Story) -> Story:
        STORIES.setdefault((state, event), []).append(told)
        return told

    return keep


def of(job: str) -> dict[str, Any]:
    return {"in": {"$dnanexus_link": {"job": job, "field": "x"}}}


async def an_applet(world: World, **run_spec: Any) -> str:
    return await world.an_applet(await world.a_project(), runSpec=run_spec)


async def a_runnable(world: World, **body: Any) -> str:
    return await world.a_job(await an_applet(world), **body)


async def a_running(world: World, **body: Any) -> str:
    job = await a_runnable(world, **body)
    await world.lease(job)
    return job


async def a_pair(world: World) -> tuple[str, str]:
    """Return a running job and its running sub-job."""
    parent = await a_running(world)
    child = await world.a_subjob(parent)
    await world.lease(child)
    return parent, child


async def a_waiter_for_output(world: World) -> tuple[str, str]:
    """Return a job whose process has ended, and the running sub-job that it waits for."""
    parent, child = await a_pair(world)
    assert await world.finish(parent, of(child)) == "waiting_on_output"
    return parent, child


async def silence(world: World) -> None:
    """Let the worker not be heard of for longer than any lease."""
    world.clock.advance(2 * world.platform.backend.lease_ms)


@story(S.IDLE, E.INPUTS_PENDING)
async def a_job_waits_for_another(world: World) -> str:
    source = await a_runnable(world)
    return await world.a_job((await world.job_row(source)).executable, of(source))


@story(S.IDLE, E.INPUTS_PENDING)
async def a_job_waits_for_an_open_file(world: World) -> str:
    project = await world.a_project()
    file = await world.an_open_file(project)
    return await world.a_job(await world.an_applet(project), {"f": {"$dnanexus_link": file}})


@story(S.IDLE, E.INPUTS_READY)
async def a_job_waits_for_nothing(world: World) -> str:
    return await a_runnable(world)


@story(S.IDLE, E.REUSED)
async def a_job_is_equal_to_one_that_is_done(world: World) -> str:
    earlier = await a_runnable(world)
    await world.finish(earlier)
    applet = (await world.job_row(earlier)).executable
    return await world.a_job(applet, properties={"plasmid.reuse": "true"})


@story(S.WAITING_ON_INPUT, E.REUSED)
async def a_job_turns_out_to_be_equal_to_one_that_is_done(world: World) -> str:
    source = await a_runnable(world)
    applet = (await world.job_row(source)).executable
    await world.finish(await world.a_job(applet, {"in": 1}))
    job = await world.a_job(applet, of(source), properties={"plasmid.reuse": "true"})
    await world.finish(source, {"x": 1})
    return job


@story(S.WAITING_ON_INPUT, E.INPUTS_READY)
async def what_a_job_waits_for_is_done(world: World) -> str:
    source = await a_runnable(world)
    job = await world.a_job((await world.job_row(source)).executable, of(source))
    await world.finish(source, {"x": 1})
    return job


@story(S.WAITING_ON_INPUT, E.INPUTS_READY)
async def what_a_job_waits_for_is_closed(world: World) -> str:
    project = await world.a_project()
    record = await world.a_record(project)
    applet = await world.an_applet(project)
    job = await world.a_job(applet, {"r": {"$dnanexus_link": record}})
    await world.call(f"/{record}/close")
    return job


@story(S.WAITING_ON_INPUT, E.FAILED)
async def what_a_job_waits_for_fails(world: World) -> str:
    source = await a_runnable(world)
    job = await world.a_job((await world.job_row(source)).executable, of(source))
    await world.fail(source)
    return job


@story(S.WAITING_ON_INPUT, E.FAILED)
async def what_a_job_waits_for_is_removed(world: World) -> str:
    project = await world.a_project()
    record = await world.a_record(project)
    applet = await world.an_applet(project)
    job = await world.a_job(applet, {"r": {"$dnanexus_link": record}})
    await world.call(f"/{project}/removeObjects", {"objects": [record]})
    return job


@story(S.WAITING_ON_INPUT, E.TERMINATION_ASKED)
async def a_waiting_job_is_terminated(world: World) -> str:
    job = await a_job_waits_for_another(world)
    await world.call(f"/{job}/terminate")
    return job


@story(S.RUNNABLE, E.LEASED)
async def a_worker_takes_a_job(world: World) -> str:
    return await a_running(world)


@story(S.RUNNABLE, E.FAILED)
async def the_parent_of_a_runnable_job_fails(world: World) -> str:
    parent = await a_running(world)
    job = await world.a_subjob(parent)
    await world.fail(parent)
    return job


@story(S.RUNNABLE, E.FAILED)
async def the_executable_of_a_runnable_job_is_removed(world: World) -> str:
    job = await a_runnable(world)
    row = await world.job_row(job)
    await world.call(f"/{row.project}/removeObjects", {"objects": [row.executable]})
    await world.sync()
    await world.place()
    return job


@story(S.RUNNABLE, E.TERMINATION_ASKED)
async def a_runnable_job_is_terminated(world: World) -> str:
    job = await a_runnable(world)
    await world.call(f"/{job}/terminate")
    return job


@story(S.RUNNING, E.EXITED)
async def a_process_ends_before_its_sub_jobs(world: World) -> str:
    return (await a_waiter_for_output(world))[0]


@story(S.RUNNING, E.OUTPUTS_READY)
async def a_job_ends_well(world: World) -> str:
    job = await a_running(world)
    await world.finish(job)
    return job


@story(S.RUNNING, E.FAILED)
async def a_job_fails(world: World) -> str:
    job = await a_running(world)
    await world.fail(job)
    return job


@story(S.RUNNING, E.FAILED)
async def a_job_has_the_wrong_output(world: World) -> str:
    project = await world.a_project()
    spec = [{"name": "o", "class": "int"}]
    applet = await world.an_applet(project, inputSpec=[], outputSpec=spec)
    job = await world.a_job(applet)
    await world.finish(job, {"o": "text"})
    return job


@story(S.RUNNING, E.FAILED_WITH_TRIES_LEFT)
async def a_job_fails_and_is_tried_again(world: World) -> str:
    job = await a_running(world)
    await world.fail(job, "ExecutionError")
    return job


@story(S.RUNNING, E.FAILED_WITH_TRIES_LEFT)
async def the_worker_of_a_job_is_lost(world: World) -> str:
    job = await a_running(world)
    await silence(world)
    await world.expire()
    world.held.clear()
    return job


@story(S.RUNNING, E.FAILED_WITH_TRIES_LEFT)
async def a_sub_job_of_a_running_master_fails(world: World) -> str:
    parent, child = await a_pair(world)
    await world.fail(child, "ExecutionError")
    return parent


@story(S.RUNNING, E.FAILED_AND_HELD)
async def a_job_is_held(world: World) -> str:
    job = await a_runnable(world, debug={"debugOn": ["AppError"]})
    await world.hold(job, "AppError")
    return job


@story(S.RUNNING, E.TERMINATION_ASKED)
async def a_running_job_is_terminated(world: World) -> str:
    job = await a_running(world)
    await world.call(f"/{job}/terminate")
    return job


@story(S.RUNNING, E.TERMINATION_ASKED)
async def the_tree_of_a_running_job_fails(world: World) -> str:
    parent, child = await a_pair(world)
    await world.fail(child)
    return parent


@story(S.DEBUG_HOLD, E.FAILED)
async def the_sandbox_of_a_held_job_ends(world: World) -> str:
    job = await a_job_is_held(world)
    await world.report(job, failure_reason="AppError")
    return job


@story(S.DEBUG_HOLD, E.FAILED)
async def the_worker_of_a_held_job_is_lost(world: World) -> str:
    job = await a_job_is_held(world)
    world.clock.advance(release.WORKER_GONE_MS + 1)
    await world.release()
    return job


@story(S.DEBUG_HOLD, E.TERMINATION_ASKED)
async def a_held_job_is_terminated(world: World) -> str:
    job = await a_job_is_held(world)
    await world.call(f"/{job}/terminate")
    return job


@story(S.DEBUG_HOLD, E.TERMINATION_ASKED)
async def a_hold_is_over(world: World) -> str:
    job = await a_job_is_held(world)
    world.clock.advance(world.platform.limits.hold_ms_max)
    await world.sync()
    await world.release()
    return job


@story(S.WAITING_ON_OUTPUT, E.OUTPUTS_READY)
async def the_last_sub_job_is_done(world: World) -> str:
    parent, child = await a_waiter_for_output(world)
    await world.finish(child, {"x": 1})
    return parent


@story(S.WAITING_ON_OUTPUT, E.FAILED)
async def a_sub_job_fails_that_the_output_refers_to(world: World) -> str:
    parent, child = await a_waiter_for_output(world)
    await world.fail(child)
    return parent


@story(S.WAITING_ON_OUTPUT, E.FAILED)
async def a_sub_job_has_no_such_output(world: World) -> str:
    parent, child = await a_waiter_for_output(world)
    await world.finish(child, {"y": 1})
    return parent


@story(S.WAITING_ON_OUTPUT, E.FAILED_WITH_TRIES_LEFT)
async def a_sub_job_of_a_master_that_has_ended_fails(world: World) -> str:
    parent, child = await a_waiter_for_output(world)
    await world.fail(child, "ExecutionError")
    return parent


@story(S.WAITING_ON_OUTPUT, E.TERMINATION_ASKED)
async def a_job_that_waits_for_its_output_is_terminated(world: World) -> str:
    parent, _ = await a_waiter_for_output(world)
    await world.call(f"/{parent}/terminate")
    return parent


@story(S.RESTARTABLE, E.TRY_ADDED)
async def a_new_try_is_made(world: World) -> str:
    return await a_job_fails_and_is_tried_again(world)


@story(S.TERMINATING, E.STOPPED)
async def the_worker_has_stopped_a_terminated_job(world: World) -> str:
    job = await a_running_job_is_terminated(world)
    await world.sync()
    await world.report(job, failure_reason="Terminated")
    return job


@story(S.TERMINATING, E.STOPPED)
async def the_worker_of_a_terminated_job_is_lost(world: World) -> str:
    job = await a_running_job_is_terminated(world)
    await silence(world)
    await world.expire()
    return job


@story(S.TERMINATING, E.FAILED)
async def the_worker_has_stopped_a_job_of_a_failed_tree(world: World) -> str:
    parent = await the_tree_of_a_running_job_fails(world)
    await world.report(parent)
    return parent


@story(S.TERMINATING, E.FAILED)
async def the_worker_has_stopped_a_held_job(world: World) -> str:
    job = await a_held_job_is_terminated(world)
    await world.report(job)
    return job


def test_every_row_has_a_story_and_every_story_a_row() -> None:
    assert set(STORIES) == {(row.state, row.event) for row in TRANSITIONS}


CASES = [
    pytest.param(row, told, id=f"{row.state}-{row.event}: {told.__name__}")
    for row in TRANSITIONS
    for told in STORIES.get((row.state, row.event), [])
]


@pytest.mark.parametrize(("row", "told"), CASES)
async def test_the_row_is_walked(world: World, row: Transition, told: Story) -> None:
    job = await told(world)
    described = await world.describe(job)
    path = [State.IDLE, *(State(move["newState"]) for move in described["stateTransitions"])]
    steps = list(itertools.pairwise(path))
    assert (row.state, row.next) in steps
    # No two rows lead from one state to the same next one, so the step names its event ...
    assert [r.event for r in TRANSITIONS if (r.state, r.next) == (row.state, row.next)] == [
        row.event
    ]
    # ... and it is the last thing that happened, but for what follows at once.
    follows = {(S.RUNNING, S.RESTARTABLE), (S.WAITING_ON_OUTPUT, S.RESTARTABLE)}
    assert steps[-2 if (row.state, row.next) in follows else -1] == (row.state, row.next)
    assert described["state"] == path[-1]


@pytest.mark.parametrize("told", [told for stories in STORIES.values() for told in stories])
async def test_no_job_of_a_story_leaves_the_graph(world: World, told: Story) -> None:
    await told(world)
    legal = {(r.state, r.next) for r in TRANSITIONS}
    found = await world.call("/system/findExecutions", {"describe": True, "includeRestarted": True})
    for described in (entry["describe"] for entry in found["results"]):
        names = [move["newState"] for move in described["stateTransitions"]]
        if names[-1] == job_states.RESTARTED:
            names.pop()
        path = [State.IDLE, *map(State, names)]
        assert set(itertools.pairwise(path)) <= legal
    assert [finding async for finding in checking.check_rows(world.database.reader)] == []
