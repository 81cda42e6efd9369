"""Large floods of log lines, each checked to its last line, and a table of them (`just floods`).

    python -m tests.floods [--lines N] [--rate N] [--line-bytes N] [--flood-bytes N] … [NAME ...]

NAME is one of: lines rate line bytes writers kills cap stalled idle. Needs root and a base image.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from plasmid import config
from tests.benchmarks import load
from tests.e2e.driver import Dx, opened, user
from tests.floods import flooder, stories

# Long lines make a flood of bytes, not of work for who makes them.
WIDTH = 600
HEAD = f"{'flood':<44} {'lines':>11} {'seconds':>8} {'lines/s':>9} {'memory':>10}"
Story = Callable[[Dx, argparse.Namespace], stories.Told]


def rate(dx: Dx, given: argparse.Namespace) -> stories.Told:
    """A steady pace, which must not be held up."""
    return stories.lines(dx, given.rate * given.rate_seconds, rate=given.rate)


def kills(dx: Dx, given: argparse.Namespace) -> stories.Told:
    """The worker killed and the server ended, again and again, in mid-flood."""
    pace = given.rate // 2
    return stories.disturbed(dx, pace * 4 * given.kills, rate=pace, kills=given.kills)


def cap(dx: Dx, given: argparse.Namespace) -> stories.Told:
    """Far more than the cap."""
    count = given.flood_bytes // WIDTH
    return stories.capped(dx, count, bytes_max=given.cap, width=WIDTH)


def stalled(dx: Dx, given: argparse.Namespace) -> stories.Told:
    """Readers of a long log that do not read."""
    job = stories.ran(dx, flooder.numbered(1_000_000))
    return stories.stalled(dx, job, given.stalled, to_the_end=True)


def idle(dx: Dx, given: argparse.Namespace) -> stories.Told:
    """Readers of a log that does not grow."""
    job = dx.run(dx.applet("echo on; sleep 1000", name="silent"))
    next(frame for frame in dx.site.frames(job) if frame["msg"] == "on")
    return stories.idle(dx, job, given.idle)


STORIES: dict[str, Story] = {
    "lines": lambda dx, given: stories.lines(dx, given.lines),
    "rate": rate,
    "line": lambda dx, given: stories.long_line(dx, given.line_bytes),
    "bytes": lambda dx, given: stories.any_bytes(dx, given.lines // 10),
    "writers": lambda dx, given: stories.lines(dx, given.lines // 1000, writers=given.writers),
    "kills": kills,
    "cap": cap,
    "stalled": stalled,
    "idle": idle,
}


def main() -> int:
    """Let loose those that are named, or all; 1 if one went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.floods", description=__doc__)
    for name, default in (
        ("lines", 10_000_000), ("rate", 50_000), ("rate-seconds", 60),
        ("line-bytes", 1_000_000_000), ("flood-bytes", 10_000_000_000), ("cap", 2 << 30),
        ("writers", 200), ("kills", 20), ("stalled", 500), ("idle", 500),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("names", nargs="*", choices=[[], *STORIES])
    given = parser.parse_args()
    say(f"the machine's load: {load.of_machine()}\n{HEAD}")
    wrong = 0
    for name in given.names or STORIES:
        try:
            told = on_own_server(STORIES[name], given)
            say(told.row(name))
        except AssertionError:
            wrong += 1
            say(f"{name}: {traceback.format_exc(limit=-3)}")
    return 1 if wrong else 0


def on_own_server(story: Story, given: argparse.Namespace) -> stories.Told:
    """Let one loose on a server of its own."""
    images = config.load(os.environ).images_folder
    with (
        tempfile.TemporaryDirectory() as home,
        opened(images, PLASMID_LOGS_JOB_BYTES_MAX=str(given.cap)) as site,
    ):
        return story(user(site, Path(home), "floods"), given)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
