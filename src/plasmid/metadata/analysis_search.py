"""Look for analyses, newest first, as `job_search` looks for jobs.

There are few analyses beside jobs: each question is one statement, led by the index that its
narrowest condition has.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from plasmid.domain.filters import Executions
from plasmid.metadata import job_search, schema
from plasmid.metadata.database import Prepared, Reader, listed, param
from plasmid.metadata.job_search import Behind, Visible
from plasmid.metadata.rows import AnalysisRow

_a, _j = schema.analyses.c, schema.jobs.c
# An analysis that a job has launched comes from the same origin as that job.
_origin: Final = sa.select(_j.id).where(_j.origin_job.in_(listed("origins")))
_CONDITIONS: Final[dict[str, sa.ColumnElement[bool]]] = {
    "project": _a.project == param("project"),
    "visible": sa.or_(
        _a.project.in_(listed("visible")), _a.root_execution == param("visible_tree")
    ),
    "trees": _a.root_execution.in_(listed("trees")),
    "origins": _a.parent_job.in_(_origin),
    "parent": _a.parent_job == param("parent"),
    "is_root": _a.parent_job.is_(None),
    "analysis": _a.parent_analysis == param("analysis"),
    "is_no_stage": _a.parent_analysis.is_(None),
    "launched_by": _a.launched_by == param("launched_by"),
    # also by what its stages run, as the platform finds it
    "executable": sa.or_(
        _a.executable == param("executable"),
        sa.exists().where(_j.parent_analysis == _a.id, _j.executable == param("executable")),
    ),
    "state": _a.state == param("state"),
    "name": _a.name == param("name"),
    "name_like": _a.name.like(param("name_like"), escape="\\"),
    "has_tags": _a.tags != "[]",
    "has_properties": _a.properties != "{}",
    "not_before": _a.created_ms >= param("not_before"),
    "not_after": _a.created_ms <= param("not_after"),
    "behind": sa.tuple_(_a.created_ms, _a.id)
    < sa.tuple_(param("behind_ms"), param("behind_id")),
}  # fmt: skip


async def find_analyses(
    reader: Reader, question: Executions, visible: Visible, *, behind: Behind | None, limit: int
) -> list[AnalysisRow]:
    """Return at most `limit` of the visible analyses, newest first.

    As with jobs, the caller looks at names given as patterns, tags and properties itself.
    """
    given = job_search.wanted(question, behind)
    given |= {
        "visible": msgspec.json.encode(list(visible.projects)).decode(),
        "visible_tree": visible.tree or "",
    }
    if question.root_executions is not None:
        given["trees"] = msgspec.json.encode(question.root_executions).decode()
    if question.origin_jobs is not None:
        given["origins"] = msgspec.json.encode(question.origin_jobs).decode()
    names = tuple(sorted(set(given).intersection(_CONDITIONS)))
    return await reader.structs(AnalysisRow, _statement(names), {**given, "n": limit})


@cache
def _statement(names: tuple[str, ...]) -> Prepared:
    conditions: list[Any] = [_CONDITIONS[name] for name in names]
    return Prepared(
        sa.select(schema.analyses)
        .where(*conditions)
        .order_by(_a.created_ms.desc(), _a.id.desc())
        .limit(param("n"))
    )
