"""Finding people with whom something is shared (contract B.7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.methods.people import a_place, an_org
from tests.worlds import ALICE, BOB, EVE, World


async def found(world: World, *, as_: str = ALICE, **body: Any) -> list[str]:
    routes = ("/system/findUsers", "/system/findAffiliates")
    one, other = [await world.call(route, body, as_=as_) for route in routes]
    assert one == other
    return [item["id"] for item in one["results"]]


async def test_people_share_a_project_or_an_org_whose_members_are_shown(world: World) -> None:
    assert await found(world) == ["user-alice"]
    await world.a_member(await world.a_project(), "VIEW")
    assert await found(world) == ["user-alice", "user-bob"]
    assert await found(world, as_=EVE) == ["user-eve"]
    org = await an_org(world)
    await a_place(world, org, "user-eve")
    assert await found(world) == ["user-alice", "user-bob", "user-eve"]
    assert await found(world, as_=EVE) == ["user-eve"]
    await world.call(f"/{org}/update", {"policies": {"memberListVisibility": "MEMBER"}})
    assert await found(world, as_=EVE) == ["user-alice", "user-eve"]
    assert await found(world, id=["user-eve", "user-nobody"]) == ["user-eve"]


async def test_people_come_in_pages_and_described(world: World) -> None:
    await world.a_member(await world.a_project(), "VIEW")
    body = {"limit": 1, "describe": {"fields": {"first": True}}}
    first = await world.call("/system/findUsers", body)
    assert first == {
        "results": [{"id": "user-alice", "describe": {"first": "Alice"}}], "next": "user-bob"
    }  # fmt: skip
    last = await world.call("/system/findUsers", {**body, "starting": first["next"]})
    assert ([item["id"] for item in last["results"]], last["next"]) == (["user-bob"], None)


async def test_a_narrowed_token_finds_the_people_of_its_projects_only(world: World) -> None:
    one, other = await world.a_project(), await world.a_project()
    await world.a_member(one, "VIEW")
    await world.a_member(other, "VIEW", user="user-eve")
    scope = {"scope": {"projects": {one: "VIEW"}}}
    narrowed = (await world.call("/system/newAuthToken", scope))["access_token"]
    assert await found(world, as_=narrowed) == ["user-alice", "user-bob"]


async def test_the_members_of_a_project_are_found_by_who_sees_it(world: World) -> None:
    project = await world.a_project()
    await world.a_member(project, "VIEW")
    await world.a_member(project, "VIEW", user="PUBLIC")
    route = "/system/findProjectMembers"
    answer = await world.call(route, {"project": project, "describe": True}, as_=BOB)
    assert [(item["id"], item["level"]) for item in answer["results"]] == [
        ("PUBLIC", "VIEW"), ("user-alice", "ADMINISTER"), ("user-bob", "VIEW"),
    ]  # fmt: skip
    assert "describe" not in answer["results"][0]
    administrators = await world.call(route, {"project": project, "level": "ADMINISTER"})
    assert [item["id"] for item in administrators["results"]] == ["user-alice"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "InvalidInput"),
        ({"project": "x"}, "InvalidInput"),
        ({"project": f"project-{'0' * 24}"}, "ResourceNotFound"),
    ],
)
async def test_a_wrong_question_for_members_is_refused(
    world: World, body: dict[str, Any], kind: str
) -> None:
    assert (await world.refused("/system/findProjectMembers", body)).type == kind
    hidden = {"project": await world.a_project()}
    refusal = await world.refused("/system/findProjectMembers", hidden, as_=BOB)
    assert refusal.type == "PermissionDenied"


async def test_a_narrowed_token_does_not_find_who_is_in_an_org(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org)
    narrowed = (await world.call("/system/newAuthToken", {"scope": {"projects": {}}}))[
        "access_token"
    ]
    whole = await world.call("/system/findUsers")
    assert [entry["id"] for entry in whole["results"]] == ["user-alice", "user-bob"]
    found = await world.call("/system/findUsers", as_=narrowed)
    assert [entry["id"] for entry in found["results"]] == ["user-alice"]
