"""Give runnable jobs to the worker of this machine."""

from __future__ import annotations

from collections.abc import Sequence
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
                devices = await _devices(moment, row, world.machine.gpus)
                await _lease(moment, row, workers[0], devices)
    return Summary("place", len(chosen))


async def _devices(moment: Moment, row: JobRow, gpus: Sequence[str]) -> list[str]:
    """Return as many devices as a job needs, those that the fewest others have."""
    count = instance_types.get(row.instance_type).gpus
    if not count:
        return []
    uses = dict.fromkeys(gpus, 0)
    for other in await jobs.find_in_state(moment.tx, State.RUNNING):
        for device in other.settings.get("devices") or ():
            if device in uses:
                uses[device] += 1
    return sorted(gpus, key=lambda device: uses[device])[:count]


async def _lease(moment: Moment, row: JobRow, worker: str, devices: list[str]) -> None:
    changes: dict[str, Any] = {"worker": worker}
    if devices:
        changes["settings"] = row.settings | {"devices": devices}
    if row.started_running_ms is None:
        changes["started_running_ms"] = moment.now_ms
    await advance.apply(moment, row, Event.LEASED, changes)
    moment.tx.notify(settle.worker_topic(worker))


def _demand(turn: Turn) -> Demand:
    wanted = instance_types.get(turn.instance_type)
    return Demand(turn.id, wanted.memory_bytes, turn.created_ms, wanted.gpus)
