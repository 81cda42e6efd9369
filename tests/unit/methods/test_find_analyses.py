"""Analyses among what findExecutions finds (contract B.6)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import BOB, World


class Runs:
    """An analysis of two stages, one of which is a workflow, and one that a job has launched."""

    def __init__(self, project: str, ids: dict[str, str], made_of: dict[str, str]) -> None:
        self.project = project
        self.ids = ids
        self.made_of = made_of

    def names(self, ids: list[str]) -> str:
        """Return what the test calls the executions of these ids."""
        by_id = {entity: name for name, entity in self.ids.items()}
        return " ".join(by_id[entity] for entity in ids)


@pytest.fixture
async def runs(world: World) -> Runs:
    project = await world.a_project()
    applet = await world.an_applet(project, name="an applet", access={"project": "CONTRIBUTE"})
    runner = await world.an_applet(project, name="runner", access={"project": "CONTRIBUTE"})
    small = await world.a_workflow(project, {"id": "s", "executable": applet}, name="small")
    large = await world.a_workflow(
        project,
        {"id": "job", "executable": applet},
        {"id": "inner", "executable": small},
        name="large",
    )
    ids = {"runner": await world.a_job(runner, name="runner")}
    await world.lease(ids["runner"])
    given = {"input": {}, "tags": ["t"], "properties": {"k": "v"}, "name": "the large one"}
    made = await world.call(f"/{large}/run", {"project": project, **given})
    ids |= {"large": made["id"], "stage": made["stages"][0], "inner": made["stages"][1]}
    ids["deep"] = (await world.describe(ids["inner"]))["stages"][0]["execution"]["id"]
    world.clock.advance(1)
    token = world.token_of(ids["runner"])
    made = await world.call(f"/{small}/run", {"input": {}}, as_=token)
    ids |= {"below": made["id"], "leaf": made["stages"][0]}
    return Runs(project, ids, {"small": small, "large": large, "applet": applet, "runner": runner})


async def found(world: World, runs: Runs, body: dict[str, Any]) -> str:
    answer = await world.call("/system/findExecutions", body)
    assert answer["next"] is None
    return " ".join(sorted(runs.names([entry["id"] for entry in answer["results"]]).split()))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({}, "below deep inner large leaf runner stage"),
        ({"class": "analysis"}, "below inner large"),
        ({"class": "job"}, "deep leaf runner stage"),
        ({"state": "in_progress"}, "below inner large"),
        ({"state": "restarted"}, ""),
        ({"name": "the large one"}, "large"),
        ({"name": {"glob": "*large*"}}, "large"),
        ({"tags": {"$and": ["t"]}}, "large"),
        ({"properties": {"k": "v"}}, "large"),
        ({"launchedBy": "user-bob"}, ""),
        ({"parentJob": None}, "deep inner large leaf runner stage"),
        ({"parentAnalysis": None}, "below large runner"),
        ({"includeSubjobs": False}, "below deep inner large leaf runner stage"),
        ({"created": {"after": 1_800_000_000_001}}, "below leaf"),
    ],
)
async def test_each_condition_finds_just_what_it_means(
    world: World, runs: Runs, question: dict[str, Any], expected: str
) -> None:
    assert await found(world, runs, question) == expected


async def test_relations_are_conditions(world: World, runs: Runs) -> None:
    ids, made_of = runs.ids, runs.made_of
    for question, expected in (
        ({"project": runs.project}, "below deep inner large leaf runner stage"),
        ({"parentAnalysis": ids["large"]}, "inner stage"),
        ({"parentAnalysis": ids["inner"]}, "deep"),
        ({"rootExecution": ids["large"]}, "deep inner large stage"),
        ({"rootExecution": [ids["runner"], ids["stage"]]}, "below leaf runner"),
        ({"originJob": ids["runner"]}, "below runner"),
        ({"originJob": ids["stage"]}, "stage"),
        ({"parentJob": ids["runner"]}, "below"),
        ({"executable": made_of["small"]}, "below inner"),
        ({"executable": made_of["large"]}, "large"),
        # an analysis is found by what its stages run, too
        ({"executable": made_of["applet"]}, "below deep inner large leaf stage"),
        ({"executable": made_of["runner"]}, "runner"),
    ):
        assert await found(world, runs, question) == expected, question


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_hold_jobs_and_analyses_newest_first_each_once(
    world: World, runs: Runs, limit: int
) -> None:
    seen, starting = [], None
    while True:
        body = {"limit": limit, "starting": starting, "describe": True}
        answer = await world.call("/system/findExecutions", body)
        assert len(answer["results"]) <= limit
        seen += answer["results"]
        starting = answer["next"]
        if starting is None:
            break
    assert sorted(runs.names([one["id"] for one in seen]).split()) == sorted(runs.ids)
    order = [(one["describe"]["created"], one["id"]) for one in seen]
    assert order == sorted(order, reverse=True)
    for one in seen:
        assert one["describe"] == await world.describe(one["id"])


async def test_the_finder_of_analyses_finds_nothing_else(world: World, runs: Runs) -> None:
    answer = await world.call("/system/findAnalyses", {"describe": {"fields": {"state": True}}})
    assert {entry["id"] for entry in answer["results"]} == {
        runs.ids[name] for name in ("below", "inner", "large")
    }
    assert answer["results"][0]["describe"] == {"state": "in_progress"}
    assert (await world.call("/system/findAnalyses", as_=BOB))["results"] == []


async def test_a_job_finds_the_analyses_of_its_own_tree(world: World, runs: Runs) -> None:
    answer = await world.call("/system/findAnalyses", as_=world.token_of(runs.ids["runner"]))
    assert runs.ids["below"] in {entry["id"] for entry in answer["results"]}
