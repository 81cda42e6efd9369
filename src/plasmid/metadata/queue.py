"""What placing jobs has to read: who runs, and the next of each kind that wait.

Nothing here grows with the number of queued jobs. Those of one user, priority and instance type are
a kind: they count for the same, so if the first of a kind does not fit, none of it does. The kinds
are found by jumping from one to the next in the index `jobs_queue`, which holds runnable jobs only.
"""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sa

from plasmid.metadata import analyses, jobs, schema
from plasmid.metadata.database import Prepared, Reader, listed, param

_j, _a = schema.jobs.c, schema.analyses.c
# as the indexes have it: only a literal shows that a partial one will do
_IS_RUNNABLE: Final = sa.text("state = 'runnable'")
_IS_NEW: Final[sa.ColumnClause[bool]] = sa.literal_column(
    "(parent_job IS NULL AND detached_from IS NULL)"
)
_COLUMNS: Final = (
    _j.id, _j.launched_by, _j.priority, _j.instance_type, _j.rank, _IS_NEW.label("is_new"),
    _j.created_ms, _j.modified_ms,
)  # fmt: skip
# SQLite would take the index of states, and sort all that wait
_BY_KIND: Final = ("INDEXED BY jobs_queue", "sqlite")
_BY_AGE: Final = ("INDEXED BY jobs_queue_age", "sqlite")
_KIND: Final = (_j.launched_by, _j.priority, _j.instance_type)


def _next_kind(*same: sa.ColumnElement[bool]) -> Prepared:
    """Return the query for the first kind behind one in the column after those that stay."""
    column = _KIND[len(same)]
    return Prepared(
        sa.select(*_KIND)
        .with_hint(schema.jobs, *_BY_KIND)
        .where(_IS_RUNNABLE, *same, column > param("upt"[len(same)]))
        .order_by(*_KIND)
        .limit(1)
    )


_SAME: Final = (_KIND[0] == param("u"), _KIND[1] == param("p"))
# Three steps, for SQLite compares (u, p, t) > (?, ?, ?) with every job of the kind before.
_NEXT_KINDS: Final = (_next_kind(*_SAME), _next_kind(_SAME[0]), _next_kind())
_OF_KIND = Prepared(
    sa.select(*_COLUMNS)
    .with_hint(schema.jobs, *_BY_KIND)
    .where(
        _IS_RUNNABLE,
        _j.launched_by == param("u"),
        _j.priority == param("p"),
        _j.instance_type == param("t"),
        param("new") == _IS_NEW,
    )
    .order_by(_j.rank.desc(), _j.created_ms, _j.id)
    .limit(param("n"))
)
_OLDEST = Prepared(
    sa.select(*_COLUMNS)
    .with_hint(schema.jobs, *_BY_AGE)
    .where(_IS_RUNNABLE, _j.priority == param("p"))
    .order_by(_j.created_ms)
    .limit(1)
)
_RUNNING = Prepared(
    sa.select(*_COLUMNS).where(_j.state.in_(jobs.WITH_WORKER)).order_by(_j.created_ms, _j.id)
)
_below = sa.alias(schema.jobs)
_PARENTS = Prepared(
    sa.select(_j.id).where(
        _j.id.in_(listed("ids")),
        sa.or_(
            sa.exists().where(_below.c.parent_job == _j.id, _below.c.state.in_(jobs.UNFINISHED)),
            sa.exists().where(
                _below.c.detached_from.is_not(None),
                _below.c.detached_from == _j.id,
                _below.c.state.in_(jobs.UNFINISHED),
            ),
            sa.exists().where(_a.parent_job == _j.id, _a.state.in_(analyses.UNFINISHED)),
        ),
    )
)
_COUNT_TREE = Prepared(
    sa.select(sa.func.count()).select_from(schema.jobs).where(_j.root_execution == param("r"))
)


class Turn(msgspec.Struct, frozen=True):
    """A job that wants to run or runs, as far as placing it has to know.

    `is_new` is true for the root of a tree, unless a job has started it with `detach`.
    """

    id: str
    user: str
    priority: str
    instance_type: str
    rank: int
    is_new: bool
    created_ms: int
    modified_ms: int


async def find_held(reader: Reader) -> list[Turn]:
    """Return the jobs that workers hold, oldest first."""
    return await reader.structs(Turn, _RUNNING)


async def find_parents(reader: Reader, job_ids: list[str]) -> set[str]:
    """Return those of the jobs that have started what is not over: a job, an analysis.

    A job also by `detach`.
    """
    values = {"ids": msgspec.json.encode(job_ids).decode()}
    return {str(row[0]) for row in await reader.rows(_PARENTS, values)}


async def find_next(reader: Reader, each_max: int) -> list[Turn]:
    """Return the first runnable jobs of each kind, of begun trees and new ones, by rank and age."""
    found: list[Turn] = []
    kind = {"u": "", "p": "", "t": ""}
    while row := await _kind_behind(reader, kind):
        kind = dict(zip("upt", row, strict=True))
        for is_new in (0, 1):
            values = {**kind, "new": is_new, "n": each_max}
            found += await reader.structs(Turn, _OF_KIND, values)
    return found


async def _kind_behind(reader: Reader, kind: dict[str, str]) -> tuple[str, ...] | None:
    for statement in _NEXT_KINDS:
        row = await reader.row(statement, kind)
        if row is not None:
            return row
    return None


async def find_oldest(reader: Reader, priority: str) -> Turn | None:
    """Return the runnable job of a priority that was made first, or None."""
    return await reader.struct(Turn, _OLDEST, {"p": priority})


async def count_tree(reader: Reader, root: str) -> int:
    """Return how many jobs a tree has, those that are over included."""
    row = await reader.row(_COUNT_TREE, {"r": root})
    return int(row[0]) if row else 0
