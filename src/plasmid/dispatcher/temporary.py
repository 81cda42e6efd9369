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
    """Remove those that nothing was done with for a day, one batch after the other."""
    before_ms = now_ms - KEPT_MS
    removed = 0
    while True:
        found = await workflows.find_left_over(world.database.reader.aside, before_ms, BATCH_MAX)
        if not found:
            return Summary("temporary", removed)
        async with world.moment(now_ms) as moment:
            still = await workflows.still_left_over(moment.tx, before_ms, found)
            for container, workflow in still:
                await settle.remove_objects(moment, container, [workflow])
        removed += len(still)
        if len(still) < BATCH_MAX:
            return Summary("temporary", removed)
