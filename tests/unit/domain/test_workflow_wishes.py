"""What a run says of stages beats what it says of all, and that what the workflow says."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import errors, workflow_wishes

STAGE: dict[str, Any] = {"id": "a", "folder": "own", "systemRequirements": {}}
SMALL, LARGE = {"*": {"instanceType": "mem1_ssd1_x2"}}, {"*": {"instanceType": "mem1_ssd1_x4"}}


@pytest.mark.parametrize(
    ("wished", "folder"),
    [
        ({}, "/top/own"),
        ({"*": "any"}, "/top/any"),
        ({"*": "any", "a": "/else//where"}, "/else/where"),
        ({"a": "/"}, "/"),
        ({"b": "x"}, "/top/own"),
    ],
)
def test_a_folder_is_absolute_or_below_that_of_the_analysis(
    wished: dict[str, str], folder: str
) -> None:
    wishes = workflow_wishes.read({"stageFolders": wished}, ["a", "b"])
    assert wishes.folder(STAGE, "/top") == folder


def test_a_stage_without_a_folder_has_that_of_the_analysis() -> None:
    assert workflow_wishes.read({}, ["a"]).folder({"id": "a", "folder": None}, "/top") == "/top"


def test_machines_of_a_stage_beat_those_of_all_and_of_the_workflow() -> None:
    stage = STAGE | {"systemRequirements": SMALL}
    wishes = workflow_wishes.read
    assert wishes({}, ["a"]).layer(stage) == SMALL
    assert wishes({"systemRequirements": LARGE}, ["a"]).layer(stage) == LARGE
    body = {"systemRequirements": LARGE, "stageSystemRequirements": {"a": SMALL}}
    assert wishes(body, ["a"]).layer(STAGE) == SMALL
    body = {"stageSystemRequirements": {"*": LARGE, "a": SMALL}}
    assert wishes(body, ["a"]).layer(STAGE) == SMALL
    assert wishes(body, ["a"]).layer(STAGE | {"id": "b"}) == LARGE


def test_a_runs_policy_beats_the_stages_reason_by_reason() -> None:
    own = {"restartOn": {"AppError": 1, "*": 2}, "onNonRestartableFailure": "failStage"}
    body = {"executionPolicy": {"restartOn": {"*": 5}}}
    policy = workflow_wishes.read(body, ["a"]).execution_policy(STAGE | {"executionPolicy": own})
    assert policy == {
        "restartOn": {"AppError": 1, "*": 5},
        "onNonRestartableFailure": "failStage",
    }


def test_earlier_results_are_not_wanted_by_name_or_for_all() -> None:
    read = workflow_wishes.read
    assert not read({}, ["a"]).is_fresh("a", [])
    assert read({}, ["a"]).is_fresh("a", ["a"])
    assert not read({"ignoreReuse": []}, ["a"]).is_fresh("a", ["a"])
    assert read({"ignoreReuse": True}, ["a"]).is_fresh("a", [])
    assert read({"rerunStages": ["*"]}, ["a"]).is_fresh("a", [])


@pytest.mark.parametrize(
    "body",
    [
        {"stageFolders": {"gone": "/"}},
        {"stageSystemRequirements": {"gone": {}}},
        {"rerunStages": ["gone"]},
        {"ignoreReuse": ["gone"]},
    ],
)
def test_a_stage_that_is_not_there_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidInput, match="Stage with ID gone not found"):
        workflow_wishes.read(body, ["a"])


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"stageFolders": {"a": "../x"}}, "stageFolders"),
        ({"stageFolders": {"a": 7}}, "stageFolders"),
        ({"stageFolders": []}, "stageFolders"),
        ({"ignoreReuse": 7}, "ignoreReuse"),
        ({"rerunStages": "a"}, "rerunStages"),
        ({"stageSystemRequirements": {"a": {"*": {"instanceType": "none"}}}}, "instanceType"),
        ({"executionPolicy": {"onNonRestartableFailure": "never"}}, "onNonRestartableFailure"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], named: str) -> None:
    with pytest.raises(errors.InvalidInput, match=named):
        workflow_wishes.read(body, ["a"])
