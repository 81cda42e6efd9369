"""Jobs as methods: describe, terminate, update, tags (contract A.12, F.6, F.10)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.metadata import jobs
from tests.worlds import BOB, EVE, START_MS, World

NOBODY = "0" * 24
ALWAYS = {
    "id", "class", "region", "name", "tags", "properties", "executable", "executableName",
    "applet", "function", "created", "modified", "try", "tryCreated", "project", "billTo",
    "folder", "workspace", "parentJob", "parentJobTry", "originJob", "parentAnalysis", "analysis",
    "stage", "rootExecution", "detachedFrom", "detachedFromTry", "state", "stateTransitions",
    "launchedBy", "priority", "finalPriority", "rank", "details", "systemRequirements",
    "executionPolicy", "instanceType", "networkAccess", "debug", "timeout", "dependsOn",
    "failureCounts", "singleContext", "ignoreReuse", "outputReusedFrom", "httpsApp", "costLimit",
    "isFree", "preserveJobOutputs", "detailedJobMetrics", "delayWorkspaceDestruction", "runInput",
    "originalInput", "input", "output", "maxTreeSpotWaitTime", "maxJobSpotWaitTime",
    "workerReuseDeadlineRunTime", "invoiceMetadata",
}  # fmt: skip
OF_ROOTS = {
    "selectedTreeTurnaroundTimeThreshold", "selectedTreeTurnaroundTimeThresholdFrom",
    "treeTurnaroundTime",
}  # fmt: skip
ALWAYS |= OF_ROOTS
NEVER = {"app", "resources", "projectCache", "totalPrice", "currency"}
IO = {"runInput", "originalInput", "input", "output"}


@pytest.fixture
async def applet(world: World) -> str:
    return await world.an_applet(await world.a_project(), name="hello")


def moves(described: dict[str, Any]) -> list[str]:
    """Return the states that a job has been in, in order."""
    return [move["newState"] for move in described["stateTransitions"]]


# ----------------------------------------------------------------------------- A.12, F.6.2


async def test_a_waiting_job_has_no_times_of_running(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    described = await world.describe(job)
    assert set(described) >= ALWAYS
    assert NEVER.isdisjoint(described)
    absent = {
        "startedRunning", "stoppedRunning", "failureReason", "failureMessage", "failureFrom",
        "allowSSH",
    }  # fmt: skip
    assert absent.isdisjoint(described)
    assert moves(described) == ["runnable"]
    for key in ("parentJob", "parentAnalysis", "analysis", "stage", "output", "outputReusedFrom"):
        assert described[key] is None


async def test_a_job_is_described_through_its_life(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    world.clock.advance(10)
    await world.lease(job)
    running = await world.describe(job)
    assert (running["state"], running["startedRunning"]) == ("running", START_MS + 10)
    assert "stoppedRunning" not in running
    world.clock.advance(10)
    await world.finish(job, {"x": 1})
    done = await world.describe(job)
    assert (done["state"], done["output"]) == ("done", {"x": 1})
    assert (done["startedRunning"], done["stoppedRunning"]) == (START_MS + 10, START_MS + 20)
    assert done["stateTransitions"] == [
        {"newState": "runnable", "setAt": START_MS},
        {"newState": "running", "setAt": START_MS + 10},
        {"newState": "done", "setAt": START_MS + 20},
    ]
    assert done["modified"] == START_MS + 20


async def test_a_failed_job_says_why_and_who_was_first(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    assert await world.fail(job, "AppError", "no reads") == "failed"
    described = await world.describe(job)
    assert described["failureReason"] == "AppError"
    message = f"no reads; replay it: plasmid replay {job}"
    assert described["failureMessage"] == message
    assert described["failureFrom"] == {
        "id": job, "try": 0, "name": "hello", "executable": applet, "executableName": "hello",
        "function": "main", "failureReason": "AppError", "failureMessage": message,
    }  # fmt: skip
    assert described["output"] is None


async def test_a_new_try_has_not_stopped_before_it_has_run(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    world.clock.advance(10)
    await world.fail(job, "ExecutionError", "no package")
    world.clock.advance(10)
    waiting = await world.describe(job)
    assert (waiting["state"], waiting["try"]) == ("runnable", 1)
    assert {"startedRunning", "stoppedRunning"}.isdisjoint(waiting)
    assert waiting["failureCounts"] == {"ExecutionError": 1}
    await world.lease(job)
    again = await world.describe(job)
    assert again["startedRunning"] == START_MS + 20
    assert "stoppedRunning" not in again


async def test_a_job_terminated_before_it_ran_never_stopped(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    await world.call(f"/{job}/terminate")
    described = await world.describe(job)
    assert described["state"] == "terminated"
    absent = {"startedRunning", "stoppedRunning", "failureReason"}
    assert absent.isdisjoint(described)


async def test_idle_is_never_shown(world: World, applet: str) -> None:
    project = (await world.describe(applet))["project"]
    waiting = await world.a_job(
        applet, {"f": {"$dnanexus_link": await world.an_open_file(project)}}
    )
    assert moves(await world.describe(waiting)) == ["waiting_on_input"]


async def test_what_is_of_a_whole_tree_is_shown_by_its_root_only(world: World) -> None:
    applet = await world.an_applet(await world.a_project(), treeTurnaroundTimeThreshold=2)
    root = await world.a_job(applet)
    await world.lease(root)
    sub = await world.a_subjob(root)
    assert set(await world.describe(sub)) == ALWAYS - OF_ROOTS | {"detachedFrom"}
    world.clock.advance(2500)
    described = await world.describe(root)
    assert described["selectedTreeTurnaroundTimeThreshold"] == 2
    assert described["selectedTreeTurnaroundTimeThresholdFrom"] == "executable"
    assert described["treeTurnaroundTime"] == 2
    await world.call(f"/{root}/terminate")
    await world.report(root)
    world.clock.advance(60_000)
    assert (await world.describe(root))["treeTurnaroundTime"] == 2
    plain = await world.a_job(await world.an_applet(await world.a_project()))
    described = await world.describe(plain)
    assert described["selectedTreeTurnaroundTimeThreshold"] is None
    assert described["selectedTreeTurnaroundTimeThresholdFrom"] == "system"


async def test_relations_of_a_tree_have_their_nulls(world: World) -> None:
    """F.6.2: of a root, of a sub-job, of a master launched by a sub-job, of a detached one."""
    applet = await world.an_applet(await world.a_project(), access={"project": "CONTRIBUTE"})
    root = await world.a_job(applet)
    await world.fail(root, "ExecutionError")  # so that the tries can be told apart
    await world.lease(root)
    sub = await world.a_subjob(root)
    await world.lease(sub)
    as_ = world.token_of(sub)
    master = await world.new(f"/{applet}/run", {"input": {}}, as_=as_)
    detached = await world.new(f"/{applet}/run", {"input": {}, "detach": True}, as_=as_)
    expected = {
        root: (None, None, root, root, None, None),
        sub: (root, 1, root, root, None, None),
        master: (sub, 0, root, root, None, None),
        detached: (None, None, detached, detached, sub, 0),
    }
    names = (
        "parentJob", "parentJobTry", "originJob", "rootExecution", "detachedFrom",
        "detachedFromTry",
    )  # fmt: skip
    for job, relations in expected.items():
        described = await world.describe(job)
        assert tuple(described[name] for name in names) == relations
        of_analyses = [described[name] for name in ("parentAnalysis", "analysis", "stage")]
        assert of_analyses == [None, None, None]


async def test_what_an_app_runs_with_is_shown_together(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    row = await world.job_row(job)
    containers = {"resources": "container-" + "R" * 24, "projectCache": "container-" + "P" * 24}
    async with world.database.transaction() as tx:
        await jobs.update_job(tx, job, {"settings": row.settings | containers})
    described = await world.describe(job)
    assert {name: described[name] for name in containers} == containers


# --------------------------------------------------------------------------------- F.6.1


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"fields": {"state": True}}, {"state"}),
        ({"fields": {"id": True, "state": True, "name": True}}, {"id", "state", "name"}),
        ({"fields": {"state": False}}, set()),
        ({"fields": {"allowSSH": True, "host": True, "sshPort": True, "state": True}}, {"state"}),
        ({"fields": {"headJobOnDemand": True}}, {"headJobOnDemand"}),
        (
            {"fields": {"internetUsageIPs": True, "jobLogsForwardingStatus": True}},
            {"internetUsageIPs", "jobLogsForwardingStatus"},
        ),
        ({"io": False}, ALWAYS - IO),
        ({"defaultFields": True, "fields": {"input": False}}, ALWAYS - {"input"}),
        ({"defaultFields": True, "fields": {"spotCostSavings": True}}, ALWAYS),
        (
            {"defaultFields": True, "fields": {"runSystemRequirements": True}},
            ALWAYS | {"runSystemRequirements"},
        ),
        ({"properties": True, "details": True, "project": "project-" + NOBODY}, ALWAYS),
        ({"defaultFields": True}, ALWAYS),
        ({"try": 0}, ALWAYS),
    ],
)
async def test_fields_choose_what_comes(
    world: World, applet: str, options: dict[str, Any], expected: set[str]
) -> None:
    described = await world.describe(await world.a_job(applet), **options)
    assert set(described) == expected


@pytest.mark.parametrize(
    "options, kind",
    [
        ({"try": 1}, "ResourceNotFound"),
        ({"try": -1}, "ResourceNotFound"),
        ({"try": "0"}, "InvalidInput"),
        ({"try": True}, "InvalidInput"),
        ({"fields": "state"}, "InvalidInput"),
        ({"io": "no"}, "InvalidInput"),
    ],
)
async def test_wrong_options_are_refused(
    world: World, applet: str, options: dict[str, Any], kind: str
) -> None:
    job = await world.a_job(applet)
    assert (await world.refused(f"/{job}/describe", options)).type == kind


# ---------------------------------------------------------------------------------- F.10


async def test_allow_ssh_is_shown_only_while_it_is_set(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    await world.call(f"/{job}/update", {"allowSSH": ["192.0.2.1"]})
    assert (await world.describe(job))["allowSSH"] == ["192.0.2.1"]
    unsets: list[list[str] | None] = [[], None]
    for unset in unsets:
        await world.call(f"/{job}/update", {"allowSSH": unset})
        asked = await world.describe(job, fields={"allowSSH": True})
        assert asked in ({}, {"allowSSH": []})


async def test_the_rank_is_that_of_all_jobs_of_a_tree(world: World, applet: str) -> None:
    root, other = await world.a_job(applet, rank=1), await world.a_job(applet, rank=1)
    await world.lease(root)
    over, waiting = await world.a_subjob(root), await world.a_subjob(root)
    await world.finish(over)
    await world.call(f"/{root}/update", {"rank": 9})
    later = await world.a_subjob(root)
    ranks = [(await world.describe(job))["rank"] for job in (root, over, waiting, later, other)]
    assert ranks == [9, 1, 9, 9, 1]
    refusal = await world.refused(f"/{waiting}/update", {"rank": 2})
    assert (refusal.type, root in refusal.message) == ("InvalidInput", True)


async def test_the_rank_moves_a_job_in_the_queue(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    assert await world.call(f"/{job}/update", {"rank": 1023}) == {"id": job}
    assert (await world.describe(job))["rank"] == 1023


@pytest.mark.parametrize(
    "body",
    [{"allowSSH": "*"}, {"allowSSH": [1]}, {"rank": 1024}, {"rank": "1"}, {"rank": True}],
)
async def test_a_wrong_update_is_refused(world: World, applet: str, body: dict[str, Any]) -> None:
    job = await world.a_job(applet)
    assert (await world.refused(f"/{job}/update", body)).type == "InvalidInput"


async def test_a_job_that_is_over_cannot_be_updated_but_still_be_tagged(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet)
    await world.finish(job)
    assert (await world.refused(f"/{job}/update", {"rank": 1})).type == "InvalidState"
    await world.call(f"/{job}/addTags", {"tags": ["t"]})


async def test_tags_and_properties_of_a_job_change(world: World, applet: str) -> None:
    job = await world.a_job(applet, tags=["a"], properties={"k": "1"})
    for verb, body in (
        ("addTags", {"tags": ["$b", "a.c"]}),
        ("removeTags", {"tags": ["a"]}),
        ("setProperties", {"properties": {"k": None, "$dnanexus.link": "x"}}),
    ):
        for _ in range(2):
            assert await world.call(f"/{job}/{verb}", body) == {"id": job}
    described = await world.describe(job)
    assert described["tags"] == ["$b", "a.c"]
    assert described["properties"] == {"$dnanexus.link": "x"}


CONTROL: dict[str, dict[str, Any]] = {"terminate": {}, "update": {"rank": 1}}


@pytest.mark.parametrize("verb", CONTROL)
@pytest.mark.parametrize(
    "level, launched, may",
    [
        ("VIEW", False, False),
        ("CONTRIBUTE", False, False),
        ("ADMINISTER", False, True),
        ("CONTRIBUTE", True, True),
        ("VIEW", True, False),
    ],
)
async def test_the_launcher_with_contribute_or_an_administrator_controls_a_job(
    world: World, applet: str, verb: str, *, level: str, launched: bool, may: bool
) -> None:
    project = (await world.describe(applet))["project"]
    await world.a_member(project, "CONTRIBUTE")
    if launched:
        body = {"project": project, "input": {}}
        job = await world.new(f"/{applet}/run", body, as_=BOB)
    else:
        job = await world.a_job(applet)
    await world.call(f"/{project}/decreasePermissions", {"user-bob": None})
    await world.a_member(project, level)
    if may:
        await world.call(f"/{job}/{verb}", CONTROL[verb], as_=BOB)
    else:
        refusal = await world.refused(f"/{job}/{verb}", CONTROL[verb], as_=BOB)
        assert refusal.type == "PermissionDenied"


async def test_a_job_of_another_is_denied_and_an_unknown_one_not_found(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet)
    for verb in ("describe", "terminate", "update", "addTags"):
        assert (await world.refused(f"/{job}/{verb}", as_=EVE)).type == "PermissionDenied"
        missing = f"/job-{NOBODY}/{verb}"
        assert (await world.refused(missing, as_=EVE)).type == "ResourceNotFound"


async def test_describing_goes_on_after_the_project_is_gone_for_nobody_else(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet)
    project = (await world.describe(applet))["project"]
    await world.call(f"/{project}/destroy", {"terminateJobs": True})
    assert (await world.refused(f"/{job}/describe")).type == "PermissionDenied"
