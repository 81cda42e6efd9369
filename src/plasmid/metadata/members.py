"""A job and those below it, as far as the readers of their logs have to know."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from plasmid.metadata import schema
from plasmid.metadata.database import Prepared, Reader, param

_j = schema.jobs.c


class Member(msgspec.Struct, frozen=True):
    """A job whose log is read: its state, and the number of its latest try."""

    id: str
    state: str
    attempt: int


def _below() -> sa.Select[Any]:
    """Return the query for a job and all below it, those nearer to it first."""
    first = sa.select(_j.id, sa.literal_column("0").label("depth")).where(_j.id == param("k"))
    below = first.cte("below", recursive=True)
    below = below.union_all(
        sa.select(_j.id, below.c.depth + 1).join(below, _j.parent_job == below.c.id)
    )
    return (
        sa.select(_j.id, _j.state, _j.attempt)
        .join(below, _j.id == below.c.id)
        .order_by(below.c.depth, _j.created_ms, _j.id)
    )


_ONE = Prepared(sa.select(_j.id, _j.state, _j.attempt).where(_j.id == param("k")))
_BELOW = Prepared(_below())


async def find_members(reader: Reader, job_id: str, *, with_below: bool) -> list[Member]:
    """Return a job, and all that it and those below it have started; none if it is gone."""
    return await reader.structs(Member, _BELOW if with_below else _ONE, {"k": job_id})
