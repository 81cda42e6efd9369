"""What a run and a sub-job may say beyond their input (contract F.1, F.2)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.methods import run_settings
from tests.worlds import ALICE, BOB, World

FILE = "file-" + "0" * 24
# What is wrong of each field, and what the refusal names.
OF_BOTH: list[tuple[dict[str, Any], str]] = [
    ({"name": 5}, '"name"'),
    ({"tags": "t"}, '"tags"'),
    ({"tags": [""]}, '"tags"'),
    ({"properties": []}, '"properties"'),
    ({"details": 5}, "details"),
    ({"dependsOn": "job"}, '"dependsOn"'),
    ({"priority": 1}, '"priority"'),
    ({"dependsOn": [5]}, "5"),
    ({"delayWorkspaceDestruction": "yes"}, '"delayWorkspaceDestruction"'),
    ({"ignoreReuse": 1}, '"ignoreReuse"'),
    ({"headJobOnDemand": "no"}, '"headJobOnDemand"'),
    ({"systemRequirements": []}, "systemRequirements"),
    ({"systemRequirements": {"*": "mem1_ssd1_x2"}}, "systemRequirements.*"),
    ({"systemRequirements": {"*": {"instanceType": 5}}}, "instanceType"),
    ({"systemRequirementsByExecutable": []}, "systemRequirementsByExecutable"),
    ({"systemRequirementsByExecutable": {"*": {"*": {"instanceType": "x"}}}}, "instance"),
    ({"executionPolicy": []}, "executionPolicy"),
    ({"executionPolicy": {"restartOn": {"Boredom": 1}}}, "restartOn"),
    ({"executionPolicy": {"maxRestarts": 10}}, "maxRestarts"),
    ({"timeoutPolicyByExecutable": 5}, "timeoutPolicyByExecutable"),
    ({"timeoutPolicyByExecutable": {"*": {"*": {"hours": -1}}}}, "hours"),
    ({"nonce": 5}, "nonce"),
    ({"nonce": "x" * 129}, "nonce"),
]
OF_RUNS: list[tuple[dict[str, Any], str]] = [
    ({"detach": 1}, '"detach"'),
    ({"rank": 1.5}, '"rank"'),
    ({"rank": -1025}, '"rank"'),
    ({"debug": []}, '"debug"'),
    ({"debug": {"debugOn": ["OutputError"]}}, "debugOn"),
    ({"allowSSH": [5]}, '"allowSSH"'),
    ({"singleContext": "x"}, '"singleContext"'),
    ({"detailedJobMetrics": "x"}, '"detailedJobMetrics"'),
    ({"costLimit": "much"}, '"costLimit"'),
    ({"costLimit": 0}, '"costLimit"'),
    ({"costLimit": True}, '"costLimit"'),
    ({"maxTreeSpotWaitTime": "2h"}, '"maxTreeSpotWaitTime"'),
    ({"maxJobSpotWaitTime": -1}, '"maxJobSpotWaitTime"'),
    ({"preserveJobOutputs": True}, '"preserveJobOutputs"'),
    ({"preserveJobOutputs": {"folder": 5}}, '"folder" of preserveJobOutputs'),
    ({"preserveJobOutputs": {"folder": "a/../b"}}, '"folder" of preserveJobOutputs'),
    ({"folder": 5}, '"folder"'),
    ({"project": 5}, '"project"'),
]


@pytest.fixture
async def project(world: World) -> str:
    return await world.a_project()


@pytest.fixture
async def applet(world: World, project: str) -> str:
    return await world.an_applet(project, name="the applet")


@pytest.mark.parametrize(("body", "named"), [*OF_BOTH, *OF_RUNS])
async def test_a_run_with_a_wrong_field_is_refused_by_its_name(
    world: World, project: str, applet: str, body: dict[str, Any], named: str
) -> None:
    refusal = await world.refused(f"/{applet}/run", {"project": project, "input": {}, **body})
    kinds = ("InvalidInput", "ResourceNotFound") if "dependsOn" in body else ("InvalidInput",)
    assert refusal.type in kinds
    assert named in refusal.message
    assert (await world.call("/system/findJobs"))["results"] == []


@pytest.mark.parametrize(("body", "named"), OF_BOTH)
async def test_a_sub_job_with_a_wrong_field_is_refused_by_its_name(
    world: World, applet: str, body: dict[str, Any], named: str
) -> None:
    root = await world.a_job(applet)
    as_ = (await world.lease(root))["token"]
    refusal = await world.refused("/job/new", {"function": "f", "input": {}, **body}, as_=as_)
    assert refusal.type in ("InvalidInput", "ResourceNotFound")
    assert named in refusal.message
    assert len((await world.call("/system/findJobs"))["results"]) == 1


async def test_what_a_sub_job_says_is_reported_back(world: World, applet: str) -> None:
    root = await world.a_job(applet)
    await world.lease(root)
    small = {"*": {"instanceType": "mem1_ssd1_x2"}}
    given: dict[str, Any] = {
        "name": "n", "tags": ["t"], "properties": {"k": "v"},
        "details": {"$dnanexus_link": {"job": 1}}, "dependsOn": [],
        "delayWorkspaceDestruction": True, "ignoreReuse": True, "headJobOnDemand": True,
        "systemRequirements": small, "systemRequirementsByExecutable": {applet: small},
        "executionPolicy": {"restartOn": {"AppError": 1}, "maxRestarts": 2},
        "timeoutPolicyByExecutable": {applet: {"work": {"minutes": 5}, "*": {"hours": 1}}},
    }  # fmt: skip
    sub = await world.a_subjob(root, "work", {"n": 1}, **given)
    described = await world.describe(sub, defaultFields=True, fields={"headJobOnDemand": True})
    timeouts = given.pop("timeoutPolicyByExecutable")
    given.pop("systemRequirementsByExecutable")
    restarts = given.pop("executionPolicy")
    assert {key: described[key] for key in given} == given
    assert (described["instanceType"], described["timeout"]) == ("mem1_ssd1_x2", 300_000)
    assert described["executionPolicy"]["restartOn"]["AppError"] == 1
    assert described["executionPolicy"]["maxRestarts"] == restarts["maxRestarts"]
    settings = (await world.job_row(sub)).settings
    assert settings["timeoutPolicyByExecutable"] == timeouts
    assert settings["mergedSystemRequirementsByExecutable"] == {applet: small}


async def test_null_is_as_if_nothing_had_been_said(world: World, applet: str) -> None:
    big = {"*": {"instanceType": "mem1_ssd1_x2"}}
    nothing: dict[str, Any] = dict.fromkeys(
        ("tags", "properties", "details", "dependsOn", "priority", "rank", "folder", "name",
         "debug", "allowSSH", "costLimit", "preserveJobOutputs", "executionPolicy", "detach",
         "timeoutPolicyByExecutable", "singleContext", "ignoreReuse")
    )  # fmt: skip
    root = await world.a_job(applet, **nothing, systemRequirements=big)
    await world.lease(root)
    sub = await world.a_subjob(root, systemRequirements=None, details=None)
    described = await world.describe(sub)
    assert (described["instanceType"], described["details"]) == ("mem1_ssd1_x2", {})


async def test_what_a_root_says_of_its_tree_is_true_of_all_jobs_below(
    world: World, applet: str
) -> None:
    said: dict[str, Any] = {
        "debug": {"debugOn": ["AppError"]}, "allowSSH": ["*"], "delayWorkspaceDestruction": True,
        "detailedJobMetrics": True, "preserveJobOutputs": {},
    }  # fmt: skip
    root = await world.a_job(
        applet, **said, costLimit=1, rank=5, priority="high", details={"a": 1}, tags=["t"]
    )
    await world.lease(root)
    as_ = world.token_of(root)
    master = await world.new(f"/{applet}/run", {"input": {}, "rank": 9}, as_=as_)
    for job in (await world.a_subjob(root), master):
        described = await world.describe(job)
        assert {key: described[key] for key in said} == said
        assert (described["rank"], described["priority"]) == (5, "high")
        own = {key: described[key] for key in ("costLimit", "details", "tags")}
        assert own == {"costLimit": None, "details": {}, "tags": []}
    other = {"input": {}, "debug": {}, "delayWorkspaceDestruction": False}
    described = await world.describe(await world.new(f"/{applet}/run", other, as_=as_))
    assert (described["debug"], described["delayWorkspaceDestruction"]) == ({}, False)


async def test_a_job_of_the_tree_says_its_own_priority(world: World, applet: str) -> None:
    root = await world.a_job(applet)
    as_ = (await world.lease(root))["token"]
    job = await world.new(f"/{applet}/run", {"input": {}, "priority": "low"}, as_=as_)
    assert (await world.describe(job))["priority"] == "low"
    # as public apps do by `dx-jobutil-new-job --extra-args`
    assert (await world.describe(await world.a_subjob(root, priority="low")))["priority"] == "low"


async def test_the_same_nonce_starts_one_job(world: World, project: str, applet: str) -> None:
    body = {"project": project, "input": {}, "nonce": "once"}
    first = await world.new(f"/{applet}/run", body)
    assert await world.new(f"/{applet}/run", body) == first
    refusal = await world.refused(f"/{applet}/run", {**body, "input": {"x": 1}})
    assert (refusal.type, "Nonce was reused" in refusal.message) == ("InvalidInput", True)
    as_ = (await world.lease(first))["token"]
    body = {"function": "f", "input": {}, "nonce": "again"}
    sub = await world.new("/job/new", body, as_=as_)
    assert await world.new("/job/new", body, as_=as_) == sub
    assert len((await world.call("/system/findJobs"))["results"]) == 2


async def test_a_projects_list_says_what_may_begin_a_tree_there(
    world: World, project: str, applet: str
) -> None:
    other = await world.an_applet(project, access={"project": "CONTRIBUTE"})
    await world.call(f"/{project}/update", {"allowedExecutables": [other]})
    body = {"project": project, "input": {}}
    refusal = await world.refused(f"/{applet}/run", body)
    assert refusal.type == "PermissionDenied"
    assert applet in refusal.message
    assert other in refusal.message
    root = await world.new(f"/{other}/run", body)
    as_ = (await world.lease(root))["token"]
    await world.new(f"/{applet}/run", {"input": {}}, as_=as_)  # below a root: anything
    refusal = await world.refused(f"/{applet}/run", {"input": {}, "detach": True}, as_=as_)
    assert refusal.type == "PermissionDenied"
    await world.call(f"/{project}/update", {"allowedExecutables": []})
    assert (await world.refused(f"/{other}/run", body)).type == "PermissionDenied"
    await world.call(f"/{project}/update", {"allowedExecutables": None})
    await world.new(f"/{applet}/run", body)


async def test_only_who_administers_a_project_says_what_may_run_there(
    world: World, project: str, applet: str
) -> None:
    await world.a_member(project, "CONTRIBUTE")
    body = {"allowedExecutables": [applet]}
    assert (await world.refused(f"/{project}/update", body, as_=BOB)).type == "PermissionDenied"
    await world.call(f"/{project}/update", body, as_=ALICE)
    await world.new(f"/{applet}/run", {"project": project, "input": {}}, as_=BOB)


async def test_what_is_given_to_a_sub_job_is_not_cloned_and_keeps_its_name(
    world: World, project: str, applet: str
) -> None:
    file = await world.a_closed_file(project, b"in the project", name="reads.fq")
    root = await world.a_job(applet)
    await world.lease(root)
    own = (await world.job_row(root)).workspace
    made = await world.a_closed_file(own, as_=world.token_of(root), name="made.fq")
    given = {"f": [{"$dnanexus_link": file}], "g": {"$dnanexus_link": made}}
    sub = await world.a_subjob(root, "work", given)
    assignment = await world.lease(sub)
    assert assignment["input_files"] == {file: "reads.fq", made: "made.fq"}
    places = await world.call(f"/{file}/listProjects", as_=ALICE)
    assert list(places) == [project]
    assert await world.read(file, as_=assignment["token"]) == b"in the project"


def test_the_reasons_to_hold_a_job_are_those_of_an_app() -> None:
    assert "AppError" in run_settings.DEBUG_REASONS
    assert "OutputError" not in run_settings.DEBUG_REASONS
