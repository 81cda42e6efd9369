"""Give runnable jobs to the worker of this machine."""

from __future__ import annotations

from typing import Any

from plasmid.dispatcher.world import Summary, World
from plasmid.domain import instance_types, placement
from plasmid.domain.job_states import Event, State
from plasmid.domain.placement import Demand
from plasmid.executions import advance, settle
from plasmid.metadata import jobs
from plasmid.metadata.rows import JobRow


async def tick(now_ms: int, world: World) -> Summary:
    """Lease every job that fits now; one transaction for all."""
    reader = world.database.reader
    runnable = await jobs.find_in_state(reader, State.RUNNABLE)
    workers = world.backend.workers(now_ms)
    if not runnable or not workers:
        return Summary("place", 0)
    unfinished = await jobs.find_unfinished(reader)
    holding = [
        _demand(row) for row in unfinished if row.state in (State.RUNNING, State.TERMINATING)
    ]
    parents = {row.parent_job for row in unfinished if row.parent_job}
    turns = [_demand(row) for row in runnable]
    chosen = placement.place(world.machine, holding, turns, waiting=parents, now_ms=now_ms)
    if not chosen:
        return Summary("place", 0)
    async with world.moment(now_ms) as moment:
        for job_id in chosen:
            row = await jobs.find_job(moment.tx, job_id)
            if row is None or row.state != State.RUNNABLE:
                continue
            changes: dict[str, Any] = {"worker": workers[0]}
            if row.started_running_ms is None:
                changes["started_running_ms"] = now_ms
            await advance.apply(moment, row, Event.LEASED, changes)
            moment.tx.notify(settle.worker_topic(workers[0]))
    return Summary("place", len(chosen))


def _demand(row: JobRow) -> Demand:
    memory_bytes = instance_types.get(row.instance_type).memory_bytes
    return Demand(row.id, memory_bytes, row.created_ms)
