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
from plasmid.metadata import jobs, objects, queue
from plasmid.metadata.queue import Turn
from plasmid.metadata.rows import JobRow
from plasmid.telemetry import failpoints

_WITH_DEVICES: Final = (State.RUNNING, State.DEBUG_HOLD)


async def tick(now_ms: int, world: World) -> Summary:
    """Lease every job that fits now; one transaction for all."""
    workers = world.backend.workers(now_ms)
    chosen = await _choose(world, now_ms) if workers else []
    if not chosen:
        return Summary("place", 0)
    failpoints.reach("S3", job=chosen[0])
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
    failpoints.reach("S4", job=chosen[0])
    return Summary("place", len(chosen))


async def _choose(world: World, now_ms: int) -> list[str]:
    """Return the jobs to start now; what is read does not grow with the number of those queued."""
    reader, machine = world.database.reader, world.machine
    held = [_demand(turn) for turn in await queue.find_held(reader)]
    waiting = await queue.find_parents(reader, [demand.job for demand in held])
    if len(held) - len(waiting) >= machine.jobs_max:
        return []
    turns = {turn.id: turn for turn in await queue.find_next(reader, machine.jobs_max)}
    present = {demand.priority for demand in held}
    for priority in placement.PRIORITIES:
        oldest = await queue.find_oldest(reader, priority) if priority not in present else None
        if oldest is not None:
            turns[oldest.id] = oldest
    if world.queue_ms_min:
        latest_ms = now_ms - world.queue_ms_min
        turns = {turn.id: turn for turn in turns.values() if turn.modified_ms <= latest_ms}
    runnable = {turn.id: _demand(turn) for turn in turns.values()}
    chosen = placement.place(
        machine,
        held,
        list(runnable.values()),
        waiting=waiting,
        now_ms=now_ms,
        served=world.served,
    )
    for job_id in chosen:
        world.served[runnable[job_id].user] = next(world.turns)
    return chosen


async def _devices(moment: Moment, row: JobRow, gpus: Sequence[str]) -> list[str]:
    """Return as many devices as a job needs, those that the fewest others have."""
    count = instance_types.get(row.instance_type).gpus
    if not count:
        return []
    uses = dict.fromkeys(gpus, 0)
    held = [one for state in _WITH_DEVICES for one in await jobs.find_in_state(moment.tx, state)]
    for other in held:
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
    return Demand(
        job=turn.id,
        memory_bytes=wanted.memory_bytes,
        created_ms=turn.created_ms,
        gpus=wanted.gpus,
        cores=wanted.cores,
        disk_bytes=wanted.disk_bytes,
        user=turn.user,
        priority=turn.priority,
        rank=turn.rank,
        is_new=turn.is_new,
    )
