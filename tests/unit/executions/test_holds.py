"""A failed job that is held for debugging: how it is held, what goes on, how it ends (H.5)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.dispatcher import release
from plasmid.executions import advance, holds
from plasmid.metadata import projects
from plasmid.methods.call import Limits
from tests.worlds import WORKER, World

HOUR_MS = 3_600_000


async def a_held_job(world: World, **body: Any) -> str:
    applet = await world.an_applet(await world.a_project())
    job = await world.a_job(applet, debug={"debugOn": ["AppInternalError"]}, **body)
    assert await world.hold(job) == "debug_hold"
    return job


async def moves(world: World, job: str) -> list[str]:
    described = await world.describe(job)
    return [move["newState"] for move in described["stateTransitions"]]


async def end_of(world: World, job: str) -> tuple[str, str | None, str | None]:
    """How a job that was held has ended; the command that replays it is told behind the message."""
    row = await world.job_row(job)
    message, _, command = (row.failure_message or "").partition("; replay it: ")
    assert command == f"plasmid replay {job}"
    return row.state, row.failure_reason, message


async def test_the_worker_is_told_what_to_hold(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    wanted = ["AppError", "ExecutionError"]
    job = await world.a_job(applet, debug={"debugOn": wanted})
    assert (await world.lease(job))["debug_on"] == wanted
    other = await world.a_job(applet)
    assert (await world.lease(other))["debug_on"] == []


async def test_a_held_job_says_why_and_how_long_and_keeps_what_it_has(world: World) -> None:
    job = await a_held_job(world)
    described = await world.describe(job)
    assert described["state"] == "debug_hold"
    assert described["plasmid"]["hold"] == {
        "failureReason": "AppInternalError",
        "failureMessage": "odd",
        "until": world.clock.now_ms + 72 * HOUR_MS,
    }
    assert "failureReason" not in described
    row = await world.job_row(job)
    assert str(holds.original(row)) == "AppInternalError: odd"
    assert holds.until_ms(row) == world.clock.now_ms + 72 * HOUR_MS
    assert described["stoppedRunning"] == world.clock.now_ms
    assert await projects.find_container(world.database.reader, described["workspace"])
    await world.call("/system/whoami", as_=world.token_of(job))
    reply = await world.sync()
    assert (reply["start"], reply["stop"]) == ([], [])
    refused = await world.refused(
        "/job/new", {"function": "x", "input": {}}, as_=world.token_of(job)
    )
    assert refused.type == "InvalidState"


async def test_the_same_report_again_changes_nothing(world: World) -> None:
    job = await a_held_job(world)
    before = await world.job_row(job)
    world.clock.advance(1000)
    assert await world.hold(job, "AppError", "another") == "debug_hold"
    assert await world.job_row(job) == before


async def test_a_report_of_an_old_try_holds_nothing(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    job = await world.a_job(applet)
    await world.lease(job)
    await world.fail(job, "ExecutionError")
    body = {"worker": "local", "attempt": 0, "failure_reason": "AppError"}
    refused = await world.refused(f"/internal/{job}/held", body, as_=WORKER)
    assert refused.type == "InvalidState"
    assert await world.state(job) == "runnable"


async def test_termination_ends_a_hold_with_the_original_reason(world: World) -> None:
    job = await a_held_job(world)
    token = world.token_of(job)
    workspace = (await world.job_row(job)).workspace
    await world.call(f"/{job}/terminate")
    assert await world.state(job) == "terminating"
    reply = await world.sync()
    assert reply["stop"] == [{"job": job, "attempt": 0}]
    await world.report(job, failure_reason="Terminated", failure_message="stopped")
    assert await end_of(world, job) == ("failed", "AppInternalError", "odd")
    described = await world.describe(job)
    assert described["failureFrom"]["id"] == job
    assert "plasmid" not in described
    assert await moves(world, job) == ["runnable", "running", "debug_hold", "terminating", "failed"]
    assert (await world.refused("/system/whoami", as_=token)).type == "InvalidAuthentication"
    assert await projects.find_container(world.database.reader, workspace) is None


async def test_a_hold_ends_at_the_sites_limit(world: World) -> None:
    world.platform.limits = Limits(machine=world.platform.limits.machine, hold_ms_max=2 * HOUR_MS)
    job = await a_held_job(world)
    for _ in range(2 * 60 - 1):
        world.clock.advance(60_000)
        await world.sync()
        assert await world.release() == 0
        assert await world.expire() == 0
    world.clock.advance(60_000)
    await world.sync()
    assert await world.release() == 1
    assert await world.state(job) == "terminating"
    await world.report(job)
    assert await end_of(world, job) == ("failed", "AppInternalError", "odd")


async def test_a_sandbox_that_ends_by_itself_ends_the_hold(world: World) -> None:
    job = await a_held_job(world)
    await world.report(job, failure_reason="AppInternalError", failure_message="as told")
    assert await end_of(world, job) == ("failed", "AppInternalError", "odd")
    assert (await moves(world, job))[-2:] == ["debug_hold", "failed"]


async def test_a_hold_that_its_worker_knows_nothing_of_ends(world: World) -> None:
    job = await a_held_job(world)
    world.held.clear()  # the worker's folder is gone
    reply = await world.sync()
    assert reply["stop"] == [{"job": job, "attempt": 0}]
    await world.report(job, failure_reason="Terminated")
    assert await end_of(world, job) == ("failed", "AppInternalError", "odd")


async def test_a_hold_outlives_the_silence_of_its_worker_for_a_while(world: World) -> None:
    """Restarts of worker and server are no end; a machine that is gone for good is."""
    job = await a_held_job(world)
    world.clock.advance(release.WORKER_GONE_MS)
    assert (await world.release(), await world.expire()) == (0, 0)
    assert await world.state(job) == "debug_hold"
    world.clock.advance(1)
    assert await world.release() == 1
    assert await end_of(world, job) == ("failed", "AppInternalError", "odd")


async def test_the_tree_goes_on_while_one_of_it_is_held_and_fails_after(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    root = await world.a_job(applet, debug={"debugOn": ["AppError"]})
    await world.lease(root)
    held, other = await world.a_subjob(root), await world.a_subjob(root)
    await world.hold(held, "AppError", "the first")
    assert await world.finish(other, {"y": 1}) == "done"
    assert await world.finish(root, {"x": {"$dnanexus_link": {"job": held, "field": "x"}}}) == (
        "waiting_on_output"
    )
    await world.call(f"/{held}/terminate")
    await world.report(held)
    assert await end_of(world, held) == ("failed", "AppError", "the first")
    described = await world.describe(root)
    assert (described["state"], described["failureReason"]) == ("failed", "JobTreeFailure")
    assert described["failureFrom"]["id"] == held


async def test_a_failure_elsewhere_in_the_tree_ends_no_hold(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    root = await world.a_job(applet, debug={"debugOn": ["AppError"]})
    await world.lease(root)
    held, other = await world.a_subjob(root), await world.a_subjob(root)
    await world.hold(held, "AppError", "mine")
    await world.lease(other)
    await world.fail(other, "OutputError", "first")
    await world.report(root)
    assert await world.state(root) == "failed"
    assert await world.state(held) == "debug_hold"
    await world.call(f"/{held}/terminate")
    await world.report(held)
    assert await end_of(world, held) == ("failed", "AppError", "mine")
    assert (await world.describe(root))["failureFrom"]["id"] == other


@pytest.mark.parametrize("ended", ["held first", "master first"])
async def test_a_new_try_of_the_master_ends_the_hold_and_is_not_hurt_by_it(
    world: World, ended: str
) -> None:
    applet = await world.an_applet(await world.a_project())
    root = await world.a_job(applet, debug={"debugOn": ["AppError"]})
    await world.lease(root)
    held, other = await world.a_subjob(root), await world.a_subjob(root)
    await world.hold(held, "AppError", "mine")
    await world.lease(other)
    await world.fail(other, "ExecutionError", "again")
    assert [await world.state(job) for job in (root, held)] == ["runnable", "terminating"]
    if ended == "held first":
        await world.report(held)
    await world.lease(root)
    if ended == "master first":
        await world.report(held)
    assert await end_of(world, held) == ("failed", "AppError", "mine")
    assert await world.state(root) == "running"
    assert await world.finish(root) == "done"


async def test_terminating_the_root_ends_the_holds_below_it(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    root = await world.a_job(applet, debug={"debugOn": ["AppError"]})
    await world.lease(root)
    held = await world.a_subjob(root)
    await world.hold(held, "AppError", "mine")
    await world.call(f"/{root}/terminate")
    await world.report(held)
    await world.report(root)
    assert (await end_of(world, held))[:2] == ("failed", "AppError")
    assert await world.state(root) == "terminated"


async def test_a_hold_comes_before_a_new_try(world: World) -> None:
    """The worker reports what debugOn names as held, whatever the policy says of restarts."""
    policy = {"restartOn": {"AppInternalError": 5}}
    job = await a_held_job(world, executionPolicy=policy)
    await world.call(f"/{job}/terminate")
    await world.report(job)
    described = await world.describe(job)
    assert (described["state"], described["try"]) == ("failed", 0)


async def test_a_held_job_counts_for_what_it_has_of_the_machine(world: World) -> None:
    held = await a_held_job(world, systemRequirements={"*": {"instanceType": "mem1_ssd1_v2_x36"}})
    applet = (await world.job_row(held)).executable
    world.dispatcher.machine = type(world.dispatcher.machine)(80 << 30, 16)
    large = await world.a_job(
        applet, systemRequirements={"*": {"instanceType": "mem1_ssd1_v2_x16"}}
    )
    await world.sync()
    assert await world.place() == 0
    await world.call(f"/{held}/terminate")
    await world.report(held)
    assert await world.place() == 1
    assert await world.state(large) == "running"


@pytest.mark.parametrize("is_held", [False, True])
async def test_the_dispatcher_is_told_of_the_room_that_a_stopped_job_leaves(
    world: World, *, is_held: bool
) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    if is_held:
        await world.hold(job)
    await world.call(f"/{job}/terminate")
    with world.platform.changes.subscribe(advance.PLACEABLE_TOPIC) as news:
        await world.report(job)
        assert await news.wait(0.05)
