"""Give runnable jobs to the worker of this machine."""

from __future__ import annotations

from typing import Any, Final

from plasmid.dispatcher.world import Summary, World
from plasmid.domain import instance_types, placement
from plasmid.domain.job_states import Event, State
from plasmid.domain.placement import Demand
from plasmid.executions import advance, settle
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, objects
from plasmid.metadata.jobs import Turn
from plasmid.metadata.rows import JobRow

TURNS_MAX: Final = 1000


async def tick(now_ms: int, world: World) -> Summary:
    """Lease every job that fits now; one transaction for all."""
    reader = world.database.reader
    workers = world.backend.workers(now_ms)
    turns = await jobs.find_turns(reader, TURNS_MAX)
    if not turns or not workers:
        return Summary("place", 0)
    chosen = placement.place(
        world.machine,
        [_demand(turn) for turn in await jobs.find_held(reader)],
        [_demand(turn) for turn in turns],
        waiting=await jobs.find_unfinished_parents(reader),
        now_ms=now_ms,
    )
    if not chosen:
        return Summary("place", 0)
    async with world.moment(now_ms) as moment:
        for job_id in chosen:
            row = await jobs.find_job(moment.tx, job_id)
            if row is None or row.state != State.RUNNABLE:
                continue
            if await objects.find_object(moment.tx, row.executable) is None:
                await settle.fail(moment, row, advance.nothing_to_run(row))
            else:
                await _lease(moment, row, workers[0])
    return Summary("place", len(chosen))


async def _lease(moment: Moment, row: JobRow, worker: str) -> None:
    changes: dict[str, Any] = {"worker": worker}
    if row.started_running_ms is None:
        changes["started_running_ms"] = moment.now_ms
    await advance.apply(moment, row, Event.LEASED, changes)
    moment.tx.notify(settle.worker_topic(worker))


def _demand(turn: Turn) -> Demand:
    memory_bytes = instance_types.get(turn.instance_type).memory_bytes
    return Demand(turn.id, memory_bytes, turn.created_ms)
