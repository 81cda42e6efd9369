"""`plasmid serve`: the platform and its resident worker, until stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec
import structlog

from plasmid.cli import asset_loading, processes, server
from plasmid.cli.server import Running
from plasmid.config import Config
from plasmid.domain.job_states import State
from plasmid.engines import protection
from plasmid.metadata import jobs
from plasmid.worker.resident import EXIT_IN_USE, LOCK_FILE, end_by_signals

SERVER_FILE: Final = "server.json"
WORKER_RETRY_SECONDS: Final = 1.0
WORKER_LOOK_SECONDS: Final = 0.2
WORKER_STOP_SECONDS: Final = 20.0
_log = structlog.get_logger()


class ServerFile(msgspec.Struct):
    """Where the server of a data folder listens; read by `plasmid env` and the worker."""

    url: str
    pid: int


async def serve(config: Config, *, host: str, port: int, data: Path) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP."""
    stop = asyncio.Event()
    end_by_signals(stop.set)
    with server.locked(data), protection.protected():
        listener = server.bind(host, port)
        async with server.serving(config, data, listener) as running:
            await asset_loading.load_all(config, running.url, running.keys.operator_token)
            path = data / SERVER_FILE
            fresh = path.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(ServerFile(running.url, os.getpid())))
            fresh.rename(path)
            _greet(running, data)
            await _with_worker(data, stop)
            path.unlink(missing_ok=True)
            await _say_goodbye(running, data)


def _greet(running: Running, data: Path) -> None:
    print(
        f"Plasmid serves at {running.url} as {running.keys.user}; data in {data}.\n"
        f'In another terminal: eval "$(plasmid env --data {data})"; then use dx. Ctrl-C stops.',
        flush=True,
    )


async def _say_goodbye(running: Running, data: Path) -> None:
    reader = running.platform.database.reader
    left = await jobs.find_in_state(reader, State.RUNNING)
    if left:
        print(
            f"{len(left)} jobs keep running without the server, and are taken up again by:"
            f" plasmid serve --data {data}",
            flush=True,
        )


async def _with_worker(data: Path, stop: asyncio.Event) -> None:
    """Have a worker running until asked to stop, and none when this returns."""
    await _keep_worker(data, stop)
    await _end_earlier_worker(data / "work" / LOCK_FILE)


async def _keep_worker(data: Path, stop: asyncio.Event) -> None:
    """Keep a worker running until asked to stop; it is started again if it dies.

    At once, since its jobs wait for it, unless it could not live for a moment.
    """
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        await _while_another_works(data / "work" / LOCK_FILE, stop)
        if stop.is_set():
            return
        started = loop.time()
        # -P: nothing in the current folder may stand in for a module of ours
        command = (sys.executable, "-P", "-m", "plasmid", "worker", "--data", str(data))
        worker = await asyncio.create_subprocess_exec(*command, start_new_session=True)
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(worker.wait())
            asked = group.create_task(stop.wait())
            await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                worker.terminate()
                await _gone(worker)
            asked.cancel()
        if stop.is_set():
            return
        if worker.returncode != EXIT_IN_USE:
            _log.warning("worker_died", exit_code=worker.returncode)
        try:
            async with asyncio.timeout_at(started + WORKER_RETRY_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue


async def _while_another_works(lock: Path, stop: asyncio.Event) -> None:
    """Wait while the worker of an earlier server goes on; a look costs less than a new process."""
    while not stop.is_set() and processes.holder_of(lock) is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WORKER_LOOK_SECONDS):
                await stop.wait()


async def _end_earlier_worker(lock: Path) -> None:
    """End the worker of an earlier server, if that goes on: it is not ours to wait for.

    It would hear of our end from its next call, if that still came in time.
    """
    with contextlib.ExitStack() as stack:
        worker = processes.open_holder_of(lock)
        if worker is None:
            return
        stack.callback(os.close, worker)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(worker, signal.SIGTERM)
            if not await processes.has_ended(worker, WORKER_STOP_SECONDS):
                _log.warning("worker_did_not_stop", lock=str(lock))
                signal.pidfd_send_signal(worker, signal.SIGKILL)
                await processes.has_ended(worker, WORKER_STOP_SECONDS)


async def _gone(worker: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(WORKER_STOP_SECONDS):
            await worker.wait()
    except TimeoutError:
        _log.warning("worker_did_not_stop", pid=worker.pid)
        worker.kill()
