"""I1, I3, I4, I13: an analysis ends with its stages, and not before them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from plasmid.domain import analysis_states
from plasmid.domain.analysis_states import State
from plasmid.executions import settle
from plasmid.integrity.around import Around
from plasmid.integrity.finding import Finding, Repair, Workshop
from plasmid.metadata import analyses
from plasmid.metadata.rows import AnalysisRow, JobRow

MOVES: Final = frozenset((row.state.value, row.next.value) for row in analysis_states.TRANSITIONS)


def check(
    row: AnalysisRow, around: Around, containers: dict[str, tuple[str, str]]
) -> Iterator[Finding]:
    """Yield what contradicts the state of an analysis."""
    for detail in _wrong_moves(row):
        yield Finding(invariant="I4", subject=row.id, detail=detail)
    known = {entry["id"]: around.state_of(entry["execution"]) for entry in row.stages}
    for entry in row.stages:
        if known[entry["id"]] is None:
            yield Finding(
                invariant="I1",
                subject=row.id,
                detail=f"its stage {entry['id']} should be {entry['execution']}, which is gone;"
                " terminate it and run it again",
            )
    states = [state for state in known.values() if state is not None]
    if analysis_states.is_terminal(row.state):
        yield from _check_over(row, states)
        return
    if analysis_states.event_of(row.state, states) is not None:
        yield Finding(
            invariant="I1",
            subject=row.id,
            detail=f"is {row.state}, but its stages are {', '.join(sorted(set(states)))}; repair"
            " looks at them again",
            repair=_look_again(row.id),
        )
    if row.workspace not in containers:
        yield Finding(
            invariant="places",
            subject=row.id,
            detail=f"is not over, but its workspace {row.workspace} is gone; terminate it",
        )


def _check_over(row: AnalysisRow, states: list[str]) -> Iterator[Finding]:
    unfinished = [state for state in states if not analysis_states.is_terminal(state)]
    if unfinished:
        yield Finding(
            invariant="I13",
            subject=row.id,
            detail=f"is {row.state} before a stage, which is {unfinished[0]}; terminate that",
        )
    if row.state == State.DONE and (row.output is None or set(states) != {State.DONE.value}):
        yield Finding(
            invariant="I3",
            subject=row.id,
            detail="is done, but not all its stages are, or it has no output; run it again",
        )


def _wrong_moves(row: AnalysisRow) -> Iterator[str]:
    states = [str(move["newState"]) for move in row.state_transitions]
    for before, after in itertools.pairwise(states):
        if (before, after) not in MOVES:
            yield f"it went from {before} to {after}, which no rule allows"
    if states[-1:] != [row.state] or states[0] != State.IN_PROGRESS:
        yield f"it is {row.state}, but its moves were {', '.join(states)}"


def _look_again(analysis: str) -> Repair:
    """Return the repair that moves an analysis on by what its stages are."""

    async def repair(workshop: Workshop) -> None:
        async with workshop.moment() as moment:
            stages = await analyses.find_stages(moment.tx, analysis)
            every: list[JobRow | AnalysisRow] = [*stages.jobs.values(), *stages.analyses.values()]
            for stage in every:
                if analysis_states.is_terminal(stage.state):
                    await settle.stage_ended(moment, stage)

    return repair
