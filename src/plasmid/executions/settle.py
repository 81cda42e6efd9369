"""End a try: check and clone its outputs, or fail it and its tree (contract F.7, F.9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from plasmid.domain import failures, io_spec, job_states, links, run_spec
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import Event, State
from plasmid.executions import advance, cloning, references
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, objects, projects
from plasmid.metadata.rows import JobRow

RESTARTABLE_REASONS: Final = frozenset(
    {
        failures.EXECUTION_ERROR,
        failures.UNRESPONSIVE_WORKER,
        failures.JM_INTERNAL_ERROR,
        failures.APP_INTERNAL_ERROR,
        failures.APP_INSUFFICIENT_RESOURCE_ERROR,
        failures.JOB_TIMEOUT_EXCEEDED,
    }
)
_PENDING_FAILURE: Final = "pendingFailure"


async def succeed(moment: Moment, row: JobRow, output: dict[str, Any]) -> JobRow:
    """Take the output of a try that ended well; the job is done, waits, or fails for its output."""
    try:
        checked = await _checked_output(moment, row, output)
    except JobFailure as failure:
        return await fail(moment, row, failure)
    await jobs.update_job(moment.tx, row.id, {"output": checked})
    waiting = await jobs.find_job(moment.tx, row.id)
    if waiting is None:
        raise RuntimeError(f"{row.id} vanished in its own transaction")
    return await settle_output(moment, waiting)


async def settle_output(moment: Moment, row: JobRow) -> JobRow:
    """Finish a job whose process has ended if its outputs and descendants are; else let it wait."""
    try:
        settled, pending = await references.settle_value(moment, row, row.output)
        pending |= await references.pending_objects(moment, links.object_ids(settled))
    except JobFailure as failure:
        return await fail(moment, row, _as_output_failure(failure), may_restart=False)
    children = await jobs.find_children(moment.tx, row.id)
    pending |= {child.id for child in children if not job_states.is_terminal(child.state)}
    changes: dict[str, Any] = {"output": links.strip_projects(settled)}
    if pending:
        await jobs.set_waits(moment.tx, row.id, pending)
        if row.state == State.RUNNING:
            return await advance.apply(moment, row, Event.EXITED, changes)
        await jobs.update_job(moment.tx, row.id, changes)
        return row
    await jobs.set_waits(moment.tx, row.id, ())
    await _clone_output(moment, row, changes["output"])
    done = await advance.apply(moment, row, Event.OUTPUTS_READY, changes)
    return await _ended(moment, done)


def _as_output_failure(failure: JobFailure) -> JobFailure:
    if failure.reason == failures.INPUT_ERROR:
        return JobFailure(failures.OUTPUT_ERROR, failure.message)
    return failure


async def _checked_output(moment: Moment, row: JobRow, output: dict[str, Any]) -> dict[str, Any]:
    """Return the output in its normal form; raises JobFailure if it does not fit the spec."""
    executable = await objects.find_object(moment.tx, row.executable)
    spec = executable.body.get("outputSpec") if executable else None
    if spec is not None and row.function == "main" and not await _is_subjob(moment, row):
        output = io_spec.check_output(spec, output)
    found = await objects.find_objects(moment.tx, links.object_ids(output))
    for object_id in links.object_ids(output):
        if object_id not in found:
            raise JobFailure(
                failures.OUTPUT_ERROR,
                f"the output links {object_id}, which does not exist; upload it before linking it",
            )
    return output


async def _is_subjob(moment: Moment, row: JobRow) -> bool:
    if row.parent_job is None:
        return False
    parent = await jobs.find_job(moment.tx, row.parent_job)
    return parent is not None and parent.workspace == row.workspace


async def _clone_output(moment: Moment, row: JobRow, output: Any) -> None:
    """Clone the outputs of a master job to its project, or to the workspace of who launched it."""
    if await _is_subjob(moment, row):
        return
    destination, below = row.project, row.folder
    if row.parent_job is not None:
        parent = await jobs.find_job(moment.tx, row.parent_job)
        if parent is not None:
            destination, below = parent.workspace, "/"
    object_ids = links.object_ids(output)
    if object_ids and await projects.find_container(moment.tx, destination):
        await cloning.clone_objects(
            moment,
            object_ids,
            source=row.workspace,
            destination=destination,
            below=below,
            keeps_folders=True,
        )


async def fail(
    moment: Moment, row: JobRow, failure: JobFailure, *, may_restart: bool = True
) -> JobRow:
    """Fail a job for a reason, or give it another try if its policy has one left."""
    if may_restart and row.state == State.RUNNING and _has_try_left(row, failure.reason):
        return await _restart(moment, row, failure)
    failed = await advance.apply(moment, row, Event.FAILED, advance.failure_of(row, failure))
    await jobs.set_waits(moment.tx, row.id, ())
    await _fail_tree(moment, failed, failure)
    return await _ended(moment, failed)


def _has_try_left(row: JobRow, reason: str) -> bool:
    policy = row.settings.get("executionPolicy") or {}
    used = row.failure_counts
    return (
        reason in RESTARTABLE_REASONS
        and used.get(reason, 0) < run_spec.restarts_allowed(policy, reason)
        and sum(used.values()) < run_spec.restarts_max(policy)
    )


async def _restart(moment: Moment, row: JobRow, failure: JobFailure) -> JobRow:
    counts = {**row.failure_counts, failure.reason: row.failure_counts.get(failure.reason, 0) + 1}
    stopped = await advance.apply(
        moment, row, Event.FAILED_WITH_TRIES_LEFT, {"failure_counts": counts, "worker": None}
    )
    return await advance.apply(
        moment,
        stopped,
        Event.TRY_ADDED,
        {"attempt": row.attempt + 1, "attempt_created_ms": moment.now_ms},
    )


async def _fail_tree(moment: Moment, failed: JobRow, failure: JobFailure) -> None:
    """End the other jobs of the tree with JobTreeFailure (contract F.9)."""
    if failure.reason in (failures.JOB_TREE_FAILURE, failures.TERMINATED):
        return
    following = JobFailure(
        failures.JOB_TREE_FAILURE,
        f"{failed.id} ({failed.name}) failed first: {failure.message}",
    )
    for row in await jobs.find_tree(moment.tx, failed.root_execution):
        if row.id != failed.id and not job_states.is_terminal(row.state):
            await stop(moment, row, following, origin=failed.failure_from)


async def stop(
    moment: Moment,
    row: JobRow,
    failure: JobFailure | None = None,
    *,
    origin: dict[str, Any] | None = None,
) -> JobRow:
    """Terminate one job, or fail it for a reason from outside; a running one is stopped first.

    `origin` describes another job whose failure is the cause.
    """
    if row.state in (State.RUNNING, State.TERMINATING):
        settings = dict(row.settings)
        if failure is not None:
            settings.setdefault(_PENDING_FAILURE, [failure.reason, failure.message, origin])
        changes: dict[str, Any] = {"settings": settings}
        if row.worker is not None:
            moment.tx.notify(worker_topic(row.worker))
        return await advance.apply(moment, row, Event.TERMINATION_ASKED, changes)
    await jobs.set_waits(moment.tx, row.id, ())
    if failure is not None:
        changes = advance.failure_of(row, failure, origin=origin)
        return await _ended(moment, await advance.apply(moment, row, Event.FAILED, changes))
    return await _ended(moment, await advance.apply(moment, row, Event.TERMINATION_ASKED))


async def stopped(moment: Moment, row: JobRow) -> JobRow:
    """End a job whose stop was asked for, now that nothing of it runs."""
    pending = row.settings.get(_PENDING_FAILURE)
    if pending:
        reason, message, origin = pending
        changes = advance.failure_of(row, JobFailure(reason, message), origin=origin)
        ended = await advance.apply(moment, row, Event.FAILED, changes)
    else:
        ended = await advance.apply(moment, row, Event.STOPPED)
    return await _ended(moment, ended)


async def terminate_tree(moment: Moment, row: JobRow) -> None:
    """Terminate a job and everything below it."""
    waiting = [row]
    while waiting:
        current = waiting.pop()
        waiting.extend(await jobs.find_children(moment.tx, current.id))
        fresh = await jobs.find_job(moment.tx, current.id)
        if fresh is not None and not job_states.is_terminal(fresh.state):
            await stop(moment, fresh)


async def _ended(moment: Moment, row: JobRow) -> JobRow:
    """Note that a job is over; clear away the tree's workspaces when all of it is."""
    moment.to_wake.append(row.id)
    tree = await jobs.find_tree(moment.tx, row.root_execution)
    if all(job_states.is_terminal(member.state) for member in tree):
        kept = {job.workspace for job in tree if job.settings.get("delayWorkspaceDestruction")}
        for workspace in {member.workspace for member in tree} - kept:
            await remove_container(moment, workspace)
    return row


async def remove_container(moment: Moment, container_id: str) -> None:
    """Remove a container and the objects that lie nowhere else."""
    await remove_objects(moment, container_id, await objects.find_ids_in(moment.tx, container_id))
    await projects.remove_container(moment.tx, container_id)


async def remove_objects(moment: Moment, container_id: str, object_ids: Sequence[str]) -> None:
    """Take objects out of a container; the jobs that wait for one of them are looked at again."""
    await objects.remove_placements(moment.tx, container_id, object_ids)
    if object_ids:
        moment.to_wake.extend((await jobs.find_awaited(moment.tx)).intersection(object_ids))


def worker_topic(worker: str) -> str:
    """Return the topic that wakes a worker's sync."""
    return f"worker:{worker}"
