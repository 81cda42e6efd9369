"""The master jobs and analyses that jobs have launched and that are not over."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from plasmid.metadata import analyses, schema
from plasmid.metadata.database import Prepared, Reader, listed
from plasmid.metadata.jobs import UNFINISHED

_parent = schema.jobs.alias("parent")
_j, _p, _a = schema.jobs.c, _parent.c, schema.analyses.c
_LAUNCHED = Prepared(
    sa.select(_j.parent_job, _j.id)
    .join(_parent, _p.id == _j.parent_job)
    .where(
        _j.parent_job.in_(listed("ids")),
        _j.workspace != _p.workspace,  # a sub-job shares its parent's
        _j.state.in_(UNFINISHED),
    )
    .order_by(_j.created_ms, _j.id)
)
_ANALYSES = Prepared(
    sa.select(_a.parent_job, _a.id)
    .where(_a.parent_job.in_(listed("ids")), _a.state.in_(analyses.UNFINISHED))
    .order_by(_a.created_ms, _a.id)
)


async def find_unfinished(reader: Reader, parents: Iterable[str]) -> dict[str, list[str]]:
    """Return the unfinished master jobs and analyses that each of some jobs has launched.

    Of each kind the oldest come first.
    """
    listing = msgspec.json.encode(list(parents)).decode()
    found: dict[str, list[str]] = {}
    for statement in (_LAUNCHED, _ANALYSES):
        for parent, execution in await reader.rows(statement, {"ids": listing}):
            found.setdefault(str(parent), []).append(str(execution))
    return found
