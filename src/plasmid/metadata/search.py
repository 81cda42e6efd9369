"""Look for data objects: composable conditions, pages that stay in order.

A page goes on from the last result's sort key and id, so it neither repeats nor skips what stays
where it is while others come and go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from plasmid.domain import archival, globs
from plasmid.domain.filters import DataObjects, Times
from plasmid.domain.globs import NamePattern
from plasmid.metadata import projects, rows, schema
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import ObjectRow, PlacementRow

_o, _p = schema.objects.c, schema.placements.c
_OBJECT_COLUMNS: Final = len(schema.objects.columns)
_SORTS: Final[dict[str, sa.ColumnElement[Any]]] = {
    "created": _o.created_ms,
    "modified": _p.modified_ms,
    "name": _p.name,
}


class After(msgspec.Struct, frozen=True):
    """Where a page goes on: behind this result."""

    project: str
    key: Any
    id: str


async def find_data_objects(
    reader: Reader,
    question: DataObjects,
    containers: Sequence[str],
    *,
    after: After | None,
    limit: int,
    now_ms: int,
) -> list[tuple[ObjectRow, PlacementRow, Any]]:
    """Return at most `limit` objects with their places and sort keys, in the question's order.

    Names given as regular expressions, tags, types and properties are left to the caller.
    """
    sort = question.sort
    column = _SORTS[sort.field if sort else "modified"]
    descending = sort.descending if sort else True
    statement = (
        sa.select(schema.objects, schema.placements)
        .join(schema.placements, _p.object == _o.id)
        .where(_p.container.in_(list(containers)), *_object_conditions(question, now_ms))
        .order_by(_p.container, column.desc() if descending else column.asc(), _o.id)
        .limit(limit)
    )
    if after is not None:
        past = column < after.key if descending else column > after.key
        statement = statement.where(
            sa.or_(
                _p.container > after.project,
                sa.and_(
                    _p.container == after.project,
                    sa.or_(past, sa.and_(column == after.key, _o.id > after.id)),
                ),
            )
        )
    found = []
    for row in await reader.rows(statement):
        thing = rows.read(ObjectRow, row[:_OBJECT_COLUMNS])
        place = rows.read(PlacementRow, row[_OBJECT_COLUMNS:])
        key = {"created": thing.created_ms, "modified": place.modified_ms, "name": place.name}
        found.append((thing, place, key[sort.field if sort else "modified"]))
    return found


def _archival_state(now_ms: int) -> sa.ColumnElement[str]:
    """Return the state of a copy as an expression: `unarchiving` passes by itself."""
    has_passed = sa.and_(_p.archival_state == archival.UNARCHIVING, _p.archival_until_ms <= now_ms)
    return sa.case(
        (has_passed, archival.LIVE), else_=sa.func.coalesce(_p.archival_state, archival.LIVE)
    )


def _object_conditions(question: DataObjects, now_ms: int) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = [
        *_times(_o.created_ms, question.created),
        *_times(_p.modified_ms, question.modified),
        *_names(_p.name, question.name),
    ]
    if question.class_name is not None:
        wanted.append(_o.class_name == question.class_name)
    if question.state is not None:
        wanted.append(_o.state == question.state)
    if question.hidden is not None:
        wanted.append(_o.hidden == int(question.hidden))
    if question.ids is not None:
        wanted.append(_o.id.in_(question.ids))
    if question.link is not None:
        linked = sa.select(schema.links.c.source).where(schema.links.c.target == question.link)
        wanted.append(_o.id.in_(linked))
    if question.archival_state is not None:
        wanted.append(_archival_state(now_ms) == question.archival_state)
    if question.scope is not None:
        folder, recurse = question.scope.folder, question.scope.recurse
        wanted.append(projects.inside(_p.folder, folder) if recurse else _p.folder == folder)
    return wanted


def _times(column: sa.ColumnElement[int], times: Times) -> list[sa.ColumnElement[bool]]:
    wanted = []
    if times.after_ms is not None:
        wanted.append(column >= times.after_ms)
    if times.before_ms is not None:
        wanted.append(column <= times.before_ms)
    return wanted


def _names(
    column: sa.ColumnElement[str], pattern: NamePattern | None
) -> list[sa.ColumnElement[bool]]:
    """Return a condition that no wanted name fails; the caller checks the pattern itself."""
    if pattern is None or pattern.mode == "regexp":
        return []
    exact = pattern.text if pattern.mode == "exact" else globs.literal(pattern.text)
    if exact is not None:
        return [column == exact]
    return [column.like(globs.like(pattern.text), escape="\\")]
