"""Many episodes, in several processes; each is replayed by its seed alone."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Final

import msgspec
import structlog

from tests.simulation import bugs
from tests.simulation.episode import Episode, Figures

EPISODE_JOBS: Final = 1_000


class Plan(msgspec.Struct, frozen=True):
    """One episode: its seed, about how many jobs it makes, and the bug that is put in."""

    seed: str
    jobs: int = EPISODE_JOBS
    bug: str | None = None


def tell(plan: Plan) -> Figures:
    """Run one episode and return its figures."""
    with _quiet(), bugs.put_in(plan.bug):
        return Episode(plan.seed, plan.jobs, is_hasty=plan.bug is not None).run()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave the log of a million moves unwritten."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def run(
    jobs: int, seed: int, *, processes: int = 0, bug: str | None = None
) -> Iterator[tuple[str, Figures]]:
    """Give the seed and the figures of episodes until they have made enough jobs."""
    count = processes or min(2, os.cpu_count() or 1)
    made = number = 0
    with ProcessPoolExecutor(count) as pool:
        waiting: list[tuple[str, Future[Figures]]] = []
        while made < jobs or waiting:
            while made < jobs and len(waiting) < count * 2:
                plan = Plan(f"{seed}.{number}", min(EPISODE_JOBS, jobs), bug)
                waiting.append((plan.seed, pool.submit(tell, plan)))
                made += plan.jobs
                number += 1
            name, told = waiting.pop(0)
            yield name, told.result()


def table(total: Figures, *, seed: int, seconds: float) -> str:
    """Return the figures as the lines that reports show."""
    faults = ", ".join(f"{name} {count:,}" for name, count in sorted(total.faults.items()))
    states, of_analyses = (
        ", ".join(f"{name} {count:,}" for name, count in sorted(counted.items()))
        for counted in (total.states, total.analysis_states)
    )
    bound = 3 / total.jobs if total.jobs else 1.0
    rows = {
        "seed": str(seed),
        "jobs": f"{total.jobs:,} ({states})",
        "analyses": f"{total.analyses:,} ({of_analyses})",
        "tries": f"{total.tries:,}",
        "reused": f"{total.reused:,}",
        "simulated time": f"{total.simulated_ms / 3_600_000:.1f} h",
        "messages": f"{total.messages:,}",
        "faults": faults,
        "lost": str(total.lost),
        "doubled": str(total.doubled),
        "stuck": str(total.stuck),
        "findings": str(total.findings),
        "bound": f"below {bound:.1e} a job with 95 % confidence (3/n), as far as each figure is 0",
        "speed": f"{total.jobs / seconds:,.0f} jobs/s ({seconds:.0f} s)",
    }
    return "\n".join(f"{name:<15} {value}" for name, value in rows.items())


def elapsed(since: float) -> float:
    """Return the seconds since a moment of the performance counter."""
    return time.perf_counter() - since
