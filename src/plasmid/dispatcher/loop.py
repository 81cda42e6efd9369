"""Run the chores: at once when something changed, and now and then in any case."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from plasmid.dispatcher import collect, expire, outlived, place, release, revoke, sweep, temporary
from plasmid.dispatcher.world import Summary, World
from plasmid.executions import advance

Tick = Callable[[int, World], Awaitable[Summary]]

PLACE_SECONDS: Final = 1.0
COLLECT_SECONDS: Final = 15.0
RELEASE_SECONDS: Final = 5.0
REVOKE_SECONDS: Final = 5.0
OUTLIVED_SECONDS: Final = 60.0
TEMPORARY_SECONDS: Final = 3600.0
SWEEP_SECONDS: Final = 6 * 3600.0
RETRY_SECONDS: Final = 1.0
_log = structlog.get_logger()


async def run(world: World, now_ms: Callable[[], int]) -> None:
    """Run every chore until cancelled; a chore that breaks is logged and tried again."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_repeat(place.tick, PLACE_SECONDS, world, now_ms=now_ms))
        group.create_task(_repeat(expire.look, expire.seconds(world), world, now_ms=now_ms))
        group.create_task(_repeat(collect.tick, COLLECT_SECONDS, world, now_ms=now_ms))
        group.create_task(_repeat(release.tick, RELEASE_SECONDS, world, now_ms=now_ms))
        group.create_task(_repeat(revoke.tick, REVOKE_SECONDS, world, now_ms=now_ms))
        group.create_task(_repeat(outlived.tick, OUTLIVED_SECONDS, world, now_ms=now_ms))
        group.create_task(_repeat(temporary.tick, TEMPORARY_SECONDS, world, now_ms=now_ms))
        group.create_task(_repeat(sweep.tick, SWEEP_SECONDS, world, now_ms=now_ms))


async def _repeat(tick: Tick, seconds: float, world: World, *, now_ms: Callable[[], int]) -> None:
    topics = (advance.PLACEABLE_TOPIC,) if tick is place.tick else ()
    with world.changes.subscribe(*topics) as news:
        while True:
            try:
                await tick(now_ms(), world)
            except Exception:
                _log.exception("chore_broke", chore=tick.__module__)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await news.wait(seconds)
