"""I3 and I13: what is over is over, and what is done has all that it promised."""

from __future__ import annotations

from collections.abc import AsyncIterator

from plasmid.domain import io_spec, links
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import State
from plasmid.integrity.around import Around
from plasmid.integrity.finding import Finding, Repair, Workshop
from plasmid.integrity.waiting import WAITING
from plasmid.metadata import jobs, objects, waits
from plasmid.metadata.rows import JobRow


async def check(row: JobRow, around: Around) -> AsyncIterator[Finding]:
    """Yield what contradicts a terminal state."""
    if row.id in around.waits and row.state not in WAITING:
        yield Finding(
            invariant="I3",
            subject=row.id,
            detail=f"is {row.state} and still waits; repair forgets for what",
            repair=forget_waits(row.id),
        )
    if row.state != State.DONE:
        return
    for child in around.unfinished_children(row.id):
        state = around.state_of(child)
        yield Finding(
            invariant="I13",
            subject=row.id,
            detail=f"is done before {child}, which it started and which is {state}; terminate that",
        )
    async for detail in _check_output(row, around):
        yield Finding(invariant="I3", subject=row.id, detail=detail)


async def _check_output(row: JobRow, around: Around) -> AsyncIterator[str]:
    if row.output is None:
        yield "is done and has no output; run it again"
        return
    for reference in links.references(row.output):
        yield f"is done, but its output still refers to {reference.execution}; run it again"
    found = await objects.find_objects(around.reader, links.object_ids(row.output))
    for linked in found.values():  # what its owner has removed since is no contradiction
        if linked.state != "closed":
            yield f"is done, but its output links {linked.id}, which is {linked.state}; close that"
    if row.function == "main" and not _is_subjob(row, around):
        executable = await around.executable(row.executable)
        spec = executable.body.get("outputSpec") if executable else None
        try:
            io_spec.check_output(spec, row.output)
        except JobFailure as failure:
            yield f"is done, but its output is not what it promised: {failure.message}"


def _is_subjob(row: JobRow, around: Around) -> bool:
    parent = around.jobs.get(row.parent_job or "")
    return parent is not None and parent.workspace == row.workspace


def forget_waits(job: str) -> Repair:
    """Return the repair that lets a job wait for nothing, if it is over."""

    async def repair(workshop: Workshop) -> None:
        async with workshop.moment() as moment:
            row = await jobs.find_job(moment.tx, job)
            if row is not None and row.state not in WAITING:
                await waits.replace(moment.tx, job)

    return repair
