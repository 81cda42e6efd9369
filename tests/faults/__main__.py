"""Run faults against real processes and print what they have shown (`just faults`).

    python -m tests.faults [--runs N] [--seed S] [--only WORD,...] [--bug NAME] [--lines FILE]
    python -m tests.faults --replay LINE
    python -m tests.faults --bugs [NAME,...]
    python -m tests.faults --retries N

WORD is part of an actor or a kind of fault as the table names them. Needs root, loop devices and a
base image. Ends with 1 if a promise was broken; then the platform's folder is kept and named.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from plasmid import config
from tests.faults import bugs, campaign, ground, plan, retries


def main() -> int:
    """Run what is asked for; SIGTERM ends it as Ctrl-C does, with nothing left running."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="parts of names of actors or faults")
    parser.add_argument("--bug", default="", help="one of tests/faults/seeded")
    parser.add_argument("--lines", type=Path, help="a file for a line of JSON a run")
    parser.add_argument("--replay", help="a line of such a file: its fault alone")
    parser.add_argument("--bugs", nargs="?", const=",".join(bugs.HUNTS), help="see each of them")
    parser.add_argument("--retries", type=int, default=0, help="creates whose reply is cut off")
    given = parser.parse_args()
    images = config.load(os.environ).images_folder
    if given.bugs:
        return hunt_all(images, given.bugs.split(","), given.seed)
    if given.retries:
        return retry(images, given.retries, given.seed)
    if given.replay:
        faults = [campaign.fault_of(given.replay)]
    else:
        only = [word for word in given.only.split(",") if word]
        faults = [plan.choose(given.seed, number, only) for number in range(given.runs)]
    result = campaign.run(images, faults, bug=given.bug, kept_in=given.lines, tell=tell)
    say("\n".join(result.lines()))
    for each in result.violations:
        say(f"{each.kind}: run {each.run}: {each.subject}: {each.detail}")
    if result.story is not None:
        say(f"What was there is kept in {result.story}")
    return 1 if result.violations else 0


def hunt_all(images: Path, names: Sequence[str], seed: int) -> int:
    """Look for each bug until it is seen; 1 if one is not."""
    say("| seeded bug | runs | s | seen as |\n| --- | --- | --- | --- |")
    missed = 0
    for name in names:
        caught = bugs.hunt(images, name, seed=seed, tell=tell)
        missed += caught.first is None
        say(caught.row())
    return 1 if missed else 0


def retry(images: Path, count: int, seed: int) -> int:
    """Create records by calls that are cut off and made again; 1 if one had two effects."""
    place = ground.Ground(images)
    try:
        place.open()
        result = retries.creates(place, count, seed=seed)
    finally:
        place.close()
    say(
        f"{result.calls} creates cut off and made again, {result.calls - result.whole} of them in"
        f" the middle of the call, {result.unanswered} between it and its answer;"
        f" {result.landed} had landed before; troubles {len(result.troubles)}"
    )
    for trouble in result.troubles:
        say(trouble)
    return 1 if result.troubles else 0


def say(line: str) -> None:
    """Print a line of the result."""
    print(line, flush=True)  # noqa: T201 - what the command is for


def tell(line: str) -> None:
    """Say how it goes."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - for whoever waits


if __name__ == "__main__":
    sys.exit(main())
