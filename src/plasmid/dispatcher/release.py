"""End the holds of failed jobs that have lasted long enough, or whose worker is gone (H.5)."""

from __future__ import annotations

from typing import Final

from plasmid.dispatcher.world import Summary, World
from plasmid.domain.job_states import State
from plasmid.executions import holds, settle
from plasmid.metadata import jobs
from plasmid.metadata.rows import JobRow

# Far longer than a lease: a held job does nothing that another worker could do instead.
WORKER_GONE_MS: Final = 5 * 60 * 1000


async def tick(now_ms: int, world: World) -> Summary:
    """Have the sandboxes removed whose time is over; fail the jobs whose worker is gone."""
    found = await jobs.find_in_state(world.database.reader, State.DEBUG_HOLD)
    due = [row for row in found if now_ms >= holds.until_ms(row) or _is_alone(row, now_ms, world)]
    if not due:
        return Summary("release", 0)
    async with world.moment(now_ms) as moment:
        for old in due:
            row = await jobs.find_job(moment.tx, old.id)
            if row is None or row.state != State.DEBUG_HOLD or row.attempt != old.attempt:
                continue
            if _is_alone(row, now_ms, world):
                await settle.stopped(moment, row)
            else:
                await settle.stop(moment, row)
    return Summary("release", len(due))


def _is_alone(row: JobRow, now_ms: int, world: World) -> bool:
    seen_ms = world.backend.last_seen_ms(row.worker or "")
    return now_ms - max(seen_ms or 0, world.started_ms) > WORKER_GONE_MS
