"""Workflows: make, describe, close, copy, find (contract E.6)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from plasmid.domain import stage_links
from tests.worlds import ALICE, BOB, START_MS, World

INT = [{"name": "n", "class": "int"}]
ABSENT = f"applet-{'0' * 24}"


def out(stage: str, field: str = "n") -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": stage, "outputField": field}}


TAKEN: dict[str, Any] = {"$dnanexus_link": {"workflowInputField": "f"}}


@pytest.fixture
async def project(world: World) -> str:
    return await world.a_project()


@pytest.fixture
async def applet(world: World, project: str) -> str:
    return await world.an_applet(project, inputSpec=INT, outputSpec=INT)


def fields(described: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: described[name] for name in names}


async def test_a_bare_workflow_has_the_defaults(world: World, project: str) -> None:
    made = await world.call("/workflow/new", {"project": project})
    assert made == {"id": made["id"], "editVersion": 0}
    described = await world.describe(made["id"])
    assert described == {
        "id": made["id"], "project": project, "class": "workflow", "types": [], "state": "open",
        "created": START_MS, "modified": START_MS, "hidden": False, "links": [], "folder": "/",
        "name": made["id"], "sponsored": False, "tags": [], "createdBy": {"user": "user-alice"},
        "title": made["id"], "summary": "", "description": "", "outputFolder": None,
        "editVersion": 0, "temporary": False, "stages": [], "inputs": None, "outputs": None,
        "inputSpec": [], "outputSpec": [], "ignoreReuse": [], "latestAnalysis": None,
    }  # fmt: skip


async def test_a_whole_dxworkflow_json_is_taken(world: World, project: str, applet: str) -> None:
    stages: list[dict[str, Any]] = [
        {
            "id": "stage_0", "name": "one", "executable": applet, "folder": "/x",
            "input": {"n": TAKEN},
            "executionPolicy": {"restartOn": {}, "onNonRestartableFailure": "failStage"},
            "systemRequirements": {"main": {"instanceType": "mem1_ssd1_x2"}},
        },
        {"id": "stage_1", "executable": applet, "input": {"n": out("stage_0")}},
    ]  # fmt: skip
    given: dict[str, Any] = {
        "title": "T", "summary": "S", "description": "D", "dxapi": "1.0.0", "version": "0.0.1",
        "outputFolder": "/", "inputs": [{"name": "f", "class": "int"}], "ignoreReuse": ["stage_0"],
        "outputs": [{"name": "g", "class": "int", "outputSource": out("stage_1")}],
        "treeTurnaroundTimeThreshold": 2,
    }  # fmt: skip
    described = await world.describe(await world.a_workflow(project, *stages, **given))
    del given["version"]
    assert fields(described, *given) == given
    bare: dict[str, Any] = {
        "name": None,
        "folder": None,
        "executionPolicy": {},
        "systemRequirements": {},
    }
    assert described["stages"] == [
        {**stages[0], "accessible": True},
        {**bare, **stages[1], "accessible": True},
    ]
    assert described["links"] == [applet]


async def test_the_id_of_a_stage_is_short(world: World, project: str, applet: str) -> None:
    body = {"project": project, "stages": [{"id": "a" * 256, "executable": applet}]}
    refused = await world.refused("/workflow/new", body)
    assert refused.type == "InvalidInput"
    assert refused.message == 'Expected key "id" of stages[0] to be at most 255 characters long'
    body["stages"] = [{"id": "a" * 255, "executable": applet}]
    await world.call("/workflow/new", body)


async def test_a_stage_without_id_gets_one(world: World, project: str, applet: str) -> None:
    described = await world.describe(await world.a_workflow(project, {"executable": applet}))
    (stage,) = described["stages"]
    assert stage["id"].startswith("stage-")
    assert len(stage["id"]) == 30
    assert [field["name"] for field in described["inputSpec"]] == [f"{stage['id']}.n"]


@pytest.mark.parametrize(
    ("stages", "text"),
    [
        ([{"id": "a"}], 'stages[0] to have property "executable"'),
        ([{"executable": f"file-{'0' * 24}"}], "executable"),
        ([{"executable": ABSENT}], "could not be found"),
        ([{"executable": "app-nowhere"}], "could not be found"),
        ([{"id": "a.b", "executable": "$"}], '"id" of stages[0]'),
        ([{"id": "a", "executable": "$"}] * 2, '"id" of stages[1]'),
        ([{"executable": "$", "input": {"other": 1}}], "stages[0].input"),
        ([{"executable": "$", "input": {"n": "x"}}], "an integer"),
        ([{"executable": "$", "input": {"n": out("b")}}], 'no "b"'),
        (
            [{"id": "a", "executable": "$"}, {"executable": "$", "input": {"n": out("a", "x")}}],
            'no output "x"',
        ),
        ([{"id": "a", "executable": "$", "input": {"n": out("a")}}], "a needs a"),
        ([{"executable": "$", "input": {"n": TAKEN}}], "which has none"),
        ([{"executable": "$", "systemRequirements": {"*": {"instanceType": "foo"}}}], "foo"),
        ([3], "an array of hashes"),
    ],
)
async def test_stages_that_are_wrong_make_no_workflow(
    world: World, applet: str, stages: list[Any], text: str
) -> None:
    filled = [{**stage, "executable": applet} if "'$'" in str(stage) else stage for stage in stages]
    project = (await world.describe(applet))["project"]
    refusal = await world.refused("/workflow/new", {"project": project, "stages": filled})
    is_absent = text == "could not be found"
    assert refusal.type == ("ResourceNotFound" if is_absent else "InvalidInput")
    assert text in refusal.message
    assert await world.rows("SELECT id FROM objects WHERE class_name = 'workflow'") == []


async def test_an_output_may_come_from_a_field_that_is_not_there_yet(
    world: World, project: str
) -> None:
    """The client's own tests make such a workflow; a run says what is missing."""
    silent = await world.an_applet(project, inputSpec=[], outputSpec=[])
    outputs = [{"name": "g", "class": "int", "outputSource": out("a", "nothing")}]
    stage = {"id": "a", "executable": silent}
    described = await world.describe(await world.a_workflow(project, stage, outputs=outputs))
    assert described["outputs"] == outputs


