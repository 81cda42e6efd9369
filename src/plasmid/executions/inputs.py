"""Settle what a job waits for, and decide whether it is ready (contract F.5, F.8).

References settle one by one as soon as their source is done. What is still pending is kept in
`waits`; `waking` looks again when one of those is done or closed.
"""

from __future__ import annotations

from typing import Any

from plasmid.domain import ids, links
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import Event, State
from plasmid.executions import advance, cloning, references, settle
from plasmid.executions.world import Moment
from plasmid.metadata import jobs
from plasmid.metadata.rows import JobRow


async def settle_input(moment: Moment, row: JobRow) -> JobRow:
    """Resolve what can be resolved of a job's input; move it on or leave it waiting."""
    try:
        settled, pending = await references.settle_value(moment, row, row.input)
        pending |= await _pending_dependencies(moment, row)
        pending |= await references.pending_objects(moment, links.object_ids(settled))
    except JobFailure as failure:
        if row.state == State.IDLE:
            row = await advance.apply(moment, row, Event.INPUTS_PENDING)
        return await settle.fail(moment, row, failure, may_restart=False)
    if pending:
        await jobs.set_waits(moment.tx, row.id, pending)
        if row.state == State.IDLE:
            return await advance.apply(moment, row, Event.INPUTS_PENDING, {"input": settled})
        await jobs.update_job(moment.tx, row.id, {"input": settled, "modified_ms": moment.now_ms})
        return row
    await jobs.set_waits(moment.tx, row.id, ())
    await _clone_input(moment, row, settled)
    return await advance.apply(moment, row, Event.INPUTS_READY, {"input": settled})


async def _pending_dependencies(moment: Moment, row: JobRow) -> set[str]:
    """Return those of `dependsOn` that are not yet done or closed."""
    pending: set[str] = set()
    for target in row.depends_on:
        if ids.is_id(target, "job"):
            source = await references.source_of(moment, row, target)
            if source.state != State.DONE:
                pending.add(target)
        else:
            pending |= await references.pending_objects(moment, [target])
    return pending


async def _clone_input(moment: Moment, row: JobRow, value: Any) -> None:
    """Put the input objects into the workspace, so that the job's token can read them (F.8)."""
    object_ids = links.object_ids(value)
    if object_ids:
        await cloning.clone_objects(moment, object_ids, source=None, destination=row.workspace)
