"""Look for jobs, newest first, by the indexes `jobs_find_*`: a page costs what a page holds.

A question is answered by one stream for each project, or for each tree, that it is about: each
walks an index in the order of the results and goes on behind the last page's end. The streams are
merged as they are read, so that none is read further than the page needs.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from plasmid.domain import conditions, globs, job_states
from plasmid.domain.filters import Executions
from plasmid.metadata import schema
from plasmid.metadata.database import Prepared, Reader, listed, param
from plasmid.metadata.rows import JobRow

_j = schema.jobs.c
_parent = sa.alias(schema.jobs)
_shared: Final = (
    sa.select(_parent.c.workspace).where(_parent.c.id == _j.parent_job).scalar_subquery()
)
_CONDITIONS: Final[dict[str, sa.ColumnElement[bool] | sa.TextClause]] = {
    "project": _j.project == param("project"),
    # the same, but no reason to walk through the whole project for a tree
    "of_project": _j.project.concat("") == param("project"),
    "tree": _j.root_execution == param("tree"),
    "origin": _j.origin_job == param("origin"),
    "parent": _j.parent_job == param("parent"),
    "analysis": _j.parent_analysis == param("analysis"),
    "is_no_stage": _j.parent_analysis.is_(None),
    "visible": sa.or_(
        _j.project.in_(listed("visible")), _j.root_execution == param("visible_tree")
    ),
    "trees": _j.root_execution.in_(listed("trees")),
    "origins": _j.origin_job.in_(listed("origins")),
    "is_root": _j.parent_job.is_(None),
    "launched_by": _j.launched_by == param("launched_by"),
    "executable": _j.executable == param("executable"),
    "state": _j.state == param("state"),
    "has_tries": sa.text("jobs.attempt > 0"),
    "name": _j.name == param("name"),
    "name_like": _j.name.like(param("name_like"), escape="\\"),
    "has_tags": _j.tags != "[]",
    "has_properties": _j.properties != "{}",
    "not_before": _j.created_ms >= param("not_before"),
    "not_after": _j.created_ms <= param("not_after"),
    # all that have a workspace of their own are among these, by an index
    "may_be_master": sa.text("(jobs.function = 'main' OR jobs.parent_job IS NULL)"),
    "is_master": sa.or_(_j.parent_job.is_(None), _shared != _j.workspace),
    "behind": sa.tuple_(_j.created_ms, _j.id)
    < sa.tuple_(param("behind_ms"), param("behind_id")),
}  # fmt: skip
_MASTERS: Final = {"project", "may_be_master"}
_INDEXED: Final = {"is_root", "launched_by", "executable", "state", "has_tries", "name"}
_NARROW: Final = ("tree", "origin", "parent", "analysis")


class Visible(msgspec.Struct, frozen=True):
    """Which jobs a caller sees: those of some projects, and those of one tree."""

    projects: Sequence[str]
    tree: str | None = None


class Behind(msgspec.Struct, frozen=True):
    """Where a page goes on: behind this execution."""

    created_ms: int
    id: str


async def find_jobs(
    reader: Reader, question: Executions, visible: Visible, *, behind: Behind | None, limit: int
) -> list[JobRow]:
    """Return at most `limit` of the visible jobs, newest first.

    Names given as patterns, tags and properties are asked in such a way that no wanted job fails;
    the caller looks at them itself.
    """
    conditions_of_all = wanted(question, behind)
    with contextlib.ExitStack() as opened:
        streams = [
            opened.enter_context(reader.stepping(JobRow, *stream(conditions_of_all | lead, limit)))
            for lead in leads(question, visible)
        ]
        return _first(heapq.merge(*streams, key=_order, reverse=True), limit)


def stream(given: Mapping[str, Any], limit: int) -> tuple[Prepared, dict[str, Any]]:
    """Return the statement with the named conditions, and its values."""
    names = set(given).intersection(_CONDITIONS)
    if "project" in names and not names.isdisjoint(_NARROW):
        names = names - {"project"} | {"of_project"}
    return _statement(tuple(sorted(names))), {**given, "n": limit}


def _order(row: JobRow) -> tuple[int, str]:
    return row.created_ms, row.id


def _first(merged: Iterator[JobRow], limit: int) -> list[JobRow]:
    """Return the first jobs, each once: one may be in the stream of its project and its tree's."""
    found: list[JobRow] = []
    for row in merged:
        if len(found) == limit:
            break
        if not found or found[-1].id != row.id:
            found.append(row)
    return found


