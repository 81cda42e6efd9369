"""A server keeps a worker, and starts none while that of an earlier server goes on."""

from __future__ import annotations

import asyncio
import fcntl
from pathlib import Path

import pytest

from plasmid.cli import serve


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
    async with asyncio.timeout(5):
        await serve._while_another_works(lock, asyncio.Event())


async def test_a_server_that_is_to_stop_waits_for_no_other_worker(tmp_path: Path) -> None:
    lock, stop = tmp_path / "worker.lock", asyncio.Event()
    stop.set()
    with lock.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        async with asyncio.timeout(5):
            await serve._while_another_works(lock, stop)


async def test_a_folder_that_no_worker_has_seen_is_free(tmp_path: Path) -> None:
    async with asyncio.timeout(5):
        await serve._while_another_works(tmp_path / "worker.lock", asyncio.Event())
