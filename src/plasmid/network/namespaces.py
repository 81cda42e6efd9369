"""Listening sockets at 127.0.0.1 of a sandbox, made and served from outside.

A sandbox's network namespace has nothing but `lo`. A socket bound inside it and held by us is all
that is reachable there: no interface, bridge or firewall rule is needed.

As root a thread of its own enters the namespace (1 ms). Without root, the namespace belongs to a
user namespace of ours that only a process with one thread can enter, so a small Python process does
it and hands the socket back (20 ms).
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_CLONE_NEWUSER: Final = 0x10000000
_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1
_BACKLOG: Final = 512
_HELPER_SECONDS_MAX: Final = 20.0


class NamespaceError(Exception):
    """A socket inside a sandbox cannot be had; the message says why."""


async def open_listeners(namespace: Path, ports: Sequence[int]) -> list[socket.socket]:
    """Return non-blocking sockets listening at 127.0.0.1:port inside a network namespace.

    `namespace` is like /proc/PID/ns/net. Brings `lo` up. Raises NamespaceError, also when a port
    is taken.
    """
    try:
        if os.geteuid() == 0:
            loop = asyncio.get_running_loop()
            # One thread for this alone: should it fail to come back, nothing else runs in it.
            with futures.ThreadPoolExecutor(1, "namespace") as thread:
                return await loop.run_in_executor(thread, _listen_inside, namespace, ports)
        return await asyncio.to_thread(_listen_by_helper, namespace, ports)
    except (OSError, subprocess.SubprocessError) as error:
        raise NamespaceError(f"cannot listen inside {namespace}: {error}") from error


def _listen_inside(namespace: Path, ports: Sequence[int]) -> list[socket.socket]:
    home_path = Path("/proc/thread-self/ns/net")
    with home_path.open("rb") as home, namespace.open("rb") as inside:
        _set_namespace(inside.fileno(), _CLONE_NEWNET)
        try:
            return listen(ports)
        finally:
            _set_namespace(home.fileno(), _CLONE_NEWNET)


def _set_namespace(fd: int, kind: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, kind):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def listen(ports: Sequence[int]) -> list[socket.socket]:
    """Bring `lo` up where we are and listen at 127.0.0.1 on each port."""
    sockets: list[socket.socket] = []
    try:
        for port in ports:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sockets.append(listener)
            if len(sockets) == 1:
                _bring_loopback_up(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(_BACKLOG)
            listener.settimeout(0)
    except OSError:
        for listener in sockets:
            listener.close()
        raise
    return sockets


def _bring_loopback_up(any_socket: socket.socket) -> None:
    request = struct.pack("16sH14x", b"lo", 0)
    flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
    if not flags & _IFF_UP:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _listen_by_helper(namespace: Path, ports: Sequence[int]) -> list[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(_HELPER_SECONDS_MAX)
        done = subprocess.run(
            [sys.executable, "-I", "-S", __file__, str(namespace), str(theirs.fileno())]
            + [str(port) for port in ports],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_HELPER_SECONDS_MAX,
        )
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise OSError(lines[-1] if lines else f"helper ended with {done.returncode}")
        _, fds, _, _ = socket.recv_fds(ours, 1, len(ports))
    sockets = [socket.socket(fileno=fd) for fd in fds]
    for listener in sockets:
        listener.settimeout(0)
    return sockets


def _help(namespace: str, fd: str, *ports: str) -> None:
    """Run as the helper process: enter the namespaces, listen, hand the sockets back."""
    inside = Path(namespace)
    with inside.open("rb") as network, inside.with_name("user").open("rb") as user:
        # The user namespace first: being its owner gives the right to enter the other.
        _set_namespace(user.fileno(), _CLONE_NEWUSER)
        _set_namespace(network.fileno(), _CLONE_NEWNET)
    sockets = listen([int(port) for port in ports])
    with socket.socket(fileno=int(fd)) as channel:
        socket.send_fds(channel, [b"."], [listener.fileno() for listener in sockets])


if __name__ == "__main__":
    _help(*sys.argv[1:])
