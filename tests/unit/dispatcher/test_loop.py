"""The loop that runs the chores."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from plasmid.dispatcher import loop
from plasmid.dispatcher.world import Summary
from plasmid.dispatcher.world import World as DispatcherWorld
from plasmid.domain.placement import Machine
from tests.worlds import World


async def test_a_chore_that_breaks_is_tried_again_without_waiting_for_its_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "RETRY_SECONDS", 0)
    went_well = asyncio.Event()
    times: list[int] = []

    async def tick(now_ms: int, _: DispatcherWorld) -> Summary:
        times.append(now_ms)
        if len(times) < 3:
            raise RuntimeError("broken on purpose")
        went_well.set()
        return Summary("test", 0)

    async with asyncio.timeout(60):
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as group:
                repeating = group.create_task(
                    loop._repeat(tick, 3600, world.dispatcher, now_ms=world.clock)
                )
                await went_well.wait()
                repeating.cancel()
    assert len(times) == 3


async def test_a_runnable_job_is_placed_without_waiting_for_the_clock(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PLACE_SECONDS", "COLLECT_SECONDS"):
        monkeypatch.setattr(loop, name, 3600)
    await world.sync()
    world.dispatcher.machine = Machine(1, 1)
    applet = await world.an_applet(await world.a_project())
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        running = group.create_task(loop.run(world.dispatcher, world.clock))
        with world.platform.changes.subscribe("jobs") as news:
            # one because it is new, then one because there is room again
            jobs = []
            for _ in range(2):
                jobs.append(await world.a_job(applet))
                world.clock.advance(1)
            for job in jobs:
                while await world.state(job) != "running":
                    await news.wait(60)
                await world.sync()
                await world.finish(job)
        running.cancel()
