"""Jobs: rows, what they wait for, and which of them can be placed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from plasmid.metadata import rows, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, param
from plasmid.metadata.rows import JobRow

TERMINAL = ("done", "failed", "terminated")
IDS_MAX = 500  # in one statement: SQLite limits its variables
MAY_ACT = frozenset({"idle", "waiting_on_input", "runnable", "running", "restartable"})

_j, _t, _w = schema.jobs.c, schema.tries.c, schema.waits.c
_GET = Prepared(sa.select(schema.jobs).where(_j.id == param("k")))
_TURNS = Prepared(
    sa.select(_j.id, _j.instance_type, _j.created_ms)
    .where(_j.state == "runnable")
    .order_by(_j.rank.desc(), _j.parent_job.is_(None), _j.created_ms, _j.id)
    .limit(param("n"))
)
_HELD = Prepared(
    sa.select(_j.id, _j.instance_type, _j.created_ms)
    .where(_j.state.in_(("running", "terminating")))
    .order_by(_j.created_ms, _j.id)
)
_PARENTS = Prepared(
    sa.select(_j.parent_job).where(_j.state.not_in(TERMINAL), _j.parent_job.is_not(None)).distinct()
)
_IN_STATE = Prepared(
    sa.select(schema.jobs)
    .where(_j.state == param("s"))
    .order_by(_j.rank.desc(), _j.created_ms, _j.id)
)
_OF_WORKER = Prepared(
    sa.select(schema.jobs)
    .where(_j.worker == param("w"), _j.state.in_(("running", "terminating")))
    .order_by(_j.created_ms, _j.id)
)
_TREE = Prepared(
    sa.select(schema.jobs).where(_j.root_execution == param("r")).order_by(_j.created_ms, _j.id)
)
_CHILDREN = Prepared(
    sa.select(schema.jobs).where(_j.parent_job == param("p")).order_by(_j.created_ms, _j.id)
)
_STATES = Prepared(
    sa.select(_j.state).where(_j.root_execution == param("r"), _j.id != param("b")).distinct()
)
_UNFINISHED_CHILDREN = Prepared(
    sa.select(_j.id).where(_j.parent_job == param("p"), _j.state.not_in(TERMINAL))
)
_ADD_TRY = Prepared(sa.insert(schema.tries))
_TRY = Prepared(sa.select(_t.row).where(_t.job == param("k"), _t.attempt == param("a")))
_TRIES = Prepared(sa.select(_t.row).where(_t.job == param("k")).order_by(_t.attempt.desc()))
_ADD_WAIT = Prepared(sa.insert(schema.waits))
_WAITS = Prepared(sa.select(_w.target).where(_w.job == param("k")))
_DROP_WAIT = Prepared(sa.delete(schema.waits).where(_w.job == param("k"), _w.target == param("t")))
_AWAITED_BY_OUTPUTS = Prepared(
    sa.select(_w.target)
    .join(schema.jobs, _j.id == _w.job)
    .where(_j.root_execution == param("r"), _j.state == "waiting_on_output")
    .distinct()
)
_AWAITED = Prepared(sa.select(_w.target).distinct())
_WAITING_FOR = Prepared(
    sa.select(schema.jobs)
    .join(schema.waits, _w.job == _j.id)
    .where(_w.target == param("t"), _j.state.in_(("waiting_on_input", "waiting_on_output")))
    .order_by(_j.created_ms, _j.id)
)


async def find_of_worker(reader: Reader, worker: str) -> list[JobRow]:
    """Return the jobs that a worker holds, oldest first."""
    return await reader.structs(JobRow, _OF_WORKER, {"w": worker})


async def find_job(reader: Reader, job_id: str) -> JobRow | None:
    """Return a job, or None."""
    return await reader.struct(JobRow, _GET, {"k": job_id})


async def add_try(tx: Transaction, row: JobRow) -> None:
    """Keep a job as it was at the end of a try."""
    content = msgspec.json.encode(row).decode()
    await tx.execute(_ADD_TRY, {"job": row.id, "attempt": row.attempt, "row": content})


async def find_try(reader: Reader, job_id: str, attempt: int) -> JobRow | None:
    """Return a job as it was at the end of an earlier try, or None."""
    found = await reader.row(_TRY, {"k": job_id, "a": attempt})
    return msgspec.json.decode(found[0], type=JobRow) if found else None


async def find_tries(reader: Reader, job_id: str) -> list[JobRow]:
    """Return a job as it was at the end of each earlier try, the newest first."""
    rows = await reader.rows(_TRIES, {"k": job_id})
    return [msgspec.json.decode(row[0], type=JobRow) for row in rows]


class Turn(msgspec.Struct, frozen=True):
    """A job that wants to run or runs, as far as placing it has to know."""

    id: str
    instance_type: str
    created_ms: int


async def find_turns(reader: Reader, limit: int) -> list[Turn]:
    """Return the next runnable jobs: by rank, those of trees that have begun first, then by age."""
    return await reader.structs(Turn, _TURNS, {"n": limit})


async def find_held(reader: Reader) -> list[Turn]:
    """Return the jobs that workers hold, oldest first."""
    return await reader.structs(Turn, _HELD)


async def find_unfinished_parents(reader: Reader) -> set[str]:
    """Return the jobs that have a child which is not in a terminal state."""
    return {str(row[0]) for row in await reader.rows(_PARENTS)}


async def find_in_state(reader: Reader, state: str) -> list[JobRow]:
    """Return the jobs in a state, by rank and age."""
    return await reader.structs(JobRow, _IN_STATE, {"s": state})


async def find_tree(reader: Reader, root: str) -> list[JobRow]:
    """Return the jobs of a tree, oldest first."""
    return await reader.structs(JobRow, _TREE, {"r": root})


async def find_children(reader: Reader, parent: str) -> list[JobRow]:
    """Return the jobs that a job started, oldest first."""
    return await reader.structs(JobRow, _CHILDREN, {"p": parent})


async def find_states(reader: Reader, root: str, *, but: str = "") -> set[str]:
    """Return the states in which the jobs of a tree are, one of them left out if named."""
    return {str(row[0]) for row in await reader.rows(_STATES, {"r": root, "b": but})}


async def find_unfinished_children(reader: Reader, parent: str) -> set[str]:
    """Return the ids of the jobs that a job started and that are not in a terminal state."""
    return {str(row[0]) for row in await reader.rows(_UNFINISHED_CHILDREN, {"p": parent})}


async def find_waiting_for(reader: Reader, target: str) -> list[JobRow]:
    """Return the jobs that wait for a job or a data object."""
    return await reader.structs(JobRow, _WAITING_FOR, {"t": target})


async def find_awaited(reader: Reader) -> set[str]:
    """Return every job and data object for which some job waits."""
    return {str(row[0]) for row in await reader.rows(_AWAITED)}


async def update_job(tx: Transaction, job_id: str, changes: dict[str, Any]) -> None:
    """Change some fields of a job (its state only by executions.advance)."""
    values = rows.changes(JobRow, changes)
    await tx.update(schema.jobs, {"id": job_id}, values)


async def find_awaited_by_outputs(reader: Reader, root: str) -> set[str]:
    """Return what the jobs of a tree whose processes have ended wait for."""
    return {str(row[0]) for row in await reader.rows(_AWAITED_BY_OUTPUTS, {"r": root})}


async def find_waits(reader: Reader, job_id: str) -> set[str]:
    """Return what a job waits for."""
    return {str(row[0]) for row in await reader.rows(_WAITS, {"k": job_id})}


async def set_waits(tx: Transaction, job_id: str, targets: Iterable[str]) -> None:
    """Say what a job waits for; only what differs is written."""
    wanted, present = set(targets), await find_waits(tx, job_id)
    for target in sorted(present - wanted):
        await tx.execute(_DROP_WAIT, {"k": job_id, "t": target})
    for target in sorted(wanted - present):
        await tx.execute(_ADD_WAIT, {"job": job_id, "target": target})


async def waits_for(reader: Reader, job_ids: Iterable[str], ancestors: Iterable[str]) -> bool:
    """Say whether one of the jobs is one of the ancestors, or cannot end before one of them does.

    A job ends after what it waits for, and after its children.
    """
    listed, above = list(job_ids), list(ancestors)
    for start in range(0, len(listed), IDS_MAX):
        first = sa.select(_j.id).where(_j.id.in_(listed[start : start + IDS_MAX]))
        reached = first.cte("reached", recursive=True)
        reached = reached.union(
            sa.select(_w.target).join(reached, _w.job == reached.c.id),
            sa.select(_j.id)
            .join(reached, _j.parent_job == reached.c.id)
            .where(_j.state.not_in(TERMINAL)),
        )
        found = sa.select(reached.c.id).where(reached.c.id.in_(above)).limit(1)
        if await reader.row(found) is not None:
            return True
    return False


async def count_unfinished_in(reader: Reader, project: str) -> int:
    """Count the unfinished jobs of a project."""
    statement = (
        sa.select(sa.func.count())
        .select_from(schema.jobs)
        .where(_j.project == project, _j.state.not_in(TERMINAL))
    )
    row = await reader.row(statement)
    return int(row[0]) if row else 0


async def find_unfinished_in(reader: Reader, project: str) -> list[JobRow]:
    """Return the unfinished jobs of a project."""
    statement = sa.select(schema.jobs).where(_j.project == project, _j.state.not_in(TERMINAL))
    return await reader.structs(JobRow, statement)
