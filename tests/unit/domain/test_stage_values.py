"""Links within a workflow mean inputs, outputs of executions that are not made yet, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import errors, links, stage_values
from plasmid.domain.links import JobReference
from plasmid.domain.stage_links import StageLink
from plasmid.domain.stage_values import Resolver

JOBS = {"a": "job-" + "a" * 24, "b": "job-" + "b" * 24}


def link(**target: Any) -> dict[str, Any]:
    return {"$dnanexus_link": target}


def reference(stage: str, field: str, **more: Any) -> dict[str, Any]:
    return links.as_json(JobReference(JOBS[stage], field, **more))


def resolved(bound: dict[str, Any], fields: dict[str, Any] | None = None) -> dict[str, Any]:
    resolver = Resolver(bound, JOBS, fields or {})
    return {stage: resolver.stage(stage) for stage in bound}


def test_an_output_of_a_stage_is_one_of_its_execution() -> None:
    bound = {"a": {}, "b": {"x": link(stage="a", outputField="y", index=2)}}
    assert resolved(bound)["b"] == {"x": reference("a", "y", index=2)}


def test_an_input_of_a_stage_is_the_value_that_it_has_itself() -> None:
    bound = {
        "a": {"x": link(workflowInputField="given")},
        "b": {"y": link(stage="a", inputField="x")},
    }
    assert resolved(bound, {"given": 7}) == {"a": {"x": 7}, "b": {"y": 7}}


def test_what_has_no_value_is_left_out_also_of_arrays() -> None:
    nothing, something = link(workflowInputField="nothing"), link(workflowInputField="given")
    bound = {"a": {"x": nothing, "y": [nothing, something, 1]}, "b": {}}
    assert resolved(bound, {"given": [5, 6]})["a"] == {"y": [5, 6, 1]}


def test_inputs_that_are_linked_in_a_loop_are_refused() -> None:
    bound = {
        "a": {"x": link(stage="b", inputField="y")},
        "b": {"y": link(stage="a", inputField="x")},
    }
    with pytest.raises(errors.InvalidInput, match=r'in a loop, in which "a\.x" is'):
        resolved(bound)


def test_stages_come_after_those_whose_output_they_use() -> None:
    values: dict[str, Any] = {"a": {"x": reference("b", "y")}, "b": {}}
    assert stage_values.in_order(values, values, JOBS) == ["b", "a"]


def test_stages_that_wait_for_each_other_are_refused() -> None:
    values: dict[str, Any] = {
        "a": {"x": reference("b", "y")},
        "b": {"y": [reference("a", "x")]},
    }
    with pytest.raises(errors.InvalidInput, match="The stages a, b wait for each other"):
        stage_values.in_order(values, values, JOBS)


def test_an_index_picks_of_an_array_or_of_what_a_reference_will_be() -> None:
    picked = StageLink("a", "x", is_output=False, index=1)
    assert stage_values.part_of([5, 6], picked) == 6
    assert stage_values.part_of(reference("a", "y"), picked) == reference("a", "y", index=1)
    for wrong in ([5], 7, reference("a", "y", index=0)):
        with pytest.raises(errors.InvalidInput, match='"x" has no index 1'):
            stage_values.part_of(wrong, picked)


def test_metadata_is_that_of_what_a_reference_will_be() -> None:
    asked = StageLink("a", "x", is_output=False, metadata="name")
    assert stage_values.part_of(reference("a", "y"), asked) == reference("a", "y", metadata="name")
    with pytest.raises(errors.InvalidInput, match='"x" has no metadata name'):
        stage_values.part_of(7, asked)


def test_a_link_to_a_stage_that_is_not_there_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="Stage with ID gone not found"):
        resolved({"a": {"x": link(stage="gone", outputField="y")}})


def test_inputs_are_not_followed_without_end() -> None:
    count = stage_values.LINKS_MAX + 2
    bound: dict[str, Any] = {
        f"s{n}": {"x": link(stage=f"s{n + 1}", inputField="x")} for n in range(count)
    }
    bound[f"s{count}"] = {"x": 1}
    executions = dict.fromkeys(bound, JOBS["a"])
    with pytest.raises(errors.InvalidInput, match="linked through more than 100 inputs"):
        Resolver(bound, executions, {}).stage("s0")
    assert Resolver(bound, executions, {}).stage(f"s{count - 50}") == {"x": 1}
