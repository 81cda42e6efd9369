"""Sockets that stay open while no worker lives: a sandbox's conmon holds them.

conmon inherits both ends of a pair of sockets and never looks at them. Any process of ours gets
duplicates of the ends out of conmon (pidfd_getfd(2)) and sends sockets into the one; they wait in
the queue of the other, and so stay open, with all that arrives at them, until conmon ends. Whoever
wants them peeks into the queue.

The kernel gives the ends to who may trace conmon: root, unless its container forbids that. Where it
does not, nothing is kept at all.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Final

_PIDFD_GETFD: Final = 438  # one number on all architectures
_SO_PEEK_OFF: Final = 42  # asm-generic/socket.h; Python has no name for it
_NAME_BYTES_MAX: Final = 64
_SOCKETS_MAX: Final = 64

Ends = tuple[int, int]
"""The numbers of both ends, which are the same in conmon as where they were made."""


@contextlib.contextmanager
def pair() -> Iterator[Ends]:
    """Make the ends for a conmon that is started within the block and inherits them."""
    made = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with made[0], made[1]:
        yield made[0].fileno(), made[1].fileno()


def put(conmon: int, ends: Ends, name: str, sockets: Sequence[socket.socket]) -> bool:
    """Keep sockets under a name in the conmon of a pidfd; False where that cannot be."""
    try:
        with _end(conmon, ends[1]) as end:
            socket.send_fds(end, [name.encode()], [each.fileno() for each in sockets])
    except OSError:
        return False
    return True


def get(conmon: int, ends: Ends, name: str) -> list[socket.socket]:
    """Return duplicates of the sockets that were put last under a name; [] if none were."""
    found: list[socket.socket] = []
    with contextlib.suppress(OSError), _end(conmon, ends[0]) as end:
        end.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, 0)
        while message := _peek(end):
            kept_name, sockets = message
            stale = sockets
            if kept_name == name:
                stale, found = found, sockets
            for each in stale:
                each.close()
    return found


def _peek(end: socket.socket) -> tuple[str, list[socket.socket]] | None:
    """Return the next message that was not peeked at yet; None after the last."""
    space = socket.CMSG_LEN(_SOCKETS_MAX * array.array("i").itemsize)
    flags = socket.MSG_PEEK | socket.MSG_CMSG_CLOEXEC
    try:
        content, control, _, _ = end.recvmsg(_NAME_BYTES_MAX, space, flags)
    except BlockingIOError:
        return None
    numbers = array.array("i", b"".join(data for _, _, data in control))
    sockets = [socket.socket(fileno=number) for number in numbers]
    for each in sockets:
        each.settimeout(0)
    return content.decode(), sockets


@contextlib.contextmanager
def _end(conmon: int, number: int) -> Iterator[socket.socket]:
    """Give a duplicate of one of conmon's sockets; OSError if that is not one of ours."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(_PIDFD_GETFD, conmon, number, 0)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"pidfd_getfd: {os.strerror(code)}")
    with socket.socket(fileno=descriptor) as end:
        if (end.family, end.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
            raise OSError("conmon has something else under that number")
        # The ends are shared with other processes, and so is this: harmless, all of them are ours.
        end.settimeout(0)
        yield end
