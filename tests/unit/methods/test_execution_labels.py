"""Tags and properties of jobs and analyses: one declaration, the same answers (F.10, D.1.5)."""

from __future__ import annotations

import pytest

from plasmid.methods import execution_labels
from plasmid.methods.registry import METHODS
from tests.worlds import World


@pytest.fixture
async def executions(world: World) -> dict[str, str]:
    project = await world.a_project()
    applet = await world.an_applet(project)
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet})
    made = await world.call(f"/{workflow}/run", {"project": project, "input": {}})
    return {"job": await world.a_job(applet), "analysis": str(made["id"])}


@pytest.mark.parametrize("class_name", ["job", "analysis"])
async def test_tags_that_are_not_named_are_not_taken_for_none(
    world: World, executions: dict[str, str], class_name: str
) -> None:
    target = executions[class_name]
    await world.call(f"/{target}/addTags", {"tags": ["a"]})
    for verb in ("addTags", "removeTags"):
        for body in ({}, {"tag": ["a"]}, {"tags": None}, {"tags": "a"}, {"tags": [1]}):
            refused = await world.refused(f"/{target}/{verb}", body)
            assert (refused.type, "tags" in refused.message) == ("InvalidInput", True), body
        assert await world.call(f"/{target}/{verb}", {"tags": []}) == {"id": target}
    assert (await world.describe(target))["tags"] == ["a"]


def test_jobs_and_analyses_have_one_declaration() -> None:
    for verb in ("addTags", "removeTags", "setProperties"):
        handlers = {METHODS[one, verb, True].handler for one in ("job", "analysis")}
        assert [one.__module__ for one in handlers] == [execution_labels.__name__], verb