@cache
def _statement(names: tuple[str, ...]) -> Prepared:
    """Return the statement with some of the conditions; there are few combinations."""
    statement = (
        sa.select(schema.jobs)
        .where(*(_CONDITIONS[name] for name in names))
        .order_by(_j.created_ms.desc(), _j.id.desc())
        .limit(param("n"))
    )
    if _MASTERS.issubset(names) and _INDEXED.isdisjoint(names):
        # SQLite would rather look at all jobs of the project
        statement = statement.with_hint(schema.jobs, "INDEXED BY jobs_find_masters")
    return Prepared(statement)


def leads(question: Executions, visible: Visible) -> list[dict[str, Any]]:
    """Return, for each stream, the conditions that its index begins with."""
    seen = {
        "visible": msgspec.json.encode(list(visible.projects)).decode(),
        "visible_tree": visible.tree or "",
    }
    if question.root_executions is not None:
        return [{"tree": root, **seen} for root in dict.fromkeys(question.root_executions)]
    if question.origin_jobs is not None:
        return [{"origin": job, **seen} for job in dict.fromkeys(question.origin_jobs)]
    if isinstance(question.parent_job, str):
        return [{"parent": question.parent_job, **seen}]
    if isinstance(question.parent_analysis, str):
        return [{"analysis": question.parent_analysis, **seen}]
    of_projects: list[dict[str, Any]] = [
        {"project": item} for item in visible.projects if question.project in (None, item)
    ]
    return of_projects + ([{"tree": visible.tree}] if visible.tree else [])


def wanted(question: Executions, behind: Behind | None) -> dict[str, Any]:
    """Return the conditions of a question and of a page by name, with their values."""
    asked: dict[str, Any] = {
        "project": question.project,
        "launched_by": question.launched_by,
        "executable": question.executable,
        "not_before": question.created.after_ms,
        "not_after": question.created.before_ms,
        **_name(question),
    }
    if question.state == job_states.RESTARTED:
        asked["has_tries"] = True
    else:
        asked["state"] = question.state
    if question.root_executions is not None and question.origin_jobs is not None:
        asked["origins"] = msgspec.json.encode(question.origin_jobs).decode()
    if isinstance(question.parent_job, str):
        asked["parent"] = question.parent_job
    if isinstance(question.parent_analysis, str):
        asked["analysis"] = question.parent_analysis
    if behind is not None:
        asked |= {"behind": True, "behind_ms": behind.created_ms, "behind_id": behind.id}
    found = {name: value for name, value in asked.items() if value is not None}
    flags = {
        "is_root": question.parent_job is None,
        "is_no_stage": question.parent_analysis is None,
        "may_be_master": not question.include_subjobs,
        "is_master": not question.include_subjobs,
        "has_tags": _fails_without(question.tags),
        "has_properties": _fails_without(question.properties),
    }
    return found | {name: True for name, is_wanted in flags.items() if is_wanted}


def _fails_without(condition: conditions.Condition | None) -> bool:
    """Say whether a condition fails for what has no tags, or no properties, at all."""
    if condition is None:
        return False
    return not conditions.evaluate(condition, _of_nothing)


def _of_nothing(term: conditions.Term) -> bool:
    return isinstance(term, conditions.Property) and term.value is False


def _name(question: Executions) -> dict[str, str]:
    pattern = question.name
    if pattern is None or pattern.mode == "regexp":
        return {}
    exact = pattern.text if pattern.mode == "exact" else globs.literal(pattern.text)
    return {"name": exact} if exact is not None else {"name_like": globs.like(pattern.text)}
