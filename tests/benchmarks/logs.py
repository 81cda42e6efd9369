"""Logs at full pace: to disk, to a client that watches, and what a flood costs others."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from websockets.sync import client as websocket

from tests.benchmarks import beside, platform
from tests.floods import checking

WORDS: Final = "a line of a log, as programs write them, of some length or other"
# As a program prints, into a pipe: by blocks.
PRINTS: Final = f"for n in range(%d): print(n, '{WORDS}')"
PACED: Final = """
import time
begun = time.monotonic()
for n in range({count}):
    print("PRINTED", time.monotonic(), flush=True)
    time.sleep(max(0, begun + n / {rate} - time.monotonic()))
"""


def applet(served: platform.Served, project: str, code: str) -> str:
    """Return an applet of some lines of shell."""
    spec = {"interpreter": "bash", "code": code, "distribution": "Ubuntu", "release": "24.04",
            "version": "0"}  # fmt: skip
    body = {"project": project, "name": "speaks", "runSpec": spec, "inputSpec": [],
            "outputSpec": []}  # fmt: skip
    return str(served.call("/applet/new", body)["id"])


def lines_per_second(
    scratch: Path, images: Path, *, count: int, rounds: int
) -> tuple[list[float], list[float]]:
    """Return a program's lines a second to our disk, and to a file by podman without a log.

    Both include the start of the sandbox. Ours are all kept when the job is done.
    """
    ours, others = [], []
    program = PRINTS % count
    with platform.served(scratch, images, jobs_max=2) as served:
        project = served.project()
        speaks = applet(served, project, f'python3 -c "{program}"')
        served.job_seconds(applet(served, project, "true"), project)
        for _ in range(rounds):
            begun = time.perf_counter()
            job = served.start(speaks, project)
            served.wait(job, every=0.02)
            ours.append(count / (time.perf_counter() - begun))
            kept = sum(entry.msg.endswith(WORDS) for entry in checking.stored(served.data, job))
            if kept != count:
                raise RuntimeError(f"{kept} of {count} lines were kept")
            others.append(count / _podman_seconds(scratch / "lines", program))
    return ours, others


def _podman_seconds(target: Path, program: str) -> float:
    """Return how long podman takes to bring a program's output to a file: conmon keeps no log."""
    command = beside.podman("python3", "-c", program)
    command[command.index("run") + 1 : command.index("run") + 1] = ["--log-driver", "none"]
    begun = time.perf_counter()
    with target.open("wb") as sink:
        subprocess.run(command, stdout=sink, check=True)
    took = time.perf_counter() - begun
    target.unlink()
    return took


def delays_ms(scratch: Path, images: Path, *, per_second: int, seconds: int) -> list[float]:
    """Return how long after it was printed each line was with a client that watches.

    Both read the machine's one monotonic clock.
    """
    code = PACED.format(count=per_second * seconds, rate=per_second)
    with platform.served(scratch, images, jobs_max=2) as served:
        project = served.project()
        speaks = applet(served, project, f"python3 - <<'END'\n{code}\nEND")
        served.job_seconds(applet(served, project, "true"), project)
        job = served.start(speaks, project)
        return [
            (time.monotonic() - float(told["msg"].split()[1])) * 1000
            for told in _frames(served, job)
            if told["msg"].startswith("PRINTED ")
        ]


def _frames(served: platform.Served, job: str) -> Iterator[dict[str, Any]]:
    url = f"ws://127.0.0.1:{served.port}/{job}/getLog/websocket"
    first = {"access_token": served.token, "token_type": "Bearer", "tail": True}
    with websocket.connect(url, proxy=None) as stream:
        stream.send(json.dumps(first | {"numRecentMessages": 1000}))
        while True:
            told = json.loads(stream.recv())
            if (told["source"], told["msg"]) == ("SYSTEM", "END_LOG"):
                return
            yield told


class Beside(NamedTuple):
    """Starts of jobs in ms, alone and beside a flood, and the server's memory before and then."""

    alone: list[float]
    flooded: list[float]
    before_bytes: int
    after_bytes: int


FLOOD_BYTES: Final = 10_000_000_000
WARM_BYTES: Final = 20_000_000


def starts_beside_a_flood(scratch: Path, images: Path, *, cap_bytes: int, rounds: int) -> Beside:
    """Return how long jobs take from the run call to their code, alone and beside a flood.

    The flood is 10 GB of lines, of which the log may hold `cap_bytes`: if those are few, others
    start when there are so many already.
    """
    flood = f"yes '{WORDS}' | head -c {FLOOD_BYTES}"
    settings = {"PLASMID_LOGS_JOB_BYTES_MAX": str(cap_bytes)}
    with platform.served(scratch, images, jobs_max=4, settings=settings) as served:
        project = served.project()
        waits = applet(served, project, "date +%s%N")
        alone = [_start_ms(served, waits, project) for _ in range(rounds + 1)][1:]
        before = served.rss_bytes()
        job = served.start(applet(served, project, flood), project)
        while _kept_bytes(served, job) < min(cap_bytes, WARM_BYTES):
            time.sleep(0.1)
        flooded = [_start_ms(served, waits, project) for _ in range(rounds)]
        state = served.call(f"/{job}/describe", {"fields": {"state": True}})["state"]
        if state != "running":
            raise RuntimeError(f"the flood was over too soon: {state}")
        after = served.rss_bytes()
        served.call(f"/{job}/terminate", {})
        served.wait_over(job)
    return Beside(alone, flooded, before, after)


def _kept_bytes(served: platform.Served, job: str) -> int:
    return sum(path.stat().st_size for path in (served.data / "logs").glob(f"*/{job}.*"))


def _start_ms(served: platform.Served, of: str, project: str) -> float:
    """Return how long a job takes from the run call to its code."""
    begun = time.time()
    job = served.start(of, project)
    served.wait(job)
    code = next(
        entry.msg
        for entry in checking.stored(served.data, job)
        if entry.level == "STDOUT" and entry.msg.isdigit()
    )
    return (int(code) / 1e9 - begun) * 1000
