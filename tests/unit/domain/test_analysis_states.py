"""The table of an analysis' life, and what its stages mean for it."""

from __future__ import annotations

import itertools

import pytest

from plasmid.domain import analysis_states
from plasmid.domain.analysis_states import Event, IllegalMoveError, State


def test_nothing_leaves_a_terminal_state() -> None:
    for state, event in itertools.product(analysis_states.TERMINAL, Event):
        with pytest.raises(IllegalMoveError, match=f"{event} cannot happen"):
            analysis_states.after(state, event)


def test_every_state_that_is_not_terminal_can_end() -> None:
    for state in set(State) - analysis_states.TERMINAL:
        assert {row.next for row in analysis_states.TRANSITIONS if row.state is state}


@pytest.mark.parametrize(
    ("state", "stages", "event"),
    [
        ("in_progress", ["running", "waiting_on_input"], None),
        ("in_progress", ["done", "running"], None),
        ("in_progress", ["done", "done"], Event.ALL_DONE),
        ("in_progress", ["failed", "running"], Event.STAGE_LOST),
        ("in_progress", ["terminated", "running"], Event.STAGE_LOST),
        ("partially_failed", ["failed", "terminating"], None),
        ("partially_failed", ["failed", "partially_failed"], None),
        ("partially_failed", ["failed", "done"], Event.ALL_OVER_ONE_FAILED),
        ("partially_failed", ["failed", "terminated"], Event.ALL_OVER_ONE_FAILED),
        ("partially_failed", ["terminated", "done"], Event.ALL_OVER_ONE_TERMINATED),
        ("terminating", ["failed", "running"], None),
        ("terminating", ["failed", "terminated"], Event.ALL_OVER_ONE_FAILED),
        ("terminating", ["done", "done"], Event.ALL_DONE),
    ],
)
def test_what_happens_to_the_stages_happens_to_the_analysis(
    state: str, stages: list[str], event: Event | None
) -> None:
    assert analysis_states.event_of(state, stages) is event
    if event is not None:
        analysis_states.after(state, event)


@pytest.mark.parametrize(
    "event", [Event.ALL_DONE, Event.ALL_OVER_ONE_FAILED, Event.ALL_OVER_ONE_TERMINATED]
)
def test_what_was_to_be_terminated_is_terminated_however_its_stages_end(event: Event) -> None:
    assert analysis_states.after("terminating", event) is State.TERMINATED
