"""Logs at full pace: to disk, to a client that watches, and what a flood costs others."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from websockets.sync import client as websocket

from plasmid.domain.assignments import LogEntry
from plasmid.logs.folder import FolderLogs
from tests.benchmarks import beside, load, platform
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
            kept = sum(entry.msg.endswith(WORDS) for entry in _stored(served, job))
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


def _stored(served: platform.Served, job: str) -> Iterator[LogEntry]:
    return checking.stored(served.url, served.token, job)


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


def whole_log_seconds(
    scratch: Path, images: Path, *, size_bytes: int, rounds: int
) -> tuple[list[float], list[float], list[float]]:
    """Return how long a whole log takes to a file: by HTTP, by `plasmid logs`, and as a mere file.

    The last is its file in the store, by Starlette's own response for files.
    """
    target = scratch / "whole.log"
    times: list[tuple[float, float, float]] = []
    with platform.served(scratch, images, jobs_max=2) as served:
        project = served.project()
        job = served.start(applet(served, project, "echo on"), project)
        served.wait(job)
        served.stop_server()
        _lengthen(served.data / "logs", job, size_bytes)
        served.start_server()
        (kept,) = (served.data / "logs").glob(f"*/{job}.0.log")
        with beside.bare_file(kept, FILE_PORT):
            for _ in range(rounds):
                token = f"Authorization: Bearer {served.token}"
                by_http = load.get_seconds(f"{served.url}/{job}/getLog", target, token)
                by_command = served.command_seconds(target, "logs", job)
                bare = load.get_seconds(f"http://127.0.0.1:{FILE_PORT}/", target)
                times.append((by_http, by_command, bare))
    ours, commands, others = zip(*times, strict=True)
    return list(ours), list(commands), list(others)


FILE_PORT: Final = 18_125


def _lengthen(folder: Path, job: str, size_bytes: int) -> None:
    """Add lines to a log, by its store, until it has that size."""
    line = LogEntry(1_700_000_000_000, "DX_APP_STREAM", "STDOUT", WORDS)
    entries = [line] * (APPENDED_BYTES // len(msgspec.json.encode(line)))
    logs = FolderLogs(folder)
    with asyncio.Runner() as runner:
        cursors = runner.run(logs.cursors(job, 0))
        for _ in range(size_bytes // APPENDED_BYTES):
            runner.run(logs.append(job, 0, entries=entries, cursors=cursors))


APPENDED_BYTES: Final = 4_000_000


class Beside(NamedTuple):
    """Starts of jobs in ms, alone and beside a flood, and the server's memory before and then."""

    alone: list[float]
    flooded: list[float]
    before_bytes: int
    after_bytes: int


FLOOD_BYTES: Final = 10_000_000_000
WARM_BYTES: Final = 20_000_000
STARTS: Final = 5


def starts_beside_a_flood(scratch: Path, images: Path, *, cap_bytes: int, rounds: int) -> Beside:
    """Return how long jobs take from the run call to their code, alone and beside a flood.

    They take turns, so that what else the machine does is beside both. The flood is 10 GB of lines,
    of which the log may hold `cap_bytes`: if those are few, others start when they are there.
    """
    flood = f"yes '{WORDS}' | head -c {FLOOD_BYTES}"
    settings = {"PLASMID_LOGS_JOB_BYTES_MAX": str(cap_bytes)}
    alone, flooded = [], []
    after = 0
    with platform.served(scratch, images, jobs_max=4, settings=settings) as served:
        project = served.project()
        waits, floods = (applet(served, project, code) for code in ("date +%s%N", flood))
        _start_ms(served, waits, project)
        before = served.rss_bytes()
        for _ in range(rounds):
            alone += [_start_ms(served, waits, project) for _ in range(STARTS)]
            job = served.start(floods, project)
            while _kept_bytes(served, job) < min(cap_bytes, WARM_BYTES):
                time.sleep(0.1)
            flooded += [_start_ms(served, waits, project) for _ in range(STARTS)]
            state = served.call(f"/{job}/describe", {"fields": {"state": True}})["state"]
            if state != "running":
                raise RuntimeError(f"the flood was over too soon: {state}")
            after = max(after, served.rss_bytes())
            served.terminate(job)
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
        for entry in _stored(served, job)
        if entry.level == "STDOUT" and entry.msg.isdigit()
    )
    return (int(code) / 1e9 - begun) * 1000
