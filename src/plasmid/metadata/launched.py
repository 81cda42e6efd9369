"""The master jobs that jobs have launched and that are not over."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from plasmid.metadata import schema
from plasmid.metadata.database import Prepared, Reader, listed
from plasmid.metadata.jobs import UNFINISHED

_parent = schema.jobs.alias("parent")
_j, _p = schema.jobs.c, _parent.c
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


async def find_unfinished(reader: Reader, parents: Iterable[str]) -> dict[str, list[str]]:
    """Return the unfinished master jobs that each of some jobs has launched, oldest first."""
    listing = msgspec.json.encode(list(parents)).decode()
    found: dict[str, list[str]] = {}
    for parent, job_id in await reader.rows(_LAUNCHED, {"ids": listing}):
        found.setdefault(str(parent), []).append(str(job_id))
    return found
