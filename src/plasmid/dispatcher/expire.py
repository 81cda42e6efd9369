"""Take jobs from workers that have gone silent (reliability B3)."""

from __future__ import annotations

from typing import Final

from plasmid.dispatcher.world import Summary, World
from plasmid.domain import failures
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import State
from plasmid.executions import settle
from plasmid.metadata import jobs
from plasmid.metadata.rows import JobRow

LEASE_MS: Final = 15_000
GRACE_MS: Final = 20_000


async def tick(now_ms: int, world: World) -> Summary:
    """End the tries of silent workers; after a start of the server they get time to call again."""
    held = [
        row
        for state in (State.RUNNING, State.TERMINATING)
        for row in await jobs.find_in_state(world.database.reader, state)
        if _is_silent(row, now_ms, world)
    ]
    if not held:
        return Summary("expire", 0)
    async with world.moment(now_ms) as moment:
        for found in held:
            row = await jobs.find_job(moment.tx, found.id)
            if row is None or row.state != found.state or row.attempt != found.attempt:
                continue
            if row.state == State.TERMINATING:
                await settle.stopped(moment, row)
                continue
            failure = JobFailure(
                failures.UNRESPONSIVE_WORKER,
                f"the worker {row.worker} has not been heard of for {LEASE_MS // 1000} s"
                f" while it ran try {row.attempt}",
            )
            await settle.fail(moment, row, failure)
    return Summary("expire", len(held))


def _is_silent(row: JobRow, now_ms: int, world: World) -> bool:
    seen_ms = world.backend.last_seen_ms(row.worker or "")
    if seen_ms is None:
        return now_ms - world.started_ms > GRACE_MS
    return now_ms - seen_ms > LEASE_MS
