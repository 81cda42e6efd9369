"""Which failures give a job another try, how many, and what a new try is (contract F.9)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain.failures import JobFailure
from plasmid.domain.placement import Machine
from plasmid.executions import settle
from plasmid.methods.call import Limits
from tests.worlds import GIB, World

ALL = {"restartableEntryPoints": "all"}


async def a_running_job(world: World, *, policy: Any = None, **run_spec: Any) -> str:
    applet = await world.an_applet(await world.a_project(), runSpec=run_spec)
    body = {} if policy is None else {"executionPolicy": policy}
    job = await world.a_job(applet, **body)
    await world.lease(job)
    return job


async def tries(world: World, job: str, *reasons: str) -> list[str]:
    """Let tries fail for these reasons, one after the other; return the states after each."""
    return [await world.fail(job, reason) for reason in reasons]


@pytest.mark.parametrize(
    ("policy", "reasons", "states"),
    [
        # the default: UnresponsiveWorker 2, JMInternalError 1, ExecutionError 1
        (None, ["UnresponsiveWorker"] * 3, ["runnable", "runnable", "failed"]),
        (None, ["ExecutionError"] * 2, ["runnable", "failed"]),
        (None, ["JMInternalError"] * 2, ["runnable", "failed"]),
        (None, ["AppInternalError"], ["failed"]),
        (None, ["AppInsufficientResourceError"], ["failed"]),
        (None, ["JobTimeoutExceeded"], ["failed"]),
        (
            None,
            ["ExecutionError", "UnresponsiveWorker", "JMInternalError", "UnresponsiveWorker"] * 2,
            ["runnable"] * 4 + ["failed"],
        ),
        # never, whatever the policy says
        ({"restartOn": {"*": 9}}, ["AppError"], ["failed"]),
        ({"restartOn": {"*": 9}}, ["OutputError"], ["failed"]),
        ({"restartOn": {"*": 9}}, ["InputError"], ["failed"]),
        ({"restartOn": {"*": 9}}, ["AuthError"], ["failed"]),
        # a policy's own counts
        ({"restartOn": {"ExecutionError": 0}}, ["ExecutionError"], ["failed"]),
        ({"restartOn": {"AppInternalError": 1}}, ["AppInternalError"] * 2, ["runnable", "failed"]),
        ({"restartOn": {"*": 1}}, ["JobTimeoutExceeded"] * 2, ["runnable", "failed"]),
        # "*" is for each reason that is not named
        (
            {"restartOn": {"*": 1, "ExecutionError": 0}},
            ["AppInternalError", "AppInsufficientResourceError", "ExecutionError"],
            ["runnable", "runnable", "failed"],
        ),
        # all reasons together
        (
            {"restartOn": {"*": 5}, "maxRestarts": 2},
            ["AppInternalError", "ExecutionError", "JMInternalError"],
            ["runnable", "runnable", "failed"],
        ),
        ({"restartOn": {"*": 5}, "maxRestarts": 0}, ["ExecutionError"], ["failed"]),
    ],
)
async def test_the_policy_says_how_often_a_job_starts_again(
    world: World, policy: Any, reasons: list[str], states: list[str]
) -> None:
    job = await a_running_job(world, policy=policy)
    assert await tries(world, job, *reasons[: len(states)]) == states
    described = await world.describe(job)
    assert described["try"] == states.count("runnable")
    assert sum(described["failureCounts"].values()) == states.count("runnable")


async def test_the_runs_policy_overrides_the_executables_by_reason(world: World) -> None:
    job = await a_running_job(
        world,
        policy={"restartOn": {"ExecutionError": 0}},
        executionPolicy={"restartOn": {"ExecutionError": 3, "AppInternalError": 1}},
    )
    assert await tries(world, job, "AppInternalError", "ExecutionError") == ["runnable", "failed"]


async def test_a_job_whose_executable_says_so_restarts_as_its_parent_does(world: World) -> None:
    project = await world.a_project()
    inheriting = {"executionPolicy": {"restartOn": {}}, "inheritParentRestartOnPolicy": True}
    policies = {}
    for name, spec in (("plain", {"executionPolicy": {"restartOn": {}}}), ("heir", inheriting)):
        applet = await world.an_applet(project, runSpec=spec)
        policy = {"restartOn": {"*": 3}}
        launcher = await world.a_job(await world.an_applet(project), executionPolicy=policy)
        await world.lease(launcher)
        given = {"input": {}, "executionPolicy": {"restartOn": {"AppInternalError": 1}}}
        job = await world.new(f"/{applet}/run", given, as_=world.token_of(launcher))
        policies[name] = (await world.describe(job))["executionPolicy"]["restartOn"]
        await world.call(f"/{launcher}/terminate")
        await world.report(launcher)
    assert policies["plain"] == {"AppInternalError": 1}
    assert policies["heir"] == {
        "UnresponsiveWorker": 2, "JMInternalError": 1, "ExecutionError": 1, "*": 3,
        "AppInternalError": 1,
    }  # fmt: skip


async def test_a_policy_is_kept_as_it_was_given(world: World) -> None:
    policy = {"restartOn": {"*": 1}, "maxRestarts": 2, "onNonRestartableFailure": "failStage"}
    job = await a_running_job(world, executionPolicy=policy)
    assert (await world.describe(job))["executionPolicy"] == policy


SHORT = {"restartOn": {"AppInsufficientResourceError": 3}}


async def a_short_of_memory(world: World, wanted: dict[str, Any], **run_spec: Any) -> str:
    needs = {"systemRequirements": {"*": wanted}, **run_spec}
    return await a_running_job(world, policy=SHORT, **needs)


async def transitions(world: World, job: str) -> Any:
    described = await world.describe(job, fields={"instanceTypeTransitions": True})
    return described.get("instanceTypeTransitions")


async def test_where_jobs_may_grow_a_try_for_want_of_memory_has_more_of_it(world: World) -> None:
    world.platform.limits = Limits(machine=Machine(20 * GIB, 4), escalate=True)
    job = await a_short_of_memory(world, {"instanceType": "mem1_ssd1_v2_x2"})
    assert await transitions(world, job) is None
    seen = []
    for _ in range(3):
        await world.fail(job, "AppInsufficientResourceError")
        assignment = await world.lease(job)
        described = await world.describe(job)
        seen.append((described["instanceType"], assignment["resources"]["memory_bytes"] // GIB))
        noted = any(seen[-1][0] in note for note in assignment["notes"])
        assert noted == (len(seen) < 3)
    # the machine has 20 GiB: x16 would have 32
    assert seen == [("mem1_ssd1_v2_x4", 8), ("mem1_ssd1_v2_x8", 16), ("mem1_ssd1_v2_x8", 16)]
    moves = await transitions(world, job)
    assert [(move["newInstanceType"], move["try"]) for move in moves] == [
        ("mem1_ssd1_v2_x4", 1), ("mem1_ssd1_v2_x8", 2),
    ]  # fmt: skip
    first = await try_of(world, job, 0)
    assert first["instanceType"] == "mem1_ssd1_v2_x2"
    assert "instanceTypeTransitions" not in await world.describe(job)


@pytest.mark.parametrize("reason", ["ExecutionError", "AppInternalError"])
async def test_a_try_for_another_reason_has_what_the_last_one_had(
    world: World, reason: str
) -> None:
    world.platform.limits = Limits(machine=Machine(64 * GIB, 4), escalate=True)
    policy = {"restartOn": {"*": 3}}
    needs = {"systemRequirements": {"*": {"instanceType": "mem1_ssd1_v2_x2"}}}
    job = await a_running_job(world, policy=policy, **needs)
    await world.fail(job, reason)
    assert (await world.describe(job))["instanceType"] == "mem1_ssd1_v2_x2"


async def test_a_job_grows_only_where_the_site_lets_it(world: World) -> None:
    job = await a_short_of_memory(world, {"instanceType": "mem1_ssd1_v2_x2"})
    assert await world.fail(job, "AppInsufficientResourceError") == "runnable"
    assert (await world.describe(job))["instanceType"] == "mem1_ssd1_v2_x2"


async def test_a_selection_of_types_is_gone_through_wherever(world: World) -> None:
    names = ["mem1_ssd1_v2_x2", "mem1_hdd2_x1", "mem1_ssd1_v2_x8"]
    selector = {"instanceTypeSelector": {"allowedInstanceTypes": names}}
    job = await a_short_of_memory(world, selector)
    seen = []
    for _ in range(2):
        await world.fail(job, "AppInsufficientResourceError")
        await world.lease(job)
        seen.append((await world.describe(job))["instanceType"])
    # mem1_hdd2_x1 has less memory and more disk
    assert seen == ["mem1_hdd2_x1", "mem1_ssd1_v2_x8"]


async def test_a_new_try_has_a_new_number_token_and_log(world: World) -> None:
    job = await a_running_job(world)
    first = dict(world.assignments[job])
    await world.log(job, "from the first try")
    world.clock.advance(1000)
    assert await world.fail(job, "ExecutionError") == "runnable"
    refusal = await world.refused("/system/whoami", as_=first["token"])
    assert refusal.type == "InvalidAuthentication"
    world.clock.advance(1000)
    second = await world.lease(job)
    assert (first["attempt"], second["attempt"]) == (0, 1)
    assert first["token"] != second["token"]
    await world.call("/system/whoami", as_=second["token"])
    refusal = await world.refused("/system/whoami", as_=first["token"])
    assert refusal.type == "InvalidAuthentication"
    await world.log(job, "from the second try")
    for attempt, line in enumerate(["from the first try", "from the second try"]):
        piece = await world.logs.read(job, attempt, offset=0, first_line=0)
        assert [entry.msg for entry in piece.entries] == [line]
    described = await world.describe(job)
    assert described["tryCreated"] == world.clock.now_ms - 1000
    assert described["startedRunning"] == world.clock.now_ms
    assert "stoppedRunning" not in described
    moves = [move["newState"] for move in described["stateTransitions"]]
    assert moves == ["runnable", "running", "restartable", "runnable", "running"]
    assert described["failureCounts"] == {"ExecutionError": 1}
    assert "failureReason" not in described
    assert await world.finish(job) == "done"


async def test_a_late_report_of_an_old_try_is_refused(world: World) -> None:
    job = await a_running_job(world)
    await world.fail(job, "ExecutionError")
    for when in ("while it waits for its new try", "while the new try runs"):
        if when == "while the new try runs":
            await world.lease(job)
        before = await world.describe(job)
        for body in ({"output": {"x": 1}}, {"failure_reason": "AppError"}):
            refusal = await world.refused(
                f"/internal/{job}/finished",
                {"worker": "local", "attempt": 0, **body},
                as_="token-of-the-worker",
            )
            assert refusal.type == "InvalidState"
        assert await world.describe(job) == before


async def test_a_try_that_is_no_longer_the_jobs_is_stopped(world: World) -> None:
    job = await a_running_job(world)
    async with world.dispatcher.moment(world.clock.now_ms) as moment:
        failure = JobFailure("UnresponsiveWorker", "silent")
        await settle.fail(moment, await world.job_row(job), failure)
    reply = await world.sync()
    assert reply["stop"] == [{"job": job, "attempt": 0}]


async def test_a_master_job_starts_again_when_its_sub_job_fails(world: World) -> None:
    """restartableEntryPoints is master unless the executable says all (contract E.2)."""
    master = await a_running_job(world)
    first = world.token_of(master)
    child, waiting = await world.a_subjob(master), await world.a_subjob(master)
    running = await world.a_subjob(master)
    await world.lease(child)
    await world.lease(running)
    await world.call(f"/{waiting}/terminate")
    assert await world.fail(child, "ExecutionError", "no package") == "failed"
    assert await world.state(master) == "runnable"
    assert await world.state(running) == "terminating"
    await world.report(running)
    for job, reason in ((child, "ExecutionError"), (running, "JobTreeFailure")):
        described = await world.describe(job)
        assert (described["state"], described["failureReason"]) == ("failed", reason)
        assert described["failureFrom"]["id"] == child
    refusal = await world.refused("/system/whoami", as_=first)
    assert refusal.type == "InvalidAuthentication"
    assert (await world.describe(master))["failureCounts"] == {"ExecutionError": 1}
    await world.lease(master)
    again = await world.a_subjob(master)
    await world.lease(again)
    assert (await world.describe(again))["parentJobTry"] == 1
    await world.fail(again, "ExecutionError")
    assert await world.state(again) == "failed"
    assert (await world.job_row(again)).failure_reason == "ExecutionError"
    await world.report(master)
    assert (await world.job_row(master)).failure_reason == "JobTreeFailure"


async def test_a_master_that_waits_for_its_sub_jobs_starts_again_too(world: World) -> None:
    """What main puts out are mostly references: it has ended when a sub-job of it fails."""
    master = await a_running_job(world)
    workspace = (await world.job_row(master)).workspace
    child, sibling = await world.a_subjob(master), await world.a_subjob(master)
    await world.lease(child)
    await world.lease(sibling)
    reference = {"$dnanexus_link": {"job": child, "field": "x"}}
    assert await world.finish(master, {"x": reference}) == "waiting_on_output"
    assert await world.fail(child, "UnresponsiveWorker", "silent") == "failed"
    described = await world.describe(master)
    assert (described["state"], described["try"], described["output"]) == ("runnable", 1, None)
    moves = [move["newState"] for move in described["stateTransitions"]]
    assert moves[2:] == ["waiting_on_output", "restartable", "runnable"]
    assert described["workspace"] == workspace
    assert await world.state(sibling) == "terminating"
    await world.report(sibling)
    assert (await world.job_row(sibling)).failure_reason == "JobTreeFailure"
    first = await try_of(world, master, 0)
    assert first["output"] == {"x": reference}
    assert (first["failureReason"], first["failureFrom"]["id"]) == ("UnresponsiveWorker", child)
    assert f"{child} " in first["failureMessage"]
    await world.lease(master)
    again = await world.a_subjob(master)
    await world.finish(master, {"x": {"$dnanexus_link": {"job": again, "field": "x"}}})
    await world.finish(again, {"x": 3})
    described = await world.describe(master)
    assert (described["state"], described["output"]) == ("done", {"x": 3})


async def test_a_new_try_begins_without_the_sub_jobs_of_the_old_one(world: World) -> None:
    access = {"project": "CONTRIBUTE"}
    master = await world.a_job(await world.an_applet(await world.a_project(), access=access))
    await world.lease(master)
    child = await world.a_subjob(master)
    await world.lease(child)
    waiting = await world.a_subjob(
        master, "late", {"in": {"$dnanexus_link": {"job": child, "field": "x"}}}
    )
    applet = (await world.job_row(master)).executable
    other = await world.new(f"/{applet}/run", {"input": {}}, as_=world.token_of(master))
    detached = await world.new(
        f"/{applet}/run",
        {"input": {}, "detach": True, "project": (await world.job_row(master)).project},
        as_=world.token_of(master),
    )
    assert await world.fail(master, "ExecutionError", "no package") == "runnable"
    assert [await world.state(job) for job in (child, waiting, other, detached)] == [
        "terminating", "failed", "failed", "runnable",
    ]  # fmt: skip
    await world.report(child)
    assert (await world.describe(child))["failureFrom"]["id"] == master
    await world.finish(detached)
    assert await world.finish(master) == "done"


async def test_only_the_master_of_the_sub_job_starts_again(world: World) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project)
    root = await world.a_job(applet)
    await world.lease(root)
    inner = await world.new(f"/{applet}/run", {"input": {}}, as_=world.token_of(root))
    await world.lease(inner)
    child = await world.a_subjob(inner)
    await world.lease(child)
    grandchild = await world.a_subjob(child)
    await world.lease(grandchild)
    await world.fail(grandchild, "ExecutionError")
    assert await world.state(root) == "running"
    assert await world.state(child) == "terminating"
    assert await world.state(inner) == "runnable"
    await world.report(child)
    await world.finish(inner)
    assert await world.finish(root) == "done"


async def test_a_sub_job_starts_again_by_itself_where_all_entry_points_may(world: World) -> None:
    master = await a_running_job(world, **ALL)
    child = await world.a_subjob(master)
    await world.lease(child)
    assert await world.fail(child, "ExecutionError") == "runnable"
    assert await world.state(master) == "running"
    await world.finish(child)
    assert await world.finish(master) == "done"


async def test_a_master_job_launched_by_a_job_starts_again_by_itself(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    root = await world.a_job(applet)
    await world.lease(root)
    inner = await world.new(f"/{applet}/run", {"input": {}}, as_=world.token_of(root))
    await world.lease(inner)
    assert await world.fail(inner, "ExecutionError") == "runnable"
    assert await world.state(root) == "running"
    await world.finish(inner)
    assert await world.finish(root) == "done"


async def test_a_job_that_is_being_stopped_gets_no_new_try(world: World) -> None:
    job = await a_running_job(world)
    await world.call(f"/{job}/terminate")
    await world.report(job, failure_reason="ExecutionError", failure_message="killed")
    assert await world.state(job) == "terminated"


async def try_of(world: World, job: str, attempt: int) -> dict[str, Any]:
    described: dict[str, Any] = await world.call(f"/{job}/describe", {"try": attempt})
    return described


async def test_an_earlier_try_is_described_as_it_ended(world: World) -> None:
    job = await a_running_job(world, policy={"restartOn": {"*": 2}})
    await tries(world, job, "ExecutionError", "AppInternalError")
    first = await try_of(world, job, 0)
    assert (first["try"], first["state"]) == (0, "restarted")
    assert first["failureReason"] == "ExecutionError"
    assert first["failureFrom"]["try"] == 0
    assert first["stateTransitions"][-1]["newState"] == "restarted"
    assert (await try_of(world, job, 1))["failureReason"] == "AppInternalError"
    assert (await try_of(world, job, 2))["state"] == "runnable"
    refused = await world.refused(f"/{job}/describe", {"try": 3})
    assert (refused.type, "no try 3" in refused.message) == ("ResourceNotFound", True)


async def test_what_is_known_of_a_try_does_not_go_on_to_the_next(world: World) -> None:
    job = await a_running_job(world)
    await world.report(
        job, failure_reason="ExecutionError", failure_message="", not_enforced=["disk"]
    )
    assert (await try_of(world, job, 0))["plasmid"] == {"notEnforced": ["disk"]}
    assert "plasmid" not in await world.describe(job)


async def test_earlier_tries_are_found_when_asked_for(world: World) -> None:
    job = await a_running_job(world, policy={"restartOn": {"*": 2}})
    other = await a_running_job(world)
    await tries(world, job, "ExecutionError", "AppInternalError")

    async def found(**question: Any) -> list[tuple[str, int]]:
        answer = await world.call("/system/findExecutions", {"describe": True, **question})
        return [(each["id"], each["describe"]["try"]) for each in answer["results"]]

    assert await found() == [(other, 0), (job, 2)]
    assert await found(includeRestarted=True) == [(other, 0), (job, 2), (job, 1), (job, 0)]
    assert await found(includeRestarted=True, state="restarted") == [(job, 1), (job, 0)]
    assert await found(state="restarted") == []


@pytest.mark.parametrize("has_ended", [False, True])
async def test_a_worker_that_is_lost_with_a_whole_tree_costs_one_restart(
    world: World, *, has_ended: bool
) -> None:
    master = await a_running_job(world)
    children = [await world.a_subjob(master) for _ in range(2)]
    for child in children:
        await world.lease(child)
    if has_ended:
        assert await world.finish(master) == "waiting_on_output"
    world.clock.advance(2 * world.platform.backend.lease_ms)
    for _ in range(3):
        await world.expire()
    world.held.clear()
    described = await world.describe(master)
    assert (described["state"], described["try"]) == ("runnable", 1)
    assert described["failureCounts"] == {"UnresponsiveWorker": 1}
    assert [await world.state(child) for child in children] == ["failed", "failed"]
    await world.finish(await world.a_job(described["executable"]))
    assert await world.finish(master) == "done"
