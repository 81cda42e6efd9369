"""The stages of a workflow: reading, changing, what they bind (contract E.6)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from plasmid.domain import errors, workflow_stages
from plasmid.domain.stage_links import StageLink
from plasmid.domain.workflow_spec import Interface

KNOWN = Interface(
    [{"name": "n", "class": "int"}, {"name": "many", "class": "array:int"}],
    [{"name": "o", "class": "int"}],
)
LINK = {"$dnanexus_link": {"stage": "a", "outputField": "o"}}


def read(**body: Any) -> dict[str, Any]:
    return workflow_stages.read({"executable": "applet-x", **body}, "s", "stages[0]")


def test_a_bare_stage_has_every_key() -> None:
    assert read() == {
        "id": "s", "name": None, "executable": "applet-x", "folder": None, "input": {},
        "executionPolicy": {}, "systemRequirements": {},
    }  # fmt: skip


@pytest.mark.parametrize("stage_id", ["stage-0", "stage-", "_x", "stage_0", "A9"])
def test_an_id_is_an_identifier_or_begins_with_stage(stage_id: str) -> None:
    assert workflow_stages.check_id(stage_id, "input") == stage_id


@pytest.mark.parametrize("stage_id", ["", "0", "a.b", "a-b", "stage-a-b", 3, "é", "a\n"])
def test_other_ids_are_refused(stage_id: object) -> None:
    with pytest.raises(errors.InvalidInput, match='key "id" of input'):
        workflow_stages.check_id(stage_id, "input")


@pytest.mark.parametrize(
    ("folder", "kept"),
    [("/a//b/", "/a/b"), ("a//b/", "a/b"), ("a", "a"), ("/", "/"), ("", None), (None, None)],
)
def test_a_folder_is_kept_in_normal_form(folder: str | None, kept: str | None) -> None:
    assert read(folder=folder)["folder"] == kept


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"folder": "../x"}, '"folder" of stages'),
        ({"folder": 3}, '"folder" of stages'),
        ({"name": []}, '"name" of stages'),
        ({"input": []}, '"input" of stages'),
        ({"systemRequirements": {"*": {"instanceType": "foo"}}}, "foo"),
        ({"executionPolicy": {"restartOn": {"Bad": 1}}}, "restartOn"),
        ({"executable": None}, 'property "executable"'),
    ],
)
def test_what_is_wrong_is_named_by_its_path(body: dict[str, Any], text: str) -> None:
    with pytest.raises(errors.InvalidInput, match=text):
        read(**body)


def test_null_unsets_and_what_is_not_named_stays() -> None:
    stage = read(name="N", folder="/x", input={"n": 1, "many": [2]})
    changed = workflow_stages.changed(stage, {"name": None, "input": {"n": None}}, "stages.s")
    assert changed == {**stage, "name": None, "input": {"many": [2]}}
    assert stage["input"] == {"n": 1, "many": [2]}, "what was there is changed"


@pytest.mark.parametrize("value", [{"n": 1}, {"n": LINK}, {"many": [1, LINK]}, {"n": None}])
def test_values_and_links_may_be_bound(value: dict[str, Any]) -> None:
    workflow_stages.check_bound(value, KNOWN, "input")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"other": 1}, "n, many"),
        ({"n": "x"}, "an integer"),
        ({"many": [1, "x"]}, "an integer"),
        ({"n": {"$dnanexus_link": {"stage": "a"}}}, "outputField"),
    ],
)
def test_what_an_executable_does_not_take_is_refused(value: dict[str, Any], text: str) -> None:
    with pytest.raises(errors.InvalidInput, match=text):
        workflow_stages.check_bound(value, KNOWN, "input")


def test_an_executable_that_says_nothing_takes_anything() -> None:
    for known in (None, Interface(None, None)):
        workflow_stages.check_bound({"other": [LINK]}, known, "input")


def test_links_lead_to_a_field_of_a_stage() -> None:
    workflow_stages.check_sources([LINK], {"a": KNOWN}, "n", "input")
    workflow_stages.check_sources([LINK], {"a": None}, "n", "input")
    with pytest.raises(errors.InvalidInput, match='no "a"'):
        workflow_stages.check_sources(LINK, {"b": KNOWN}, "n", "input")
    with pytest.raises(errors.InvalidInput, match='no output "o"'):
        workflow_stages.check_sources(LINK, {"a": Interface([], [])}, "n", "input")


def test_an_unknown_stage_is_not_found() -> None:
    with pytest.raises(errors.ResourceNotFound, match="its stages are s"):
        workflow_stages.get([read()], "t")
    with pytest.raises(errors.InvalidInput):
        workflow_stages.get([read()], None)


def test_what_was_bound_to_something_lost_is_bound_to_nothing() -> None:
    stages = [read(input={"n": LINK, "many": [1, LINK], "kept": 1})]

    def is_lost(link: StageLink) -> bool:
        return link.stage == "a"

    assert workflow_stages.without_links(stages, is_lost)[0]["input"] == {"kept": 1}


def test_stages_that_never_reuse_are_those_of_the_workflow() -> None:
    stages = [read()]
    for given in (None, ["s"], ["*"], []):
        assert workflow_stages.check_ignored(given, stages) == given
    for wrong in (["t"], ["s", "*"], "s", [1]):
        with pytest.raises(errors.InvalidInput, match="ignoreReuse"):
            workflow_stages.check_ignored(wrong, stages)


def test_many_links_to_an_executable_of_many_fields_are_soon_checked() -> None:
    fields = [{"name": f"f{number}", "class": "int"} for number in range(20_000)]
    known = {"a": Interface(None, fields)}
    value = [
        {"$dnanexus_link": {"stage": "a", "outputField": f"f{number}"}} for number in range(20_000)
    ]
    started = time.process_time()
    workflow_stages.check_sources(value, known, "h", "input")
    assert time.process_time() - started < 2, "one by one it is 20 s"
