"""What an executable says about its dependencies reaches the worker."""

from __future__ import annotations

from typing import Any

from tests.worlds import World

FIRST, SECOND, LEGACY = ({"name": name} for name in ("first", "second", "legacy"))


async def assigned(world: World, **body: Any) -> dict[str, Any]:
    applet = await world.an_applet(await world.a_project(), **body)
    return await world.lease(await world.a_job(applet))


async def test_the_older_list_of_dependencies_comes_after_the_usual_one(world: World) -> None:
    spec = {"execDepends": [FIRST, SECOND], "dependencies": [LEGACY, "no entry"]}
    given = await assigned(world, runSpec=spec)
    assert [entry["name"] for entry in given["exec_depends"]] == ["first", "second", "legacy"]


async def test_a_lock_in_the_details_travels_with_the_job(world: World) -> None:
    locked = {"plasmidLock": 1, "groups": []}
    assert (await assigned(world, details={"plasmidLock": locked}))["lock"] == locked


async def test_details_without_a_lock_are_none(world: World) -> None:
    assert (await assigned(world, details=["plasmidLock"])).get("lock") is None
    assert (await assigned(world)).get("lock") is None


async def test_a_lock_that_is_none_is_not_passed_over_in_silence(world: World) -> None:
    assert (await assigned(world, details={"plasmidLock": "x"}))["lock"] is not None
