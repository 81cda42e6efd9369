"""Each bug that is put in is caught within a few hundred jobs, by the invariant that it breaks."""

from __future__ import annotations

import pytest

from tests.simulation import bugs, running
from tests.simulation.running import Plan

JOBS = 60
EPISODES_MAX = 12


@pytest.mark.parametrize("name", sorted(bugs.BUGS))
def test_the_bug_is_caught(name: str) -> None:
    invariants = bugs.BUGS[name].invariants
    seen = []
    for number in range(EPISODES_MAX):
        figures = running.tell(Plan(f"bugs.{number}", JOBS, name))
        seen += figures.wrong
        if any(wrong.startswith(invariants) for wrong in figures.wrong):
            return
    pytest.fail(f"{name} was not caught by {invariants}; what was seen: {seen[:5]}")
