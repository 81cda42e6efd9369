"""Calls made up from the API's document, many of them (`just schemathesis`).

python -m tests.fuzz [--requests N] [--seed N]
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz import fuzzing


def main() -> int:
    """Run it, print what came of it; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="tests.fuzz")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    begun = time.monotonic()
    with fuzzing.a_server() as server:
        found = fuzzing.Fuzzer(server, seed=given.seed).run(given.requests)
        story = server.story()
    seconds = time.monotonic() - begun
    lines = [f"{found.calls} calls of {len(found.routes)} routes in {seconds:.0f} s"]
    lines += [f"  {status}: {count}" for status, count in sorted(found.statuses.items())]
    lines += [f"{problem}\n    {call}" for problem, call in found.wrong.items()]
    sys.stdout.write("\n".join([*lines, story]))
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
