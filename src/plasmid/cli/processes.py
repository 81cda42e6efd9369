"""Run a coroutine as this process's work; find the process that holds a lock."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import uvloop

T = TypeVar("T")

ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOCKS: Final = Path("/proc/locks")
MOUNTS: Final = Path("/proc/self/mountinfo")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it on uvloop; a lone error inside a group comes out as itself."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(work)
        except BaseExceptionGroup as group:
            raise _alone(group) from None


def run_daemon(work: Coroutine[Any, Any, T]) -> T:
    """Do what `run` does for a process that signals end: those that come late change nothing."""
    try:
        return run(work)
    finally:
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def holder_of(lock: Path) -> int | None:
    """Return the pid of the process that holds a lock file (flock(2)), None if nobody does.

    The lock is not touched: whoever wants it now gets it.
    """
    try:
        opened = os.open(lock, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        file = f"{_device(opened)}:{os.fstat(opened).st_ino}"
    finally:
        os.close(opened)
    for line in LOCKS.read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5] == file:  # "->" stands there for one who waits
            return int(fields[4])
    return None


def open_holder_of(lock: Path) -> int | None:
    """Return a pidfd (pidfd_open(2)) of the process that holds a lock file, None if nobody does."""
    pid = holder_of(lock)
    if pid is None:
        return None
    try:
        opened = os.pidfd_open(pid)
    except OSError:
        return None
    # It may have ended in between, and its number be another's.
    if holder_of(lock) == pid:
        return opened
    os.close(opened)
    return None


async def has_ended(pidfd: int, seconds_max: float) -> bool:
    """Wait for a process's end; False if that takes longer than some seconds."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(seconds_max):
            await ended.wait()
    except TimeoutError:
        return ended.is_set()
    finally:
        loop.remove_reader(pidfd)
    return True


def _device(opened: int) -> str:
    """Return the device of an open file as /proc/locks has it.

    That is its mount's. What stat gives is another one on some file systems, such as btrfs.
    """
    told = Path(f"/proc/self/fdinfo/{opened}").read_text().split()
    mount = told[told.index("mnt_id:") + 1]
    for line in MOUNTS.read_text().splitlines():
        fields = line.split()
        if fields[0] == mount:
            major, minor = fields[2].split(":")
            return f"{int(major):02x}:{int(minor):02x}"
    device = os.fstat(opened).st_dev
    return f"{os.major(device):02x}:{os.minor(device):02x}"


def _alone(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner
