"""A workflow as a whole: settings, links, circles, compatible executables (contract E.6)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import errors, workflow_body, workflow_stages
from plasmid.domain.workflow_spec import Interface


def out(stage: str) -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": stage, "outputField": "o"}}


def into(stage: str, field: str) -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": stage, "inputField": field}}


def taken(field: str) -> dict[str, Any]:
    return {"$dnanexus_link": {"workflowInputField": field}}


def body(stages: dict[str, dict[str, Any]], **other: Any) -> dict[str, Any]:
    listed = [
        {"id": name, "executable": f"applet-{'0' * 24}", "input": bound}
        for name, bound in stages.items()
    ]
    return {**workflow_body.blank(), "stages": listed, **other}


def test_null_unsets_what_is_said_of_a_workflow() -> None:
    given = {"title": "T", "summary": "S", "outputFolder": "/a//b", "inputs": []}
    full = workflow_body.with_settings(workflow_body.blank(), given)
    assert full["outputFolder"] == "/a/b"
    emptied = workflow_body.with_settings(full, dict.fromkeys(given))
    assert emptied == {**workflow_body.blank(), "title": None}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"title": 3}, "title"),
        ({"outputFolder": "a"}, "outputFolder"),
        ({"inputs": [{"name": "a.b", "class": "int"}]}, "name"),
        ({"inputs": {}}, "inputs"),
        ({"outputs": [{"name": "a", "class": "int"}]}, "outputSource"),
        ({"outputs": [{"name": "a", "class": "int", "outputSource": 3}]}, "outputSource"),
        ({"treeTurnaroundTimeThreshold": "x"}, "an integer"),
    ],
)
def test_settings_that_are_wrong_are_named(given: dict[str, Any], text: str) -> None:
    with pytest.raises(errors.InvalidInput, match=text):
        workflow_body.with_settings(workflow_body.blank(), given)


@pytest.mark.parametrize(
    ("stages", "circle"),
    [
        ({"a": {"x": out("a")}}, "a needs a"),
        ({"a": {"x": out("b")}, "b": {"x": out("a")}}, "a needs b needs a"),
        ({"a": {"x": out("b")}, "b": {"x": into("c", "y")}, "c": {"y": [out("a")]}}, "loop"),
        ({"a": {"x": into("b", "x")}, "b": {"x": into("a", "x")}}, "loop"),
        ({"a": {"x": into("a", "x")}}, "a needs a"),
    ],
)
def test_stages_that_need_each_other_in_a_circle_are_refused(
    stages: dict[str, dict[str, Any]], circle: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=circle):
        workflow_body.check(body(stages))


@pytest.mark.parametrize(
    "stages",
    [
        {"a": {"x": out("b")}, "b": {}},
        {"a": {"x": into("b", "x")}, "b": {"x": 1, "y": out("a")}},
        {"a": {"x": into("a", "y"), "y": 1}},
        {"a": {}, "b": {"x": out("a"), "y": out("a")}, "c": {"x": out("a"), "y": out("b")}},
    ],
)
def test_stages_that_need_each_other_without_a_circle_are_fine(
    stages: dict[str, dict[str, Any]],
) -> None:
    workflow_body.check(body(stages))


def test_a_long_chain_is_no_burden() -> None:
    stages = {f"s{n}": {"x": out(f"s{n + 1}")} for n in range(5000)}
    workflow_body.check(body({**stages, "s5000": {}}))


def test_links_to_stages_and_inputs_that_are_not_there_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match='no "b"'):
        workflow_body.check(body({"a": {"x": out("b")}}))
    source = [{"name": "g", "class": "int", "outputSource": out("b")}]
    with pytest.raises(errors.InvalidInput, match="output g"):
        workflow_body.check(body({"a": {}}, outputs=source))
    inputs = [{"name": "f", "class": "int"}]
    workflow_body.check(body({"a": {"x": taken("f")}}, inputs=inputs), is_whole=True)
    with pytest.raises(errors.InvalidInput, match='got "g"'):
        workflow_body.check(body({"a": {"x": taken("g")}}, inputs=inputs))


def test_inputs_may_follow_the_stages_that_take_them() -> None:
    workflow_body.check(body({"a": {"x": taken("f")}}))
    with pytest.raises(errors.InvalidInput, match="which has none"):
        workflow_body.check(body({"a": {"x": taken("f")}}), is_whole=True)


def test_a_workflow_links_to_what_its_stages_run_and_bind() -> None:
    record = f"record-{'0' * 24}"
    one = body({"a": {"x": {"$dnanexus_link": record}}, "b": {}})
    one["stages"][1]["executable"] = f"app-{'0' * 24}"
    assert workflow_body.linked_ids(one) == [f"applet-{'0' * 24}", record]
    assert workflow_body.linked_ids({}) == []


INT = {"name": "n", "class": "int"}
OLD = Interface([INT, {"name": "w", "class": "string", "optional": True}], [INT])


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        Interface([*(OLD.inputs or []), {"name": "more", "class": "int", "default": 1}], [INT]),
        Interface(OLD.inputs, [INT, {"name": "more", "class": "int"}]),
        Interface(None, [INT]),
    ],
)
def test_what_takes_and_gives_the_same_or_more_is_compatible(new: Interface) -> None:
    assert workflow_body.incompatibilities(OLD, new) == []


@pytest.mark.parametrize(
    ("new", "text"),
    [
        (Interface([INT], [INT]), 'no input "w"'),
        (Interface(OLD.inputs, []), 'no output "n"'),
        (Interface([{**INT, "class": "float"}, *(OLD.inputs or [])[1:]], [INT]), "int to float"),
        (Interface([*(OLD.inputs or []), {"name": "x", "class": "int"}], [INT]), 'input "x"'),
        (Interface([INT, {"name": "w", "class": "string"}], [INT]), 'requires the input "w"'),
        (Interface(OLD.inputs, [{**INT, "optional": True}]), "becomes optional"),
        (Interface(OLD.inputs, None), "no outputSpec"),
        (None, "cannot be seen"),
    ],
)
def test_what_is_not_compatible_is_said(new: Interface | None, text: str) -> None:
    (reason,) = workflow_body.incompatibilities(OLD, new)
    assert text in reason


def test_what_cannot_be_seen_cannot_be_compared() -> None:
    assert workflow_body.incompatibilities(None, OLD)
    assert workflow_body.incompatibilities(Interface(None, [INT]), OLD)[0].count("inputSpec") == 1


def test_a_workflow_that_is_too_big_to_be_written_anew_each_time_is_refused() -> None:
    stage = workflow_stages.read({"executable": "applet-x"}, "s", "input")
    half = {"h": "x" * (workflow_body.BYTES_MAX // 2)}
    workflow_body.check({**workflow_body.blank(), "stages": [{**stage, "input": half}]})
    two = [{**stage, "id": name, "input": half} for name in ("a", "b")]
    with pytest.raises(errors.InvalidInput, match="at most 4194304 bytes, got 4194"):
        workflow_body.check({**workflow_body.blank(), "stages": two})
