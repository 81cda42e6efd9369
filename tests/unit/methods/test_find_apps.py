"""findApps: who sees which versions, and every filter (contract B.7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.methods.people import a_place, an_org
from tests.worlds import ALICE, BOB, EVE, OPERATOR, START_MS, World

MINE = {"name": {"regexp": "^(alpha|beta|gamma)$"}}


async def three(world: World) -> dict[str, str]:
    """Return alice's apps: alpha with two versions, beta published, gamma bob's too."""
    applet = await world.an_applet(await world.a_project(), inputSpec=[], outputSpec=[])
    made = {"alpha": await world.an_app(applet, name="alpha", version="1.0.0")}
    world.clock.advance(1000)
    made["alpha 2"] = await world.an_app(applet, name="alpha", version="2.0.0")
    made["beta"] = await world.an_app(applet, name="beta", users=["user-bob"], publish=True)
    made["gamma"] = await world.an_app(applet, name="gamma")
    await world.call(f"/{made['gamma']}/addDevelopers", {"developers": ["user-bob"]})
    await world.call(f"/{made['beta']}/addCategories", {"categories": ["Reports"]})
    return made


async def found(world: World, *, as_: str = ALICE, **body: Any) -> list[str]:
    answer = await world.call("/system/findApps", {**MINE, **body}, as_=as_)
    assert set(answer) == {"results", "next"}
    assert all(set(entry) == {"id"} for entry in answer["results"])
    return [entry["id"] for entry in answer["results"]]


async def test_one_finds_what_one_develops_and_may_use(world: World) -> None:
    made = await three(world)
    assert await found(world) == [made["alpha"], made["beta"], made["gamma"]]
    assert await found(world, as_=BOB) == [made["beta"], made["gamma"]]
    assert await found(world, as_=EVE) == []
    await world.call(f"/{made['beta']}/addAuthorizedUsers", {"authorizedUsers": ["PUBLIC"]})
    assert await found(world, as_=EVE) == [made["beta"]]
    assert (await world.refused("/system/findApps", as_=None)).type == "InvalidAuthentication"


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ({"allVersions": True}, ["alpha", "alpha 2", "beta", "gamma"]),
        ({"allVersions": True, "published": False}, ["alpha", "alpha 2", "gamma"]),
        ({"published": True}, ["beta"]),
        ({"published": False}, ["alpha", "gamma"]),
        ({"name": "beta"}, ["beta"]),
        ({"name": {"glob": "g*a"}}, ["gamma"]),
        ({"category": "Reports"}, ["beta"]),
        ({"category": "other"}, []),
        ({"billTo": "user-alice"}, ["alpha", "beta", "gamma"]),
        ({"billTo": "user-bob"}, []),
        ({"createdBy": "user-bob"}, []),
        ({"developer": "user-bob"}, ["gamma"]),
        ({"authorizedUser": "user-bob"}, ["beta"]),
        ({"created": {"before": START_MS}}, ["alpha"]),
        ({"modified": {"after": START_MS + 1}}, ["beta", "gamma"]),
    ],
)
async def test_a_filter_leaves_what_it_says(
    world: World, question: dict[str, Any], names: list[str]
) -> None:
    made = await three(world)
    assert await found(world, **question) == [made[name] for name in names]


async def test_pages_go_on_where_the_last_one_ended(world: World) -> None:
    made = await three(world)
    seen: list[str] = []
    starting = None
    while True:
        body = {**MINE, "allVersions": True, "limit": 1, "starting": starting}
        answer = await world.call("/system/findApps", body)
        seen += [entry["id"] for entry in answer["results"]]
        if answer["next"] is None:
            break
        starting = answer["next"]
    assert seen == list(made.values())
    assert (await world.refused("/system/findApps", {"starting": "x"})).type == "InvalidInput"


async def test_what_is_described_is_what_the_describe_says(world: World) -> None:
    made = await three(world)
    asked = {"fields": {"name": True, "version": True, "installed": True, "billTo": True}}
    body = {**MINE, "name": "alpha", "describe": asked}
    answer = await world.call("/system/findApps", body)
    described = await world.call(f"/{made['alpha']}/describe", asked)
    assert answer["results"] == [{"id": made["alpha"], "describe": described}]
    whole = await world.call("/system/findApps", {"name": "alpha", "describe": True})
    assert whole["results"][0]["describe"] == await world.describe(made["alpha"])


async def test_who_develops_an_app_is_told_to_its_developers_only(world: World) -> None:
    """Else anybody who may use an app could find out, name by name."""
    made = await three(world)
    await world.call(f"/{made['gamma']}/addAuthorizedUsers", {"authorizedUsers": ["PUBLIC"]})
    await world.call(f"/{made['gamma']}/publish")
    assert await found(world, as_=EVE) == [made["gamma"]]
    for who in ("user-alice", "user-bob", "user-eve"):
        assert await found(world, as_=EVE, developer=who) == []
    # Bob may use beta and develops gamma
    assert await found(world, as_=BOB, developer="user-alice") == [made["gamma"]]
    assert await found(world, as_=OPERATOR, developer="user-bob") == [made["gamma"]]


async def test_an_orgs_administrator_knows_who_develops_what_it_pays_for(world: World) -> None:
    org = await an_org(world)
    await a_place(world, org, allowBillableActivities=True)
    project = await world.a_project(as_=BOB)
    applet = await world.an_applet(project, as_=BOB, inputSpec=[], outputSpec=[])
    app = await world.an_app(applet, as_=BOB, name="alpha", billTo=org)
    question = {"developer": "user-bob"}
    answer = await world.call(f"/{org}/findApps", question)
    assert [entry["id"] for entry in answer["results"]] == [app]


class TestOfAnOrg:
    async def test_its_administrator_finds_all_that_it_is_billed_for(self, world: World) -> None:
        org = await an_org(world)
        await a_place(world, org, allowBillableActivities=True)
        applet = await world.an_applet(await world.a_project(), inputSpec=[], outputSpec=[])
        mine = await world.an_app(applet, name="mine", billTo=org, users=["user-bob"], publish=True)
        project = await world.a_project(as_=BOB)
        bobs = await world.an_applet(project, as_=BOB, inputSpec=[], outputSpec=[])
        theirs = await world.an_app(bobs, as_=BOB, name="theirs", billTo=org)
        await world.an_app(applet, name="own")
        route = f"/{org}/findApps"
        every = sorted([mine, theirs])
        answer = await world.call(route)
        assert answer == {"results": [{"id": app} for app in every], "next": None}
        first = await world.call(route, {"limit": 1})
        last = await world.call(route, {"limit": 1, "starting": first["next"]})
        assert [page["results"][0]["id"] for page in (first, last)] == every
        found = await world.call(route, {"name": "mine", "describe": True})
        [entry] = found["results"]
        assert entry["describe"] == await world.describe(mine)
        for user in (BOB, OPERATOR):
            seen = await world.call(route, as_=user)
            assert [one["id"] for one in seen["results"]] == every

    async def test_a_member_finds_of_these_what_they_may_use(self, world: World) -> None:
        org = await an_org(world)
        await a_place(world, org)
        applet = await world.an_applet(await world.a_project(), inputSpec=[], outputSpec=[])
        mine = await world.an_app(applet, name="mine", billTo=org, users=[org], publish=True)
        await world.an_app(applet, name="hidden", billTo=org)
        found = await world.call(f"/{org}/findApps", as_=BOB)
        assert [entry["id"] for entry in found["results"]] == [mine]
        refused = await world.refused(f"/{org}/findApps", as_=EVE)
        assert (refused.type, refused.message) == (
            "PermissionDenied", f"Only members of {org} find what it is billed for",
        )  # fmt: skip
        described = await world.describe(mine)
        assert described["billTo"] == org
