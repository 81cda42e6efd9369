"""findApps: who sees which versions, and every filter (contract B.7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import ALICE, BOB, EVE, START_MS, World

MINE = {"name": {"regexp": "^(alpha|beta|gamma)$"}}


async def three(world: World) -> dict[str, str]:
    """Return alice's apps: alpha with two versions, beta published, gamma bob's too."""
    applet = await world.an_applet(await world.a_project(), inputSpec=[], outputSpec=[])
    made = {"alpha": await world.an_app(applet, name="alpha", version="1")}
    world.clock.advance(1000)
    made["alpha 2"] = await world.an_app(applet, name="alpha", version="2")
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
