"""The two log sockets of a sandbox (contract G.3).

They are bound here, outside, in a folder that the sandbox sees at /opt/dnanexus/log. What arrives
is on disk before anything else happens with it. A sender waits while the queue of a socket is full,
so a flood is slowed down and nothing is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from plasmid.domain import assignments
from plasmid.worker import datagrams

INSIDE: Final = "/opt/dnanexus/log"
NAMES: Final = ("priority", "bulk")
ANY_USER_WRITES: Final = 0o666
DATAGRAM_BYTES_MAX: Final = 1 << 16
# One socket's turn, so that a flood leaves the loop to others.
DATAGRAMS_AT_ONCE_MAX: Final = 64

Add = Callable[[str, list[assignments.LogEntry]], None]


class LogSockets:
    """The sockets of one sandbox; `add` gets (socket's name, lines)."""

    def __init__(self, folder: Path, add: Add) -> None:
        self._folder = folder
        self._add = add
        self._sockets: dict[str, socket.socket] = {}

    def open(self) -> None:
        """Bind both sockets, in the place of those that an earlier worker has left."""
        loop = asyncio.get_running_loop()
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in NAMES:
                bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                self._sockets[name] = bound
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
                # Through /proc, as a socket's address may have 108 bytes only.
                bound.bind(f"/proc/self/fd/{folder}/{name}")
                os.chmod(name, ANY_USER_WRITES, dir_fd=folder)
                loop.add_reader(bound, self._receive, name)
        finally:
            os.close(folder)

    def drain(self) -> None:
        """Take what is still in the queues; nobody sends any more."""
        for name in NAMES:
            while self._receive(name):
                pass

    def close(self) -> None:
        """Stop listening."""
        loop = asyncio.get_running_loop()
        for bound in self._sockets.values():
            loop.remove_reader(bound)
            bound.close()
        self._sockets.clear()

    def _receive(self, name: str) -> bool:
        """Take what waits, up to a turn's limit; say whether there was anything."""
        entries: list[assignments.LogEntry] = []
        now_ms = time.time_ns() // 1_000_000
        for _ in range(DATAGRAMS_AT_ONCE_MAX):
            try:
                datagram = self._sockets[name].recv(DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                break
            entries += datagrams.entries(datagram, now_ms)
        if entries:
            self._add(name, entries)
        return bool(entries)
