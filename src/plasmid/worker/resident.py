"""The resident worker: one process that runs the tries of many jobs on one machine.

It asks the platform in a loop what to start and stop. What it holds is in its work folder, so that
the next worker goes on with it; only one worker at a time works in a folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import structlog

from plasmid.client import api
from plasmid.domain import assignments, errors
from plasmid.engines import protection
from plasmid.environments import layer_upkeep, layers
from plasmid.telemetry import failpoints
from plasmid.worker import (
    adapters,
    connect,
    file_watch,
    layer_builds,
    platform,
    run,
    try_folder,
    world,
)
from plasmid.worker.settings import WorkerSettings

EXIT_IN_USE: Final = 75  # EX_TEMPFAIL of sysexits.h
LOCK_FILE: Final = "worker.lock"
RETRY: Final = api.Retry(first_pause_ms=50, pause_ms_max=1_000)
SYNC_PAUSE_SECONDS: Final = 0.02

_log = structlog.get_logger()


class Stop:
    """Asks a worker to end: leaving its sandboxes to the next one, or with all of them."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.is_for_all = False

    def leave(self) -> None:
        """End soon; sandboxes run on."""
        self.asked.set()

    def stop_all(self) -> None:
        """End soon; kill and remove all sandboxes, without reports."""
        self.is_for_all = True
        self.asked.set()


class FolderInUseError(Exception):
    """Another worker works in this folder."""


async def run_worker(
    settings: WorkerSettings,
    *,
    with_adapters: adapters.Adapters | None = None,
    client: api.ApiClient | None = None,
    stop: Stop | None = None,
) -> None:
    """Run jobs until asked to stop, or until the platform is gone and nothing is left to do.

    Raises FolderInUseError if another worker has the folder. Adapters and client are made from the
    settings unless given.
    """
    settings.work_folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    with _lock(settings.work_folder):
        async with contextlib.AsyncExitStack() as stack:
            if client is None:
                client = api.ApiClient(settings.server_url, settings.token)
                stack.push_async_callback(client.close)
            watch = file_watch.FileWatch()
            stack.callback(watch.close)
            kept = layers.Layers(settings.layers_folder)
            builds = layer_builds.LayerBuilds(lambda: _collect(settings, kept))
            shared = world.World(
                settings=settings,
                adapters=with_adapters or connect.adapters_from(settings),
                link=platform.Platform(client, settings.name),
                watch=watch,
                layers=kept,
                builds=await stack.enter_async_context(builds),
            )
            await layer_upkeep.sweep(shared.adapters.engine, kept)
            await _Resident(shared, stop or Stop()).serve()


