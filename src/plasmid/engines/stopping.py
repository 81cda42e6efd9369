"""Stops what a sandbox's command has left running, and nobody who looks at it.

Who looks came in by `entry`. Their processes do not descend from the sandbox's first one, but what
they put into the background does, once nobody else waits for it: a variable of theirs tells it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MARK: Final = "PLASMID_ENTERED"
"""The variable that those have who came in."""

_ROUNDS_MAX: Final = 50
_PROC: Final = Path("/proc")


def stop(first: int) -> int:
    """Send SIGSTOP to all that descends from a process, until nothing new turns up; says how many.

    The process itself goes on. Who pretends to have come in goes on, too.
    """
    stopped: set[int] = set()
    for _ in range(_ROUNDS_MAX):
        parents = _parents()
        new = [pid for pid in _descendants(parents, first) if pid not in stopped]
        if not new:
            break
        for pid in new:
            _stop_one(pid, parents[pid])
        stopped.update(new)
    return len(stopped)


def _descendants(parents: dict[int, int], first: int) -> Iterator[int]:
    """Give those that descend from a process, parents before children, without who came in."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    waiting = children.get(first, [])
    while waiting:
        own = [pid for pid in waiting if not _is_marked(pid)]
        yield from own
        waiting = [child for pid in own for child in children.get(pid, [])]


def _parents() -> dict[int, int]:
    """Return the parent of each process of the machine."""
    found = {}
    for entry in os.scandir(_PROC):
        if entry.name.isdigit() and (parent := _parent(int(entry.name))) is not None:
            found[int(entry.name)] = parent
    return found


def _parent(pid: int) -> int | None:
    """Return the parent of a process, which may be anybody's; None if it has ended."""
    # Bytes, and from the last parenthesis on: the name before it may be anything.
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[1])
    return None


def _is_marked(pid: int) -> bool:
    with contextlib.suppress(OSError):
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
        return any(variable.startswith(f"{MARK}=".encode()) for variable in variables)
    return False


def _stop_one(pid: int, parent: int) -> None:
    """Stop a process; one that has got its number meanwhile has another parent, and goes on."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        pidfd = os.pidfd_open(pid)
        try:
            if _parent(pid) == parent:
                signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
        finally:
            os.close(pidfd)
