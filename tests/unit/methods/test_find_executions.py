"""findExecutions, findJobs, findAnalyses (contract B.6)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.methods import find_executions
from tests.worlds import BOB, START_MS, World


async def found(world: World, body: dict[str, Any], **how: Any) -> list[str]:
    """Return the ids that a question finds, page after page."""
    ids: list[str] = []
    starting = None
    while True:
        answer = await world.call("/system/findExecutions", {**body, "starting": starting}, **how)
        assert set(answer) == {"results", "next"}
        ids += [entry["id"] for entry in answer["results"]]
        starting = answer["next"]
        assert starting is None or isinstance(starting, str)
        if starting is None:
            return ids


class Family:
    """A running job, its sub-job, a master that it launched, and an unrelated job."""

    def __init__(self, project: str, applet: str, ids: dict[str, str]) -> None:
        self.project = project
        self.applet = applet
        self.ids = ids

    def names(self, ids: list[str]) -> list[str]:
        """Return what the test calls the jobs of these ids."""
        by_id = {entity: name for name, entity in self.ids.items()}
        return [by_id[entity] for entity in ids]


@pytest.fixture
async def family(world: World) -> Family:
    project = await world.a_project()
    applet = await world.an_applet(project, name="app", access={"project": "CONTRIBUTE"})
    other_applet = await world.an_applet(project, name="other")
    ids = {}
    ids["root"] = await world.a_job(applet, name="the root", tags=["t"], properties={"k": "v"})
    await world.lease(ids["root"])
    world.clock.advance(1)
    ids["sub"] = await world.a_subjob(ids["root"])
    world.clock.advance(1)
    token = world.token_of(ids["root"])
    ids["child"] = await world.new(f"/{applet}/run", {"input": {}}, as_=token)
    world.clock.advance(1)
    detached = {"input": {}, "detach": True, "project": project}
    ids["detached"] = await world.new(f"/{applet}/run", detached, as_=token)
    world.clock.advance(1)
    ids["single"] = await world.a_job(other_applet, name="single")
    return Family(project, applet, ids)


@pytest.mark.parametrize(
    "question, expected",
    [
        ({}, "single detached child sub root"),
        ({"class": "job"}, "single detached child sub root"),
        ({"class": "analysis"}, ""),
        ({"state": "running"}, "root"),
        ({"state": "runnable"}, "single detached child sub"),
        ({"state": "done"}, ""),
        ({"launchedBy": "self"}, "single detached child sub root"),
        ({"launchedBy": "user-alice"}, "single detached child sub root"),
        ({"launchedBy": "user-bob"}, ""),
        ({"name": "single"}, "single"),
        ({"name": {"glob": "the*"}}, "sub root"),
        ({"name": {"regexp": "root$"}}, "root"),
        ({"tags": {"$and": ["t"]}}, "root"),
        ({"properties": {"k": "v"}}, "root"),
        ({"parentJob": None}, "single detached root"),
        ({"parentAnalysis": None}, "single detached child sub root"),
        ({"parentAnalysis": "analysis-" + "0" * 24}, ""),
        ({"includeSubjobs": False}, "single detached child root"),
        ({"created": {"after": START_MS + 1, "before": START_MS + 2}}, "child sub"),
    ],
)
async def test_each_condition_finds_just_what_it_means_newest_first(
    world: World, family: Family, question: dict[str, Any], expected: str
) -> None:
    assert family.names(await found(world, question)) == expected.split()


async def test_relations_are_conditions(world: World, family: Family) -> None:
    ids = family.ids
    tree = ["child", "sub", "root"]
    for question, expected in (
        ({"executable": family.applet}, ["detached", *tree]),
        ({"executable": "applet-" + "0" * 24}, []),
        ({"project": family.project}, ["single", "detached", *tree]),
        ({"originJob": ids["root"]}, tree),
        ({"originJob": [ids["root"], ids["single"]]}, ["single", *tree]),
        ({"rootExecution": ids["root"]}, tree),
        ({"rootExecution": [ids["detached"]]}, ["detached"]),
        ({"parentJob": ids["root"]}, ["child", "sub"]),
        ({"parentJob": ids["sub"]}, []),
    ):
        assert family.names(await found(world, question)) == expected, question


async def test_the_finders_of_one_class_are_the_same(world: World, family: Family) -> None:
    jobs = await world.call("/system/findJobs", {"project": family.project})
    assert jobs == await world.call("/system/findExecutions", {"project": family.project})
    assert await world.call("/system/findAnalyses") == {"results": [], "next": None}


async def test_an_entry_has_its_id_only_unless_a_describe_is_asked_for(
    world: World, family: Family
) -> None:
    root = family.ids["root"]
    named = {"name": "the root"}
    for describe, expected in (
        (False, {"id": root}),
        (True, {"id": root, "describe": await world.describe(root)}),
        ({}, {"id": root, "describe": await world.describe(root)}),
        ({"io": False}, {"id": root, "describe": await world.describe(root, io=False)}),
        ({"fields": {"state": True}}, {"id": root, "describe": {"state": "running"}}),
    ):
        answer = await world.call("/system/findExecutions", {**named, "describe": describe})
        assert answer == {"results": [expected], "next": None}


async def test_the_question_of_dx_find_jobs_is_answered(world: World, family: Family) -> None:
    describe = {
        "defaultFields": True,
        "fields": dict.fromkeys(
            ("runInput", "originalInput", "input", "output", "internetUsageIPs"), False
        ),
    }
    body = {
        "class": "job", "project": family.project, "describe": describe,
        "includeRestarted": False, "limit": 100,
    }  # fmt: skip
    answer = await world.call("/system/findExecutions", body)
    for entry in answer["results"]:
        assert {"runInput", "originalInput", "input", "output"}.isdisjoint(entry["describe"])
        assert {"id", "class", "state", "name", "parentJob"} <= set(entry["describe"])


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6])
@pytest.mark.usefixtures("family")
async def test_pages_hold_each_job_once(world: World, limit: int) -> None:
    assert len(await found(world, {"limit": limit})) == 5
    assert len(set(await found(world, {"limit": limit}))) == 5


async def test_jobs_of_the_same_moment_are_paged_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_executions, "BATCH_MAX", 2)
    applet = await world.an_applet(await world.a_project())
    made = {await world.a_job(applet, tags=["t"] if n % 2 else []) for n in range(9)}
    ids = await found(world, {"limit": 2})
    assert (len(ids), set(ids)) == (9, made)
    assert len(await found(world, {"limit": 2, "tags": "t"})) == 4


async def test_jobs_of_others_are_found_only_in_shared_projects(
    world: World, family: Family
) -> None:
    assert await found(world, {}, as_=BOB) == []
    await world.a_member(family.project, "VIEW")
    assert len(await found(world, {}, as_=BOB)) == 5
    assert await found(world, {"launchedBy": "self"}, as_=BOB) == []


async def test_a_forbidden_or_unknown_project_is_refused(world: World, family: Family) -> None:
    refusal = await world.refused("/system/findExecutions", {"project": family.project}, as_=BOB)
    assert refusal.type == "PermissionDenied"
    unknown = {"project": "project-" + "0" * 24}
    assert (await world.refused("/system/findExecutions", unknown)).type == "ResourceNotFound"


@pytest.mark.parametrize(
    "question",
    [
        {"class": "file"},
        {"state": "dreaming"},
        {"launchedBy": "alice"},
        {"parentJob": 5},
        {"originJob": "x"},
        {"limit": 0},
        {"starting": 7},
        {"includeSubjobs": "no"},
    ],
)
async def test_a_wrong_condition_is_refused(world: World, question: dict[str, Any]) -> None:
    assert (await world.refused("/system/findExecutions", question)).type in (
        "InvalidInput",
        "ResourceNotFound",
    )


async def test_a_job_finds_its_own_tree_whatever_its_access_to_the_project(world: World) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project, access={"project": None})
    stranger = await world.a_job(applet)
    job = await world.a_job(applet)
    await world.lease(job)
    sub = await world.a_subjob(job)
    seen = await found(world, {}, as_=world.token_of(job))
    assert set(seen) == {job, sub}
    assert stranger not in seen
