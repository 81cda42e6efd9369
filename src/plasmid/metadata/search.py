"""Look for data objects: composable conditions, pages that stay in order.

A page goes on from the last result's sort key and id, so it neither repeats nor skips what stays
where it is while others come and go.

A question either walks an index in the order of the results until a page is full, or, where a
look at an index says that few can be meant, takes these and sorts them: so a page costs what it
holds, however many objects there are beside. A walk past many that are not meant goes in stretches,
so that others' questions have their turn, and ends before the page is full if it takes too long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from plasmid.domain import archival, folders, globs, object_states
from plasmid.domain.filters import DataObjects, Times
from plasmid.metadata import projects, schema, search_terms
from plasmid.metadata.database import Reader, listed, param

_o, _p, _l = schema.objects.c, schema.placements.c, schema.links.c
# Of so many objects at most it is cheaper to take all that an index names, and sort them.
FEW: Final = 5_000
FEW_IN_FOLDER: Final = 50_000
# A walk goes in stretches, the first of which are short, and looks at so many objects in all.
STRETCH_MIN: Final = 2_000
STRETCH_MAX: Final = 32_000
LOOKED_AT_MAX: Final = 500_000
_SORTS: Final[dict[str, sa.ColumnElement[Any]]] = {
    "created": _o.created_ms,
    "modified": _p.modified_ms,
    "name": _p.name,
}
_Conditions = list[sa.ColumnElement[bool] | sa.TextClause]


class After(msgspec.Struct, frozen=True):
    """Where a page goes on: behind this result."""

    project: str
    key: Any
    id: str


class Found(msgspec.Struct, frozen=True):
    """A result: an object in a container, and the key by which it was sorted."""

    container: str
    object: str
    key: Any
    name: str


class Part(msgspec.Struct, frozen=True):
    """Some of the results, and behind what to look for the others; None if these were the last."""

    found: list[Found]
    after: After | None


class _Lead(msgspec.Struct, frozen=True):
    """A way to few objects: an index, what it is asked, and how many are few.

    `chosen` are the ids that the conditions name, if there could be many of them, too.
    """

    index: str
    conditions: _Conditions
    most: int = FEW
    chosen: Any = None
    is_walk: bool = False


async def find_data_objects(
    reader: Reader,
    question: DataObjects,
    containers: Sequence[str],
    *,
    after: After | None,
    limit: int,
    now_ms: int,
) -> Part:
    """Return at most `limit` places of objects, in the question's order.

    Names given as patterns are left to the caller: no wanted name fails here.
    """
    column, descending = _order(question)
    statement = (
        sa.select(_p.container, _p.object, column, _p.name)
        .select_from(schema.placements.join(schema.objects, _o.id == _p.object))
        .where(_p.container.in_(listed("containers")), *_conditions(question, now_ms))
        .order_by(_p.container, column.desc() if descending else column.asc(), _p.object)
        .limit(param("n"))
    )
    lead = await _best(reader, question, containers)
    statement = statement.where(*lead.conditions)
    if lead.index:
        statement = statement.with_hint(schema.placements, f"INDEXED BY {lead.index}")
    found: list[Found] = []
    length, looked_at = STRETCH_MIN, 0
    while True:
        edge = None
        if lead.is_walk:
            edge = await _edge(reader, question, containers, after, length=length)
        for inside, more in _stretches(question, containers, after, edge):
            values = {**_values(question, inside), "n": limit - len(found)}
            rows = await reader.rows(statement.where(*more), values)
            found += [Found(*row) for row in rows]
            if len(found) == limit:
                return Part(found, After(found[-1].container, found[-1].key, found[-1].object))
        looked_at += length
        if edge is None or looked_at >= LOOKED_AT_MAX:
            return Part(found, edge)
        after, length = edge, min(4 * length, STRETCH_MAX)


def _order(question: DataObjects) -> tuple[sa.ColumnElement[Any], bool]:
    """Return by what results are sorted within a container, and whether the last comes first."""
    sort = question.sort
    return _SORTS[sort.field if sort else "modified"], sort.descending if sort else True


async def _edge(
    reader: Reader,
    question: DataObjects,
    containers: Sequence[str],
    after: After | None,
    *,
    length: int,
) -> After | None:
    """Return where a stretch of a walk ends, whatever is meant; None if it is the last one."""
    column, descending = _order(question)
    lead = _walk(question)
    statement = (
        sa.select(_p.container, column, _p.object)
        .with_hint(schema.placements, f"INDEXED BY {lead.index}")
        .where(_p.container.in_(listed("containers")), *lead.conditions)
        .order_by(_p.container, column.desc() if descending else column.asc(), _p.object)
        .limit(1)
        .offset(param("n"))
    )
    left = length - 1
    for inside, more in _stretches(question, containers, after, None):
        values = {**_values(question, inside), "n": left}
        row = await reader.row(statement.where(*more), values)
        if row is not None:
            return After(*row)
        counted = sa.select(_p.object).where(_p.container.in_(listed("containers")), *more)
        left -= await _count(reader, counted.where(*lead.conditions), left, values)
    return None


def _stretches(
    question: DataObjects, containers: Sequence[str], after: After | None, edge: After | None
) -> list[tuple[Sequence[str], _Conditions]]:
    """Return where to look: behind a result, up to another one that is included."""
    first = "" if after is None else after.project
    last = "" if edge is None else edge.project
    by_ends: dict[tuple[bool, bool], list[str]] = {}
    for item in containers:
        if item >= first and (edge is None or item <= last):
            by_ends.setdefault((item == first, item == last), []).append(item)
    column, descending = _order(question)
    found: list[tuple[Sequence[str], _Conditions]] = []
    for (is_first, is_last), part in sorted(by_ends.items(), key=lambda entry: entry[1]):
        more: _Conditions = []
        if is_first and after is not None:
            past = column < after.key if descending else column > after.key
            reached = column <= after.key if descending else column >= after.key
            more += [reached, sa.or_(past, _p.object > after.id)]
        if is_last and edge is not None:
            short = column > edge.key if descending else column < edge.key
            within = column >= edge.key if descending else column <= edge.key
            more += [within, sa.or_(short, _p.object <= edge.id)]
        found.append((part, more))
    return found


async def _best(reader: Reader, question: DataObjects, containers: Sequence[str]) -> _Lead:
    """Return the way to the fewest objects, or else that which has them in the order of results."""
    best, fewest = _walk(question), FEW_IN_FOLDER + 1
    values = _values(question, containers)
    for lead in _leads(question):
        most = min(lead.most, fewest - 1)
        if lead.chosen is not None and await _count(reader, lead.chosen, most, values) > most:
            continue
        inside = (
            sa.select(_p.object)
            .with_hint(schema.placements, f"INDEXED BY {lead.index}")
            .where(_p.container.in_(listed("containers")), *lead.conditions)
        )
        count = await _count(reader, inside, most, values)
        if count <= most:
            best, fewest = lead, count
    return best


async def _count(reader: Reader, rows: sa.Select[Any], most: int, values: dict[str, Any]) -> int:
    """Return how many rows a query has, or one more than `most`."""
    counted = sa.select(sa.func.count()).select_from(rows.limit(most + 1).subquery())
    row = await reader.row(counted, values)
    return int(row[0]) if row else 0


def _walk(question: DataObjects) -> _Lead:
    """Return the index that has the objects in the order of the results; an empty one is none."""
    field = "modified" if question.sort is None else question.sort.field
    if field != "modified":
        index = "placements_name" if field == "name" else ""
        return _Lead(index, [], is_walk=bool(index))
    if search_terms.fails_without(question.tags):
        return _Lead("placements_tagged", [schema.TAGGED], is_walk=True)
    if search_terms.fails_without(question.properties):
        return _Lead("placements_described", [schema.DESCRIBED], is_walk=True)
    return _Lead("placements_modified", [], is_walk=True)


def _leads(question: DataObjects) -> list[_Lead]:
    leads = []
    names = _names(question)
    if question.scope is not None and not _is_whole(question):
        where = _folders(question)
        exact = names if not question.scope.recurse and _literal(question) is not None else []
        leads.append(_Lead("placements_folder", [*where, *exact], FEW_IN_FOLDER))
    if len(names) > 1 or _literal(question) is not None:  # not all names need be looked at
        leads.append(_Lead("placements_name", names))
    if question.ids is not None:
        leads.append(_Lead("placements_object", [_p.object.in_(listed("ids"))]))
    leads += [
        _Lead("placements_object", [_p.object.in_(chosen)], chosen=chosen)
        for chosen in _chosen(question)
    ]
    return leads


def _chosen(question: DataObjects) -> list[sa.Select[Any]]:
    """Return the sets of objects that a question names by what they are."""
    found: list[sa.Select[Any]] = []
    if question.link is not None:
        found.append(sa.select(_l.source).where(_l.target == question.link))
    if question.class_name is not None:
        found.append(sa.select(_o.id).where(_o.class_name == question.class_name))
    if question.state not in (None, object_states.CLOSED):
        found.append(sa.select(_o.id).where(schema.OPEN, _o.state == question.state))
    if question.hidden:
        found.append(sa.select(_o.id).where(schema.HIDDEN))
    if question.created.after_ms is not None:
        found.append(sa.select(_o.id).where(*_times(_o.created_ms, question.created)))
    return found


def _conditions(question: DataObjects, now_ms: int) -> _Conditions:
    wanted: _Conditions = [
        *_times(_o.created_ms, question.created),
        *_times(_p.modified_ms, question.modified),
        *_names(question),
        *_folders(question),
        *search_terms.words(_o.types, question.types),
        *search_terms.words(_p.tags, question.tags),
        *search_terms.properties(_p.properties, question.properties),
    ]
    if search_terms.fails_without(question.tags):
        wanted.append(schema.TAGGED)
    if search_terms.fails_without(question.properties):
        wanted.append(schema.DESCRIBED)
    for column, value in ((_o.class_name, question.class_name), (_o.state, question.state)):
        if value is not None:
            wanted.append(column == value)
    if question.hidden is not None:
        wanted.append(_o.hidden == int(question.hidden))
    if question.ids is not None:
        wanted.append(_p.object.in_(listed("ids")))
    if question.link is not None:
        linked = sa.select(_l.source).where(_l.target == question.link)
        wanted.append(_p.object.in_(linked))
    if question.archival_state is not None:
        wanted.append(_archival_state(now_ms) == question.archival_state)
    return wanted


def _archival_state(now_ms: int) -> sa.ColumnElement[str]:
    """Return the state of a copy as an expression: `unarchiving` passes by itself."""
    has_passed = sa.and_(_p.archival_state == archival.UNARCHIVING, _p.archival_until_ms <= now_ms)
    return sa.case(
        (has_passed, archival.LIVE), else_=sa.func.coalesce(_p.archival_state, archival.LIVE)
    )


def _is_whole(question: DataObjects) -> bool:
    """Say whether a scope is a whole container."""
    scope = question.scope
    return scope is not None and scope.recurse and scope.folder == folders.ROOT


def _folders(question: DataObjects) -> _Conditions:
    if question.scope is None or _is_whole(question):
        return []
    folder = question.scope.folder
    return [projects.inside(_p.folder, folder) if question.scope.recurse else _p.folder == folder]


def _times(column: sa.ColumnElement[int], times: Times) -> _Conditions:
    wanted: _Conditions = []
    if times.after_ms is not None:
        wanted.append(column >= times.after_ms)
    if times.before_ms is not None:
        wanted.append(column <= times.before_ms)
    return wanted


def _literal(question: DataObjects) -> str | None:
    """Return the one name that a question means, or None."""
    pattern = question.name
    if pattern is None or pattern.mode == "regexp":
        return None
    return pattern.text if pattern.mode == "exact" else globs.literal(pattern.text)


def _names(question: DataObjects) -> _Conditions:
    """Return conditions that no wanted name fails; the caller checks the pattern itself."""
    pattern, exact = question.name, _literal(question)
    if exact is not None:
        return [_p.name == exact]
    if pattern is None or pattern.mode == "regexp":
        return []
    wanted: _Conditions = [_p.name.like(globs.like(pattern.text), escape="\\")]
    start, end = globs.prefix_range(pattern.text)
    if start:
        wanted.append(_p.name >= start)
    if end is not None:
        wanted.append(_p.name < end)
    return wanted


def _values(question: DataObjects, containers: Sequence[str]) -> dict[str, Any]:
    """Return what is given to statements as JSON arrays: any number of ids."""
    named = {"containers": list(containers), "ids": list(question.ids or ())}
    return {name: msgspec.json.encode(ids).decode() for name, ids in named.items()}
