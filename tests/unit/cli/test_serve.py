"""A server keeps a worker, and starts none while that of an earlier server goes on."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid.cli import serve
from plasmid.cli.processes import holder_of


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "WORKER_LOOK_SECONDS", 0.001)


async def test_no_worker_is_started_while_another_has_the_folder(tmp_path: Path) -> None:
    lock = tmp_path / "worker.lock"
    with lock.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = serve._while_another_works(lock, asyncio.Event())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.05)
    async with asyncio.timeout(60):
        await serve._while_another_works(lock, asyncio.Event())


async def test_a_server_that_is_to_stop_waits_for_no_other_worker(tmp_path: Path) -> None:
    lock, stop = tmp_path / "worker.lock", asyncio.Event()
    stop.set()
    with lock.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        async with asyncio.timeout(60):
            await serve._while_another_works(lock, stop)


async def test_a_folder_that_no_worker_has_seen_is_free(tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        await serve._while_another_works(tmp_path / "worker.lock", asyncio.Event())


# Holds the lock of a folder, as a worker does whose server was killed.
HOLDER = """
import fcntl, signal, sys
lock = open(sys.argv[1], "wb")
fcntl.flock(lock, fcntl.LOCK_EX)
if sys.argv[2:]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("holds", flush=True)
signal.pause()
"""


class Earlier:
    """A data folder, and workers of earlier servers in it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.made: list[subprocess.Popen[str]] = []
        (data / "work").mkdir()

    def worker(self, *arguments: str) -> subprocess.Popen[str]:
        """Return one that has the folder; with an argument, one that does not heed SIGTERM."""
        lock = str(self.data / "work" / "worker.lock")
        command = [sys.executable, "-c", HOLDER, lock, *arguments]
        made = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.made.append(made)
        assert made.stdout is not None
        assert made.stdout.readline() == "holds\n"
        return made


@pytest.fixture
def earlier(tmp_path: Path) -> Iterator[Earlier]:
    found = Earlier(tmp_path)
    yield found
    for worker in found.made:
        worker.kill()
        worker.communicate()


async def test_a_server_that_stops_ends_the_worker_of_an_earlier_server(
    earlier: Earlier, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, stop, looked, look = earlier.worker(), asyncio.Event(), asyncio.Event(), holder_of

    def looks(lock: Path) -> int | None:
        looked.set()
        return look(lock)

    monkeypatch.setattr("plasmid.cli.processes.holder_of", looks)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        serving = group.create_task(serve._with_worker(earlier.data, stop))
        await looked.wait()
        assert worker.poll() is None
        stop.set()
        await serving
    assert worker.wait(60) == -signal.SIGTERM


async def test_a_worker_that_does_not_end_when_asked_is_killed(
    earlier: Earlier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "WORKER_STOP_SECONDS", 0.01)
    worker, stop = earlier.worker("stubborn"), asyncio.Event()
    stop.set()
    async with asyncio.timeout(60):
        await serve._with_worker(earlier.data, stop)
    assert worker.wait(60) == -signal.SIGKILL


async def test_where_no_worker_is_none_is_ended(earlier: Earlier) -> None:
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(60):
        await serve._with_worker(earlier.data, stop)
    ended = earlier.worker()
    ended.kill()
    ended.wait(60)
    async with asyncio.timeout(60):
        await serve._with_worker(earlier.data, stop)
