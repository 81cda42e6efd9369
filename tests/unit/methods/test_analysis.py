"""Analyses: describe, tag, change, terminate, and who may (contract E.7, F.6.3, F.10)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import BOB, EVE, START_MS, World

# Contract F.6.3, and what else a job's describe has.
DEFAULT = {
    "id", "class", "name", "executable", "executableName", "created", "modified", "billTo",
    "project", "folder", "rootExecution", "parentJob", "parentJobTry", "parentAnalysis",
    "detachedFrom", "detachedFromTry", "analysis", "stage", "workflow", "stages", "state",
    "stateTransitions", "workspace", "launchedBy", "tags", "properties", "details", "runInput",
    "originalInput", "input", "output", "dependsOn", "priority", "delayWorkspaceDestruction",
    "ignoreReuse", "preserveJobOutputs", "detailedJobMetrics", "costLimit", "rank",
    "outputReusedFrom", "treeTurnaroundTime",
}  # fmt: skip


@pytest.fixture
async def project(world: World) -> str:
    return await world.a_project()


@pytest.fixture
async def analysis(world: World, project: str) -> str:
    spec = [{"name": "n", "class": "int", "optional": True}]
    applet = await world.an_applet(project, inputSpec=spec, outputSpec=spec)
    stages = [{"id": "a", "executable": applet}, {"id": "b", "executable": applet, "name": "B"}]
    workflow = await world.a_workflow(project, *stages, name="a workflow", outputFolder="/o")
    made = await world.call(f"/{workflow}/run", {"project": project, "input": {"a.n": 1}})
    return str(made["id"])


async def job_of(world: World, analysis: str, stage: str = "a") -> str:
    described = await world.describe(analysis)
    ids = {one["id"]: str(one["execution"]["id"]) for one in described["stages"]}
    return ids[stage]


async def test_a_describe_has_all_that_the_client_reads(world: World, analysis: str) -> None:
    described = await world.describe(analysis)
    assert set(described) >= DEFAULT
    assert (described["class"], described["rootExecution"]) == ("analysis", analysis)
    workflow = described["workflow"]
    assert [stage["id"] for stage in workflow["stages"]] == ["a", "b"]
    assert {"id", "name", "inputs", "outputs", "editVersion"} <= set(workflow)
    for stage, entry in zip(workflow["stages"], described["stages"], strict=True):
        job = await world.describe(entry["execution"]["id"])
        assert entry == {"id": stage["id"], "execution": job}
        assert (job["parentAnalysis"], job["analysis"], job["stage"]) == (
            analysis, analysis, stage["id"],
        )  # fmt: skip
        assert (job["parentJob"], job["originJob"]) == (None, job["id"])
    assert described["treeTurnaroundTime"] == 0
    assert "treeTurnaroundTime" not in described["stages"][0]["execution"]


async def test_options_choose_what_is_described(world: World, analysis: str) -> None:
    whole = await world.describe(analysis)
    without = await world.describe(analysis, io=False)
    assert set(whole) - set(without) == {"runInput", "originalInput", "input", "output"}
    assert "input" not in without["stages"][0]["execution"]
    assert await world.describe(analysis, fields={"state": True}) == {"state": "in_progress"}
    found = await world.describe(analysis, fields={"input": True})
    assert found == {"input": {"a.n": 1}}
    found = await world.describe(analysis, defaultFields=True, fields={"stages": False})
    assert set(whole) - set(found) == {"stages"}
    found = await world.describe(analysis, fields={"runStageSystemRequirements": True})
    assert found == {"runStageSystemRequirements": None}


async def test_tags_and_properties_are_those_of_the_analysis(world: World, analysis: str) -> None:
    await world.call(f"/{analysis}/addTags", {"tags": ["foo", "bar", "foo"]})
    await world.call(f"/{analysis}/removeTags", {"tags": ["bar", "baz"]})
    await world.call(f"/{analysis}/setProperties", {"properties": {"a": "1", "$x.y": "2"}})
    await world.call(f"/{analysis}/setProperties", {"properties": {"$x.y": None}})
    described = await world.describe(analysis)
    assert (described["tags"], described["properties"]) == (["foo"], {"a": "1"})
    assert (await world.describe(await job_of(world, analysis)))["tags"] == []


async def test_ssh_and_rank_can_be_changed_while_it_lasts(world: World, analysis: str) -> None:
    job = await job_of(world, analysis)
    await world.lease(job)
    answer = await world.call(f"/{analysis}/update", {"allowSSH": ["192.0.2.1"], "rank": 5})
    assert answer == {"id": analysis}
    for entity in (analysis, job, await job_of(world, analysis, "b")):
        described = await world.describe(entity)
        assert (described["allowSSH"], described["rank"]) == (["192.0.2.1"], 5)
    refused = await world.refused(f"/{analysis}/update", {"allowSSH": ["nowhere"]})
    assert refused.type == "InvalidInput"
    refused = await world.refused(f"/{job}/update", {"rank": 1})
    assert analysis in refused.message
    await world.call(f"/{analysis}/terminate")
    for entry in (await world.sync())["stop"]:
        await world.report(entry["job"])
    assert (await world.refused(f"/{analysis}/update", {"rank": 1})).type == "InvalidState"


async def test_only_its_launcher_or_an_administrator_ends_it(
    world: World, project: str, analysis: str
) -> None:
    for verb in ("describe", "terminate", "addTags"):
        refused = await world.refused(f"/{analysis}/{verb}", {"tags": []}, as_=EVE)
        assert refused.type == "PermissionDenied"
    await world.a_member(project, "CONTRIBUTE")
    assert (await world.describe(analysis, as_=BOB))["id"] == analysis
    refused = await world.refused(f"/{analysis}/terminate", as_=BOB)
    assert "may only be changed by who launched it" in refused.message
    await world.a_member(project, "ADMINISTER")
    await world.call(f"/{analysis}/terminate", as_=BOB)
    assert (await world.describe(analysis))["state"] == "terminated"


async def test_one_that_is_not_there_is_not_found(world: World) -> None:
    for verb in ("describe", "terminate", "update", "addTags"):
        refused = await world.refused(f"/analysis-{'0' * 24}/{verb}", {"tags": []})
        assert refused.type == "ResourceNotFound"


async def test_a_job_may_see_and_end_the_analysis_that_it_is_in(
    world: World, analysis: str
) -> None:
    job = await job_of(world, analysis)
    await world.lease(job)
    token = world.token_of(job)
    assert (await world.describe(analysis, as_=token))["id"] == analysis
    await world.call(f"/{analysis}/addTags", {"tags": ["x"]}, as_=token)
    identity = await world.call(f"/{job}/getIdentityToken", {"audience": "a"}, as_=token)
    assert identity["Token"].count(".") == 2
    await world.call(f"/{analysis}/terminate", as_=token)


async def test_a_workflow_knows_its_latest_analysis(world: World, analysis: str) -> None:
    workflow = (await world.describe(analysis))["executable"]
    latest: dict[str, Any] = {"id": analysis, "created": START_MS, "state": "in_progress"}
    assert (await world.describe(workflow))["latestAnalysis"] == latest


async def test_a_workflow_that_is_made_from_it_does_the_same_again(
    world: World, project: str, analysis: str
) -> None:
    source = {"project": project, "initializeFrom": {"id": analysis}, "temporary": True}
    workflow = (await world.call("/workflow/new", source))["id"]
    made = await world.call(f"/{workflow}/run", {"project": project, "input": {}})
    again, first = await world.describe(made["id"]), await world.describe(analysis)
    for field in ("input", "folder", "name"):
        assert again[field] == first[field]


async def test_the_end_of_a_token_is_that_of_what_it_has_launched(
    world: World, project: str, analysis: str
) -> None:
    workflow = (await world.describe(analysis))["executable"]
    minted = await world.call("/system/newAuthToken", {"label": "mine"})
    token = minted["access_token"] if "access_token" in minted else minted["token"]
    made = await world.call(f"/{workflow}/run", {"project": project, "input": {}}, as_=token)
    signature = {"tokenSignature": minted["token_signature"]}
    await world.call("/system/destroyAuthToken", signature)
    described = await world.describe(made["id"])
    assert (described["state"], described["failureReason"]) == ("failed", "AuthError")
    assert (await world.describe(analysis))["state"] == "in_progress"
