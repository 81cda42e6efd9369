"""Calls of jobs are limited by tree, of users by user, and the answer is what the client heeds."""

from __future__ import annotations

import pytest

from plasmid.auth.rates import Rates
from plasmid.domain.rates import BURST_SECONDS
from tests.worlds import ALICE, BOB, WORKER, World, a_world


async def passed(world: World, token: str, count: int = 30) -> int:
    """Return how many of so many calls are answered; each refusal is one that the client heeds."""
    answered = 0
    for _ in range(count):
        response = await world.answer("/system/whoami", as_=token)
        answered += response.status_code == 200
        if response.status_code != 200:
            error = response.json()["error"]
            assert (response.status_code, error["type"]) == (429, "RateLimitConditional")
            assert int(response.headers["retry-after"]) >= 1
    return answered


async def a_running_job(world: World) -> str:
    applet = await world.an_applet(await world.a_project())
    job = await world.a_job(applet)
    await world.lease(job)
    return job


async def test_the_jobs_of_a_tree_share_a_limit_and_no_others_do(world: World) -> None:
    root, other = await a_running_job(world), await a_running_job(world)
    child = await world.a_subjob(root)
    await world.lease(child)
    world.platform.rates = Rates(jobs=2, pause_seconds=0)
    assert await passed(world, world.token_of(root)) == 2 * BURST_SECONDS
    assert await passed(world, world.token_of(child)) == 0
    assert await passed(world, world.token_of(other)) == 2 * BURST_SECONDS
    for token in (ALICE, BOB, WORKER):
        assert (await world.answer("/system/greet", as_=token)).status_code == 200
    world.clock.advance(1000)
    assert await passed(world, world.token_of(child)) == 2


async def test_users_are_limited_only_where_the_operator_says_so(world: World) -> None:
    assert await passed(world, ALICE, 300) == 300
    world.platform.rates = Rates(users=1, pause_seconds=0)
    assert await passed(world, ALICE) == BURST_SECONDS
    assert await passed(world, BOB) == BURST_SECONDS
    world.clock.advance(60_000)
    assert await passed(world, world.token_of(await a_running_job(world))) == 30


async def test_a_refusal_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    paused = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr("plasmid.auth.rates.asyncio.sleep", pause)
    async with a_world() as world:
        world.platform.rates = Rates(users=1)
        assert await passed(world, ALICE, BURST_SECONDS + 3) == BURST_SECONDS
    assert len(paused) == 3
