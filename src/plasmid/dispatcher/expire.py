"""Take jobs from workers that have gone silent (reliability B3).

Silence is counted only while this server was there to hear: after its start, and after a time in
which it was stopped or the machine's clock was moved, workers get time to call again.
"""

from __future__ import annotations

from typing import Final

import structlog

from plasmid.dispatcher.world import Summary, World
from plasmid.domain import failures
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import State
from plasmid.executions import settle
from plasmid.metadata import jobs
from plasmid.metadata.rows import JobRow

# Of a lease: how often to look, what workers get to call again, what may lie between two looks.
LOOKS_A_LEASE: Final = 10
GRACE_LEASES: Final = 1.5
DEAF_LEASES: Final = 0.5
_log = structlog.get_logger()


def grace_ms(lease_ms: int) -> int:
    """Return how long workers get to call again after a time without a server."""
    return round(lease_ms * GRACE_LEASES)


def seconds(world: World) -> float:
    """Return how long to wait between two looks."""
    return world.backend.lease_ms / 1000 / LOOKS_A_LEASE


async def look(now_ms: int, world: World) -> Summary:
    """Do what `tick` does, for a caller who comes back within a small part of a lease.

    If that took longer, or less than no time, nothing was heard meanwhile.
    """
    since_ms = now_ms - (now_ms if world.looked_ms is None else world.looked_ms)
    if not 0 <= since_ms <= world.backend.lease_ms * DEAF_LEASES:
        _log.warning("server_was_deaf", since_ms=since_ms)
        world.started_ms = now_ms
    world.looked_ms = now_ms
    summary = await tick(now_ms, world)
    async with world.database.transaction():
        return summary  # behind what holds up the calls of workers this waits too


async def tick(now_ms: int, world: World) -> Summary:
    """End the tries of silent workers."""
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
                f"the worker {row.worker} has not been heard of for"
                f" {world.backend.lease_ms / 1000:g} s while it ran try {row.attempt}",
            )
            await settle.fail(moment, row, failure)
    return Summary("expire", len(held))


def _is_silent(row: JobRow, now_ms: int, world: World) -> bool:
    lease_ms = world.backend.lease_ms
    seen_ms = world.backend.last_seen_ms(row.worker or "")
    if seen_ms is None or not world.started_ms <= seen_ms <= now_ms:
        return now_ms - world.started_ms > grace_ms(lease_ms)
    return now_ms - seen_ms > lease_ms
