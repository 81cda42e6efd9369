"""Replace references to what jobs put out, as far as their sources are done (contract F.5)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import failures, links
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import State
from plasmid.domain.links import JobReference
from plasmid.executions import cloning
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, objects
from plasmid.metadata.rows import JobRow


async def settle_value(
    moment: Moment, row: JobRow, value: Any, *, only: str | None = None
) -> tuple[Any, set[str]]:
    """Return a value with the references that can be settled replaced, and the jobs still awaited.

    Looks at all sources unless `only` names one. Raises JobFailure if a source has failed or has
    no such output.
    """
    known: dict[str, JobRow] = {}
    pending: set[str] = set()
    looked_at = [
        reference
        for reference in links.references(value)
        if only is None or reference.execution == only
    ]
    for reference in looked_at:
        job_id = reference.execution
        source = known[job_id] = known.get(job_id) or await source_of(moment, row, job_id)
        if source.state != State.DONE:
            pending.add(source.id)
    metadata = await _metadata_wanted(moment, row, looked_at, known=known)

    def settled(reference: JobReference) -> Any:
        source = known.get(reference.execution)
        if source is None or source.state != State.DONE:
            return links.UNRESOLVED
        return _output_of(source, reference, metadata)

    return links.replace_references(value, settled), pending


async def source_of(moment: Moment, row: JobRow, job_id: str) -> JobRow:
    """Return a job that another waits for; raises JobFailure if it can never be done."""
    source = await jobs.find_job(moment.tx, job_id)
    if source is None:
        raise JobFailure(failures.INPUT_ERROR, f"{job_id}, on which {row.id} depends, is gone")
    if source.state in (State.FAILED, State.TERMINATED, State.TERMINATING):
        same_tree = source.root_execution == row.root_execution
        reason = failures.JOB_TREE_FAILURE if same_tree else failures.DEPENDENCY_UNSATISFIABLE
        ended = "failed" if source.state == State.FAILED else "was terminated"
        raise JobFailure(reason, f"{source.id} ({source.name}), on which {row.id} depends, {ended}")
    return source


def _output_of(
    source: JobRow, reference: JobReference, metadata: dict[tuple[str, str], Any]
) -> Any:
    value = links.pick(source.output or {}, reference)
    if reference.metadata is None:
        return value
    for object_id in links.object_ids(value):
        return metadata.get((object_id, reference.metadata))
    raise JobFailure(
        failures.INPUT_ERROR,
        f'output "{reference.field}" of {source.id} is no object with metadata',
    )


async def _metadata_wanted(
    moment: Moment, row: JobRow, wanted: list[JobReference], *, known: dict[str, JobRow]
) -> dict[tuple[str, str], Any]:
    """Return the metadata (name, size, ...) of objects that references with `metadata` name."""
    found: dict[tuple[str, str], Any] = {}
    for reference in wanted:
        source = known[reference.execution]
        if reference.metadata is None or source.state != State.DONE:
            continue
        for object_id in links.object_ids((source.output or {}).get(reference.field)):
            found[object_id, reference.metadata] = await _metadata_of(
                moment, row, object_id, name=reference.metadata
            )
    return found


async def _metadata_of(moment: Moment, job: JobRow, object_id: str, *, name: str) -> Any:
    row = await objects.find_object(moment.tx, object_id)
    place = await cloning.best_place(moment, object_id, cloning.launcher_of(job))
    if row is None or place is None:
        raise JobFailure(failures.INPUT_ERROR, f"{object_id} was removed before it could be used")
    if name == "name":
        return place.name
    if name == "size":
        return row.size_bytes
    if name.startswith("properties."):
        return place.properties.get(name.removeprefix("properties."))
    if name == "details" and row.details is not None:
        return row.details
    raise JobFailure(failures.INPUT_ERROR, f'"{name}" is no metadata of {object_id}')


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
