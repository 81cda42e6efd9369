"""Jobs: rows, what they wait for, and which of them can be placed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from plasmid.domain import job_states
from plasmid.metadata import rows, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, listed, param
from plasmid.metadata.rows import JobRow

TERMINAL = ("done", "failed", "terminated")
MAY_ACT = frozenset(
    {"idle", "waiting_on_input", "runnable", "running", "debug_hold", "restartable"}
)
UNFINISHED = (*sorted(MAY_ACT), "waiting_on_output", "terminating")
WITH_WORKER = tuple(sorted(state.value for state in job_states.WITH_WORKER))

_j, _t, _w = schema.jobs.c, schema.tries.c, schema.waits.c
_a = schema.analyses.c
_ANALYSIS_UNFINISHED = ("in_progress", "partially_failed", "terminating")
# What an execution belongs to: the job that started it, or the analysis whose stage it is.
_OVER_JOB = sa.func.coalesce(_j.parent_job, _j.parent_analysis)
_OVER_ANALYSIS = sa.func.coalesce(_a.parent_job, _a.parent_analysis)
_GET = Prepared(sa.select(schema.jobs).where(_j.id == param("k")))
_IN_ANY_CASE = Prepared(sa.select(_j.id).where(sa.func.lower(_j.id) == param("k")).limit(2))
_IN_STATE = Prepared(
    sa.select(schema.jobs)
    .where(_j.state == param("s"))
    .order_by(_j.rank.desc(), _j.created_ms, _j.id)
)
_OF_WORKER = Prepared(
    sa.select(schema.jobs)
    .where(_j.worker == param("w"), _j.state.in_(WITH_WORKER))
    .order_by(_j.created_ms, _j.id)
)
_TREE = Prepared(
    sa.select(schema.jobs).where(_j.root_execution == param("r")).order_by(_j.created_ms, _j.id)
)
_UNFINISHED_CHILDREN = Prepared(
    sa.union_all(
        sa.select(_j.id).where(_j.parent_job == param("p"), _j.state.in_(UNFINISHED)),
        sa.select(_a.id).where(_a.parent_job == param("p"), _a.state.in_(_ANALYSIS_UNFINISHED)),
    )
)
_PLACES = Prepared(
    sa.union_all(
        sa.select(_j.id, _j.project, _j.root_execution).where(_j.id.in_(listed("ids"))),
        sa.select(_a.id, _a.project, _a.root_execution).where(_a.id.in_(listed("ids"))),
    )
)
_SOURCES = Prepared(
    sa.union_all(
        sa.select(_j.id, _j.name, _j.state, _j.root_execution, _j.output).where(
            _j.id.in_(listed("ids"))
        ),
        sa.select(_a.id, _a.name, _a.state, _a.root_execution, _a.output).where(
            _a.id.in_(listed("ids"))
        ),
    )
)
_UNFINISHED_IN_TREE = Prepared(
    sa.select(_j.id).where(_j.root_execution == param("r"), _j.state.in_(UNFINISHED)).limit(1)
)
_ACTING_IN_TREE = Prepared(
    sa.select(_j.id)
    .where(_j.root_execution == param("r"), _j.state.in_(sorted(MAY_ACT)), _j.id != param("b"))
    .limit(1)
)
_UNFINISHED_OF_TREE = Prepared(
    sa.select(schema.jobs)
    .where(_j.root_execution == param("r"), _j.state.in_(UNFINISHED))
    .order_by(_j.created_ms, _j.id)
)
_WORKSPACES = Prepared(
    sa.union(
        *(
            sa.select(
                rows_of.workspace,
                sa.func.json_extract(rows_of.settings, "$.delayWorkspaceDestruction"),
            ).where(rows_of.root_execution == param("r"))
            for rows_of in (_j, _a)
        )
    )
)


def _above() -> sa.Select[Any]:
    """Return the query for a job and the executions it belongs to, nearest first."""
    first = sa.select(_j.id, _OVER_JOB.label("over"), sa.literal_column("0").label("depth"))
    above = first.where(_j.id == param("k")).cte("above", recursive=True)
    above = above.union_all(
        sa.select(_j.id, _OVER_JOB, above.c.depth + 1).join(above, _j.id == above.c.over),
        sa.select(_a.id, _OVER_ANALYSIS, above.c.depth + 1).join(above, _a.id == above.c.over),
    )
    return sa.select(above.c.id).order_by(above.c.depth)


def below() -> sa.CTE:
    """Return the executions below `k`, a job or an analysis, itself included: id and depth."""
    first = sa.select(param("k").label("id"), sa.literal_column("0").label("depth"))
    found = first.cte("below", recursive=True)
    depth = (found.c.depth + 1).label("depth")
    return found.union_all(
        sa.select(_j.id, depth).join(found, _j.parent_job == found.c.id),
        sa.select(_j.id, depth).join(found, _j.parent_analysis == found.c.id),
        sa.select(_a.id, depth).join(found, _a.parent_job == found.c.id),
        sa.select(_a.id, depth).join(found, _a.parent_analysis == found.c.id),
    )


def _unfinished_below() -> sa.Select[Any]:
    """Return the query for the unfinished jobs below an execution, those nearer to it first."""
    found = below()
    return (
        sa.select(schema.jobs)
        .join(found, _j.id == found.c.id)
        .where(_j.state.in_(UNFINISHED), _j.id != param("k"))
        .order_by(found.c.depth, _j.created_ms, _j.id)
    )


def _behind() -> sa.Select[Any]:
    """Return the query for executions and all that end after one: who waits, who started it."""
    first = sa.select(sa.func.json_each(param("ids")).table_valued("value").c.value.label("id"))
    behind = first.cte("behind", recursive=True)
    behind = behind.union(
        sa.select(_w.job).join(behind, _w.target == behind.c.id),
        sa.select(_OVER_JOB).join(behind, _j.id == behind.c.id).where(_OVER_JOB.is_not(None)),
        sa.select(_OVER_ANALYSIS)
        .join(behind, _a.id == behind.c.id)
        .where(_OVER_ANALYSIS.is_not(None)),
    )
    return sa.select(behind.c.id)


_ABOVE, _BELOW, _BEHIND = Prepared(_above()), Prepared(_unfinished_below()), Prepared(_behind())
_IS_SHARED = Prepared(sa.select(_j.id).where(_j.id == param("k"), _j.workspace == param("w")))
_ADD_TRY = Prepared(sa.insert(schema.tries))
_TRY = Prepared(sa.select(_t.row).where(_t.job == param("k"), _t.attempt == param("a")))
_TRIES = Prepared(sa.select(_t.row).where(_t.job == param("k")).order_by(_t.attempt.desc()))
_TRIES_OF = Prepared(
    sa.select(_t.job, _t.row).where(_t.job.in_(listed("ids"))).order_by(_t.job, _t.attempt.desc())
)


async def find_of_worker(reader: Reader, worker: str) -> list[JobRow]:
    """Return the jobs that a worker holds, oldest first."""
    return await reader.structs(JobRow, _OF_WORKER, {"w": worker})


async def find_job(reader: Reader, job_id: str) -> JobRow | None:
    """Return a job, or None."""
    return await reader.struct(JobRow, _GET, {"k": job_id})


async def find_ids_in_any_case(reader: Reader, lower_id: str) -> list[str]:
    """Return the ids of jobs that are this in lower case; reads all ids."""
    found = await reader.rows(_IN_ANY_CASE, {"k": lower_id})
    return [str(row[0]) for row in found]


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


async def find_tries_of(reader: Reader, job_ids: Iterable[str]) -> dict[str, list[JobRow]]:
    """Return some jobs as they were at the end of each earlier try, the newest first, by id."""
    found: dict[str, list[JobRow]] = {}
    for job, row in await reader.rows(_TRIES_OF, {"ids": rows.stored(list(job_ids))}):
        found.setdefault(job, []).append(msgspec.json.decode(row, type=JobRow))
    return found


async def find_in_state(reader: Reader, state: str) -> list[JobRow]:
    """Return the jobs in a state, by rank and age."""
    return await reader.structs(JobRow, _IN_STATE, {"s": state})


async def find_tree(reader: Reader, root: str) -> list[JobRow]:
    """Return the jobs of a tree, oldest first."""
    return await reader.structs(JobRow, _TREE, {"r": root})


async def find_unfinished_children(reader: Reader, parent: str) -> set[str]:
    """Return the ids of the jobs and analyses that a job started and that are not over."""
    return {str(row[0]) for row in await reader.rows(_UNFINISHED_CHILDREN, {"p": parent})}


class Source(msgspec.Struct, frozen=True):
    """A job or an analysis for which a job waits, as far as that has to know."""

    id: str
    name: str
    state: str
    root_execution: str
    output: dict[str, Any] | None


async def find_sources(reader: Reader, job_ids: Iterable[str]) -> dict[str, Source]:
    """Return those of the jobs and analyses that exist, by id: any number of them."""
    listing = rows.stored(list(job_ids))
    found = await reader.structs(Source, _SOURCES, {"ids": listing})
    return {source.id: source for source in found}


class Place(msgspec.Struct, frozen=True):
    """Where an execution runs: in which project, and in which tree."""

    id: str
    project: str
    root_execution: str


async def find_places(reader: Reader, job_ids: Iterable[str]) -> dict[str, Place]:
    """Return where those of the jobs and analyses run that exist, by id: any number of them."""
    found = await reader.structs(Place, _PLACES, {"ids": rows.stored(list(job_ids))})
    return {place.id: place for place in found}


async def has_unfinished(reader: Reader, root: str) -> bool:
    """Say whether a job of a tree is not in a terminal state."""
    return await reader.row(_UNFINISHED_IN_TREE, {"r": root}) is not None


async def has_acting(reader: Reader, root: str, *, but: str = "") -> bool:
    """Say whether a job of a tree can still close objects, one of them left out if named."""
    return await reader.row(_ACTING_IN_TREE, {"r": root, "b": but}) is not None


async def find_unfinished_of_tree(reader: Reader, root: str) -> list[JobRow]:
    """Return the jobs of a tree that are not in a terminal state, oldest first."""
    return await reader.structs(JobRow, _UNFINISHED_OF_TREE, {"r": root})


async def find_workspaces(reader: Reader, root: str) -> tuple[set[str], set[str]]:
    """Return the workspaces of a tree, and those of them that some job wants to have kept."""
    rows = await reader.rows(_WORKSPACES, {"r": root})
    return {str(row[0]) for row in rows}, {str(row[0]) for row in rows if row[1]}


async def is_workspace_of(reader: Reader, workspace: str, job_id: str) -> bool:
    """Say whether a job works in a workspace."""
    return await reader.row(_IS_SHARED, {"k": job_id, "w": workspace}) is not None


async def find_above(reader: Reader, job_id: str) -> list[str]:
    """Return the ids of a job, of the job or analysis it belongs to, of that one's and so on."""
    return [str(row[0]) for row in await reader.rows(_ABOVE, {"k": job_id})]


async def find_unfinished_below(reader: Reader, job_id: str) -> list[JobRow]:
    """Return the jobs below a job or an analysis that are not over, those nearer to it first."""
    return await reader.structs(JobRow, _BELOW, {"k": job_id})


async def find_behind(reader: Reader, job_ids: Iterable[str]) -> set[str]:
    """Return the ids of the executions that cannot end before one of these has ended, with these.

    A job ends after what it waits for, and after what it started; an analysis after its stages.
    """
    listing = rows.stored(list(job_ids))
    return {str(row[0]) for row in await reader.rows(_BEHIND, {"ids": listing})}


async def update_job(tx: Transaction, job_id: str, changes: dict[str, Any]) -> None:
    """Change some fields of a job (its state only by executions.advance)."""
    values = rows.changes(JobRow, changes)
    await tx.update(schema.jobs, {"id": job_id}, values)


async def find_unfinished_in(reader: Reader, project: str) -> list[JobRow]:
    """Return the unfinished jobs of a project."""
    statement = sa.select(schema.jobs).where(_j.project == project, _j.state.in_(UNFINISHED))
    return await reader.structs(JobRow, statement)
