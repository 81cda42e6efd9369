"""Running applets and making sub-jobs (contract E.1, F.1-F.3, I.9)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain.placement import Machine
from plasmid.methods.call import Limits
from tests.worlds import ALICE, BOB, EVE, GIB, World

NOBODY = "0" * 24
SPEC = [
    {"name": "n", "class": "int"},
    {"name": "s", "class": "string", "optional": True, "choices": ["a", "b"]},
    {"name": "d", "class": "float", "default": 0.5},
    {"name": "f", "class": "file", "optional": True},
    {"name": "fs", "class": "array:file", "optional": True},
    {"name": "h", "class": "hash", "optional": True},
    {"name": "b", "class": "boolean", "optional": True},
]


def link(entity: str, project: str | None = None) -> dict[str, Any]:
    return {"$dnanexus_link": entity if project is None else {"project": project, "id": entity}}


@pytest.fixture
async def project(world: World) -> str:
    return await world.a_project()


@pytest.fixture
async def applet(world: World, project: str) -> str:
    return await world.an_applet(project, name="the applet")


# ----------------------------------------------------------------------------- E.1 the input


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"n": 1}, {"n": 1, "d": 0.5}),
        ({"n": 32.0, "d": 1}, {"n": 32, "d": 1}),
        ({"n": -(2**53), "s": "b"}, {"n": -(2**53), "d": 0.5, "s": "b"}),
        ({"n": 1, "s": None}, {"n": 1, "d": 0.5}),
        ({"n": 1, "h": {"a": [1]}, "b": False}, {"n": 1, "d": 0.5, "h": {"a": [1]}, "b": False}),
        ({"n": 1, "fs": []}, {"n": 1, "d": 0.5, "fs": []}),
    ],
)
async def test_values_are_checked_and_defaults_put_in(
    world: World, project: str, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    job = await world.a_job(await world.an_applet(project, inputSpec=SPEC), given)
    described = await world.describe(job)
    assert described["runInput"] == given
    assert described["originalInput"] == expected
    assert described["input"] == expected


@pytest.mark.parametrize(
    "given, field",
    [
        ({}, "n"),
        ({"n": None}, "n"),
        ({"n": "1"}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": True}, "n"),
        ({"n": 2**70}, "n"),
        ({"n": 1, "s": "c"}, "s"),
        ({"n": 1, "s": 5}, "s"),
        ({"n": 1, "d": "x"}, "d"),
        ({"n": 1, "f": "file-x"}, "f"),
        ({"n": 1, "f": link("record-" + NOBODY)}, "f"),
        ({"n": 1, "fs": link("file-" + NOBODY)}, "fs"),
        ({"n": 1, "h": []}, "h"),
        ({"n": 1, "b": 1}, "b"),
        ({"n": 1, "other": 1}, "other"),
    ],
)
async def test_a_wrong_value_is_refused_by_its_name(
    world: World, project: str, given: dict[str, Any], field: str
) -> None:
    applet = await world.an_applet(project, inputSpec=SPEC)
    refusal = await world.refused(f"/{applet}/run", {"project": project, "input": given})
    assert refusal.type in ("InvalidInput", "ResourceNotFound")
    if refusal.type == "InvalidInput":
        assert f'"{field}' in refusal.message
    assert (await world.call("/system/findExecutions"))["results"] == []


async def test_without_a_spec_any_input_is_taken(world: World, applet: str) -> None:
    given = {"x": [1, {"y": None}], "z": "ü"}
    described = await world.describe(await world.a_job(applet, given))
    assert described["runInput"] == described["input"] == given


@pytest.mark.parametrize("given", [None, [], "x", 5])
async def test_the_input_has_to_be_a_hash(world: World, applet: str, given: object) -> None:
    project = (await world.describe(applet))["project"]
    refusal = await world.refused(f"/{applet}/run", {"project": project, "input": given})
    assert (refusal.type, '"input"' in refusal.message) == ("InvalidInput", True)


async def test_nested_arrays_are_flattened(world: World, project: str) -> None:
    files = [await world.a_closed_file(project) for _ in range(3)]
    applet = await world.an_applet(project, inputSpec=[{"name": "fs", "class": "array:file"}])
    given = {"fs": [link(files[0]), [link(files[1]), [link(files[2])]]]}
    described = await world.describe(await world.a_job(applet, given))
    assert described["input"]["fs"] == [link(file) for file in files]
    assert described["runInput"] == given


async def test_what_the_caller_may_not_see_cannot_be_an_input(
    world: World, project: str, applet: str
) -> None:
    secret = await world.a_closed_file(await world.a_project(as_=BOB), as_=BOB)
    other = await world.a_job(
        await world.an_applet(await world.a_project(as_=BOB), as_=BOB), as_=BOB
    )
    reference = {"job": other, "field": "x"}
    for value, kind in (
        (link(secret), "ResourceNotFound"),
        (link("file-" + NOBODY), "ResourceNotFound"),
        ([{"deep": link(secret)}], "ResourceNotFound"),
        (reference, "PermissionDenied"),
        ({"$dnanexus_link": reference}, "PermissionDenied"),
        ({"job": "job-" + NOBODY, "field": "x"}, "ResourceNotFound"),
        ({"$dnanexus_link": {"analysis": "analysis-" + NOBODY, "field": "x"}}, "ResourceNotFound"),
    ):
        body = {"project": project, "input": {"x": value}}
        assert (await world.refused(f"/{applet}/run", body)).type == kind


# -------------------------------------------------------------------------------- F.1, F.2


async def test_a_job_begins_with_the_defaults(world: World, project: str, applet: str) -> None:
    job = await world.a_job(applet)
    described = await world.describe(job)
    expected = {
        "name": "the applet", "executable": applet, "executableName": "the applet",
        "applet": applet, "function": "main", "project": project, "folder": "/", "tags": [],
        "properties": {}, "details": {}, "dependsOn": [], "priority": "normal", "rank": 0,
        "launchedBy": "user-alice", "billTo": "user-alice", "region": "aws:us-east-1",
        "parentJob": None, "originJob": job, "rootExecution": job, "detachedFrom": None,
        "instanceType": "mem1_ssd1_v2_x4", "systemRequirements": {}, "networkAccess": [],
        "debug": {}, "timeout": 30 * 86_400_000, "ignoreReuse": False, "singleContext": False,
        "delayWorkspaceDestruction": False, "preserveJobOutputs": None, "costLimit": None,
        "detailedJobMetrics": False,
        "executionPolicy": {
            "restartOn": {"UnresponsiveWorker": 2, "JMInternalError": 1, "ExecutionError": 1}
        },
    }  # fmt: skip
    assert {key: described[key] for key in expected} == expected


async def test_what_a_run_says_is_reported_back(world: World, project: str, applet: str) -> None:
    given: dict[str, Any] = {
        "name": "n", "folder": "/a/b", "tags": ["$dnanexus_link", "t"],
        "properties": {"$dnanexus_link": "x"}, "details": {"$dnanexus_link": {"job": 1}},
        "priority": "high", "rank": -1024, "debug": {"debugOn": ["AppError", "ExecutionError"]},
        "allowSSH": ["192.0.2.0/24", "*"], "ignoreReuse": True, "singleContext": True,
        "delayWorkspaceDestruction": True, "costLimit": 2.5, "preserveJobOutputs": {},
        "detailedJobMetrics": True, "maxTreeSpotWaitTime": 5, "maxJobSpotWaitTime": 6,
    }  # fmt: skip
    job = await world.a_job(applet, **given)
    described = await world.describe(job)
    assert {key: described[key] for key in given} == given
    folders = await world.call(f"/{project}/listFolder", {"folder": "/a"})
    assert folders["folders"] == ["/a/b"]


@pytest.mark.parametrize(
    "body, kind, text",
    [
        ({"project": None}, "InvalidInput", '"project"'),
        ({"project": "nonsense"}, "InvalidInput", '"project"'),
        ({"project": "container-" + NOBODY}, "InvalidInput", '"project"'),
        ({"project": "project-" + NOBODY}, "ResourceNotFound", "could not be found"),
        ({"folder": "x"}, "InvalidInput", '"folder"'),
        ({"name": ""}, "InvalidInput", '"name"'),
        ({"tags": "x"}, "InvalidInput", '"tags"'),
        ({"properties": {"k": 1}}, "InvalidInput", '"k"'),
        ({"details": "x"}, "InvalidInput", "details"),
        ({"priority": "urgent"}, "InvalidInput", '"priority"'),
        ({"rank": 1024}, "InvalidInput", '"rank"'),
        ({"rank": "1"}, "InvalidInput", '"rank"'),
        ({"rank": True}, "InvalidInput", '"rank"'),
        ({"dependsOn": ["job-" + NOBODY]}, "ResourceNotFound", NOBODY),
        ({"dependsOn": ["file-" + NOBODY]}, "ResourceNotFound", NOBODY),
        ({"dependsOn": ["nonsense"]}, "ResourceNotFound", "nonsense"),
        ({"dependsOn": ["analysis-" + NOBODY]}, "ResourceNotFound", NOBODY),
        ({"dependsOn": "job-" + NOBODY}, "InvalidInput", '"dependsOn"'),
        ({"debug": {"debugOn": ["Boredom"]}}, "InvalidInput", "debugOn"),
        ({"debug": {"debugOn": "AppError"}}, "InvalidInput", "debugOn"),
        ({"allowSSH": "*"}, "InvalidInput", '"allowSSH"'),
        ({"detach": "yes"}, "InvalidInput", '"detach"'),
        ({"systemRequirements": {"*": {"instanceType": "huge"}}}, "InvalidInput", "huge"),
        (
            {
                "systemRequirements": {
                    "*": {"instanceTypeSelector": {"allowedInstanceTypes": ["mem1_ssd1_x2"]}}
                }
            },
            "InvalidInput",
            "instanceTypeSelector",
        ),
        ({"executionPolicy": {"restartOn": {"*": 10}}}, "InvalidInput", "restartOn"),
        ({"timeoutPolicyByExecutable": {"*": {"*": {"years": 1}}}}, "InvalidInput", "timeoutPol"),
        ({"timeoutPolicyByExecutable": []}, "InvalidInput", "timeoutPolicyByExecutable"),
    ],
)
async def test_a_wrong_run_is_refused(
    world: World, project: str, applet: str, *, body: dict[str, Any], kind: str, text: str
) -> None:
    given = {"project": project, "input": {}, **body}
    refusal = await world.refused(f"/{applet}/run", given)
    assert (refusal.type, text in refusal.message) == (kind, True), refusal.message
    assert (await world.call("/system/findExecutions"))["results"] == []


async def test_running_takes_contribute_there_and_view_of_the_applet(
    world: World, project: str, applet: str
) -> None:
    mine = await world.a_project(as_=BOB)
    for target, level, expected in (
        (mine, None, "ResourceNotFound"),
        (mine, "VIEW", None),
        (project, "VIEW", "PermissionDenied"),
        (project, "UPLOAD", "PermissionDenied"),
        (project, "CONTRIBUTE", None),
    ):
        if level:
            await world.a_member(project, level)
        body = {"project": target, "input": {}}
        if expected is None:
            job = await world.new(f"/{applet}/run", body, as_=BOB)
            assert (await world.describe(job, as_=BOB))["launchedBy"] == "user-bob"
        else:
            assert (await world.refused(f"/{applet}/run", body, as_=BOB)).type == expected


async def test_only_applets_run(world: World, project: str) -> None:
    record = await world.a_record(project)
    assert (await world.refused(f"/{record}/run", {"input": {}})).type == "InvalidType"


async def test_the_defaults_of_restarts_are_overridden_reason_by_reason(
    world: World, project: str
) -> None:
    applet = await world.an_applet(
        project,
        runSpec={"executionPolicy": {"restartOn": {"ExecutionError": 5}, "maxRestarts": 3}},
    )
    policy = {"restartOn": {"AppInternalError": 2, "ExecutionError": 0}}
    job = await world.a_job(applet, executionPolicy=policy)
    assert (await world.describe(job))["executionPolicy"] == {
        "restartOn": {"ExecutionError": 0, "AppInternalError": 2},
        "maxRestarts": 3,
    }


HOUR = 3_600_000


@pytest.mark.parametrize(
    "spec, given, expected",
    [
        ({}, None, 30 * 24 * HOUR),
        ({"*": {"hours": 2}}, None, 2 * HOUR),
        ({"main": {"minutes": 90}, "*": {"hours": 2}}, None, HOUR * 3 // 2),
        ({"*": {"days": 60}}, None, 30 * 24 * HOUR),
        ({"*": {"hours": 2}}, {"*": {"hours": 1}}, HOUR),
        ({"main": {"hours": 2}}, {"*": {"hours": 1}}, HOUR),
        ({}, {"main": {"hours": 3}, "*": {"hours": 1}}, 3 * HOUR),
        ({"*": {"hours": 2}}, {"other": {"hours": 1}}, 2 * HOUR),
    ],
)
async def test_how_long_a_job_may_run(
    world: World,
    project: str,
    spec: dict[str, Any],
    given: dict[str, Any] | None,
    expected: int,
) -> None:
    applet = await world.an_applet(project, runSpec={"timeoutPolicy": spec})
    by_executable = None if given is None else {applet: given}
    job = await world.a_job(applet, timeoutPolicyByExecutable=by_executable)
    assert (await world.describe(job))["timeout"] == expected


async def test_the_operator_limits_how_long_any_job_runs(world: World, applet: str) -> None:
    world.platform.limits = Limits(job_timeout_ms=HOUR)
    assert (await world.describe(await world.a_job(applet)))["timeout"] == HOUR


# ------------------------------------------------------ instance types and the machine

SMALL_MACHINE = Machine(6 * GIB, 4, cores=2, disk_bytes=200 * 10**9)


async def test_a_type_that_is_larger_than_the_machine_is_refused(
    world: World, project: str
) -> None:
    world.platform.limits = Limits(machine=SMALL_MACHINE)
    large = {"*": {"instanceType": "mem1_ssd1_v2_x36"}}
    applet = await world.an_applet(project, runSpec={"systemRequirements": large})
    body = {"project": project, "input": {}}
    refused = await world.refused(f"/{applet}/run", body)
    assert (refused.type, refused.status) == ("InvalidInput", 422)
    assert "mem1_ssd1_v2_x36 has 36 cores" in refused.message
    smaller = {"*": {"instanceType": "mem1_ssd1_x2"}}
    job = await world.new(f"/{applet}/run", {**body, "systemRequirements": smaller})
    assert (await world.describe(job))["instanceType"] == "mem1_ssd1_x2"


async def test_with_fit_it_runs_with_what_there_is_and_says_so(world: World, project: str) -> None:
    world.platform.limits = Limits(machine=SMALL_MACHINE, fit=True)
    large = {"*": {"instanceType": "mem1_ssd1_v2_x36"}}
    job = await world.a_job(await world.an_applet(project, runSpec={"systemRequirements": large}))
    described = await world.describe(job)
    assert described["instanceType"] == "mem1_ssd1_v2_x36"
    assert described["plasmid"] == {
        "fitted": {"cores": 2, "memoryBytes": 6 * GIB, "diskBytes": 200 * 10**9}
    }
    assignment = await world.lease(job)
    assert assignment["resources"] == {
        "cores": 2, "memory_bytes": 6 * GIB, "disk_bytes": 200 * 10**9, "devices": [],
    }  # fmt: skip
    (note,) = assignment["notes"]
    assert "runs with 2 cores" in note


async def test_an_applet_that_asks_for_nothing_runs_on_any_machine(
    world: World, applet: str
) -> None:
    for machine, name in (
        (SMALL_MACHINE, "mem1_ssd1_v2_x2"),
        (Machine(GIB, 1, cores=1, disk_bytes=10**9), "mem1_ssd1_v2_x2"),
        (Machine(64 * GIB, 1, cores=8), "mem1_ssd1_v2_x4"),
    ):
        world.platform.limits = Limits(machine=machine)
        job = await world.a_job(applet)
        assert (await world.describe(job))["instanceType"] == name
        notes = (await world.lease(job))["notes"]
        assert any("usual" in note for note in notes) == (name != "mem1_ssd1_v2_x4")
        assert await world.finish(job) == "done"


async def test_of_a_selection_the_first_that_fits_is_taken(world: World, project: str) -> None:
    world.platform.limits = Limits(machine=SMALL_MACHINE)
    names = ["mem1_ssd1_v2_x36", "mem2_ssd1_x2", "mem1_ssd1_v2_x2", "mem1_ssd1_x2"]
    needs = {"*": {"instanceTypeSelector": {"allowedInstanceTypes": names}}}
    job = await world.a_job(await world.an_applet(project, runSpec={"systemRequirements": needs}))
    assert (await world.describe(job))["instanceType"] == "mem1_ssd1_v2_x2"


async def test_a_sub_job_is_refused_by_its_own_type(world: World, project: str) -> None:
    world.platform.limits = Limits(machine=SMALL_MACHINE)
    needs = {
        "main": {"instanceType": "mem1_ssd1_x2"}, "work": {"instanceType": "mem1_ssd1_x4"},
    }  # fmt: skip
    job = await world.a_job(await world.an_applet(project, runSpec={"systemRequirements": needs}))
    await world.lease(job)
    token = world.token_of(job)
    refused = await world.refused("/job/new", {"function": "work", "input": {}}, as_=token)
    assert "mem1_ssd1_x4 has 4 cores" in refused.message


async def test_what_was_not_enforced_is_described_and_nothing_else(
    world: World, applet: str
) -> None:
    job = await world.a_job(applet)
    assert "plasmid" not in await world.describe(job)
    await world.lease(job)
    await world.report(job, output={}, not_enforced=["disk: 50 GB is no limit"])
    described = await world.describe(job)
    assert described["plasmid"] == {"notEnforced": ["disk: 50 GB is no limit"]}
    assert "plasmid" not in await world.describe(job, fields={"id": True})


# ------------------------------------------------------------- F.3 system requirements

ON_REQUEST = (
    "runSystemRequirements", "runSystemRequirementsByExecutable",
    "mergedSystemRequirementsByExecutable",
)  # fmt: skip
A, B, C = ({"instanceType": f"mem1_ssd1_x{cores}"} for cores in (2, 4, 8))


@pytest.mark.parametrize(
    "spec, runtime, by_executable, expected, instance",
    [
        ({}, None, None, {}, "mem1_ssd1_v2_x4"),
        ({"*": A}, None, None, {"*": A}, "mem1_ssd1_x2"),
        ({"main": A, "*": B}, None, None, {"main": A, "*": B}, "mem1_ssd1_x2"),
        ({"main": A, "*": B}, {"*": C}, None, {"*": C}, "mem1_ssd1_x8"),
        ({}, {"some_ep": C}, None, {"some_ep": C}, "mem1_ssd1_v2_x4"),
        ({"*": A}, {"main": C}, None, {"main": C, "*": A}, "mem1_ssd1_x8"),
        ({"*": C}, {"*": A}, {"*": B}, {"*": B}, "mem1_ssd1_x4"),
        ({"*": C}, None, {"main": B}, {"main": B, "*": C}, "mem1_ssd1_x4"),
    ],
)
async def test_the_machine_is_resolved_layer_by_layer(
    world: World,
    project: str,
    *,
    spec: dict[str, Any],
    runtime: dict[str, Any] | None,
    by_executable: dict[str, Any] | None,
    expected: dict[str, Any],
    instance: str,
) -> None:
    applet = await world.an_applet(project, runSpec={"systemRequirements": spec})
    wanted = None if by_executable is None else {applet: by_executable}
    job = await world.a_job(
        applet, systemRequirements=runtime, systemRequirementsByExecutable=wanted
    )
    described = await world.describe(job)
    assert (described["systemRequirements"], described["instanceType"]) == (expected, instance)
    assert set(ON_REQUEST).isdisjoint(described)
    asked = await world.describe(job, fields=dict.fromkeys(ON_REQUEST, True))
    assert asked == {
        "runSystemRequirements": runtime,
        "runSystemRequirementsByExecutable": wanted,
        "mergedSystemRequirementsByExecutable": wanted or {},
    }


async def test_what_a_run_asks_for_reaches_sub_jobs_and_by_executable_the_whole_tree(
    world: World, project: str
) -> None:
    applet = await world.an_applet(project, runSpec={"systemRequirements": {"*": A}})
    other = await world.an_applet(project, runSpec={"systemRequirements": {"*": A}})
    job = await world.a_job(
        applet,
        systemRequirements={"*": B},
        systemRequirementsByExecutable={other: {"*": C}},
    )
    token = (await world.lease(job))["token"]
    sub = await world.a_subjob(job)
    again = await world.new(f"/{applet}/run", {"input": {}}, as_=token)
    launched = await world.new(f"/{other}/run", {"input": {}}, as_=token)
    instances = [
        (await world.describe(entity))["instanceType"] for entity in (job, sub, again, launched)
    ]
    assert instances == ["mem1_ssd1_x4", "mem1_ssd1_x4", "mem1_ssd1_x2", "mem1_ssd1_x8"]


async def test_old_releases_have_their_own_default_machine(world: World, project: str) -> None:
    applet = await world.an_applet(project, runSpec={"release": "14.04"})
    job = await world.a_job(applet)
    assert (await world.describe(job))["instanceType"] == "mem2_hdd2_x2"


# ------------------------------------------------------------------------- runs inside a job


async def test_a_sub_job_shares_workspace_executable_and_tree(world: World, applet: str) -> None:
    root = await world.a_job(applet, folder="/out", name="root", priority="high")
    await world.lease(root)
    sub = await world.a_subjob(
        root, "work", {"x": 1}, tags=["t"], properties={"k": "v"}, details={"d": 1}
    )
    parent, described = await world.describe(root), await world.describe(sub)
    same = ("workspace", "executable", "project", "folder", "launchedBy", "priority")
    assert {key: described[key] for key in same} == {key: parent[key] for key in same}
    expected = {
        "name": "root:work", "function": "work", "parentJob": root, "parentJobTry": 0,
        "originJob": root, "rootExecution": root, "input": {"x": 1}, "tags": ["t"],
        "properties": {"k": "v"}, "details": {"d": 1},
    }  # fmt: skip
    assert {key: described[key] for key in expected} == expected


@pytest.mark.parametrize(
    "body, kind",
    [
        ({"input": {}}, "InvalidInput"),
        ({"function": "", "input": {}}, "InvalidInput"),
        ({"function": 5, "input": {}}, "InvalidInput"),
        ({"function": "f"}, "InvalidInput"),
        ({"function": "f", "input": []}, "InvalidInput"),
        ({"function": "f", "input": {"x": link("file-" + NOBODY)}}, "ResourceNotFound"),
        ({"function": "f", "input": {}, "dependsOn": ["job-" + NOBODY]}, "ResourceNotFound"),
        (
            {"function": "f", "input": {}, "systemRequirements": {"*": {"instanceType": "x"}}},
            "InvalidInput",
        ),
    ],
)
async def test_a_wrong_sub_job_is_refused(
    world: World, applet: str, body: dict[str, Any], kind: str
) -> None:
    root = await world.a_job(applet)
    token = (await world.lease(root))["token"]
    assert (await world.refused("/job/new", body, as_=token)).type == kind


async def test_a_job_whose_applet_is_gone_makes_no_more_sub_jobs(
    world: World, project: str, applet: str
) -> None:
    root = await world.a_job(applet)
    token = (await world.lease(root))["token"]
    await world.call(f"/{project}/removeObjects", {"objects": [applet]})
    body = {"function": "f", "input": {}}
    assert (await world.refused("/job/new", body, as_=token)).type == "ResourceNotFound"


async def test_only_a_job_makes_sub_jobs(world: World) -> None:
    body = {"function": "f", "input": {}}
    assert (await world.refused("/job/new", body)).type == "PermissionDenied"


async def test_an_applet_run_by_a_job_is_a_master_job_of_its_tree(
    world: World, project: str, applet: str
) -> None:
    root = await world.a_job(applet, priority="high")
    token = (await world.lease(root))["token"]
    body = {"input": {}, "folder": "/of the child"}
    child = await world.new(f"/{applet}/run", body, as_=token)
    assert (await world.call(f"/{project}/listFolder"))["folders"] == []
    described = await world.describe(child)
    expected = {
        "project": project, "parentJob": root, "parentJobTry": 0, "originJob": root,
        "rootExecution": root, "function": "main", "launchedBy": "user-alice",
        "detachedFrom": None, "priority": "high",
    }  # fmt: skip
    assert {key: described[key] for key in expected} == expected
    assert described["workspace"] != (await world.describe(root))["workspace"]


async def test_a_detached_run_begins_a_tree_of_its_own(
    world: World, project: str, applet: str
) -> None:
    applet = await world.an_applet(project, access={"project": "CONTRIBUTE"})
    root = await world.a_job(applet)
    token = (await world.lease(root))["token"]
    other = await world.a_project()
    body = {"input": {}, "detach": True, "rank": 7}
    job = await world.new(f"/{applet}/run", body, as_=token)
    described = await world.describe(job)
    expected = {
        "project": project, "rank": 7, "parentJobTry": None,
        "parentJob": None, "originJob": job, "rootExecution": job, "detachedFrom": root,
        "detachedFromTry": 0, "launchedBy": "user-alice",
    }  # fmt: skip
    assert {key: described[key] for key in expected} == expected
    refusal = await world.refused(f"/{applet}/run", {**body, "project": other}, as_=token)
    assert (refusal.type, "detachedJob" in refusal.message) == ("PermissionDenied", True)


async def test_a_detached_run_takes_contribute_of_the_jobs_own_token(
    world: World, project: str, applet: str
) -> None:
    root = await world.a_job(applet)
    token = (await world.lease(root))["token"]
    body = {"input": {}, "detach": True, "project": project}
    assert (await world.refused(f"/{applet}/run", body, as_=token)).type == "PermissionDenied"


# -------------------------------------------------------------------- what a job's token may


@pytest.mark.parametrize(
    "access, own, other",
    [
        ({}, "VIEW", None),
        ({"project": None}, None, None),
        ({"project": "UPLOAD"}, "UPLOAD", None),
        ({"project": "CONTRIBUTE"}, "CONTRIBUTE", None),
        ({"project": "ADMINISTER"}, "ADMINISTER", None),
        ({"allProjects": "VIEW"}, "VIEW", "VIEW"),
        ({"allProjects": "CONTRIBUTE"}, "CONTRIBUTE", "CONTRIBUTE"),
    ],
)
async def test_a_jobs_token_may_what_its_applet_asks_for(
    world: World, project: str, access: dict[str, Any], own: str | None, other: str | None
) -> None:
    elsewhere = await world.a_project()
    applet = await world.an_applet(project, access=access)
    job = await world.a_job(applet)
    token = (await world.lease(job))["token"]
    for entity, level in ((project, own), (elsewhere, other)):
        if level is None:
            refusal = await world.refused(f"/{entity}/describe", as_=token)
            assert refusal.type == "PermissionDenied"
        else:
            assert (await world.describe(entity, as_=token))["level"] == level
    workspace = (await world.describe(job))["workspace"]
    assert (await world.describe(workspace, as_=token))["level"] == "CONTRIBUTE"


async def test_a_jobs_token_never_may_more_than_its_user(world: World, project: str) -> None:
    applet = await world.an_applet(
        project, access={"project": "ADMINISTER", "allProjects": "ADMINISTER"}
    )
    await world.a_member(project, "CONTRIBUTE")
    secret = await world.a_project()
    job = await world.new(f"/{applet}/run", {"project": project, "input": {}}, as_=BOB)
    token = (await world.lease(job))["token"]
    assert (await world.describe(project, as_=token))["level"] == "CONTRIBUTE"
    assert (await world.refused(f"/{secret}/describe", as_=token)).type == "PermissionDenied"
    await world.call(f"/{project}/decreasePermissions", {"user-bob": "VIEW"})
    assert (await world.describe(project, as_=token))["level"] == "VIEW"


@pytest.mark.parametrize("may", [True, False])
async def test_making_projects_is_asked_for(world: World, project: str, may: bool) -> None:
    applet = await world.an_applet(project, access={"projectCreation": may})
    token = (await world.lease(await world.a_job(applet)))["token"]
    if may:
        await world.a_project(as_=token)
    else:
        refusal = await world.refused("/project/new", {"name": "x"}, as_=token)
        assert refusal.type == "PermissionDenied"


async def test_a_job_sees_its_own_applet_and_bundles_wherever_they_lie(
    world: World, project: str
) -> None:
    """The helpers in the sandbox describe the applet and download its bundles."""
    bundle = await world.a_closed_file(project, b"bundle", hidden=True)
    applet = await world.an_applet(
        project,
        access={"project": None},
        runSpec={"bundledDepends": [{"name": "b", "id": link(bundle)}]},
    )
    await world.a_member(project, "VIEW")
    elsewhere = await world.a_project(as_=BOB)
    for project_of_run, as_ in ((project, ALICE), (elsewhere, BOB)):
        job = await world.new(f"/{applet}/run", {"project": project_of_run, "input": {}}, as_=as_)
        token = (await world.lease(job))["token"]
        workspace = (await world.describe(job, as_=as_))["workspace"]
        assert (await world.describe(applet, as_=token, project=workspace))["id"] == applet
        assert await world.read(bundle, as_=token, project=workspace) == b"bundle"
        assert (await world.refused(f"/{project}/describe", as_=token)).status == 401
    assert (await world.refused(f"/{applet}/describe", as_=EVE)).type == "ResourceNotFound"


async def test_a_jobs_inputs_are_readable_whatever_its_access(world: World, project: str) -> None:
    applet = await world.an_applet(project, access={"project": None})
    file = await world.a_closed_file(project, name="in.txt", properties={"k": "v"})
    job = await world.a_job(applet, {"f": link(file, project)})
    token = (await world.lease(job))["token"]
    described = await world.describe(file, as_=token, properties=True)
    assert (described["name"], described["properties"]) == ("in.txt", {"k": "v"})
    assert await world.read(file, as_=token) == b"hello"


async def test_an_input_keeps_the_name_of_the_project_it_was_named_in(
    world: World, project: str, applet: str
) -> None:
    """Not that of some project whose names are nobody's business."""
    file = await world.a_closed_file(project, name="mine")
    others = []
    await world.a_member(project, "VIEW")
    for _ in range(6):
        other = await world.a_project(as_=BOB)
        await world.call(f"/{project}/clone", {"objects": [file], "project": other}, as_=BOB)
        await world.call(f"/{file}/rename", {"project": other, "name": "secret"}, as_=BOB)
        others.append(other)
    for value in (link(file, project), link(file)):
        job = await world.a_job(applet, {"f": value})
        assignment = await world.lease(job)
        assert assignment["input_files"] == {file: "mine"}


async def test_a_job_may_describe_and_terminate_its_own_tree(world: World, project: str) -> None:
    applet = await world.an_applet(project, access={"project": None})
    root = await world.a_job(applet)
    token = (await world.lease(root))["token"]
    child = await world.new(f"/{applet}/run", {"input": {}}, as_=token)
    child_token = (await world.lease(child))["token"]
    grandchild = await world.new(f"/{applet}/run", {"input": {}}, as_=child_token)
    for entity in (root, child, grandchild):
        assert (await world.describe(entity, as_=token))["id"] == entity
        assert (await world.describe(entity, as_=child_token))["id"] == entity
    await world.call(f"/{grandchild}/terminate", as_=token)
    assert await world.state(grandchild) == "terminated"
    stranger = await world.a_job(applet)
    assert (await world.refused(f"/{stranger}/describe", as_=token)).type == "PermissionDenied"


async def test_a_jobs_token_changes_no_accounts(world: World, applet: str) -> None:
    token = (await world.lease(await world.a_job(applet)))["token"]
    refusal = await world.refused("/user-alice/update", {"sshPublicKey": "x"}, as_=token)
    assert refusal.type == "PermissionDenied"
