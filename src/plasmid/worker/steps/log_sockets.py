"""The two log sockets of a sandbox (contract G.3).

They are bound here, outside, in a folder that the sandbox sees at /opt/dnanexus/log. A sender waits
while the queue of a socket is full, so a flood is slowed down and nothing is dropped; while too
much of it is not with the platform yet, nothing is taken. What a job registers as secret is no
line: it is masked in all that was sent or written later. Where the engine can keep them open a job
does not notice the death of a worker; else its next line fails.

A datagram leaves its queue only after it is on disk or, while that is full, in the spool's memory.
A worker that dies in between leaves it at
both places; the next one tells it by the time when it was sent, which the kernel notes on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from plasmid.engines import engine
from plasmid.worker import datagrams, masking, spool

INSIDE: Final = "/opt/dnanexus/log"
NAMES: Final = ("priority", "bulk")
ANY_USER_WRITES: Final = 0o666
DATAGRAM_BYTES_MAX: Final = datagrams.DATAGRAM_BYTES_MAX
# One socket's turn, so that a flood leaves the loop to others and a spool's tail holds it.
DATAGRAMS_AT_ONCE_MAX: Final = 64
BYTES_AT_ONCE_MAX: Final = 1 << 18
# More than any queue holds: what comes later was sent later.
TURNS_AT_ONCE_MAX: Final = 16
URGENT: Final = "priority"
_KEPT_AS: Final = "log"
# asm-generic/socket.h; Python has no names for them.
_SO_TIMESTAMPNS: Final = 35
_SO_PEEK_OFF: Final = 42
_TIME: Final = struct.Struct("@ll")
_CONTROL_BYTES: Final = socket.CMSG_SPACE(_TIME.size)


class Lines(Protocol):
    """Where lines go (worker/log_pump.py)."""

    def add_messages(self, source: str, messages: Sequence[spool.Message]) -> None:
        """Put messages on disk."""
        ...

    def stamps(self, source: str) -> set[int]:
        """Return the stamps of the last messages on disk."""
        ...

    def has_room(self, source: str) -> bool:
        """Say whether more of a source may be taken now."""
        ...

    def listen(self, take: Callable[[], None]) -> None:
        """Call this when secrets are to be known, or there is room again."""
        ...

    def register(self, value: str) -> None:
        """Mask a value from now on."""
        ...

    @property
    def masker(self) -> masking.Masker:
        """What masks them."""
        ...


class LogSockets:
    """The sockets of one sandbox."""

    def __init__(self, folder: Path, lines: Lines) -> None:
        self._folder = folder
        self._lines = lines
        self._sockets: dict[str, socket.socket] = {}
        self._paused: set[str] = set()

    async def open(self, sandbox: engine.Sandbox | None = None) -> None:
        """Take both sockets over from an earlier worker, or bind new ones, and listen."""
        kept = await sandbox.kept_open(_KEPT_AS) if sandbox is not None else []
        if kept:
            self._sockets = dict(zip(NAMES, kept, strict=True))
            for name in NAMES:
                self._drop_what_is_kept(name)
        else:
            self._bind()
            if sandbox is not None:
                await sandbox.keep_open(_KEPT_AS, list(self._sockets.values()))
        for name, bound in self._sockets.items():
            asyncio.get_running_loop().add_reader(bound, self._receive, name)
        self._lines.listen(self._take_all)

    def _bind(self) -> None:
        """Bind both in the place of those that an earlier worker may have left."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in NAMES:
                bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                self._sockets[name] = bound
                bound.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
                # Through /proc, as a socket's address may have 108 bytes only.
                bound.bind(f"/proc/self/fd/{folder}/{name}")
                os.chmod(name, ANY_USER_WRITES, dir_fd=folder)
        finally:
            os.close(folder)

    def _drop_what_is_kept(self, name: str) -> None:
        """Drop what a worker that died had on disk and not yet out of the queue."""
        stamps, bound = self._lines.stamps(name), self._sockets[name]
        while True:
            self._take_secrets(bound)
            waiting = _peek(bound, is_first=True)
            if waiting is None or waiting[1] not in stamps:
                return
            bound.recv(1)

    def _take_secrets(self, bound: socket.socket) -> None:
        """Take what is registered at the head of a queue, up to the first line."""
        for _ in range(DATAGRAMS_AT_ONCE_MAX):
            _drop_empty(bound)
            waiting = _peek(bound, is_first=True)
            value = None if waiting is None else datagrams.secret(waiting[0])
            if value is None:
                return
            self._lines.register(value)
            bound.recv(1)

    def _take_all(self) -> None:
        """Take what was sent before now, as far as there is room for it."""
        for name in NAMES:
            if name in self._paused and self._lines.has_room(name):
                self._paused.remove(name)
                asyncio.get_running_loop().add_reader(self._sockets[name], self._receive, name)
            if name in self._sockets:
                self._take_turns(name)

    def _take_turns(self, name: str) -> None:
        """Take what was sent before now; of a socket that is paused, what it registers first."""
        for _ in range(TURNS_AT_ONCE_MAX):
            if name in self._paused or not self._receive(name):
                break
        if name in self._paused:
            self._take_secrets(self._sockets[name])

    def drain(self) -> None:
        """Take what is still in the queues; nobody sends any more."""
        for name in NAMES:
            while self._receive(name):
                pass

    def close(self) -> None:
        """Stop listening."""
        self._lines.listen(lambda: None)
        loop = asyncio.get_running_loop()
        for bound in self._sockets.values():
            loop.remove_reader(bound)
            bound.close()
        self._sockets.clear()

    def _receive(self, name: str) -> bool:
        """Take what waits, up to a turn's limit; say whether there was anything."""
        bound = self._sockets[name]
        waiting = _first(bound)
        if name != URGENT:  # a secret may have been registered there before these were sent
            self._take_turns(URGENT)
        messages: list[spool.Message] = []
        now_ms = time.time_ns() // 1_000_000
        for content, stamp in waiting:
            value = datagrams.secret(content)
            if value is not None:
                self._lines.register(value)
                continue
            entries = datagrams.entries(content, now_ms, self._lines.masker.mask)
            messages.append(spool.Message(stamp, entries))
        if messages:
            self._lines.add_messages(name, messages)
        for _ in waiting:
            while not bound.recv(1):  # what is not asked for of a datagram goes with it
                pass  # an empty one, which the looks may have passed over
        if not self._lines.has_room(name):
            self._paused.add(name)
            asyncio.get_running_loop().remove_reader(bound)
        return bool(waiting)


