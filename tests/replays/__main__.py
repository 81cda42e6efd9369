"""Make seeded failures of jobs and replay each; say what did not come out alike (`just replays`).

    python -m tests.replays [--count N] [--seed S]

Needs root and a base image. Ends with 1 if a replay differed from its original.
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from plasmid import config
from tests.e2e.driver import Dx, opened, user
from tests.replays import running, seeded

SIDE_BY_SIDE = 2


def main() -> int:
    """Run them all and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.replays")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    cases = list(seeded.failures(given.seed, given.count))
    images = config.load(os.environ).images_folder
    with tempfile.TemporaryDirectory() as folder, opened(images) as site:
        return _all(user(site, Path(folder), "replays"), cases)


def _all(dx: Dx, cases: list[seeded.Failing]) -> int:
    jobs = [running.start(dx, number, case) for number, case in enumerate(cases)]
    begun = time.monotonic()
    alike: collections.Counter[str] = collections.Counter()
    wrong = 0
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        ended = pool.map(lambda pair: running.replayed(dx, *pair), zip(jobs, cases, strict=True))
        for number, (case, replayed) in enumerate(zip(cases, ended, strict=True)):
            problems = running.problems(dx.site, case, replayed)
            alike[case.kind] += not problems
            wrong += bool(problems)
            _say(f"{number:3} {case.kind:12} {replayed.said.err.splitlines()[-1][:110]}")
            for problem in problems:
                _say(f"    {problem}")
    seconds = time.monotonic() - begun
    for kind, count in sorted(alike.items()):
        _say(f"{kind:12} {count} of {sum(case.kind == kind for case in cases)} alike")
    _say(f"{len(cases) - wrong} of {len(cases)} replays ended as their originals, {seconds:.0f} s")
    return 1 if wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
