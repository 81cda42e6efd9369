"""A machine's clock that is put back does not turn the history of a job around."""

from __future__ import annotations

import itertools

from tests.worlds import World

HOUR_MS = 3_600_000


async def test_the_times_of_a_jobs_moves_do_not_go_back_with_the_clock(world: World) -> None:
    spec = {"executionPolicy": {"restartOn": {"ExecutionError": 1}}}
    job = await world.a_job(await world.an_applet(await world.a_project(), runSpec=spec))
    await world.lease(job)
    world.clock.advance(-HOUR_MS)
    await world.report(job, failure_reason="ExecutionError", failure_message="broke")
    await world.lease(job)
    world.clock.advance(-HOUR_MS)
    assert await world.finish(job) == "done"
    for attempt in (0, 1):
        described = await world.call(f"/{job}/describe", {"try": attempt})
        assert isinstance(described, dict)
        times = [move["setAt"] for move in described["stateTransitions"]]
        assert all(before <= after for before, after in itertools.pairwise(times))
