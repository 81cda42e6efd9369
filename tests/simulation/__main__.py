"""`just simulate`: run simulated jobs under faults and print the table."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation import bugs, running
from tests.simulation.episode import Figures

SHOWN_MAX = 20


def main() -> int:
    """Print the table; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="just simulate", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000, help="about how many jobs to run")
    parser.add_argument("--seed", type=int, default=1, help="all randomness comes from it")
    parser.add_argument("--bug", choices=sorted(bugs.BUGS), help="put a bug in; it must be caught")
    parser.add_argument("--episode", help="run one again: its seed, with the --jobs printed")
    parser.add_argument("--processes", type=int, default=0, help="how many at once; 0: at most two")
    given = parser.parse_args()
    jobs = min(given.jobs, running.EPISODE_JOBS)
    shorter = f" --jobs {jobs}" if jobs < running.EPISODE_JOBS else ""
    begun = time.perf_counter()
    total = Figures()
    if given.episode:
        told = running.tell(running.Plan(given.episode, jobs, given.bug))
        episodes = iter([(given.episode, told)])
    else:
        episodes = running.run(given.jobs, given.seed, processes=given.processes, bug=given.bug)
    shown = 0
    for seed, figures in episodes:
        total.add(figures)
        for line in figures.wrong:
            shown += 1
            if shown <= SHOWN_MAX:
                sys.stdout.write(f"episode {seed}{shorter}: {line}\n")
    sys.stdout.write(f"{running.table(total, seed=given.seed, seconds=running.elapsed(begun))}\n")
    return 1 if total.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