async def test_creating_again_with_a_nonce_creates_once(world: World, project: str) -> None:
    body = {"project": project, "nonce": "n"}
    first = await world.call("/workflow/new", body)
    assert await world.call("/workflow/new", body) == first


async def test_an_executable_that_the_caller_cannot_see_is_not_accessible(
    world: World, project: str, applet: str
) -> None:
    other = await world.a_project()
    workflow = await world.a_workflow(other, {"id": "a", "executable": applet})
    await world.a_member(other, "VIEW")
    described = await world.describe(workflow, as_=BOB)
    assert described["stages"][0]["accessible"] is False
    assert fields(described, "inputSpec", "outputSpec") == {"inputSpec": None, "outputSpec": None}
    assert (await world.describe(workflow))["stages"][0]["accessible"] is True
    await world.call(f"/{project}/removeObjects", {"objects": [applet]})
    assert (await world.describe(workflow))["inputSpec"] is None


async def test_finds_and_lists_tell_of_a_workflow_what_a_describe_tells(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet})
    described = await world.describe(workflow)
    asked = {"class": "workflow", "scope": {"project": project}, "describe": True}
    found = await world.call("/system/findDataObjects", asked)
    assert [entry["describe"] for entry in found["results"]] == [described]
    listed = await world.call(f"/{project}/listFolder", {"describe": {"fields": {"stages": True}}})
    by_id = {entry["id"]: entry["describe"] for entry in listed["objects"]}
    assert by_id[workflow] == {"id": workflow, "stages": described["stages"]}


