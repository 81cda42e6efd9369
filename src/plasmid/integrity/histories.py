"""I4: the history of a job is a path in the published table of states, and ends in its state."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from plasmid.domain import job_states
from plasmid.domain.job_states import State
from plasmid.integrity.around import Around
from plasmid.integrity.finding import Finding
from plasmid.metadata.rows import JobRow

MOVES: Final = frozenset((row.state.value, row.next.value) for row in job_states.TRANSITIONS)


def check(row: JobRow, around: Around) -> Iterator[Finding]:
    """Yield the moves of a job and of its earlier tries that no rule allows."""
    for detail in _wrong_moves(row, row.state):
        yield Finding(invariant="I4", subject=row.id, detail=detail)
    for attempt, earlier in sorted(around.tries.get(row.id, {}).items()):
        for detail in _wrong_moves(earlier, earlier.state):
            yield Finding(invariant="I4", subject=row.id, detail=f"in try {attempt} {detail}")


def _wrong_moves(row: JobRow, state: str) -> Iterator[str]:
    states = [State.IDLE.value, *(str(move["newState"]) for move in row.state_transitions)]
    for before, after in itertools.pairwise(states):
        if (before, after) not in MOVES and after != job_states.RESTARTED:
            yield f"it went from {before} to {after}, which no rule allows"
    if states[-1] != state:
        yield f"it is {state}, but its last move was to {states[-1]}"
    times = [int(move["setAt"]) for move in row.state_transitions]
    if times != sorted(times):
        yield "the times of its moves go back"
