"""Tells when files grow, by Linux's inotify."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

_IN_MODIFY: Final = 0x2
_IN_IGNORED: Final = 0x8000
_EVENT = struct.Struct("iIII")
_LIBC = ctypes.CDLL(None, use_errno=True)


class FileWatch:
    """Calls back whenever one of the watched files was written to.

    All watches of a process share one inotify instance, of which the kernel gives few to a user.
    """

    def __init__(self) -> None:
        """Start watching within the running loop."""
        self._inotify = _checked(_LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._inotify, self._read)

    def add(self, path: Path, callback: Callable[[], None]) -> int:
        """Call back when the file grows; returns what `remove` wants."""
        watch = _checked(
            _LIBC.inotify_add_watch(self._inotify, os.fsencode(path), _IN_MODIFY), str(path)
        )
        self._callbacks[watch] = callback
        return watch

    def remove(self, watch: int) -> None:
        """Forget a file; one that is gone already is fine."""
        if self._callbacks.pop(watch, None) is not None:
            _LIBC.inotify_rm_watch(self._inotify, watch)

    def close(self) -> None:
        """Forget all files."""
        self._loop.remove_reader(self._inotify)
        os.close(self._inotify)
        self._callbacks.clear()

    def _read(self) -> None:
        try:
            block = os.read(self._inotify, 1 << 16)
        except BlockingIOError:
            return
        position = 0
        grown = set()
        while position < len(block):
            watch, mask, _, name_length = _EVENT.unpack_from(block, position)
            position += _EVENT.size + name_length
            if not mask & _IN_IGNORED:
                grown.add(watch)
        if -1 in grown:  # the kernel's queue overflowed: any file may have grown
            grown = set(self._callbacks)
        for watch in grown & self._callbacks.keys():
            self._callbacks[watch]()


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result
