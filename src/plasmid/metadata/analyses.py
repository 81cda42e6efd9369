"""Analyses: rows, the executions of their stages, and what lies below an execution."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import sqlalchemy as sa

from plasmid.metadata import jobs, rows, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, param
from plasmid.metadata.rows import AnalysisRow, JobRow

UNFINISHED: Final = ("in_progress", "partially_failed", "terminating")

_a, _j = schema.analyses.c, schema.jobs.c
_GET = Prepared(sa.select(schema.analyses).where(_a.id == param("k")))
_STAGE_JOBS = Prepared(
    sa.select(schema.jobs).where(_j.parent_analysis == param("k")).order_by(_j.created_ms, _j.id)
)
_STAGE_ANALYSES = Prepared(
    sa.select(schema.analyses)
    .where(_a.parent_analysis == param("k"))
    .order_by(_a.created_ms, _a.id)
)
_STATES = Prepared(
    sa.union_all(
        sa.select(_j.id, _j.state).where(_j.parent_analysis == param("k")),
        sa.select(_a.id, _a.state).where(_a.parent_analysis == param("k")),
    )
)
_BRIEF = Prepared(
    sa.select(_a.state, sa.func.json_extract(_a.settings, "$.failureReason")).where(
        _a.id == param("k")
    )
)
_UNFINISHED_STAGE = Prepared(
    sa.union_all(
        sa.select(_j.id).where(_j.parent_analysis == param("k"), _j.state.in_(jobs.UNFINISHED)),
        sa.select(_a.id).where(_a.parent_analysis == param("k"), _a.state.in_(UNFINISHED)),
    ).limit(1)
)
_OF_TREE = Prepared(
    sa.select(schema.analyses).where(_a.root_execution == param("r")).order_by(_a.created_ms, _a.id)
)
_UNFINISHED_OF_TREE = Prepared(
    sa.select(schema.analyses)
    .where(_a.root_execution == param("r"), _a.state.in_(UNFINISHED))
    .order_by(_a.created_ms, _a.id)
)
_PAGE = Prepared(
    sa.select(schema.analyses).where(_a.id > param("k")).order_by(_a.id).limit(param("n"))
)


def _unfinished_below() -> sa.Select[Any]:
    below = jobs.below()
    return (
        sa.select(schema.analyses)
        .join(below, _a.id == below.c.id)
        .where(_a.state.in_(UNFINISHED), _a.id != param("k"))
        .order_by(below.c.depth, _a.created_ms, _a.id)
    )


_BELOW = Prepared(_unfinished_below())


async def find_analysis(reader: Reader, analysis_id: str) -> AnalysisRow | None:
    """Return an analysis, or None."""
    return await reader.struct(AnalysisRow, _GET, {"k": analysis_id})


async def find_tree(reader: Reader, root: str) -> list[AnalysisRow]:
    """Return the analyses of a tree, oldest first."""
    return await reader.structs(AnalysisRow, _OF_TREE, {"r": root})


async def find_unfinished_of_tree(reader: Reader, root: str) -> list[AnalysisRow]:
    """Return the analyses of a tree that are not over, oldest first."""
    return await reader.structs(AnalysisRow, _UNFINISHED_OF_TREE, {"r": root})


async def find_unfinished_below(reader: Reader, execution: str) -> list[AnalysisRow]:
    """Return the analyses below a job or an analysis that are not over, nearer ones first."""
    return await reader.structs(AnalysisRow, _BELOW, {"k": execution})


async def find_page(reader: Reader, behind: str, limit: int) -> list[AnalysisRow]:
    """Return the next analyses in the order of their ids, behind one of them."""
    return await reader.structs(AnalysisRow, _PAGE, {"k": behind, "n": limit})


class Stages(msgspec.Struct, frozen=True):
    """What runs for the stages of an analysis, by id."""

    jobs: dict[str, JobRow]
    analyses: dict[str, AnalysisRow]


async def find_stages(reader: Reader, analysis_id: str) -> Stages:
    """Return the executions of an analysis' stages."""
    found = await reader.structs(JobRow, _STAGE_JOBS, {"k": analysis_id})
    inner = await reader.structs(AnalysisRow, _STAGE_ANALYSES, {"k": analysis_id})
    return Stages({row.id: row for row in found}, {row.id: row for row in inner})


class Brief(msgspec.Struct, frozen=True):
    """The state of an analysis, and what it fails for, if it does."""

    state: str
    failure_reason: str | None


async def find_brief(reader: Reader, analysis_id: str) -> Brief | None:
    """Return how an analysis is without reading what it is, or None."""
    return await reader.struct(Brief, _BRIEF, {"k": analysis_id})


async def has_unfinished_stages(reader: Reader, analysis_id: str) -> bool:
    """Say whether the execution of a stage, of those that are made, is not over."""
    return await reader.row(_UNFINISHED_STAGE, {"k": analysis_id}) is not None


async def find_stage_states(reader: Reader, analysis_id: str) -> dict[str, str]:
    """Return the states of the executions of an analysis' stages, by id."""
    found = await reader.rows(_STATES, {"k": analysis_id})
    return {str(row[0]): str(row[1]) for row in found}


async def update_analysis(tx: Transaction, analysis_id: str, changes: dict[str, Any]) -> None:
    """Change some fields of an analysis (its state only by executions.analyses)."""
    values = rows.changes(AnalysisRow, changes)
    await tx.update(schema.analyses, {"id": analysis_id}, values)
