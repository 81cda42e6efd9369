"""Which processes there are, told by their groups and by the folders that they name."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from plasmid.cli import leftovers
from plasmid.engines import cgroups

T = TypeVar("T")

_NEVER: Final = threading.Event()


class TooLateError(Exception):
    """Something did not come about in its time."""


def until(condition: Callable[[], T], seconds: float, what: str, *, every: float = 0.01) -> T:
    """Return a condition's result as soon as it is true; raises TooLateError after a while."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TooLateError(f"{what}: not within {seconds} s")
        pause(every)
    return found


def pause(seconds: float) -> None:
    """Let time pass: between two looks, or until a random instant."""
    _NEVER.wait(seconds)


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False if there is no such process any more."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def of_job(job: str) -> list[int]:
    """Return the pids of a job's own processes, the first one first."""
    found: set[int] = set()
    for line in leftovers.find_groups(job):
        with contextlib.suppress(OSError, ValueError):
            content = (Path(line.removeprefix("cgroup ")) / "cgroup.procs").read_text()
            found.update(int(pid) for pid in content.split())
    return sorted(found)


def command_of(pid: int) -> str:
    """Return a process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def naming(folder: Path) -> list[int]:
    """Return the processes that name a folder in their command line."""
    return [int(line.split()[1].rstrip(":")) for line in leftovers.find_processes("no-job", folder)]


def groups_named(names: set[str]) -> list[Path]:
    """Return the cgroups of sandboxes of these names."""
    parents = [Path(h.mount) / cgroups.PARENT_NAME for h in cgroups.find_hierarchies()]
    return [parent / name for parent in parents for name in names if (parent / name).exists()]
