"""A few thousand simulated jobs under every fault: nothing is lost, doubled, stuck or wrong.

`just simulate` runs as many as there is time for; what fails is replayed by the seed of its
episode: `python -m tests.simulation --episode SEED --jobs 400`.
"""

from __future__ import annotations

from plasmid.domain import analysis_states, job_states
from tests.simulation import running
from tests.simulation.episode import Figures
from tests.simulation.running import Plan

JOBS = 400
SEEDS = ("ci.0", "ci.1")


def test_faults_lose_double_and_hold_up_nothing() -> None:
    figures = Figures()
    for seed in SEEDS:
        figures.add(running.tell(Plan(seed, JOBS)))
    assert not figures.wrong, "\n".join(figures.wrong[:20])
    assert (figures.lost, figures.doubled, figures.stuck, figures.findings) == (0, 0, 0, 0)
    assert figures.jobs >= JOBS * len(SEEDS)
    assert figures.tries > figures.jobs
    assert figures.reused > 0
    assert set(figures.analysis_states) == {state.value for state in analysis_states.TERMINAL}
    assert set(figures.states) == {state.value for state in job_states.TERMINAL}
    for fault in ("dropped", "repeated", "delayed", "crash before commit", "crash after commit"):
        assert figures.faults[fault] > 0, fault


def test_an_episode_is_replayed_bit_for_bit_by_its_seed() -> None:
    first, second = (running.tell(Plan("replay", 120)) for _ in range(2))
    assert first == second
    assert running.tell(Plan("another", 120)) != first


def test_the_table_names_the_seed_and_the_bound() -> None:
    figures = running.tell(Plan("replay", 60))
    text = running.table(figures, seed=7, seconds=2.0)
    rows = dict(line.split(maxsplit=1) for line in text.splitlines() if line)
    assert rows["seed"] == "7"
    assert rows["lost"] == rows["doubled"] == rows["stuck"] == rows["findings"] == "0"
    assert "3/n" in rows["bound"]