def end_by_signals(end: Callable[[], None]) -> None:
    """Have a function called at SIGINT, SIGTERM and SIGHUP.

    Not at a SIGHUP that is ignored: who starts us so (nohup) does not want us to end with the
    terminal.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue
        loop.add_signal_handler(number, end)


async def run_process(settings: WorkerSettings, stop: Stop | None = None) -> int:
    """Run as a process of its own until SIGTERM, SIGINT or SIGHUP; returns the exit code."""
    stop = stop or Stop()
    end_by_signals(stop.leave)
    try:
        with protection.protected():
            await run_worker(settings, stop=stop)
    except FolderInUseError as error:
        print(error, file=sys.stderr)  # noqa: T201 - whoever starts a worker reads this
        return EXIT_IN_USE
    return os.EX_OK


class _Resident:
    """The tries that a worker holds, and its loop."""

    def __init__(self, shared: world.World, stop: Stop) -> None:
        self._world = shared
        self._stop = stop
        self._tries: dict[assignments.HeldTry, run.Try] = {}
        self._tasks: dict[assignments.HeldTry, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Adopt what is there, then start and stop tries until the end."""
        async with asyncio.TaskGroup() as group:
            await self._adopt_all(group)
            asking = group.create_task(self._ask(group))
            stopped = group.create_task(self._stop.asked.wait())
            await asyncio.wait({asking, stopped}, return_when=asyncio.FIRST_COMPLETED)
            asking.cancel()
            stopped.cancel()
            for held, task in self._tasks.items():
                if self._stop.is_for_all:
                    self._tries[held].abandoned.set()
                    self._tries[held].stopping.set()
                else:
                    task.cancel()

    async def _adopt_all(self, group: asyncio.TaskGroup) -> None:
        """Go on with every try whose folder is here; remove what was not made to the end."""
        for folder in try_folder.find_all(self._world.settings.work_folder):
            assignment = folder.assignment()
            if assignment is None:
                await asyncio.to_thread(folder.remove)
                continue
            _log.info("try_adopted", job=assignment.job, attempt=assignment.attempt)
            self._start(group, run.Try(assignment, folder, is_adopted=True))

    async def _ask(self, group: asyncio.TaskGroup) -> None:
        """Ask the platform for news, until it stops or was gone too long with nothing to do."""
        settings = self._world.settings
        loop = asyncio.get_running_loop()
        last_answer = loop.time()
        failed_tries = 0
        while True:
            try:
                reply = await self._world.link.sync(
                    list(self._tries), settings.sync_wait_ms, ssh=self._world.ssh.told
                )
            except (api.Unreachable, errors.ApiError) as error:
                failed_tries += 1
                gone_ms = (loop.time() - last_answer) * 1000
                _log.warning("server_away", error=str(error), gone_ms=int(gone_ms))
                if gone_ms > settings.server_gone_ms_max and not self._tries:
                    return
                await asyncio.sleep(RETRY.pause_seconds(failed_tries))
                continue
            last_answer = loop.time()
            failed_tries = 0
            self._apply(group, reply)
            if reply.is_last:
                return
            if not reply.start:
                # A server that answers at once, whatever it was asked to wait, is not flooded.
                await asyncio.sleep(SYNC_PAUSE_SECONDS)

    def _apply(self, group: asyncio.TaskGroup, reply: assignments.SyncReply) -> None:
        if reply.ssh is not None:
            self._world.ssh.put(reply.ssh)
        for assignment in reply.start:
            if assignments.HeldTry(assignment.job, assignment.attempt) in self._tries:
                continue
            try:
                folder = try_folder.TryFolder.create(self._world.settings.work_folder, assignment)
            except OSError as error:
                group.create_task(run.report_no_folder(self._world, assignment, error))
                continue
            failpoints.reach("S5", job=assignment.job)
            self._start(group, run.Try(assignment, folder, is_adopted=False))
        for held in reply.stop:
            failpoints.reach("S20w", job=held.job)
            if held in self._tries:
                self._tries[held].stopping.set()
            else:
                group.create_task(run.report_gone(self._world, held))

    def _start(self, group: asyncio.TaskGroup, started: run.Try) -> None:
        task = group.create_task(run.run_try(self._world, started))
        self._tries[started.held] = started
        self._tasks[started.held] = task
        task.add_done_callback(lambda _: self._forget(started.held))

    def _forget(self, held: assignments.HeldTry) -> None:
        del self._tries[held]
        del self._tasks[held]


async def _collect(settings: WorkerSettings, kept: layers.Layers) -> None:
    """Delete the layers that are too old or too many; what cannot be deleted now stays."""
    limits = layer_upkeep.Limits(settings.layers_size_bytes_max, settings.layers_age_days_max)
    try:
        await kept.run(lambda: layer_upkeep.collect(kept, limits))
    except OSError as error:
        _log.warning("layers_not_collected", error=str(error))


@contextlib.contextmanager
def _lock(work_folder: Path) -> Iterator[None]:
    """Hold the folder's lock for the time of the block; it ends with the process at the latest."""
    opened = os.open(work_folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            raise FolderInUseError(
                f"another worker works in {work_folder}: end it, or give this one another folder"
            ) from error
        yield
    finally:
        os.close(opened)