async def test_stages_run_apps_by_version_and_workflows(
    world: World, project: str, applet: str
) -> None:
    app = await world.an_app(applet)
    inner = await world.a_workflow(project, {"id": "in", "executable": applet, "input": {"n": 1}})
    outer = await world.a_workflow(
        project,
        {"id": "by_name", "executable": "app-an_app"},
        {"id": "nested", "executable": inner},
    )
    described = await world.describe(outer)
    assert [stage["executable"] for stage in described["stages"]] == [app, inner]
    assert described["links"] == [inner]
    assert [field["name"] for field in described["inputSpec"]] == ["by_name.n", "nested.in.n"]
    assert described["inputSpec"][1]["default"] == 1


async def test_an_app_that_the_caller_may_not_use_is_not_accessible(
    world: World, project: str, applet: str
) -> None:
    app = await world.an_app(applet)
    workflow = await world.a_workflow(project, {"id": "a", "executable": app})
    await world.a_member(project, "CONTRIBUTE")
    assert (await world.describe(workflow, as_=BOB))["stages"][0]["accessible"] is False
    refusal = await world.refused(
        f"/{workflow}/addStage", {"editVersion": 0, "executable": app}, as_=BOB
    )
    assert refusal.type == "PermissionDenied"
    await world.call(f"/{app}/delete")
    assert (await world.describe(workflow))["stages"][0]["accessible"] is False


async def test_a_closed_workflow_keeps_what_it_is(world: World, project: str, applet: str) -> None:
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet})
    for _ in range(2):
        assert await world.call(f"/{workflow}/close") == {"id": workflow}
    assert (await world.describe(workflow))["state"] == "closed"
    edits: dict[str, dict[str, Any]] = {
        "addStage": {"executable": applet},
        "removeStage": {"stage": "a"},
        "moveStage": {"stage": "a", "newIndex": 0},
        "update": {"title": "T"},
        "updateStageExecutable": {"stage": "a", "executable": applet},
        "overwrite": {"from": {"id": workflow}},
        "setDetails": {},
        "addTypes": {"types": ["T"]},
    }
    for verb, body in edits.items():
        refusal = await world.refused(f"/{workflow}/{verb}", {"editVersion": 0, **body})
        assert refusal.type == "InvalidState", verb
    await world.call(f"/{workflow}/rename", {"project": project, "name": "new"})
    assert (await world.describe(workflow))["title"] == "new"


async def test_a_workflow_that_takes_what_nobody_gives_is_not_closed(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(project)
    stage = {"editVersion": 0, "executable": applet, "input": {"n": TAKEN}}
    await world.call(f"/{workflow}/addStage", stage)
    refusal = await world.refused(f"/{workflow}/close")
    assert refusal.type == "InvalidState"
    assert "inputs of the workflow" in refusal.message
    given = {"editVersion": 1, "inputs": [{"name": "f", "class": "int"}]}
    await world.call(f"/{workflow}/update", given)
    await world.call(f"/{workflow}/close")


async def test_a_copy_brings_the_hidden_applets_of_its_stages(world: World, project: str) -> None:
    shown = await world.an_applet(project)
    hidden = await world.an_applet(project, hidden=True, folder="/parts", parents=True)
    inner = await world.a_workflow(project, {"id": "in", "executable": hidden}, hidden=True)
    workflow = await world.a_workflow(
        project, {"id": "a", "executable": shown}, {"id": "b", "executable": inner}
    )
    for one in (inner, workflow):
        await world.call(f"/{one}/close")
    other = await world.a_project()
    body = {"objects": [workflow], "project": other}
    assert (await world.call(f"/{project}/clone", body))["exists"] == []
    places = await world.call(f"/{inner}/listProjects")
    assert sorted(places) == sorted([project, other])
    assert sorted(await world.call(f"/{hidden}/listProjects")) == sorted([project, other])
    assert list(await world.call(f"/{shown}/listProjects")) == [project]


async def test_hidden_applets_go_with_the_last_workflow_that_runs_them(
    world: World, project: str
) -> None:
    hidden = await world.an_applet(project, hidden=True)
    workflow = await world.a_workflow(project, {"id": "a", "executable": hidden})
    await world.call(f"/{project}/removeObjects", {"objects": [workflow]})
    assert (await world.refused(f"/{hidden}/describe")).type == "ResourceNotFound"


async def test_details_leave_the_links_of_the_stages_alone(
    world: World, project: str, applet: str
) -> None:
    record = await world.a_record(project)
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet})
    await world.call(f"/{workflow}/setDetails", {"l": {"$dnanexus_link": record}})
    assert (await world.describe(workflow))["links"] == [record, applet]
    await world.call(f"/{workflow}/removeStage", {"editVersion": 0, "stage": "a"})
    assert (await world.describe(workflow))["links"] == [record]


