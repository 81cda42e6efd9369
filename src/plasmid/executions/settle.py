"""End a try: settle its outputs, restart it, or fail it and its tree (contract F.7, F.9)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from plasmid.domain import errors, failures, job_states, keys, links, replays
from plasmid.domain.analysis_states import State as AnalysisState
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import Event, State
from plasmid.executions import (
    advance,
    analyses,
    analysis_outputs,
    holds,
    outputs,
    references,
    restarts,
    reuse,
)
from plasmid.executions.world import Moment
from plasmid.metadata import analyses as metadata_of_analyses
from plasmid.metadata import jobs, objects, projects, waits
from plasmid.metadata.rows import AnalysisRow, JobRow
from plasmid.telemetry import failpoints

# How long `delayWorkspaceDestruction` keeps a workspace after its tree (contract F.2).
WORKSPACE_KEPT_MS: Final = 3 * 24 * 3600 * 1000
REMOVED_AT_ONCE: Final = 5_000
_PENDING_FAILURE: Final = "pendingFailure"


async def succeed(moment: Moment, row: JobRow, output: dict[str, Any]) -> JobRow:
    """Take the output of a try that ended well; the job is done, waits, or fails for its output."""
    try:
        checked = await outputs.check(moment, row, await _without_analyses(moment, output))
    except JobFailure as failure:
        return await fail(moment, row, failure)
    await jobs.update_job(moment.tx, row.id, {"output": checked})
    waiting = await jobs.find_job(moment.tx, row.id)
    if waiting is None:
        raise RuntimeError(f"{row.id} vanished in its own transaction")
    return await settle_output(moment, waiting)


async def _without_analyses(moment: Moment, output: dict[str, Any]) -> dict[str, Any]:
    try:
        keys.check_depth(output, "output")
        settled: dict[str, Any] = await analysis_outputs.to_jobs(moment.tx, output)
    except errors.ApiError as error:
        raise JobFailure(failures.OUTPUT_ERROR, error.message) from error
    return settled


async def settle_output(moment: Moment, row: JobRow) -> JobRow:
    """Finish a job whose process has ended if its outputs and descendants are; else let it wait."""
    try:
        settled, wanted = await references.settle_value(moment, row, row.output)
        open_ones = await references.pending_objects(moment, links.object_ids(settled))
        pending = set(wanted) | await jobs.find_unfinished_children(moment.tx, row.id)
        if not pending:
            settled = await outputs.fit(moment, row, settled)
            await _require_closable(moment, row, open_ones)
    except JobFailure as failure:
        return await fail(moment, row, _as_output_failure(failure), may_restart=False)
    pending |= open_ones
    changes: dict[str, Any] = {"output": links.strip_projects(settled)}
    await waits.replace(moment.tx, row.id, pending, wanted)
    if pending:
        return await _let_wait(moment, row, changes)
    failpoints.reach("S14", job=row.id)
    await outputs.clone(moment, row, changes["output"])
    changes["reuse_key"] = await reuse.key_of(moment, row)
    done = await advance.apply(moment, row, Event.OUTPUTS_READY, changes)
    return await ended(moment, done)


async def _let_wait(moment: Moment, row: JobRow, changes: dict[str, Any]) -> JobRow:
    if row.state == State.RUNNING:
        row = await advance.apply(moment, row, Event.EXITED, changes)
        await _wake_who_waits_for_nobody(moment, row)
    else:
        await jobs.update_job(moment.tx, row.id, changes)
    return row


async def _require_closable(moment: Moment, row: JobRow, open_ones: set[str]) -> None:
    left = await outputs.left_open(moment, row, open_ones)
    if left is None:
        return
    missing = [part.part for part in await objects.find_parts(moment.tx, left) if not part.blob]
    if missing:
        raise JobFailure(
            failures.INCOMPLETE_UPLOADS,
            f"the output links {left}, of which part {missing[0]} was never uploaded; wait for the "
            "upload (dx upload --wait) before the job ends",
        )
    raise JobFailure(
        failures.OUTPUT_ERROR,
        f"the output links {left}, which was left open; close it before the job ends",
    )


def _as_output_failure(failure: JobFailure) -> JobFailure:
    if failure.reason == failures.INPUT_ERROR:
        return JobFailure(failures.OUTPUT_ERROR, failure.message)
    return failure


async def fail(
    moment: Moment,
    row: JobRow,
    failure: JobFailure,
    *,
    may_restart: bool = True,
    has_run: bool = True,
) -> JobRow:
    """Fail a job for a reason, or give it another try if its policy has one left.

    Its message then ends with the command that replays the try, unless nothing of it `has_run`.
    """
    again = None
    if may_restart and row.state == State.RUNNING:
        again = await restarts.job_to_restart(moment, row, failure.reason)
    if has_run:
        failure = _replayable(row, failure, is_last=again is None or again.id != row.id)
    if again is not None and again.id == row.id:
        origin = advance.failure_of(row, failure)["failure_from"]
        await _stop_below(moment, row, _following(row, failure), origin=origin)
        return await restarts.restart(moment, row, failure)
    await waits.replace(moment.tx, row.id)
    failed = await advance.apply(moment, row, Event.FAILED, advance.failure_of(row, failure))
    if again is not None:
        await _restart_master(moment, again, failed, failure)
    else:
        await _fail_tree(moment, failed, failure)
    return await ended(moment, failed)


def _replayable(row: JobRow, failure: JobFailure, *, is_last: bool = True) -> JobFailure:
    """Return the failure of a try with the command that replays it, if its code can have run."""
    if row.started_running_ms is None:
        return failure
    return replays.with_command(failure, row.id, attempt=row.attempt, is_last=is_last)


async def _restart_master(
    moment: Moment, master: JobRow, failed: JobRow, failure: JobFailure
) -> None:
    """Start a master job anew because a sub-job failed; what its old try has started is stopped."""
    following = _following(failed, failure)
    await _stop_below(moment, master, following, origin=failed.failure_from)
    if master.worker is not None:
        moment.tx.notify(worker_topic(master.worker))
    named = JobFailure(failure.reason, following.message)
    await restarts.restart(moment, master, named, origin=failed.failure_from)


async def _stop_below(
    moment: Moment, top: JobRow, failure: JobFailure, *, origin: dict[str, Any] | None
) -> None:
    """Stop what a try that is over has started: the next one starts its own."""
    for row in await jobs.find_unfinished_below(moment.tx, top.id):
        await stop(moment, row, failure, origin=origin)


def _following(failed: JobRow, failure: JobFailure) -> JobFailure:
    return JobFailure(
        failures.JOB_TREE_FAILURE,
        f"{failed.id} ({failed.name}) failed first: {failure.message}",
    )


async def _fail_tree(moment: Moment, failed: JobRow, failure: JobFailure) -> None:
    """End the jobs that fall with one that has failed, with JobTreeFailure (contract F.9)."""
    if failure.reason == failures.TERMINATED:
        return
    await _fell(moment, failed, _following(failed, failure), origin=failed.failure_from)


async def fall_again(moment: Moment, row: JobRow) -> None:
    """End what falls with a job if it has failed, also what was made since then."""
    if row.state == State.FAILED:
        failure = JobFailure(row.failure_reason or "", row.failure_message or "")
        await _fail_tree(moment, row, failure)


async def fall_again_with(moment: Moment, analysis_id: str) -> None:
    """End what falls with an analysis or a stage of it, also what was made since that failed."""
    row = await metadata_of_analyses.find_analysis(moment.tx, analysis_id)
    if row is None or row.state == AnalysisState.IN_PROGRESS:
        return
    below = await metadata_of_analyses.find_stages(moment.tx, row.id)
    for job in below.jobs.values():
        await fall_again(moment, job)
    for inner in below.analyses:
        await fall_again_with(moment, inner)
    if row.state == AnalysisState.FAILED:
        await _fell_with(moment, row)


async def _fell_with(moment: Moment, row: AnalysisRow) -> None:
    """End what falls with an analysis that has failed.

    Its stages may have failed alone: that is decided anew where the analysis is one itself.
    """
    if await analyses.failed_within(moment, row):
        message = f"{row.id} ({row.name}) failed: {row.settings['failureMessage']}"
        following = JobFailure(failures.JOB_TREE_FAILURE, message)
        await _fell(moment, row, following, origin=row.settings["failureFrom"])


async def _fell(
    moment: Moment,
    failed: JobRow | AnalysisRow,
    following: JobFailure,
    *,
    origin: dict[str, Any] | None,
) -> None:
    for found in await analyses.falling_with(moment, failed):
        row = await jobs.find_job(moment.tx, found.id)  # one that falls may take others with it
        if row is None or row.id == failed.id or job_states.is_terminal(row.state):
            continue
        if row.state != State.DEBUG_HOLD:
            await stop(moment, row, following, origin=origin)


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
    if row.state == State.TERMINATING:
        return row  # the reason that came first stays
    if row.state in (State.RUNNING, State.DEBUG_HOLD):
        settings = dict(row.settings)
        held = holds.original(row)
        if failure is not None:
            own = _replayable(row, held or failure)
            settings[_PENDING_FAILURE] = [own.reason, own.message, None if held else origin]
        changes: dict[str, Any] = {"settings": settings}
        if row.worker is not None:
            moment.tx.notify(worker_topic(row.worker))
        return await advance.apply(moment, row, Event.TERMINATION_ASKED, changes)
    await waits.replace(moment.tx, row.id)
    if failure is not None:
        changes = advance.failure_of(row, failure, origin=origin)
        return await ended(moment, await advance.apply(moment, row, Event.FAILED, changes))
    return await ended(moment, await advance.apply(moment, row, Event.TERMINATION_ASKED))


async def stopped(moment: Moment, row: JobRow) -> JobRow:
    """End a job whose stop was asked for, or whose hold is over, now that nothing of it runs."""
    pending, own = row.settings.get(_PENDING_FAILURE), holds.original(row)
    if own is not None and not pending:
        return await fail(moment, row, own, may_restart=False)
    if pending:
        reason, message, origin = pending
        changes = advance.failure_of(row, JobFailure(reason, message), origin=origin)
        over = await advance.apply(moment, row, Event.FAILED, changes)
    else:
        over = await advance.apply(moment, row, Event.STOPPED)
    return await ended(moment, over)


async def terminate_tree(moment: Moment, row: JobRow | AnalysisRow) -> None:
    """Terminate a job or an analysis and everything below it."""
    inner = await metadata_of_analyses.find_unfinished_below(moment.tx, row.id)
    for analysis in [*([row] if isinstance(row, AnalysisRow) else []), *inner]:
        await analyses.ask_termination(moment, analysis)
    below = await jobs.find_unfinished_below(moment.tx, row.id)
    for member in [*([row] if isinstance(row, JobRow) else []), *below]:
        if not job_states.is_terminal(member.state):
            await stop(moment, member)


async def stage_ended(moment: Moment, stage: JobRow | AnalysisRow) -> None:
    """Move the analysis of a stage that is over, and what follows from that."""
    over = await analyses.stage_ended(moment, stage)
    if over is None:
        return
    moment.to_wake.append(over.id)
    if over.state == AnalysisState.FAILED:
        await _fell_with(moment, over)
    if over.parent_analysis is not None:
        await stage_ended(moment, over)


async def ended(moment: Moment, row: JobRow) -> JobRow:
    """Note that a job is over; clear away the tree's workspaces when all of it is."""
    moment.to_wake.append(row.id)
    if row.parent_analysis is not None:
        await stage_ended(moment, row)
    if await _goes_on(moment, row.root_execution):
        await _wake_who_waits_for_nobody(moment, row)
        return row
    failpoints.reach("S16", job=row.id)
    workspaces, kept = await jobs.find_workspaces(moment.tx, row.root_execution)
    for workspace in sorted(workspaces - kept):
        await remove_container(moment, workspace)
    for workspace in sorted(kept):
        until = {"destroy_at_ms": moment.now_ms + WORKSPACE_KEPT_MS}
        await projects.update_container(moment.tx, workspace, until)
    return row