def _first(bound: socket.socket) -> list[tuple[bytes, int]]:
    """Return the first datagrams of a queue, a turn's number at most; they stay in it."""
    found: list[tuple[bytes, int]] = []
    length = 0
    _drop_empty(bound)
    for number in range(DATAGRAMS_AT_ONCE_MAX):
        waiting = _peek(bound, is_first=not number)
        if waiting is None or length >= BYTES_AT_ONCE_MAX:
            break
        if not waiting[0]:
            continue
        length += len(waiting[0])
        found.append(waiting)
        if len(waiting[0]) == DATAGRAM_BYTES_MAX:
            break  # the next look would give the rest of it, which goes with it
    return found


def _drop_empty(bound: socket.socket) -> None:
    """Drop the empty datagrams at the head of a queue: they say nothing.

    The kernel passes over one that was looked at before, if looks have an offset: none here.
    """
    bound.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, -1)
    with contextlib.suppress(BlockingIOError):
        while not bound.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
            bound.recv(1)


def _peek(bound: socket.socket, *, is_first: bool) -> tuple[bytes, int] | None:
    """Return the queue's first datagram, or the one after the last peek, and when it was sent.

    In ns; None if there is none.
    """
    if is_first:
        bound.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, 0)
    try:
        content, control, _, _ = bound.recvmsg(
            DATAGRAM_BYTES_MAX, _CONTROL_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT
        )
    except BlockingIOError:
        return None
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIME.unpack(data)
            return content, seconds * 1_000_000_000 + nanoseconds
    return content, 0
