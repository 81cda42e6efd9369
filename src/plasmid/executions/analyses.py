"""Analyses: the only writer of their state, by the table of domain.analysis_states (contract E.7).

An analysis moves in the transaction in which the execution of one of its stages ends.
"""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import analysis_states, failures, reuse
from plasmid.domain.analysis_states import Event, State
from plasmid.executions import analysis_outputs
from plasmid.executions.world import Moment
from plasmid.metadata import analyses, jobs
from plasmid.metadata.rows import AnalysisRow, JobRow

FAILURE: Final = ("failureReason", "failureMessage", "failureFrom")
POLICY: Final = "onNonRestartableFailure"
ALONE: Final = "failStage"


async def apply(
    moment: Moment, row: AnalysisRow, event: Event, changes: dict[str, Any] | None = None
) -> AnalysisRow:
    """Move an analysis by an event and change other fields with it; return it as it now is."""
    following = analysis_states.after(row.state, event)
    last_ms = int(row.state_transitions[-1]["setAt"]) if row.state_transitions else 0
    moved = {"newState": following.value, "setAt": max(moment.now_ms, last_ms)}
    every = {
        **(changes or {}),
        "state": following.value,
        "modified_ms": moment.now_ms,
        "state_transitions": [*row.state_transitions, moved],
    }
    await analyses.update_analysis(moment.tx, row.id, every)
    moment.tx.notify(row.id)
    moment.log("analysis_moved", analysis=row.id, happened=event.value, state=following.value)
    return await require(moment, row.id)


async def require(moment: Moment, analysis_id: str) -> AnalysisRow:
    """Return an analysis that is there."""
    row = await analyses.find_analysis(moment.tx, analysis_id)
    if row is None:
        raise RuntimeError(f"{analysis_id} vanished")
    return row


async def stage_ended(moment: Moment, stage: JobRow | AnalysisRow) -> AnalysisRow | None:
    """Move the analysis of a stage whose execution is over; return it if it is over with that."""
    if not await _concerns(moment, stage):
        return None
    row = await require(moment, stage.parent_analysis or "")
    changes: dict[str, Any] = {}
    if stage.state in (State.FAILED, State.TERMINATED):
        changes = _with_failure(row, stage)
    known = await analyses.find_stage_states(moment.tx, row.id)
    # one that is not made yet has its id already
    states = [known.get(entry["execution"], State.IN_PROGRESS) for entry in row.stages]
    event = analysis_states.event_of(row.state, states)
    if event is None:
        if changes:
            await analyses.update_analysis(moment.tx, row.id, changes)
        return None
    if event is Event.ALL_DONE and row.state == State.IN_PROGRESS:
        output = await analysis_outputs.assembled(moment.tx, row)
        changes["output"] = output
        source = await analysis_outputs.reused_from(moment.tx, row, output)
        if source is not None:
            changes["settings"] = row.settings | {reuse.SOURCE: source}
    moved = await apply(moment, row, event, changes)
    return moved if analysis_states.is_terminal(moved.state) else None


async def _concerns(moment: Moment, stage: JobRow | AnalysisRow) -> bool:
    """Say whether the end of a stage changes anything: of many stages few do.

    The last one does, and the first that is lost.
    """
    analysis = stage.parent_analysis or ""
    known = await analyses.find_brief(moment.tx, analysis)
    if known is None or analysis_states.is_terminal(known.state):
        return False
    is_lost = stage.state in (State.FAILED, State.TERMINATED)
    if is_lost and (known.state == State.IN_PROGRESS or _is_news(known.failure_reason, stage)):
        return True
    return not await analyses.has_unfinished_stages(moment.tx, analysis)


def _is_news(known: str | None, stage: JobRow | AnalysisRow) -> bool:
    """Say whether a lost stage is a reason to fail: the first is, and a failed one for another."""
    return known is None or (known == failures.TERMINATED and stage.state == State.FAILED)


def _with_failure(row: AnalysisRow, stage: JobRow | AnalysisRow) -> dict[str, Any]:
    """Return the change that says why an analysis fails: what failed first beats what was stopped.

    A stage that was terminated is a reason until one fails.
    """
    if not _is_news(row.settings.get("failureReason"), stage):
        return {}
    return {"settings": row.settings | failure_of(stage)}


def failure_of(stage: JobRow | AnalysisRow) -> dict[str, Any]:
    """Return `failureReason`, `failureMessage` and `failureFrom` of an execution that was lost."""
    if stage.state == State.FAILED:
        origin = (
            stage.failure_from if isinstance(stage, JobRow) else stage.settings.get("failureFrom")
        ) or {}
        return {
            "failureReason": origin.get("failureReason"),
            "failureMessage": origin.get("failureMessage"),
            "failureFrom": origin,
        }
    message = f"{stage.id} ({stage.name}) was terminated"
    return {
        "failureReason": failures.TERMINATED,
        "failureMessage": message,
        "failureFrom": {
            "id": stage.id,
            "name": stage.name,
            "executable": stage.executable,
            "executableName": stage.executable_name,
            "failureReason": failures.TERMINATED,
            "failureMessage": message,
        },
    }


async def ask_termination(moment: Moment, row: AnalysisRow) -> None:
    """Say that an analysis is to end; it is terminated when the executions of its stages are."""
    if row.state in (State.IN_PROGRESS, State.PARTIALLY_FAILED):
        await apply(moment, row, Event.TERMINATION_ASKED)


async def failed_within(moment: Moment, row: AnalysisRow) -> bool:
    """Say whether what an analysis has failed for happened in it, and not to what started it."""
    origin = (row.settings.get("failureFrom") or {}).get("id", "")
    return row.id in await jobs.find_above(moment.tx, origin)


async def falling_with(moment: Moment, failed: JobRow | AnalysisRow) -> list[JobRow]:
    """Return the unfinished jobs that an execution takes with it when it fails (contract F.9).

    A failing job fails its tree: the jobs that were started along with it, and what started them.
    A stage takes the others of its analysis with it unless its policy says `failStage`; then it
    fails alone, with all below it. So does one that failed because it needs another's output:
    whether that one takes all with it was decided when it failed.
    """
    current = failed
    while True:
        if isinstance(current, JobRow):
            current = await _top_of(moment, current)
        if current.parent_analysis is not None:
            if _falls_alone(current, failed):
                below = await jobs.find_unfinished_below(moment.tx, current.id)
                return [*([current] if isinstance(current, JobRow) else []), *below]
            current = await require(moment, current.parent_analysis)
        elif isinstance(current, AnalysisRow) and current.parent_job is not None:
            parent = await jobs.find_job(moment.tx, current.parent_job)
            if parent is None:
                return await jobs.find_unfinished_below(moment.tx, current.id)
            current = parent
        else:
            return await jobs.find_unfinished_of_tree(moment.tx, current.root_execution)


def _falls_alone(stage: JobRow | AnalysisRow, failed: JobRow | AnalysisRow) -> bool:
    policy = stage.settings.get("executionPolicy") or {}
    if policy.get(POLICY) == ALONE:
        return True
    return (
        stage.id == failed.id
        and isinstance(failed, JobRow)
        and failed.failure_reason == failures.JOB_TREE_FAILURE
    )


async def _top_of(moment: Moment, row: JobRow) -> JobRow:
    """Return the job at the top of a job's own tree: a stage's, or the root."""
    while row.parent_job is not None:
        parent = await jobs.find_job(moment.tx, row.parent_job)
        if parent is None:
            break
        row = parent
    return row
