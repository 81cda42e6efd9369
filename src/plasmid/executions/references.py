"""Replace references to what jobs put out, as far as their sources are done (contract F.5).

The input of a job that waits is kept as it was written: what has come of it is filled in where it
is shown, and for good with the last of its sources. So the end of one source of thousands costs
the same as that of an only one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from plasmid.domain import failures, links
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import State
from plasmid.domain.links import JobReference
from plasmid.executions import cloning, object_metadata
from plasmid.executions.cloning import Launcher
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, objects
from plasmid.metadata.database import Reader
from plasmid.metadata.jobs import Source
from plasmid.metadata.rows import JobRow

Wanted = dict[str, list[JobReference]]
OPTIONAL: Final = "optionalInputs"
"""The setting of a stage's job that names the optional fields bound to outputs of others."""


async def settle_value(
    moment: Moment, row: JobRow, value: Any, *, optional: Collection[JobReference] = ()
) -> tuple[Any, Wanted]:
    """Return a value with the references that can be settled replaced, and those that cannot yet.

    The latter by the job that they await. Raises JobFailure if a source has failed or has no such
    output; an `optional` one is null then.
    """
    found = links.references(value)
    known = await jobs.find_sources(moment.tx, {reference.execution for reference in found})
    launcher = cloning.launcher_of(row)
    values: dict[JobReference, Any] = {}
    wanted: Wanted = {}
    for reference in found:
        source = _require_hopeful(row, reference.execution, known.get(reference.execution))
        if source.state == State.DONE:
            is_left_out = (source.output or {}).get(reference.field) is None
            if is_left_out and reference in optional:
                values[reference] = None
            else:
                values[reference] = await value_of(moment.tx, launcher, reference, source)
        else:
            wanted.setdefault(source.id, []).append(reference)
    return _replaced(value, values), wanted


def _replaced(value: Any, values: Mapping[JobReference, Any]) -> Any:
    if not values:
        return value
    return links.replace_references(value, lambda found: values.get(found, links.UNRESOLVED))


def optional_of(row: JobRow) -> set[JobReference]:
    """Return the references of a stage's input whose source may leave the field out.

    They stand for optional fields, each alone.
    """
    found = (links.reference_of(row.input.get(name)) for name in row.settings.get(OPTIONAL, ()))
    return {reference for reference in found if reference is not None}


async def sources_of(moment: Moment, row: JobRow, job_ids: Sequence[str]) -> list[Source]:
    """Return executions that a job waits for; raises JobFailure if one can never be done."""
    found = await jobs.find_sources(moment.tx, job_ids)
    return [_require_hopeful(row, job_id, found.get(job_id)) for job_id in job_ids]


def _require_hopeful(row: JobRow, job_id: str, source: Source | None) -> Source:
    if source is None:
        raise JobFailure(failures.INPUT_ERROR, f"{job_id}, on which {row.id} depends, is gone")
    if source.state in (State.FAILED, State.TERMINATED, State.TERMINATING):
        same_tree = source.root_execution == row.root_execution
        reason = failures.JOB_TREE_FAILURE if same_tree else failures.DEPENDENCY_UNSATISFIABLE
        ended = "failed" if source.state == State.FAILED else "was terminated"
        raise JobFailure(reason, f"{source.id} ({source.name}), on which {row.id} depends, {ended}")
    return source


async def value_of(
    reader: Reader, launcher: Launcher, reference: JobReference, source: Source
) -> Any:
    """Return what a reference to a job that is done means; raises JobFailure if it has no such."""
    value = links.pick(source.output or {}, reference)
    if reference.metadata is None:
        return value
    found = [
        await object_metadata.read(reader, launcher, object_id, name=reference.metadata)
        for object_id in links.object_ids(value)
    ]
    if found:
        return found if isinstance(value, list) else found[0]
    raise JobFailure(
        failures.INPUT_ERROR,
        f'output "{reference.field}" of {source.id} is no object with metadata',
    )


async def can_be_had(
    reader: Reader, launcher: Launcher, wanted: Iterable[JobReference], source: Source
) -> bool:
    """Say whether a job that is done has put out all that references to it want."""
    try:
        for reference in wanted:
            await value_of(reader, launcher, reference, source)
    except JobFailure:
        return False
    return True


async def shown(reader: Reader, row: JobRow) -> JobRow:
    """Return a job that waits, or ended before it began, with what has come of its references."""
    if row.state == State.WAITING_ON_OUTPUT:
        return msgspec.structs.replace(row, output=await _as_come(reader, row, row.output))
    never_began = row.attempt == 0 and row.started_running_ms is None
    ended = row.state in (State.FAILED, State.TERMINATED)
    if row.state == State.WAITING_ON_INPUT or (ended and never_began):
        return msgspec.structs.replace(row, input=await _as_come(reader, row, row.input))
    return row


async def _as_come(reader: Reader, row: JobRow, value: Any) -> Any:
    found = links.references(value)
    if not found:
        return value
    known = await jobs.find_sources(reader, {reference.execution for reference in found})
    launcher = cloning.launcher_of(row)
    values: dict[JobReference, Any] = {}
    for reference in found:
        source = known.get(reference.execution)
        if source is not None and source.state == State.DONE:
            with contextlib.suppress(JobFailure):  # it has failed this job, which says so itself
                values[reference] = await value_of(reader, launcher, reference, source)
    try:
        return _replaced(value, values)
    except JobFailure:  # too much, as this job says itself when it ends
        return value


async def pending_objects(moment: Moment, object_ids: list[str]) -> set[str]:
    """Return those of the objects, and of the hidden ones they lead to, that are not closed.

    Raises JobFailure if one of the objects themselves is gone.
    """
    found = await objects.find_objects(moment.tx, object_ids)
    for object_id in object_ids:
        if object_id not in found:
            raise JobFailure(failures.INPUT_ERROR, f"{object_id} was removed before it was used")
    seen = set(object_ids)
    pending: set[str] = set()
    while found:
        pending |= {row.id for row in found.values() if row.state != "closed"}
        linked = {link for row in found.values() for link in row.links} - seen
        seen |= linked
        below = await objects.find_objects(moment.tx, sorted(linked))
        found = {row.id: row for row in below.values() if row.hidden}
    return pending
