"""Workflows by the real client: built, made and changed by hand, got back, copied (E.6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.driver import Dx, field

pytestmark = pytest.mark.e2e

FIRST: dict[str, Any] = {"$dnanexus_link": {"stage": "first", "outputField": "n"}}
TAKEN: dict[str, Any] = {"$dnanexus_link": {"workflowInputField": "start"}}


@pytest.fixture(scope="module")
def applet(dx: Dx) -> str:
    """An applet that takes and gives a number."""
    spec = [field("n", "int")]
    return dx.applet("main() { true; }", name="counts", inputSpec=spec, outputSpec=spec)


def write(dx: Dx, name: str, **body: Any) -> Path:
    """Write the folder of a workflow."""
    folder = dx.home / name
    folder.mkdir()
    (folder / "dxworkflow.json").write_text(json.dumps({"name": name, "title": "A title", **body}))
    (folder / "Readme.md").write_text("What it does\n")
    return folder


def of_two(applet: str, **bound: Any) -> list[dict[str, Any]]:
    """Return two stages of which the second needs the first."""
    return [
        {"id": "first", "name": "The first", "executable": applet, "input": bound, "folder": "/x"},
        {"id": "second", "executable": applet, "input": {"n": FIRST}},
    ]


def test_a_locked_workflow_is_built_closed_and_comes_back_as_it_was_written(
    dx: Dx, applet: str
) -> None:
    written = {
        "stages": of_two(applet, n=TAKEN),
        "inputs": [field("start", "int")],
        "outputs": [field("end", "int", outputSource=FIRST)],
    }
    folder = write(dx, "locked", **written)
    workflow = json.loads(dx("build", "--workflow", str(folder)).out)["id"]
    text = dx("describe", workflow).text
    assert "Workflow Inputs start (int)" in text
    assert "it is locked" in text
    assert dx.json("describe", workflow)["state"] == "closed"
    dx("get", workflow, "-o", "got")
    got = json.loads((dx.home / "got/dxworkflow.json").read_text())
    assert got == {"name": "locked", "title": "A title", **written}
    assert (dx.home / "got/Readme.md").read_text() == "What it does\n"


@pytest.mark.usefixtures("applet")
def test_an_open_workflow_is_made_changed_and_closed_by_hand(dx: Dx) -> None:
    workflow = dx.id("new", "workflow", "by hand", "--output-folder", "/out")
    adding = ("add", "stage", "by hand", "counts")
    first = dx.id(*adding, "--name", "one", "-in=3", "--instance-type", "mem1_ssd1_x2")
    second = dx.id(*adding, "--relative-output-folder", "below")
    dx("update", "stage", "by hand", "1", "--name", "two", "-in=4")
    dx("update", "workflow", "by hand", "--title", "A title")
    listed = dx("list", "stages", "by hand").text
    assert f"Stage 0: one ({first})" in listed
    assert f"Stage 1: two ({second})" in listed
    assert "<workflow output folder>/below" in listed
    assert "default=3" in dx("describe", workflow).text
    other = dx.applet("main() { true; }", name="silent", inputSpec=[], outputSpec=[])
    replacing = ("update", "stage", "by hand", "1", "--executable", other)
    assert 'no input "n"' in dx(*replacing, code=3).text
    dx(*replacing, "--force")
    assert dx.id("remove", "stage", "by hand", "two") == second
    dx("close", workflow)
    found = dx.json("describe", workflow)
    assert [stage["id"] for stage in found["stages"]] == [first]
    assert (found["editVersion"], found["state"]) == (6, "closed")
    assert "is not in the open state" in dx(*adding, code=3).text


def test_a_stage_that_is_gone_is_shown_and_not_run(dx: Dx) -> None:
    lost = dx.applet("main() { true; }", name="lost", inputSpec=[], outputSpec=[])
    workflow = dx.id("new", "workflow", "broken")
    dx("add", "stage", workflow, lost)
    dx("rm", lost)
    assert f"{lost} (inaccessible)" in dx("describe", workflow).text
    assert "inaccessible stage" in dx("run", workflow, "-y", code=3).text


def test_a_copy_brings_its_hidden_applets_and_can_be_found(dx: Dx) -> None:
    hidden = dx.applet("main() { true; }", name="hidden", hidden=True, inputSpec=[], outputSpec=[])
    folder = write(dx, "copied", stages=[{"id": "a", "executable": hidden}])
    workflow = json.loads(dx("build", "--workflow", str(folder)).out)["id"]
    other = dx.id("new", "project", "of copies")
    dx("cp", workflow, f"{other}:/")
    finding = ("find", "data", "--class", "workflow", "--path", f"{other}:/")
    assert dx.id(*finding) == f"{other}:{workflow}"
    assert other in dx.call(f"/{hidden}/listProjects")
    copy = dx.id("new", "workflow", f"{other}:", "--init", workflow)
    assert dx.json("describe", copy)["initializedFrom"]["id"] == workflow
    dx.call(f"/{other}/destroy")
