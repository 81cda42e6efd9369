"""Settle what a job waits for, and decide whether it is ready (contract F.5, F.8).

References settle one by one as soon as their source is done. What is still pending is kept in
`waits`; `waking` looks again when one of those is done or closed.
"""

from __future__ import annotations

from typing import Any

from plasmid.domain import ids, io_spec, links, run_spec
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import Event, State
from plasmid.executions import advance, cloning, outputs, references, settle
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, objects
from plasmid.metadata.rows import JobRow


async def look_again(moment: Moment, row: JobRow, ended: str) -> None:
    """Settle the input of a waiting job after one of the things it waits for has ended.

    A job that gathers the output of thousands does not look at all of them each time one ends; the
    objects that have come are looked at with the last one.
    """
    others = await jobs.find_waits(moment.tx, row.id) - {ended}
    if not others or not ids.is_id(ended, "job"):
        await settle_input(moment, row)
        return
    try:
        settled, pending = await references.settle_value(moment, row, row.input, only=ended)
        if ended in row.depends_on:
            await references.source_of(moment, row, ended)
    except JobFailure as failure:
        await settle.fail(moment, row, failure, may_restart=False)
        return
    await _let_wait(moment, row, settled, pending | others)


async def _let_wait(moment: Moment, row: JobRow, settled: Any, pending: set[str]) -> JobRow:
    await jobs.set_waits(moment.tx, row.id, pending)
    if row.state == State.IDLE:
        return await advance.apply(moment, row, Event.INPUTS_PENDING, {"input": settled})
    await jobs.update_job(moment.tx, row.id, {"input": settled, "modified_ms": moment.now_ms})
    return row


async def settle_input(moment: Moment, row: JobRow) -> JobRow:
    """Resolve what can be resolved of a job's input; move it on or leave it waiting."""
    try:
        settled, pending = await references.settle_value(moment, row, row.input)
        pending |= await _pending_dependencies(moment, row)
        pending |= await references.pending_objects(moment, links.object_ids(settled))
        if not pending:
            settled = await _fit(moment, row, settled)
    except JobFailure as failure:
        if row.state == State.IDLE:
            row = await advance.apply(moment, row, Event.INPUTS_PENDING)
        return await settle.fail(moment, row, failure, may_restart=False)
    if pending:
        return await _let_wait(moment, row, settled, pending)
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


async def _fit(moment: Moment, row: JobRow, settled: Any) -> Any:
    """Return the input of main of a master job as its spec wants what references have brought."""
    if not links.references(row.original_input):
        return settled  # it was checked when the job was made
    if row.function != "main" or await outputs.is_subjob(moment, row):
        return settled
    executable = await objects.find_object(moment.tx, row.executable)
    spec = executable.body.get("inputSpec") if executable else None
    return io_spec.check_resolved(spec, settled)


async def _clone_input(moment: Moment, row: JobRow, value: Any) -> None:
    """Put input objects and bundles into the workspace, where the job's token reads them (F.8)."""
    object_ids = links.object_ids(value)
    executable = await objects.find_object(moment.tx, row.executable)
    if executable is not None:
        object_ids += run_spec.bundled_ids(executable.body.get("runSpec", {}))
    if object_ids:
        await cloning.clone_objects(
            moment,
            object_ids,
            source=None,
            destination=row.workspace,
            launcher=cloning.launcher_of(row, value),
        )
