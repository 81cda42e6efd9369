"""Settle what a job waits for, and decide whether it is ready (contract F.5, F.8).

What is pending is kept in `waits`; `waking` takes away what is done or closed, and with the last
of it the whole input is settled.
"""

from __future__ import annotations

from typing import Any

from plasmid.domain import app_spec, ids, links, run_spec
from plasmid.domain import reuse as reuse_rules
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import Event, State
from plasmid.executions import (
    advance,
    cloning,
    input_check,
    outputs,
    references,
    reuse,
    settle,
)
from plasmid.executions.references import Wanted
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, objects, waits
from plasmid.metadata.rows import JobRow
from plasmid.telemetry import failpoints


async def _let_wait(
    moment: Moment, row: JobRow, settled: Any, *, pending: set[str], wanted: Wanted
) -> JobRow:
    await waits.replace(moment.tx, row.id, pending, wanted)
    failpoints.reach("S2", job=row.id)
    if row.state == State.IDLE:
        return await advance.apply(moment, row, Event.INPUTS_PENDING, {"input": settled})
    await jobs.update_job(moment.tx, row.id, {"input": settled, "modified_ms": moment.now_ms})
    return row


async def settle_input(moment: Moment, row: JobRow) -> JobRow:
    """Resolve what can be resolved of a job's input; move it on or leave it waiting."""
    try:
        settled, wanted = await references.settle_value(
            moment, row, row.input, optional=references.optional_of(row)
        )
        pending = set(wanted) | await _pending_dependencies(moment, row)
        pending |= await references.pending_objects(moment, links.object_ids(settled))
        if not pending:
            settled = await input_check.fit(moment, row, settled)
    except JobFailure as failure:
        return await _fail(moment, row, failure)
    if pending:
        return await _let_wait(moment, row, settled, pending=pending, wanted=wanted)
    await waits.replace(moment.tx, row.id)
    changes: dict[str, Any] = {"input": settled}
    earlier = await reuse.find(moment, row, settled)
    if isinstance(earlier, reuse.Earlier):
        return await settle.ended(moment, await reuse.take_over(moment, row, earlier))
    if earlier is not None:
        changes["settings"] = row.settings | {reuse_rules.NOTE: earlier}
    try:
        await _clone_input(moment, row, settled)
    except JobFailure as failure:
        return await _fail(moment, row, failure)
    return await advance.apply(moment, row, Event.INPUTS_READY, changes)


async def _fail(moment: Moment, row: JobRow, failure: JobFailure) -> JobRow:
    if row.state == State.IDLE:
        row = await advance.apply(moment, row, Event.INPUTS_PENDING)
    return await settle.fail(moment, row, failure, may_restart=False)


async def _pending_dependencies(moment: Moment, row: JobRow) -> set[str]:
    """Return those of `dependsOn` that are not yet done or closed."""
    awaited = [target for target in row.depends_on if ids.is_id(target, *ids.EXECUTION_CLASSES)]
    sources = await references.sources_of(moment, row, awaited)
    pending = {source.id for source in sources if source.state != State.DONE}
    others = [target for target in row.depends_on if target not in awaited]
    return pending | await references.pending_objects(moment, others)


async def _clone_input(moment: Moment, row: JobRow, value: Any) -> None:
    """Put input objects and bundles into the workspace, where the job's token reads them (F.8).

    Raises JobFailure (InputError) for what a restricted project keeps.

    A sub-job works in that of its parent, and what is given to it is not cloned (F.1).
    """
    if await outputs.is_subjob(moment, row):
        return
    object_ids = links.object_ids(value)
    executable = await objects.find_object(moment.tx, row.executable)
    if executable is not None:
        spec = app_spec.in_region(executable.body.get("runSpec", {}), row.region)
        object_ids += run_spec.bundled_ids(spec)
    if object_ids:
        await cloning.clone_objects(
            moment,
            object_ids,
            source=None,
            destination=row.workspace,
            launcher=cloning.launcher_of(row, value),
        )
