"""Locks of folders that hold between processes, and end with the process at the latest."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold a file's lock for the time of the block, waiting for it; for moments only."""
    opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def claim(folder: Path) -> int | None:
    """Make a folder one's own, whoever made it; None if it is another's, who is alive.

    Returns a descriptor: the folder is one's own until it is closed.
    """
    while True:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o711)
        try:
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have deleted it after we had opened it: then it is nobody's lock.
            if folder.stat().st_ino == os.fstat(opened).st_ino:
                return opened
        except BlockingIOError:
            os.close(opened)
            return None
        except FileNotFoundError:
            pass
        os.close(opened)
