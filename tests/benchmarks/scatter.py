"""Run trees of real jobs that are wide or deep, and print how long they take (`just scatter`).

    python -m tests.benchmarks.scatter [--home FOLDER] [--jobs-max N] [HOW:COUNT ...]

`wide:5000` is one parent whose 5,000 sub-jobs are gathered by references, `deep:1000` is a chain
in which each job waits for the one before. Needs root and a base image.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from tests.benchmarks import platform, trees
from tests.benchmarks.__main__ import say

TREES = ("wide:72", "deep:1000", "wide:5000")


def main() -> None:
    """Run the named trees, or those that must finish."""
    parser = argparse.ArgumentParser(description=__doc__)
    home = os.environ.get("PLASMID_HOME", "/var/lib/plasmid")
    parser.add_argument("--home", type=Path, default=Path(home))
    parser.add_argument("--jobs-max", type=int, default=2)
    parser.add_argument("trees", nargs="*", default=TREES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        scratch.chmod(0o711)
        with platform.served(scratch, given.home / "images", jobs_max=given.jobs_max) as served:
            project = served.project()
            applet = trees.applet(served, project)
            trees.run(served, applet, project, "wide", 2)
            for tree in given.trees:
                how, _, count = tree.partition(":")
                took = trees.run(served, applet, project, how, int(count))
                rss_mb = served.rss_bytes() / 1e6
                say(
                    f"{how} {count}: {took:.1f} s, {int(count) / took:.1f} jobs/s,"
                    f" server {rss_mb:.0f} MB"
                )


if __name__ == "__main__":
    main()
