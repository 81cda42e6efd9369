"""Load on one route: as fast as 16 connections can, and at a steady pace for latencies."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

SCRIPT = """
wrk.method = "POST"
wrk.body = '{{}}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {token}"
"""


def requests_per_second(port: int, route: str, token: str, *, seconds: int = 5) -> float:
    """Return what 16 connections of wrk get through."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT.format(token=token))
        script.flush()
        command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "-s", script.name,
                   f"http://127.0.0.1:{port}{route}"]  # fmt: skip
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in told:
        raise RuntimeError(told)
    line = next(line for line in told.splitlines() if line.startswith("Requests/sec:"))
    return float(line.split()[1])


def latencies_ms(
    port: int, route: str, token: str, *, per_second: int = 200, seconds: int = 5
) -> list[float]:
    """Return the latencies of calls sent at a steady pace, whatever the answers take."""
    return asyncio.run(_paced(port, route, token, per_second=per_second, seconds=seconds))


async def _paced(
    port: int, route: str, token: str, *, per_second: int, seconds: int
) -> list[float]:
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(16):
        idle.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    request = (
        f"POST {route} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: 2\r\n\r\n{{}}"
    ).encode()
    found: list[float] = []

    async def one(due: float) -> None:
        reader, writer = await idle.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        found.append((time.perf_counter() - due) * 1000)
        idle.put_nowait((reader, writer))

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(per_second * seconds):
            due = begun + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))
    while not idle.empty():
        idle.get_nowait()[1].close()
    return found


def of_machine() -> str:
    """Return how busy the machine is: figures of a loaded one are worth little."""
    return " ".join(f"{each:.1f}" for each in os.getloadavg()) + f" on {os.cpu_count()} cores"


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile."""
    return statistics.quantiles(values, n=100)[percent - 1]


def put_seconds(url: str, source: Path) -> float:
    """Return how long curl needs to PUT a file."""
    started = time.perf_counter()
    command = ["curl", "-sSf", "-T", str(source), "-H", "Expect:", url]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def get_seconds(url: str, target: Path, *headers: str) -> float:
    """Return how long curl needs to GET into a file."""
    options = [word for header in headers for word in ("-H", header)]
    started = time.perf_counter()
    command = ["curl", "-sSf", *options, "-o", str(target), url]
    subprocess.run(command, check=True, capture_output=True)
    took = time.perf_counter() - started
    target.unlink()
    return took
