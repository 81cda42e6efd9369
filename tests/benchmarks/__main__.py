"""Measure Plasmid beside its alternatives and print one table (`just bench`).

    python -m tests.benchmarks [--home FOLDER] [--scratch FOLDER] [--rounds N] [ROW ...]

Needs root, podman, wrk and curl. Every round runs both sides in turn; the ratio is of medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from plasmid.environments.images import Images
from tests import stand_in
from tests.benchmarks import (
    beside,
    installing,
    layers,
    load,
    logs,
    many_objects,
    network,
    platform,
    scale,
    ssh,
)
from tests.mirrors import box

MB = 1_000_000
GB = 1_000_000_000
Rows = list[tuple[str, str, str, str, str]]


class Bench:
    """The figures of one run."""

    def __init__(self, scratch: Path, images: Path, rounds: int) -> None:
        self.scratch = scratch
        self.images = images
        self.rounds = rounds
        self.rows: Rows = []

    def add(self, what: str, ours: str, other: str, *, ratio: str, target: str) -> None:
        """Keep and print a row."""
        self.rows.append((what, ours, other, ratio, target))
        say(f"{what:<44} {ours:>14} {other:>14} {ratio:>9}  {target}")

    def noop(self) -> None:
        """No-op applets one at a time, beside podman run of the same image."""
        with platform.served(self.scratch, self.images, jobs_max=2) as served:
            project = served.project()
            for interpreter, command, limit in (
                ("bash", ("true",), "<= 1.0 x"),
                ("python3", ("python3", "-c", "import dxpy"), "<= 1.2 x"),
            ):
                applet = served.applet(project, interpreter)
                served.job_seconds(applet, project)
                pairs = [
                    (served.job_seconds(applet, project), beside.podman_seconds(*command))
                    for _ in range(self.rounds)
                ]
                ours, other = (statistics.median(side) * 1000 for side in zip(*pairs, strict=True))
                self.add(
                    f"no-op {interpreter} applet, p50 | podman run",
                    f"{ours:.0f} ms", f"{other:.0f} ms",
                    ratio=f"{ours / other:.2f} x", target=limit,
                )  # fmt: skip

    def hundred(self) -> None:
        """100 no-op applets two at a time, beside xargs -P2 podman run."""
        with platform.served(self.scratch, self.images, jobs_max=2) as served:
            project = served.project()
            applet = served.applet(project, "bash")
            served.job_seconds(applet, project)
            ours = 100 / served.many_seconds(applet, project, 100)
            other = 100 / beside.podman_many_seconds(100)
        self.add(
            "100 no-op applets, two at a time | xargs podman",
            f"{ours:.1f} jobs/s", f"{other:.1f} jobs/s",
            ratio=f"{ours / other:.2f} x", target=">= 2 x",
        )  # fmt: skip

    def describe(self) -> None:
        """/job-x/describe under load, beside a bare Starlette route with the same bytes."""
        with platform.served(self.scratch, self.images, jobs_max=2) as served:
            project = served.project()
            job = served.start(served.applet(project, "bash"), project)
            served.wait(job)
            body = self.scratch / "describe.json"
            body.write_text(json.dumps(served.call(f"/{job}/describe", {})), encoding="utf-8")
            route = f"/{job}/describe"
            ours = load.requests_per_second(served.port, route, served.token)
            paced = load.latencies_ms(served.port, route, served.token)
            with beside.bare_route(body, 18_124):
                other = load.requests_per_second(18_124, route, served.token)
                bare = load.latencies_ms(18_124, route, served.token)
        self.add(
            "/job-x/describe, 16 connections | bare Starlette",
            f"{ours:.0f} /s", f"{other:.0f} /s", ratio=f"{ours / other:.2f} x", target=">= 0.25 x",
        )  # fmt: skip
        self.add(
            "/job-x/describe at 200/s, p99 | bare Starlette",
            f"{load.percentile(paced, 99):.1f} ms", f"{load.percentile(bare, 99):.1f} ms",
            ratio="", target="<= 20 ms",
        )  # fmt: skip

    def bytes(self) -> None:
        """2 GB up and down by raw HTTP, beside dd and cat on the same disk."""
        source, target = self.scratch / "two.bin", self.scratch / "copy.bin"
        _make_file(source, 2 * GB)
        with platform.served(self.scratch, self.images, jobs_max=2) as served:
            project = served.project()
            ups, downs = [], []
            for _ in range(max(1, self.rounds // 5)):
                file_id = served.call("/file/new", {"project": project, "name": "two"})["id"]
                place = served.call(f"/{file_id}/upload", {"index": 1, "size": 2 * GB})
                ups.append(
                    (load.put_seconds(place["url"], source), beside.copy_seconds(source, target))
                )
                served.call(f"/{file_id}/close", {})
                url = served.call(f"/{file_id}/download", {})["url"]
                downs.append((load.get_seconds(url, target), beside.cat_seconds(source, target)))
        for what, pairs in (("upload of 2 GB | dd", ups), ("download of 2 GB | cat", downs)):
            ours, other = (2000 / statistics.median(side) for side in zip(*pairs, strict=True))
            self.add(
                what, f"{ours:.0f} MB/s", f"{other:.0f} MB/s",
                ratio=f"{ours / other:.2f} x", target=">= 0.5 x",
            )  # fmt: skip
        source.unlink()

    def pip(self) -> None:
        """numpy, pandas and pysam as a job's first build of them, beside pip in such a sandbox."""
        bench = box.Bench(self.scratch / "pip", self.images)
        pairs = [
            (installing.seconds(bench), installing.pip_seconds(bench))
            for _ in range(max(1, self.rounds // 3))
        ]
        ours, other = (statistics.median(side) for side in zip(*pairs, strict=True))
        self.add(
            "numpy+pandas+pysam, first build | pip install",
            f"{ours:.1f} s", f"{other:.1f} s", ratio=f"{ours / other:.2f} x", target="<= 0.5 x",
        )  # fmt: skip

    def memory(self) -> None:
        """The server's memory after 1,000 jobs and a 5 GB upload, beside itself at the start."""
        source = self.scratch / "five.bin"
        _make_file(source, 5 * GB)
        with platform.served(self.scratch, self.images, jobs_max=4) as served:
            project = served.project()
            applet = served.applet(project, "bash")
            served.job_seconds(applet, project)
            before = served.rss_bytes()
            served.many_seconds(applet, project, 1000)
            file_id = served.call("/file/new", {"project": project, "name": "five"})["id"]
            place = served.call(f"/{file_id}/upload", {"index": 1, "size": 5 * GB})
            load.put_seconds(place["url"], source)
            after = served.rss_bytes()
        self.add(
            "server RSS after 1,000 jobs and 5 GB | at start",
            f"{after / 1e6:.0f} MB", f"{before / 1e6:.0f} MB",
            ratio=f"+{(after - before) / 1e6:.0f} MB", target="<= +50 MB",
        )  # fmt: skip
        source.unlink()

    def network(self) -> None:
        """The network of a job without and with a grant, beside no network at all."""
        root = Images(self.images, stand_in.TABLE).find("Ubuntu", "24.04", "0").root
        grants = (None, (), ("*",))
        rounds = [network.seconds(root, self.scratch, grants) for _ in range(self.rounds)]
        sides = zip(*rounds, strict=True)
        none, default, granted = (statistics.median(side) * 1000 for side in sides)
        for what, ours, limit in (
            ("default-deny network of a job | none at all", default, "<= +15 ms"),
            ("network of a job with a grant | none at all", granted, "<= +20 ms"),
        ):
            self.add(
                what, f"{ours:.1f} ms", f"{none:.1f} ms",
                ratio=f"+{ours - none:.1f} ms", target=limit,
            )  # fmt: skip

    def layers(self) -> None:
        """Jobs with packages: over a layer, making it first, and eight different ones at once."""
        for what, measured, limit in (
            (
                "to code, samtools layer present | no packages",
                layers.present(self.scratch, self.images, self.rounds), "<= 1.1 x",
            ),
            (
                "to code, samtools layer absent | bare apt-get",
                layers.absent(self.scratch, self.images, max(1, self.rounds // 5)), "<= 1.15 x",
            ),
            (
                "8 different layers at once | one by one",
                layers.eight(self.scratch, self.images), "< 1 x",
            ),
        ):  # fmt: skip
            ours, other = measured
            self.add(
                what, f"{ours:.2f} s", f"{other:.2f} s",
                ratio=f"{ours / other:.2f} x", target=limit,
            )  # fmt: skip

    def tree(self) -> None:
        """A parent that starts and gathers 500 no-ops, beside xargs -P2 podman run."""
        ours, other = scale.fan_out(self.scratch, self.images)
        self.add(
            "500 no-op sub-jobs, gathered | xargs podman",
            f"{ours:.1f} jobs/s", f"{other:.1f} jobs/s",
            ratio=f"{ours / other:.2f} x", target=">= 2 x",
        )  # fmt: skip
        ours, other = scale.succession(self.scratch, self.images, self.rounds)
        self.add(
            "source done to waiter running, p50 | a fresh job",
            f"{ours:.0f} ms", f"{other:.0f} ms",
            ratio=f"{ours - other:+.0f} ms", target="<= +50 ms",
        )  # fmt: skip

    def dispatch(self) -> None:
        """What the dispatch of a job costs with 100,000 jobs in the database, beside 1,000."""
        for name, states in scale.MIXES.items():
            ours, other = scale.dispatch(states)
            self.add(
                f"a job's dispatch, 100,000 {name} | 1,000",
                f"{ours:.2f} ms", f"{other:.2f} ms",
                ratio=f"{ours / other:.2f} x", target="<= 1.2 x",
            )  # fmt: skip

    def find(self) -> None:
        """A page of 100 of what `dx find jobs` asks for, among 1,000,000 jobs beside 1,000."""
        for name, (ours, other) in scale.find().items():
            self.add(
                f"find {name}, p95 of 1,000,000 | 1,000",
                f"{ours:.1f} ms", f"{other:.1f} ms",
                ratio=f"{ours / other:.2f} x", target="<= 2 x",
            )  # fmt: skip

    def objects(self) -> None:
        """What `dx` asks for among 1,000,000 objects and 100,000 jobs, beside 1,000 of each."""
        for name, (ours, other) in many_objects.find().items():
            self.add(
                f"{name}, p95 | small",
                f"{ours:.1f} ms", f"{other:.1f} ms",
                ratio=f"{ours / other:.2f} x", target="<= 2 x",
            )  # fmt: skip

    def logs(self) -> None:
        """Lines to disk and to who watches, and what a flood of them costs other jobs."""
        say(f"the machine's load: {load.of_machine()}")
        ours, others = logs.lines_per_second(
            self.scratch, self.images, count=1_000_000, rounds=max(1, self.rounds // 3)
        )
        our, other = statistics.median(ours), statistics.median(others)
        self.add(
            "lines to disk | podman run --log-driver none >f",
            f"{our:,.0f} /s", f"{other:,.0f} /s",
            ratio=f"{our / other:.2f} x", target=">= 0.5 x",
        )  # fmt: skip
        delays = logs.delays_ms(self.scratch, self.images, per_second=1000, seconds=20)
        self.add(
            "print to watching client, 1,000 lines/s, p99",
            f"{load.percentile(delays, 99):.0f} ms", "",
            ratio=f"p50 {load.percentile(delays, 50):.0f} ms", target="<= 200 ms",
        )  # fmt: skip
        times = logs.whole_log_seconds(
            self.scratch, self.images, size_bytes=GB, rounds=max(1, self.rounds // 5)
        )
        http, command, bare = (1000 / statistics.median(each) for each in times)
        for what, pace in (("getLog", http), ("`plasmid logs`", command)):
            self.add(
                f"1 GB log by {what} | bare file response",
                f"{pace:.0f} MB/s", f"{bare:.0f} MB/s",
                ratio=f"{pace / bare:.2f} x", target=">= 0.3 x",
            )  # fmt: skip
        for what, cap_bytes in (("10 GB flood", 2 << 30), ("one past its cap", 20 * MB)):
            found = logs.starts_beside_a_flood(
                self.scratch, self.images, cap_bytes=cap_bytes, rounds=self.rounds
            )
            alone, flooded = (load.percentile(each, 50) for each in (found.alone, found.flooded))
            self.add(
                f"start beside a {what}, p50 | alone",
                f"{flooded:.0f} ms", f"{alone:.0f} ms",
                ratio=f"{flooded / alone:.2f} x", target="<= 1.2 x",
            )  # fmt: skip
            self.add(
                f"server RSS beside a {what} | before",
                f"{found.after_bytes / MB:.0f} MB", f"{found.before_bytes / MB:.0f} MB",
                ratio=f"{(found.after_bytes - found.before_bytes) / MB:+.0f} MB",
                target="<= +50 MB",
            )  # fmt: skip

    def ssh(self) -> None:
        """A login to a job's prompt, beside one to this machine's by Debian's own server."""
        say(f"the machine's load: {load.of_machine()}")
        if not Path(ssh.SSHD).exists():
            sys.exit("install these first: openssh-server")
        sides = ssh.seconds(self.scratch, self.images, self.rounds)
        ours, other = (statistics.median(side) * 1000 for side in sides)
        self.add(
            "SSH login to prompt | Debian's sshd",
            f"{ours:.0f} ms", f"{other:.0f} ms",
            ratio=f"{ours / other:.2f} x", target="<= 1.5 x",
        )  # fmt: skip

    def restart(self) -> None:
        """A restart of the server with 100,000 jobs, 50 of which run and go on."""
        took, first = scale.restart(self.scratch, self.images)
        self.add(
            "restart, 100,000 jobs, 50 running | a new server",
            f"{took:.2f} s", f"{first:.2f} s", ratio="", target="<= 3 s",
        )  # fmt: skip


def say(line: str) -> None:
    """Print a line of the table at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _make_file(path: Path, size_bytes: int) -> None:
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        while file.tell() < size_bytes:
            file.write(block[: size_bytes - file.tell()])


def main() -> None:
    """Run the named rows, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    home = os.environ.get("PLASMID_HOME", "/var/lib/plasmid")
    parser.add_argument("--home", type=Path, default=Path(home))
    parser.add_argument("--scratch", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("rows", nargs="*")
    given = parser.parse_args()
    missing = [name for name in ("podman", "wrk", "curl") if not beside.has(name)]
    if missing:
        sys.exit(f"install these first: {' '.join(missing)}")
    images = given.home / "images"
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        scratch = Path(folder)
        scratch.chmod(0o711)
        beside.import_base(
            Images(images, stand_in.TABLE).find("Ubuntu", "24.04", "0").root, scratch
        )
        bench = Bench(scratch, images, given.rounds)
        rows: dict[str, Callable[[], None]] = {
            "noop": bench.noop, "hundred": bench.hundred, "describe": bench.describe,
            "bytes": bench.bytes, "memory": bench.memory, "pip": bench.pip,
            "network": bench.network, "layers": bench.layers, "tree": bench.tree,
            "dispatch": bench.dispatch, "find": bench.find, "restart": bench.restart,
            "objects": bench.objects, "logs": bench.logs, "ssh": bench.ssh,
        }  # fmt: skip
        say(f"{'what | beside':<44} {'Plasmid':>14} {'beside':>14} {'ratio':>9}  target")
        for name in given.rows or rows:
            rows[name]()


if __name__ == "__main__":
    main()
