"""THE table of an analysis' life (contract E.7): a state and event without a row are refused.

An analysis does nothing itself: what happens to it is what happens to the executions of its stages.
It is partially failed from the first stage that can never be done until all of them are over.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Final

import msgspec


class State(StrEnum):
    """The API's names of an analysis' states."""

    IN_PROGRESS = "in_progress"
    PARTIALLY_FAILED = "partially_failed"
    DONE = "done"
    FAILED = "failed"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


class Event(StrEnum):
    """What happened to an analysis."""

    STAGE_LOST = "stage_lost"
    ALL_DONE = "all_done"
    ALL_OVER_ONE_FAILED = "all_over_one_failed"
    ALL_OVER_ONE_TERMINATED = "all_over_one_terminated"
    TERMINATION_ASKED = "termination_asked"


class Transition(msgspec.Struct, frozen=True):
    """One legal move."""

    state: State
    event: Event
    next: State


S, E = State, Event

TRANSITIONS: Final = (
    #          state                event                       next
    Transition(S.IN_PROGRESS,       E.ALL_DONE,                 S.DONE),
    Transition(S.IN_PROGRESS,       E.STAGE_LOST,               S.PARTIALLY_FAILED),
    Transition(S.IN_PROGRESS,       E.ALL_OVER_ONE_FAILED,      S.FAILED),
    Transition(S.IN_PROGRESS,       E.ALL_OVER_ONE_TERMINATED,  S.TERMINATED),
    Transition(S.IN_PROGRESS,       E.TERMINATION_ASKED,        S.TERMINATING),
    Transition(S.PARTIALLY_FAILED,  E.ALL_OVER_ONE_FAILED,      S.FAILED),
    Transition(S.PARTIALLY_FAILED,  E.ALL_OVER_ONE_TERMINATED,  S.TERMINATED),
    Transition(S.PARTIALLY_FAILED,  E.TERMINATION_ASKED,        S.TERMINATING),
    Transition(S.TERMINATING,       E.ALL_DONE,                 S.TERMINATED),
    Transition(S.TERMINATING,       E.ALL_OVER_ONE_FAILED,      S.TERMINATED),
    Transition(S.TERMINATING,       E.ALL_OVER_ONE_TERMINATED,  S.TERMINATED),
)  # fmt: skip

TERMINAL: Final = frozenset({S.DONE, S.FAILED, S.TERMINATED})
WITH_FAILURE: Final = frozenset({S.PARTIALLY_FAILED, S.FAILED})
"""The states in which a describe says why (contract A.12)."""

_NEXT: Final = {(row.state, row.event): row.next for row in TRANSITIONS}


class IllegalMoveError(Exception):
    """The event cannot happen in the state."""


def after(state: str, event: Event) -> State:
    """Return the state that follows; raises IllegalMoveError naming the pair."""
    following = _NEXT.get((State(state), event))
    if following is None:
        raise IllegalMoveError(f"{event} cannot happen to an analysis that is {state}")
    return following


def is_terminal(state: str) -> bool:
    """Say whether an analysis in this state is over."""
    return state in TERMINAL


def event_of(state: str, stages: Collection[str]) -> Event | None:
    """Return what the states of its stages' executions mean for an analysis, None for nothing new.

    `stages` are states of jobs and of analyses.
    """
    lost = {"failed", "terminated"}.intersection(stages)
    if all(stage in TERMINAL for stage in stages):
        if not lost:
            return Event.ALL_DONE
        is_failed = "failed" in lost
        return Event.ALL_OVER_ONE_FAILED if is_failed else Event.ALL_OVER_ONE_TERMINATED
    return Event.STAGE_LOST if lost and state == State.IN_PROGRESS else None