async def test_metadata_of_a_workflow_changes_as_of_any_object(world: World, project: str) -> None:
    workflow = await world.a_workflow(project)
    here = {"project": project}
    await world.call(f"/{workflow}/addTags", {**here, "tags": ["t", "u"]})
    await world.call(f"/{workflow}/removeTags", {**here, "tags": ["u"]})
    await world.call(f"/{workflow}/setProperties", {**here, "properties": {"k": "v"}})
    await world.call(f"/{workflow}/addTypes", {"types": ["T", "U"]})
    await world.call(f"/{workflow}/removeTypes", {"types": ["U"]})
    await world.call(f"/{workflow}/setVisibility", {"hidden": True})
    described = await world.describe(workflow, properties=True)
    assert fields(described, "tags", "properties", "types", "hidden") == {
        "tags": ["t"], "properties": {"k": "v"}, "types": ["T"], "hidden": True,
    }  # fmt: skip
    assert await world.call(f"/{workflow}/getDetails") == {}
    assert described["editVersion"] == 0


async def test_nested_workflows_are_described_to_a_depth(world: World, project: str) -> None:
    """Built from the top down, a tower of workflows can be as high as one likes."""
    tower = [await world.a_workflow(project) for _ in range(12)]
    for above, below in itertools.pairwise(tower):
        stage = {"editVersion": 0, "id": "in", "executable": below}
        await world.call(f"/{above}/addStage", stage)
    assert (await world.describe(tower[0]))["stages"][0]["accessible"] is False
    assert (await world.describe(tower[6]))["stages"][0]["accessible"] is True


async def test_the_newest_run_that_the_caller_may_see_is_told(world: World, project: str) -> None:
    stage = {"id": "a", "executable": await world.an_applet(project)}
    workflow = await world.a_workflow(project, stage)
    other = await world.a_project(as_=BOB)
    await world.a_member(project, "VIEW")
    first = await world.call(f"/{workflow}/run", {"project": project, "input": {}})
    world.clock.advance(1)
    second = await world.call(f"/{workflow}/run", {"project": other, "input": {}}, as_=BOB)
    for who, run, when in ((ALICE, first, 0), (BOB, second, 1)):
        told = (await world.describe(workflow, as_=who))["latestAnalysis"]
        assert (told["id"], told["created"]) == (run["id"], START_MS + when)


async def test_nobody_in_particular_sees_a_public_workflow(
    world: World, project: str, applet: str
) -> None:
    app = await world.an_app(applet)
    stages = [{"id": "a", "executable": applet}, {"id": "b", "executable": app}]
    workflow = await world.a_workflow(project, *stages)
    await world.call(f"/{project}/invite", {"invitee": "PUBLIC", "level": "VIEW"})
    described = await world.call(f"/{workflow}/describe", as_=None)
    assert [stage["accessible"] for stage in described["stages"]] == [True, False]


async def test_a_workflow_has_many_stages_and_not_more(
    world: World, project: str, applet: str
) -> None:
    stages = [{"executable": applet}] * 1000
    workflow = await world.a_workflow(project, *stages)
    assert len((await world.describe(workflow))["inputSpec"]) == 1000
    stage = {"editVersion": 0, "executable": applet}
    for route, body in (
        ("/workflow/new", {"project": project, "stages": [*stages, stage]}),
        (f"/{workflow}/addStage", stage),
    ):
        refusal = await world.refused(route, body)
        assert refusal.type == "InvalidInput"
        assert "at most 1000 stages" in refusal.message


def test_the_forms_of_links_here_are_links() -> None:
    assert stage_links.found([out("a"), TAKEN])
