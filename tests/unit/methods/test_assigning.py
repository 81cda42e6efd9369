"""What an executable says about its dependencies reaches the worker."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

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


def limit_logs(world: World, bytes_max: int) -> None:
    platform = world.platform
    platform.limits = msgspec.structs.replace(platform.limits, log_bytes_max=bytes_max)


async def test_a_log_may_be_as_long_as_the_site_says(world: World) -> None:
    assert (await assigned(world))["log_bytes_max"] == 0
    limit_logs(world, 5_000_000)
    assert (await assigned(world))["log_bytes_max"] == 5_000_000


@pytest.mark.parametrize(
    ("limit", "used", "left"),
    [(100_000_000, 30, 99_999_970), (1 << 21, (1 << 21) + 5, 1 << 20), (1 << 19, 9, 1 << 19),
     (80_000_000, 79_999_999, 10_000_000)],
)  # fmt: skip
async def test_a_later_try_has_what_earlier_ones_have_left_and_never_too_little(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: int, used: int, left: int
) -> None:
    limit_logs(world, limit)
    applet = await world.an_applet(await world.a_project())
    job = await world.a_job(applet)
    await world.lease(job)
    end = await world.logs.end(job, 0)

    async def told(_: str, attempt: int) -> object:
        return msgspec.structs.replace(end, offset=used if attempt == 0 else 0)

    monkeypatch.setattr(world.logs, "end", told)
    await world.report(job, failure_reason="JMInternalError", failure_message="m")
    world.clock.advance(3_600_000)
    again = await world.lease(job)
    assert (again["attempt"], again["log_bytes_max"]) == (1, left)


async def test_the_secrets_of_the_site_are_read_for_each_try(world: World) -> None:
    values = ["first"]
    world.platform.log_secrets = lambda: list(values)
    assert (await assigned(world))["secrets"] == ["first"]
    values.append("second")
    assert (await assigned(world))["secrets"] == ["first", "second"]
