"""Remove temporary workflows: `dx run --clone` makes one for each run, hidden (contract E.7).

What was run keeps what it needs of them. They stay for a day, in which the client may run them
again, or somebody may look what it has run.
"""

from __future__ import annotations

from typing import Final

from plasmid.dispatcher.world import Summary, World
from plasmid.executions import settle
from plasmid.metadata import workflows

KEPT_MS: Final = 24 * 3600 * 1000
BATCH_MAX: Final = 100


async def tick(now_ms: int, world: World) -> Summary:
    """Remove one batch of those that nothing was done with for a day."""
    before_ms = now_ms - KEPT_MS
    if not await workflows.find_left_over(world.database.reader.aside, before_ms, BATCH_MAX):
        return Summary("temporary", 0)
    async with world.moment(now_ms) as moment:
        found = await workflows.find_left_over(moment.tx, before_ms, BATCH_MAX)
        for container, workflow in found:
            await settle.remove_objects(moment, container, [workflow])
    return Summary("temporary", len(found))
