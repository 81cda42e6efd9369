"""What a workflow takes and gives, from its stages (contract E.6)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import workflow_spec
from plasmid.domain.workflow_spec import Interface

NUMBER = {"name": "n", "class": "int"}
WORD = {"name": "w", "class": "string", "group": "its own", "optional": True}
OUT = {"name": "o", "class": "file"}
KNOWN = Interface([NUMBER, WORD], [OUT])


def stage(name: str, **bound: Any) -> dict[str, Any]:
    return {"id": name, "executable": "applet-x", "input": bound}


def inputs(*stages: dict[str, Any], **body: Any) -> Any:
    known = {one["id"]: KNOWN for one in stages}
    found = workflow_spec.of_workflow({"stages": list(stages), **body}, known)
    assert found is not None
    return found.inputs


def test_every_field_of_every_stage_is_a_field_of_the_workflow() -> None:
    found = workflow_spec.of_workflow(
        {"stages": [stage("a"), stage("b")]}, {"a": KNOWN, "b": KNOWN}
    )
    assert found is not None
    assert [*found.input_names] == ["a.n", "a.w", "b.n", "b.w"]
    assert [field["name"] for field in found.outputs or []] == ["a.o", "b.o"]
    assert found.inputs[1] == {**WORD, "name": "a.w", "group": "a"}  # type: ignore[index]


def test_a_bound_value_is_a_default() -> None:
    assert inputs(stage("a", n=3))[0] == {"name": "a.n", "class": "int", "group": "a", "default": 3}
    assert NUMBER == {"name": "n", "class": "int"}, "the executable's own spec is changed"


def test_a_field_bound_by_a_link_is_no_field_of_the_workflow() -> None:
    linked = {"$dnanexus_link": {"stage": "a", "outputField": "o"}}
    taken = {"$dnanexus_link": {"workflowInputField": "f"}}
    names = [field["name"] for field in inputs(stage("a", n=[1, taken]), stage("b", n=linked))]
    assert names == ["a.w", "b.w"]


def test_a_workflow_that_names_its_own_inputs_and_outputs_has_those() -> None:
    own = [{"name": "f", "class": "int"}]
    link = {"$dnanexus_link": {"stage": "a", "outputField": "o"}}
    body = {
        "stages": [stage("a")],
        "inputs": own,
        "outputs": [{"name": "g", "class": "file", "outputSource": link}],
    }
    found = workflow_spec.of_workflow(body, {"a": KNOWN})
    assert found == Interface(own, [{"name": "g", "class": "file"}])


def test_a_stage_that_is_not_accessible_leaves_nothing_to_say() -> None:
    body = {"stages": [stage("a"), stage("b")], "inputs": []}
    assert workflow_spec.of_workflow(body, {"a": KNOWN, "b": None}) is None
    assert workflow_spec.of_workflow(body, {"a": KNOWN}) is None


def test_an_executable_that_says_nothing_adds_no_field() -> None:
    found = workflow_spec.of_workflow({"stages": [stage("a", n=1)]}, {"a": Interface(None, None)})
    assert found == Interface([], [])


def test_workflows_of_workflows_do_not_grow_without_end() -> None:
    many = Interface([NUMBER] * 30_000, [])
    body: dict[str, Any] = {"stages": [stage("a"), stage("b")]}
    assert workflow_spec.of_workflow(body, {"a": many, "b": many}) is None
    assert workflow_spec.of_workflow({**body, "inputs": []}, {"a": many, "b": many}) is not None


def test_an_executable_has_what_it_says() -> None:
    assert workflow_spec.of_executable({"inputSpec": [NUMBER]}) == Interface([NUMBER], None)
