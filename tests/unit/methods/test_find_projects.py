"""findProjects (contract B.5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import BOB, START_MS, World


async def found(world: World, body: dict[str, Any], **how: Any) -> list[str]:
    """Return the ids that a question finds, page after page."""
    ids: list[str] = []
    starting = None
    while True:
        answer = await world.call("/system/findProjects", {**body, "starting": starting}, **how)
        assert set(answer) == {"results", "next"}
        ids += [entry["id"] for entry in answer["results"]]
        starting = answer["next"]
        assert starting is None or isinstance(starting, str)
        if starting is None:
            return ids


@pytest.mark.parametrize(
    "question, expected",
    [
        ({}, {"plain", "azure"}),
        ({"name": "plain"}, {"plain"}),
        ({"name": {"glob": "*l*"}}, {"plain"}),
        ({"name": {"regexp": "^a"}}, {"azure"}),
        ({"region": "azure:westus"}, {"azure"}),
        ({"region": ["azure:westus", "aws:us-east-1"]}, {"plain", "azure"}),
        ({"tags": {"$and": ["t"]}}, {"azure"}),
        ({"properties": {"k": "v"}}, {"azure"}),
        ({"properties": {"k": True}}, {"azure"}),
        ({"billTo": "user-alice"}, {"plain", "azure"}),
        ({"billTo": "user-bob"}, set()),
        ({"containsPHI": True}, set()),
        ({"containsPHI": False}, {"plain", "azure"}),
        ({"externalUploadRestricted": True}, {"azure"}),
        ({"externalUploadRestricted": False}, {"plain"}),
        ({"created": {"before": START_MS}}, {"plain"}),
        ({"created": {"after": START_MS + 1}}, {"azure"}),
        ({"level": "ADMINISTER"}, {"plain", "azure"}),
        ({"public": False}, {"plain", "azure"}),
    ],
)
async def test_each_condition_finds_just_what_it_means(
    world: World, question: dict[str, Any], expected: set[str]
) -> None:
    ids = {await world.a_project(name="plain"): "plain"}
    world.clock.advance(1)
    azure = await world.a_project(
        name="azure",
        region="azure:westus",
        tags=["t"],
        properties={"k": "v"},
        externalUploadRestricted=True,
    )
    ids[azure] = "azure"
    await world.a_project(name="plain", as_=BOB)
    assert {ids[entity] for entity in await found(world, question)} == expected


async def test_an_entry_says_the_level_and_where_it_comes_from(world: World) -> None:
    project = await world.a_project()
    await world.a_member(project, "UPLOAD")
    answer = await world.call("/system/findProjects", as_=BOB)
    entry = {
        "id": project, "level": "UPLOAD", "permissionSources": ["user-bob"], "public": False
    }  # fmt: skip
    assert answer == {"results": [entry], "next": None}
    describes: list[Any] = [True, {}]
    for describe in describes:
        answer = await world.call("/system/findProjects", {"describe": describe}, as_=BOB)
        described = await world.describe(project, as_=BOB)
        assert answer["results"] == [{**entry, "describe": described}]


async def test_levels_are_compared_with_the_callers_own(world: World) -> None:
    project = await world.a_project()
    await world.a_member(project, "UPLOAD")
    assert await found(world, {"level": "UPLOAD"}, as_=BOB) == [project]
    assert await found(world, {"level": "CONTRIBUTE"}, as_=BOB) == []


async def test_public_projects_come_only_when_asked_for(world: World) -> None:
    public, private = await world.a_project(name="public"), await world.a_project(name="private")
    await world.a_member(public, "VIEW", user="PUBLIC")
    assert await found(world, {}, as_=BOB) == []
    answer = await world.call("/system/findProjects", {"public": True, "level": "VIEW"}, as_=BOB)
    assert answer["results"] == [
        {"id": public, "level": "VIEW", "permissionSources": ["PUBLIC"], "public": True}
    ]
    assert set(await found(world, {})) == {public, private}
    assert await found(world, {"public": False}) == [private]


async def test_explicit_permission_leaves_out_what_is_merely_public(world: World) -> None:
    mine, public = await world.a_project(), await world.a_project(as_=BOB)
    await world.call(f"/{public}/invite", {"invitee": "PUBLIC", "level": "VIEW"}, as_=BOB)
    await world.a_member(mine, "VIEW", user="PUBLIC")
    question = {"public": True, "explicitPermission": True}
    assert await found(world, question) == [mine]
    assert await found(world, {**question, "explicitPermission": False}) == [public]


async def test_an_id_finds_one_project(world: World) -> None:
    project = await world.a_project()
    await world.a_project()
    assert await found(world, {"id": project}) == [project]
    assert await found(world, {"id": [project]}) == [project]


@pytest.mark.parametrize(
    "question",
    [
        {"region": "mars:north"},
        {"level": "OWNER"},
        {"limit": 0},
        {"name": {"regexp": "["}},
        {"public": "yes"},
        {"billTo": "project-x"},
        {"starting": 5},
    ],
)
async def test_a_wrong_condition_is_refused(world: World, question: dict[str, Any]) -> None:
    assert (await world.refused("/system/findProjects", question)).type == "InvalidInput"


async def test_pages_hold_each_project_once(world: World) -> None:
    projects = {await world.a_project(name=f"p{number % 3}") for number in range(7)}
    for limit in (1, 3, 7, 8):
        ids = await found(world, {"limit": limit})
        assert (len(ids), set(ids)) == (7, projects)


async def test_a_page_goes_on_although_the_next_project_is_gone(world: World) -> None:
    for name in ("a", "b", "c", "d"):
        await world.a_project(name=name)
    named = {"describe": {"fields": {"name": True}}, "limit": 2}
    first = await world.call("/system/findProjects", named)
    gone = await found(world, {"name": "c"})
    await world.call(f"/{gone[0]}/destroy")
    second = await world.call("/system/findProjects", {**named, "starting": first["next"]})
    names = [entry["describe"]["name"] for entry in first["results"] + second["results"]]
    assert names == ["a", "b", "d"]


async def test_containers_of_jobs_are_no_projects(world: World) -> None:
    project = await world.a_project()
    await world.a_job(await world.an_applet(project))
    assert await found(world, {}) == [project]
