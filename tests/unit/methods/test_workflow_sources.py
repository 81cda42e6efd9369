"""What workflows are made from: others, global ones, what was run (contract E.6)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.metadata.rows import AnalysisRow
from plasmid.methods import workflow_sources
from tests.worlds import BOB, World

INT = [{"name": "n", "class": "int"}]


@pytest.fixture
async def project(world: World) -> str:
    return await world.a_project()


@pytest.fixture
async def source(world: World, project: str) -> str:
    applet = await world.an_applet(project, inputSpec=INT, outputSpec=INT)
    stage = {"id": "a", "name": "A", "executable": applet, "input": {"n": 1}, "folder": "x"}
    return await world.a_workflow(
        project, stage, name="source", title="T", summary="S", description="D", tags=["t"],
        properties={"k": "v"}, details={"d": 1}, types=["Y"], outputFolder="/o", ignoreReuse=["a"],
    )  # fmt: skip


async def test_a_copy_is_what_its_source_is_unless_it_says_otherwise(
    world: World, project: str, source: str
) -> None:
    await world.call(f"/{source}/update", {"editVersion": 0, "summary": "Newer"})
    given = {"project": project, "initializeFrom": {"id": source, "project": project}, "title": "U"}
    made = await world.call("/workflow/new", given)
    assert made["editVersion"] == 0
    old = await world.describe(source, properties=True, details=True)
    new = await world.describe(made["id"], properties=True, details=True)
    assert new["initializedFrom"] == {"id": source, "project": project, "editVersion": 1}
    changed = {name for name in new if new[name] != old.get(name)}
    assert changed == {"id", "title", "editVersion", "initializedFrom"}
    assert (await world.describe(source))["summary"] == new["summary"] == "Newer"


async def test_a_temporary_copy_is_hidden(world: World, project: str, source: str) -> None:
    given = {"project": project, "initializeFrom": {"id": source}, "temporary": True}
    made = await world.call("/workflow/new", given)
    described = await world.describe(made["id"])
    assert (described["temporary"], described["hidden"]) == (True, True)


async def test_sources_that_are_not_there_or_not_the_callers_are_refused(
    world: World, source: str
) -> None:
    own = await world.a_project(as_=BOB)
    for wrong, type_ in (
        ({"id": source}, "ResourceNotFound"),
        ({"id": f"workflow-{'0' * 24}"}, "ResourceNotFound"),
        ({"id": f"analysis-{'0' * 24}"}, "ResourceNotFound"),
        ({"id": "globalworkflow-none"}, "ResourceNotFound"),
        ({"id": f"applet-{'0' * 24}"}, "InvalidInput"),
        ({"id": 3}, "InvalidInput"),
        ({}, "InvalidInput"),
        (source, "InvalidInput"),
    ):
        body = {"project": own, "initializeFrom": wrong}
        assert (await world.refused("/workflow/new", body, as_=BOB)).type == type_, wrong


async def test_a_removed_source_could_not_be_found(world: World, project: str, source: str) -> None:
    await world.call(f"/{project}/removeObjects", {"objects": [source]})
    body = {"project": project, "initializeFrom": {"id": source}}
    assert "could not be found" in (await world.refused("/workflow/new", body)).message


async def test_a_global_workflow_becomes_a_workflow_of_ones_own(
    world: World, project: str, source: str
) -> None:
    await world.call(f"/{source}/close")
    options = {"regionalOptions": {"aws:us-east-1": {"workflow": source}}}
    given = {"name": "gwf", "version": "1.0.0", **options}
    found = (await world.call("/globalworkflow/new", given))["id"]
    for named in (found, "globalworkflow-gwf", "globalworkflow-gwf/1.0.0"):
        body = {"project": project, "initializeFrom": {"id": named}}
        described = await world.describe((await world.call("/workflow/new", body))["id"])
        assert described["initializedFrom"] == {"id": found}
        assert (described["name"], described["stages"][0]["name"]) == ("gwf", "A")
        assert described["stages"][0]["accessible"] is True


async def test_what_was_run_becomes_a_workflow_for_those_who_may_see_it(
    world: World, project: str, source: str
) -> None:
    run = {"project": project, "input": {"a.n": 7}}
    analysis = (await world.call(f"/{source}/run", run))["id"]
    body = {"project": project, "initializeFrom": {"id": analysis}}
    described = await world.describe((await world.call("/workflow/new", body))["id"])
    assert described["initializedFrom"] == {"id": analysis}
    assert described["stages"][0]["input"] == {"n": 7}
    assert described["inputSpec"][0]["default"] == 7
    body["project"] = await world.a_project(as_=BOB)
    assert (await world.refused("/workflow/new", body, as_=BOB)).type == "PermissionDenied"


def an_analysis(**changes: Any) -> AnalysisRow:
    fields = {field.name: None for field in msgspec.structs.fields(AnalysisRow)}
    return AnalysisRow(**{**fields, "settings": {}, "run_input": {}, **changes})


def test_what_was_run_is_a_workflow_with_its_input_bound() -> None:
    workflow: dict[str, Any] = {
        "id": "workflow-x", "name": "w", "title": "T", "editVersion": 7,
        "stages": [{"id": "a", "executable": "applet-x", "input": {"m": 2}, "accessible": True}],
        "inputs": [{"name": "f", "class": "int"}], "outputs": None,
    }  # fmt: skip
    row = an_analysis(workflow=workflow, run_input={"a.n": 1, "f": 3})
    made = workflow_sources.as_run(row)
    assert made["stages"][0]["input"] == {"m": 2, "n": 1}
    assert made["inputs"] == [{"name": "f", "class": "int", "default": 3}]
    assert "editVersion" not in made
    assert workflow["stages"][0]["input"] == {"m": 2}, "what was run is changed"
