"""The only writer of a job's state: apply an event by the table of domain.job_states.

Everything that follows from a move (waking dependents, ending the tree, cloning outputs) is written
in the same transaction, so a crash leaves either all of it or none: there is nothing to pay later.
"""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import failures, job_states
from plasmid.domain.job_states import Event, State
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, users
from plasmid.metadata.rows import JobRow

JOBS_TOPIC: Final = "jobs"
PLACEABLE_TOPIC: Final = "placeable"


async def apply(
    moment: Moment, row: JobRow, event: Event, changes: dict[str, Any] | None = None
) -> JobRow:
    """Move a job by an event and change other fields with it; return the job as it now is.

    Raises IllegalMoveError if the event cannot happen in the job's state.
    """
    following = job_states.after(row.state, event)
    at_ms = time_of_move(moment, row)
    transitions = [*row.state_transitions, {"newState": following.value, "setAt": at_ms}]
    every: dict[str, Any] = {
        **(changes or {}),
        "state": following.value,
        "modified_ms": moment.now_ms,
        "state_transitions": transitions,
    }
    if row.started_running_ms is not None and row.state == State.RUNNING:
        every.setdefault("stopped_running_ms", at_ms)
    await jobs.update_job(moment.tx, row.id, every)
    moment.tx.notify(row.id)
    moment.tx.notify(JOBS_TOPIC)
    if following is State.RUNNABLE or row.state in job_states.WITH_WORKER:
        moment.tx.notify(PLACEABLE_TOPIC)
    if following not in job_states.WITH_WORKER:
        # also between two tries: nothing that is left of the old one may act for the new one
        await users.remove_job_tokens(moment.tx, row.id)
        moment.authenticator.forget()
    moment.log(
        "job_moved",
        job=row.id,
        attempt=row.attempt,
        happened=event.value,
        state=following.value,
        reason=every.get("failure_reason"),
    )
    moved = await jobs.find_job(moment.tx, row.id)
    if moved is None:
        raise RuntimeError(f"{row.id} vanished in its own transaction")
    return moved


def time_of_move(moment: Moment, row: JobRow) -> int:
    """Return when a job moves: now, but not before its last move if the clock was put back."""
    last_ms = row.state_transitions[-1]["setAt"] if row.state_transitions else 0
    return max(moment.now_ms, int(last_ms))


def nothing_to_run(row: JobRow) -> failures.JobFailure:
    """Return the failure of a job whose executable was removed before it could start."""
    return failures.JobFailure(
        failures.EXECUTION_ERROR,
        f"{row.executable} ({row.executable_name}) was removed before the job could start",
    )


def failure_of(
    row: JobRow, failure: failures.JobFailure, *, origin: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the fields that say why a job has failed; `origin` describes one that failed first."""
    return {
        "failure_reason": failure.reason,
        "failure_message": failure.message,
        "failure_from": origin
        or {
            "id": row.id,
            "try": row.attempt,
            "name": row.name,
            "executable": row.executable,
            "executableName": row.executable_name,
            "function": row.function,
            "failureReason": failure.reason,
            "failureMessage": failure.message,
        },
    }
