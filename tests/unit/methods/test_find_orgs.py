"""Finding orgs and what they are billed for (contract B.7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.methods.people import a_place, an_org
from tests.worlds import ALICE, BOB, OPERATOR, World


async def found(world: World, *, as_: str = ALICE, **body: Any) -> list[str]:
    answer = await world.call("/system/findOrgs", body, as_=as_)
    assert answer["next"] is None
    return [item["id"] for item in answer["results"]]


async def test_orgs_are_found_by_level_and_by_what_may_be_billed(world: World) -> None:
    own = await an_org(world, "own")
    for handle, may_bill in (("billed", True), ("free", False)):
        org = await an_org(world, handle, as_=BOB)
        place = {"level": "MEMBER", "allowBillableActivities": may_bill}
        await a_place(world, org, "user-alice", as_=BOB, **place)
    everywhere = ["org-billed", "org-free", own]
    assert await found(world) == await found(world, level="MEMBER") == everywhere
    assert await found(world, level="ADMIN") == [own]
    with_bill = await found(world, level="MEMBER", allowBillableActivities=True)
    assert with_bill == ["org-billed", own]
    assert await found(world, allowBillableActivities=False) == ["org-free"]
    assert await found(world, level="ADMIN", allowBillableActivities=False) == []
    assert await found(world, as_=BOB, level="ADMIN") == ["org-billed", "org-free"]


async def test_orgs_come_in_pages_and_with_what_they_are_called(world: World) -> None:
    for handle in ("one", "two", "zoo"):
        await an_org(world, handle)
    first = await world.call("/system/findOrgs", {"limit": 2, "describe": True})
    assert [item["describe"]["name"] for item in first["results"]] == ["one", "two"]
    last = await world.call("/system/findOrgs", {"limit": 2, "starting": first["next"]})
    assert last == {
        "results": [{"id": "org-zoo", "level": "ADMIN", "allowBillableActivities": True}],
        "next": None,
    }
    for body in ({"level": "x"}, {"allowBillableActivities": "x"}, {"limit": 0}):
        assert (await world.refused("/system/findOrgs", body)).type == "InvalidInput"


async def test_an_admin_finds_what_the_org_is_billed_for(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org, allowBillableActivities=True)
    bobs = await world.a_project(as_=BOB, name="bobs", billTo=org)
    own = await world.a_project(name="own", billTo=org, tags=["t"], properties={"k": "v"})
    await world.a_project(name="not the org's")
    await world.a_member(own, "VIEW", user="PUBLIC")
    route = f"/{org}/findProjects"
    assert await world.call(route) == {
        "results": [
            {"id": bobs, "level": "NONE", "public": False},
            {"id": own, "level": "ADMINISTER", "public": True},
        ],
        "next": None,
    }

    async def ids(**body: Any) -> list[str]:
        return [item["id"] for item in (await world.call(route, body))["results"]]

    assert await ids(public=True) == await ids(tags="t") == await ids(name={"glob": "o*"}) == [own]
    assert await ids(public=False) == await ids(id=[bobs]) == [bobs]
    assert await ids(properties={"k": "v"}) == [own]
    assert await ids(region="azure:westus") == await ids(containsPHI=True) == []
    described = await world.call(route, {"describe": True, "public": True})
    assert described["results"][0]["describe"] == await world.describe(own)
    first = await world.call(route, {"limit": 1})
    last = await world.call(route, {"limit": 1, "starting": first["next"]})
    assert [page["results"][0]["id"] for page in (first, last)] == [bobs, own]
    assert len((await world.call(route, as_=OPERATOR))["results"]) == 2


@pytest.mark.parametrize("body", [{}, {"public": True}])
async def test_a_plain_member_does_not(world: World, body: dict[str, Any]) -> None:
    org = await an_org(world)
    await a_place(world, org)
    refusal = await world.refused(f"/{org}/findProjects", body, as_=BOB)
    assert refusal.type == "PermissionDenied"
    unknown = await world.refused(f"/{org}/findProjects", {"region": "aws:nowhere"})
    assert unknown.type == "InvalidInput"


async def test_a_narrowed_token_sees_of_an_org_what_everybody_may(world: World) -> None:
    org = await an_org(world)
    await world.call(f"/{org}/update", {"jobLogsForwarding": {"token": "secret"}})
    scope = {"scope": {"projects": {"*": "VIEW"}}}
    narrowed = (await world.call("/system/newAuthToken", scope))["access_token"]
    (found,) = (await world.call("/system/findOrgs", {"describe": True}, as_=narrowed))["results"]
    assert set(found["describe"]) == {"id", "class", "handle", "name", "permittedRegions"}
    (whole,) = (await world.call("/system/findOrgs", {"describe": True}))["results"]
    assert whole["describe"]["jobLogsForwarding"] == {"token": "secret"}
