"""Give a failed job another try, as its policy allows (contract F.9)."""

from __future__ import annotations

from typing import Final

import msgspec

from plasmid.domain import failures, job_states, run_spec
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import Event, State
from plasmid.executions import advance, outputs
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, objects
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


async def job_to_restart(moment: Moment, row: JobRow, reason: str) -> JobRow | None:
    """Return the job that gets another try when this one fails: itself, its master, or None.

    Where only master jobs may restart, a sub-job takes its master with it as long as that runs; a
    master whose process has ended keeps its output, and the sub-job itself is tried again.
    """
    chosen = row
    if reason in RESTARTABLE_REASONS and await _is_master_only(moment, row):
        master = await _master_of(moment, row)
        chosen = master if master.state == State.RUNNING else row
    return chosen if chosen.state == State.RUNNING and _has_try_left(chosen, reason) else None


async def _is_master_only(moment: Moment, row: JobRow) -> bool:
    executable = await objects.find_object(moment.tx, row.executable)
    spec = executable.body.get("runSpec", {}) if executable else {}
    return bool(spec.get("restartableEntryPoints", "master") == "master")


async def _master_of(moment: Moment, row: JobRow) -> JobRow:
    while await outputs.is_subjob(moment, row):
        parent = await jobs.find_job(moment.tx, row.parent_job or "")
        if parent is None:
            break
        row = parent
    return row


def _has_try_left(row: JobRow, reason: str) -> bool:
    policy = row.settings.get("executionPolicy") or {}
    used = row.failure_counts
    return (
        reason in RESTARTABLE_REASONS
        and used.get(reason, 0) < run_spec.restarts_allowed(policy, reason)
        and sum(used.values()) < run_spec.restarts_max(policy)
    )


def _as_restarted(moment: Moment, row: JobRow, failure: JobFailure) -> JobRow:
    """Return how the try that ends now is shown from now on."""
    ended = {"newState": job_states.RESTARTED, "setAt": moment.now_ms}
    return msgspec.structs.replace(
        row,
        state=job_states.RESTARTED,
        state_transitions=[*row.state_transitions, ended],
        stopped_running_ms=moment.now_ms,
        modified_ms=moment.now_ms,
        **advance.failure_of(row, failure),
    )


async def restart(moment: Moment, row: JobRow, failure: JobFailure) -> JobRow:
    """Give a running job a new try and return it, runnable; it has not run in this try yet."""
    await jobs.add_try(moment.tx, _as_restarted(moment, row, failure))
    counts = {**row.failure_counts, failure.reason: row.failure_counts.get(failure.reason, 0) + 1}
    stopped = await advance.apply(
        moment, row, Event.FAILED_WITH_TRIES_LEFT, {"failure_counts": counts, "worker": None}
    )
    return await advance.apply(
        moment,
        stopped,
        Event.TRY_ADDED,
        {
            "attempt": row.attempt + 1,
            "attempt_created_ms": moment.now_ms,
            "started_running_ms": None,
            "stopped_running_ms": None,
        },
    )
