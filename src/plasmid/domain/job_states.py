"""THE table of a job's life (contract F.4): a pair of state and event without a row is refused.

`running` includes the set-up of the sandbox. `restartable` lasts no longer than the transaction
that adds the new try, `idle` no longer than the one that makes the job. A move names what happened;
who does what because of it stands in executions.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class State(StrEnum):
    """The API's names of a job's states."""

    IDLE = "idle"
    WAITING_ON_INPUT = "waiting_on_input"
    RUNNABLE = "runnable"
    RUNNING = "running"
    WAITING_ON_OUTPUT = "waiting_on_output"
    DEBUG_HOLD = "debug_hold"
    RESTARTABLE = "restartable"
    DONE = "done"
    FAILED = "failed"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


class Event(StrEnum):
    """What happened to a job."""

    INPUTS_PENDING = "inputs_pending"
    INPUTS_READY = "inputs_ready"
    REUSED = "reused"
    LEASED = "leased"
    EXITED = "exited"
    OUTPUTS_READY = "outputs_ready"
    FAILED = "failed"
    FAILED_WITH_TRIES_LEFT = "failed_with_tries_left"
    FAILED_AND_HELD = "failed_and_held"
    TRY_ADDED = "try_added"
    TERMINATION_ASKED = "termination_asked"
    STOPPED = "stopped"


class Transition(msgspec.Struct, frozen=True):
    """One legal move."""

    state: State
    event: Event
    next: State


S, E = State, Event

TRANSITIONS: Final = (
    #          state                event                     next
    Transition(S.IDLE,              E.INPUTS_PENDING,         S.WAITING_ON_INPUT),
    Transition(S.IDLE,              E.INPUTS_READY,           S.RUNNABLE),
    Transition(S.IDLE,              E.REUSED,                 S.DONE),
    Transition(S.WAITING_ON_INPUT,  E.INPUTS_READY,           S.RUNNABLE),
    Transition(S.WAITING_ON_INPUT,  E.REUSED,                 S.DONE),
    Transition(S.WAITING_ON_INPUT,  E.FAILED,                 S.FAILED),
    Transition(S.WAITING_ON_INPUT,  E.TERMINATION_ASKED,      S.TERMINATED),
    Transition(S.RUNNABLE,          E.LEASED,                 S.RUNNING),
    Transition(S.RUNNABLE,          E.FAILED,                 S.FAILED),
    Transition(S.RUNNABLE,          E.TERMINATION_ASKED,      S.TERMINATED),
    Transition(S.RUNNING,           E.EXITED,                 S.WAITING_ON_OUTPUT),
    Transition(S.RUNNING,           E.OUTPUTS_READY,          S.DONE),
    Transition(S.RUNNING,           E.FAILED,                 S.FAILED),
    Transition(S.RUNNING,           E.FAILED_WITH_TRIES_LEFT, S.RESTARTABLE),
    Transition(S.RUNNING,           E.FAILED_AND_HELD,        S.DEBUG_HOLD),
    Transition(S.RUNNING,           E.TERMINATION_ASKED,      S.TERMINATING),
    Transition(S.DEBUG_HOLD,        E.FAILED,                 S.FAILED),
    Transition(S.DEBUG_HOLD,        E.TERMINATION_ASKED,      S.TERMINATING),
    Transition(S.WAITING_ON_OUTPUT, E.OUTPUTS_READY,          S.DONE),
    Transition(S.WAITING_ON_OUTPUT, E.FAILED,                 S.FAILED),
    Transition(S.WAITING_ON_OUTPUT, E.FAILED_WITH_TRIES_LEFT, S.RESTARTABLE),
    Transition(S.WAITING_ON_OUTPUT, E.TERMINATION_ASKED,      S.TERMINATED),
    Transition(S.RESTARTABLE,       E.TRY_ADDED,              S.RUNNABLE),
    Transition(S.TERMINATING,       E.STOPPED,                S.TERMINATED),
    Transition(S.TERMINATING,       E.FAILED,                 S.FAILED),
)  # fmt: skip

RESTARTED: Final = "restarted"
"""The state that an earlier try of a job is shown in; no job is ever in it."""

TERMINAL: Final = frozenset({S.DONE, S.FAILED, S.TERMINATED})
WITH_WORKER: Final = frozenset({S.RUNNING, S.DEBUG_HOLD, S.TERMINATING})
"""The states in which a worker has a sandbox of the job."""

_NEXT: Final = {(row.state, row.event): row.next for row in TRANSITIONS}


class IllegalMoveError(Exception):
    """The event cannot happen in the state."""


def after(state: str, event: Event) -> State:
    """Return the state that follows; raises IllegalMoveError naming the pair."""
    following = _NEXT.get((State(state), event))
    if following is None:
        raise IllegalMoveError(f"{event} cannot happen to a job that is {state}")
    return following


def is_terminal(state: str) -> bool:
    """Say whether a job in this state is over."""
    return state in TERMINAL
