"""Remove the containers of executions whose time has come (contract C.10, F.2).

Workspaces that were kept for a while, and what belongs to apps that are deleted or changed.
"""

from __future__ import annotations

from typing import Final

from plasmid.dispatcher.world import Summary, World
from plasmid.executions import settle
from plasmid.metadata import projects

BATCH_MAX: Final = 20


async def tick(now_ms: int, world: World) -> Summary:
    """Remove one batch; the collector then frees the bytes that lie nowhere else."""
    found = await projects.find_outlived(world.database.reader, now_ms, BATCH_MAX)
    if found:
        async with world.moment(now_ms) as moment:
            for row in await projects.find_outlived(moment.tx, now_ms, BATCH_MAX):
                await settle.remove_container(moment, row.id)
    return Summary("outlived", len(found))
