"""The table of a job's life, as data."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from plasmid.domain import job_states
from plasmid.domain.job_states import TERMINAL, TRANSITIONS, Event, IllegalMoveError, State
from plasmid.metadata import jobs, schema


def test_a_pair_of_state_and_event_has_one_row() -> None:
    pairs = [(row.state, row.event) for row in TRANSITIONS]
    assert len(pairs) == len(set(pairs))


def test_every_state_can_be_reached_from_idle() -> None:
    reached = {State.IDLE}
    while new := {row.next for row in TRANSITIONS if row.state in reached} - reached:
        reached |= new
    assert reached == set(State)


def test_terminal_states_have_no_exit_and_all_others_lead_to_each_of_them() -> None:
    assert {row.state for row in TRANSITIONS} == set(State) - TERMINAL
    for state in set(State) - TERMINAL:
        reached = {state}
        while new := {row.next for row in TRANSITIONS if row.state in reached} - reached:
            reached |= new
        failing = (State.TERMINATING, State.DEBUG_HOLD)
        ends = TERMINAL - {State.DONE} if state in failing else TERMINAL
        assert ends <= reached, state


def test_every_event_happens_somewhere() -> None:
    assert {row.event for row in TRANSITIONS} == set(Event)


@pytest.mark.parametrize("event", [Event.FAILED, Event.TERMINATION_ASKED])
def test_every_state_that_lasts_can_be_ended_from_outside(event: Event) -> None:
    # idle and restartable last no longer than one transaction; who terminates, does so once
    lasting = set(State) - TERMINAL - {State.IDLE, State.RESTARTABLE}
    once = {State.TERMINATING} if event is Event.TERMINATION_ASKED else set()
    assert {row.state for row in TRANSITIONS if row.event is event} == lasting - once


@pytest.mark.parametrize("state", [State.RUNNING, State.DEBUG_HOLD])
def test_what_has_a_sandbox_is_stopped_before_it_is_terminated(state: State) -> None:
    assert job_states.after(state, Event.TERMINATION_ASKED) is State.TERMINATING
    straight = {row.state for row in TRANSITIONS if row.next is State.TERMINATED}
    assert state not in straight


def test_only_a_job_that_has_begun_gets_another_try() -> None:
    before = [row.state for row in TRANSITIONS if row.next is State.RESTARTABLE]
    assert before == [State.RUNNING, State.WAITING_ON_OUTPUT]


def test_every_pair_without_a_row_is_refused_by_name() -> None:
    rows = {(row.state, row.event): row.next for row in TRANSITIONS}
    for state in State:
        for event in Event:
            if (state, event) in rows:
                assert job_states.after(state.value, event) is rows[state, event]
            else:
                with pytest.raises(IllegalMoveError, match=f"^{event} .* that is {state}$"):
                    job_states.after(state, event)


def test_the_database_takes_exactly_these_states() -> None:
    checks = [
        str(check.sqltext)
        for check in schema.jobs.constraints
        if isinstance(check, sa.CheckConstraint) and check.name == "jobs_state"
    ]
    named = set(re.findall("'(.*?)'", checks[0]))
    assert named == {state.value for state in State}


def test_a_worker_has_a_job_from_its_lease_until_what_ran_is_stopped() -> None:
    leased = {row.next for row in TRANSITIONS if row.event is Event.LEASED}
    held = leased | {
        row.next for row in TRANSITIONS if row.next in (State.DEBUG_HOLD, State.TERMINATING)
    }
    assert held == job_states.WITH_WORKER
    assert set(jobs.WITH_WORKER) == {state.value for state in held}


def test_metadata_and_table_agree_on_what_is_over_and_what_may_still_act() -> None:
    assert {state for state in State if job_states.is_terminal(state)} == set(jobs.TERMINAL)
    passive = {State.WAITING_ON_OUTPUT, State.TERMINATING}
    assert {state.value for state in set(State) - TERMINAL - passive} == jobs.MAY_ACT