async def _goes_on(moment: Moment, root: str) -> bool:
    """Say whether a tree is not over: stages may still be made of an analysis that is not."""
    if await jobs.has_unfinished(moment.tx, root):
        return True
    return bool(await metadata_of_analyses.find_unfinished_of_tree(moment.tx, root))


async def _wake_who_waits_for_nobody(moment: Moment, row: JobRow) -> None:
    """Look again at the outputs of a tree none of whose jobs can still close an open one."""
    if not await jobs.has_acting(moment.tx, row.root_execution):
        root = row.root_execution
        moment.to_wake += await waits.find_objects_awaited_by_outputs(moment.tx, root)


async def remove_container(moment: Moment, container_id: str) -> None:
    """Remove a container and the objects that lie nowhere else."""
    limit = REMOVED_AT_ONCE
    while inside := await objects.find_ids_in(moment.tx, container_id, limit=limit):
        await remove_objects(moment, container_id, inside)
        if len(inside) < limit:
            break
        await asyncio.sleep(0)  # a large container is no reason to let others wait
    await projects.remove_container(moment.tx, container_id)


async def remove_objects(moment: Moment, container_id: str, object_ids: Sequence[str]) -> None:
    """Take objects out of a container; the jobs that wait for one of them are looked at again."""
    await objects.remove_placements(moment.tx, container_id, object_ids)
    if object_ids:
        moment.to_wake += await waits.find_awaited(moment.tx, object_ids)


def worker_topic(worker: str) -> str:
    """Return the topic that wakes a worker's sync."""
    return f"worker:{worker}"
