"""Remove what a crash or a destroyed project has left in the stores and no row names any more.

`collect` frees what it is told of by the database, at once; this goes through the stores, seldom:
bytes of an upload whose process was killed before it was kept, and logs that nobody can read.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from plasmid.dispatcher.world import Summary, World
from plasmid.metadata import inspection

# A part is kept seconds after its bytes are: what is older than this and nobody's stays nobody's.
OLD_MS: Final = 3600 * 1000
REMOVED_MAX: Final = 500
_log = structlog.get_logger()


async def tick(now_ms: int, world: World) -> Summary:
    """Remove a batch of bytes of no file and of logs of no job; a crash only repeats the work."""
    count = await _sweep_blobs(now_ms, world) + await _sweep_logs(world)
    if count:
        _log.info("swept", count=count)
    return Summary("sweep", count)


async def _sweep_blobs(now_ms: int, world: World) -> int:
    old = {
        kept.name
        async for kept in world.blobs.every()
        if not kept.is_half and kept.changed_ms < now_ms - OLD_MS
    }
    async for names in inspection.every_blob_name(world.database.reader):
        old.difference_update(names)
        await asyncio.sleep(0)  # calls are answered in between
    for name in sorted(old)[:REMOVED_MAX]:
        await world.blobs.remove(name)
    return min(len(old), REMOVED_MAX)


async def _sweep_logs(world: World) -> int:
    with_logs = sorted({log.job async for log in world.logs.every()})
    removed = 0
    for start in range(0, len(with_logs), inspection.PAGE_ROWS):
        page = with_logs[start : start + inspection.PAGE_ROWS]
        for job in await inspection.find_unreadable(world.database.reader, page):
            await world.logs.remove(job)
            removed += 1
        await asyncio.sleep(0)
    return removed
