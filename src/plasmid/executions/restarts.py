"""Give a failed job another try, as its policy allows (contract F.9).

A new try begins from nothing but the job's input and its workspace: its own sandbox and token, no
output, and no sub-jobs of the old try. One that lacked memory or disk may get a larger instance
type: `settings["largerInstanceTypes"]`, decided when the job was made (domain/escalation.py).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import escalation, failures, job_states, run_spec
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import Event, State
from plasmid.executions import advance, outputs
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, objects, waits
from plasmid.metadata.rows import JobRow
from plasmid.telemetry import failpoints

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

# What is known of one try only: the next has devices and limits of its own.
_OF_A_TRY: Final = frozenset({"devices", "doors", "notEnforced", "peakMemoryBytes", "ran", "usage"})
_MAY_BEGIN_ANEW: Final = (State.RUNNING, State.WAITING_ON_OUTPUT)


async def job_to_restart(moment: Moment, row: JobRow, reason: str) -> JobRow | None:
    """Return the job that gets another try when this one fails: itself, its master, or None.

    Where only master jobs may restart, a sub-job takes its master with it, also one whose process
    has ended and that waits for its sub-jobs: main has often put out no more than references.
    """
    chosen = row
    if reason in RESTARTABLE_REASONS and await _is_master_only(moment, row):
        chosen = await _master_of(moment, row)
    return chosen if chosen.state in _MAY_BEGIN_ANEW and _has_try_left(chosen, reason) else None


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


def _as_restarted(
    moment: Moment, row: JobRow, failure: JobFailure, *, origin: dict[str, Any] | None
) -> JobRow:
    """Return how the try that ends now is shown from now on."""
    ended = {"newState": job_states.RESTARTED, "setAt": advance.time_of_move(moment, row)}
    return msgspec.structs.replace(
        row,
        state=job_states.RESTARTED,
        state_transitions=[*row.state_transitions, ended],
        stopped_running_ms=row.stopped_running_ms or moment.now_ms,
        modified_ms=moment.now_ms,
        **advance.failure_of(row, failure, origin=origin),
    )


async def restart(
    moment: Moment, row: JobRow, failure: JobFailure, *, origin: dict[str, Any] | None = None
) -> JobRow:
    """Give a job a new try and return it, runnable; it has not run in this try yet.

    `origin` describes the sub-job whose failure is the cause, if it was one.
    """
    await waits.replace(moment.tx, row.id)
    await jobs.add_try(moment.tx, _as_restarted(moment, row, failure, origin=origin))
    kept = {name: value for name, value in row.settings.items() if name not in _OF_A_TRY}
    row = msgspec.structs.replace(row, settings=kept)
    counts = {**row.failure_counts, failure.reason: row.failure_counts.get(failure.reason, 0) + 1}
    stopped = await advance.apply(
        moment, row, Event.FAILED_WITH_TRIES_LEFT, {"failure_counts": counts, "worker": None}
    )
    failpoints.reach("S19", job=row.id)
    return await advance.apply(
        moment,
        stopped,
        Event.TRY_ADDED,
        {
            "attempt": row.attempt + 1,
            "attempt_created_ms": moment.now_ms,
            "started_running_ms": None,
            "stopped_running_ms": None,
            "output": None,
            "settings": row.settings,
            **(_larger(moment, row, failure) if origin is None else {}),
        },
    )


def _larger(moment: Moment, row: JobRow, failure: JobFailure) -> dict[str, Any]:
    """Return what changes for a try that follows one which lacked memory or disk."""
    ladder = row.settings.get(escalation.LADDER) or []
    if failure.reason != failures.APP_INSUFFICIENT_RESOURCE_ERROR or not ladder:
        return {}
    settings = row.settings | {
        escalation.LADDER: ladder[1:],
        escalation.TRANSITIONS: [
            *(row.settings.get(escalation.TRANSITIONS) or []),
            {
                "newInstanceType": ladder[0]["instanceType"],
                "try": row.attempt + 1,
                "setAt": moment.now_ms,
            },
        ],
        "fitted": ladder[0].get("fitted"),
    }
    return {"instance_type": ladder[0]["instanceType"], "settings": settings}
