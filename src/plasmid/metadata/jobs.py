"""Jobs: rows, what they wait for, and which of them can be placed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from plasmid.metadata import rows, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, param
from plasmid.metadata.rows import JobRow

TERMINAL = ("done", "failed", "terminated")

_j, _w = schema.jobs.c, schema.waits.c
_GET = Prepared(sa.select(schema.jobs).where(_j.id == param("k")))
_UNFINISHED = Prepared(
    sa.select(schema.jobs).where(_j.state.not_in(TERMINAL)).order_by(_j.created_ms, _j.id)
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
_ADD_WAIT = Prepared(sa.insert(schema.waits))
_AWAITED = Prepared(sa.select(_w.target).distinct())
_DROP_WAITS = Prepared(sa.delete(schema.waits).where(_w.job == param("k")))
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


async def find_unfinished(reader: Reader) -> list[JobRow]:
    """Return every job that is not in a terminal state, oldest first."""
    return await reader.structs(JobRow, _UNFINISHED)


async def find_in_state(reader: Reader, state: str) -> list[JobRow]:
    """Return the jobs in a state, by rank and age."""
    return await reader.structs(JobRow, _IN_STATE, {"s": state})


async def find_tree(reader: Reader, root: str) -> list[JobRow]:
    """Return the jobs of a tree, oldest first."""
    return await reader.structs(JobRow, _TREE, {"r": root})


async def find_children(reader: Reader, parent: str) -> list[JobRow]:
    """Return the jobs that a job started, oldest first."""
    return await reader.structs(JobRow, _CHILDREN, {"p": parent})


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


async def set_waits(tx: Transaction, job_id: str, targets: Iterable[str]) -> None:
    """Say what a job waits for."""
    await tx.execute(_DROP_WAITS, {"k": job_id})
    for target in sorted(set(targets)):
        await tx.execute(_ADD_WAIT, {"job": job_id, "target": target})


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
