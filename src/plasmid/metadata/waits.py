"""What jobs wait for, a row for each job and target; a change of one target touches its rows only.

`wanted` keeps the references to a target, so that a wrong one is seen when its source is done, and
the whole input or output is settled once, with the last of its sources.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from plasmid.domain.links import JobReference
from plasmid.metadata import objects, schema
from plasmid.metadata.database import Prepared, Reader, Transaction, listed, param

_WAITING: Final = ("waiting_on_input", "waiting_on_output")
_j, _w = schema.jobs.c, schema.waits.c
_ADD = Prepared(sa.insert(schema.waits))
_TARGETS = Prepared(sa.select(_w.target).where(_w.job == param("k")))
_DROP = Prepared(sa.delete(schema.waits).where(_w.job == param("k"), _w.target == param("t")))
_DROP_ALL = Prepared(sa.delete(schema.waits).where(_w.job == param("k")))
_OTHER = Prepared(
    sa.select(_w.target).where(_w.job == param("k"), _w.target != param("t")).limit(1)
)
_WAITERS = Prepared(
    sa.select(_w.job, _j.launched_by, _j.project, _w.wanted)
    .join(schema.jobs, _w.job == _j.id)
    .where(_w.target == param("t"), _j.state.in_(_WAITING))
    .order_by(_j.created_ms, _j.id)
)
_AWAITED = Prepared(sa.select(_w.target).where(_w.target.in_(listed("ids"))).distinct())
_OBJECTS_OF_OUTPUTS = Prepared(
    sa.select(_w.target)
    .join(schema.jobs, _j.id == _w.job)
    .where(
        _j.root_execution == param("r"),
        _j.state == "waiting_on_output",
        _w.target.not_like("job-%"),
        _w.target.not_like("analysis-%"),
    )
    .distinct()
)


class Waiter(msgspec.Struct, frozen=True):
    """A job that waits for a target, and what it wants of it, as JSON."""

    job: str
    launched_by: str
    project: str
    wanted: str | None

    @property
    def references(self) -> list[JobReference]:
        """The references to the target; none if the job just waits for its end."""
        if self.wanted is None:
            return []
        return msgspec.json.decode(self.wanted, type=list[JobReference])


async def find_waiters(reader: Reader, target: str) -> list[Waiter]:
    """Return the jobs that wait for an execution or a data object, oldest first."""
    return await reader.structs(Waiter, _WAITERS, {"t": target})


async def find_targets(reader: Reader, job_id: str) -> set[str]:
    """Return what a job waits for."""
    return {str(row[0]) for row in await reader.rows(_TARGETS, {"k": job_id})}


async def has_others(reader: Reader, job_id: str, target: str) -> bool:
    """Say whether a job waits for something besides a target."""
    return await reader.row(_OTHER, {"k": job_id, "t": target}) is not None


async def find_awaited(reader: Reader, targets: Collection[str]) -> list[str]:
    """Return those of some jobs and data objects for which some job waits, sorted."""
    found: set[str] = set()
    async for some in objects.parts_of(targets):
        found.update(str(row[0]) for row in await reader.rows(_AWAITED, {"ids": some}))
    return sorted(found)


async def find_objects_awaited_by_outputs(reader: Reader, root: str) -> list[str]:
    """Return the data objects for which jobs of a tree wait whose processes have ended, sorted."""
    return sorted(str(row[0]) for row in await reader.rows(_OBJECTS_OF_OUTPUTS, {"r": root}))


async def drop(tx: Transaction, job_id: str, target: str) -> None:
    """Say that a job waits for a target no more."""
    await tx.execute(_DROP, {"k": job_id, "t": target})


async def replace(
    tx: Transaction,
    job_id: str,
    targets: Collection[str] = (),
    wanted: Mapping[str, Sequence[JobReference]] | None = None,
) -> None:
    """Say all that a job waits for, and what it wants of it; only what differs is written."""
    if not targets:
        await tx.execute(_DROP_ALL, {"k": job_id})
        return
    present = await find_targets(tx, job_id)
    for target in sorted(present.difference(targets)):
        await drop(tx, job_id, target)
    fresh = sorted(set(targets) - present)
    given = wanted or {}
    await tx.execute_many(
        _ADD,
        [
            {"job": job_id, "target": target, "wanted": _as_json(given.get(target))}
            for target in fresh
        ],
    )


def _as_json(references: Sequence[JobReference] | None) -> str | None:
    return msgspec.json.encode(list(references)).decode() if references else None
