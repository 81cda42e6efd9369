"""A platform inside this process, on a folder that is removed when it is no longer needed.

What a killed process has left is cleared away by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from plasmid import bootstrap
from plasmid.cli import server
from plasmid.cli.server import Running
from plasmid.config import Config
from plasmid.worker import resident

LOCK: Final = ".lock"


@contextlib.asynccontextmanager
async def platform(config: Config) -> AsyncIterator[Running]:
    """Serve, with a worker, for the length of a block."""
    with scratch_in(config.home / "runs") as scratch:
        listener = server.bind("127.0.0.1", 0)
        async with (
            server.serving(config, scratch, listener) as running,
            _worker(config, running, scratch),
        ):
            yield running


@contextlib.contextmanager
def scratch_in(folder: Path) -> Iterator[Path]:
    """Give a folder for one run; it is locked, so that a later run knows what is dead."""
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        made = Path(tempfile.mkdtemp(dir=folder))
        made.chmod(0o711)
        descriptor = os.open(made, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield made
    finally:
        shutil.rmtree(made)
        os.close(descriptor)


@contextlib.asynccontextmanager
async def _worker(config: Config, running: Running, scratch: Path) -> AsyncIterator[None]:
    """Run the worker as a task of this process, and at the end remove all it made."""
    url, token = running.url, running.keys.worker_token
    for dead in dead_beside(scratch):
        stop = resident.Stop()
        stop.stop_all()
        settings = bootstrap.worker_settings(config, url=url, token=token, work=dead / "work")
        await resident.run_worker(settings, stop=stop)
        shutil.rmtree(dead)
    stop = resident.Stop()
    settings = bootstrap.worker_settings(config, url=url, token=token, work=scratch / "work")
    async with asyncio.TaskGroup() as group:
        working = group.create_task(resident.run_worker(settings, stop=stop))
        try:
            yield
        finally:
            stop.stop_all()
            # also when the block has failed: the group would cancel it, and sandboxes would stay
            await asyncio.wait([working])


def dead_beside(scratch: Path) -> Iterator[Path]:
    """Give the folders of runs that were killed: nobody holds their lock, but we from now on."""
    with contextlib.ExitStack() as held:
        with _alone(scratch.parent):
            dead = [path for path in scratch.parent.iterdir() if _is_taken(path, scratch, held)]
        yield from dead


def _is_taken(path: Path, scratch: Path, held: contextlib.ExitStack) -> bool:
    """Take the lock of a folder until the stack ends; say whether it is one that was left."""
    if path == scratch or not path.is_dir():
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    held.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return path.exists()  # its run may just have ended and removed it


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let nobody else make a folder here, or look for dead ones, for the time of the block.

    Without that, a folder that is made but not locked yet is taken for dead.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
