"""Sockets inside a sandbox's network namespace, made and served from outside.

A sandbox's network namespace has nothing but `lo`. A socket bound inside it and held by us is all
that is reachable there: no interface, bridge or address of the host is needed.

As root a thread of its own enters the namespace (1 ms). Without root, the namespace belongs to a
user namespace of ours that only a process with one thread can enter, so a small Python process does
it and hands the sockets back (50 ms).
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import socket
import subprocess
import sys
from concurrent import futures
from pathlib import Path
from typing import Final

from plasmid.network import inside

_CLONE_NEWNET: Final = 0x40000000
_CLONE_NEWUSER: Final = 0x10000000
_HELPER_SECONDS_MAX: Final = 20.0
_ANSWER_BYTES_MAX: Final = 4096
_SOCKETS_MAX: Final = 64
_SOURCES: Final = Path(__file__).parents[2]
_HELPER: Final = """import sys
sys.path.insert(0, sys.argv[1])
from plasmid.network import namespaces
namespaces.help_out(*sys.argv[2:])
"""


class NamespaceError(Exception):
    """A socket inside a sandbox cannot be had; the message says why."""


async def open_sockets(namespace: Path, plan: inside.Plan) -> inside.Made:
    """Return what a plan wants inside a network namespace, whose `lo` is brought up.

    `namespace` is like /proc/PID/ns/net. Raises NamespaceError, also when a port is taken.
    """
    try:
        if os.geteuid() == 0:
            loop = asyncio.get_running_loop()
            # One thread for this alone: should it fail to come back, nothing else runs in it.
            with futures.ThreadPoolExecutor(1, "namespace") as thread:
                return await loop.run_in_executor(thread, _make_inside, namespace, plan)
        return await asyncio.to_thread(_make_by_helper, str(namespace), plan)
    except (OSError, subprocess.SubprocessError) as error:
        raise NamespaceError(f"cannot listen inside {namespace}: {error}") from error


def find_problem() -> str:
    """Return why connections of programs cannot be led to us on this machine; "" if they can."""
    plan = inside.Plan(ports=(), destinations=("0.0.0.0/0", "::/0"))
    try:
        if os.geteuid() == 0:
            with futures.ThreadPoolExecutor(1, "namespace") as thread:
                made = thread.submit(_make_apart, plan).result()
        else:
            made = _make_by_helper("", plan)
    except (OSError, subprocess.SubprocessError) as error:
        return f"no network namespace can be made: {error}"
    for each in made.sockets:
        each.close()
    return made.problem


def _make_inside(namespace: Path, plan: inside.Plan) -> inside.Made:
    home_path = Path("/proc/thread-self/ns/net")
    with home_path.open("rb") as home, namespace.open("rb") as there:
        _set_namespace(there.fileno(), _CLONE_NEWNET)
        try:
            return inside.make(plan)
        finally:
            _set_namespace(home.fileno(), _CLONE_NEWNET)


def _make_apart(plan: inside.Plan) -> inside.Made:
    """Make a plan's sockets in a new namespace, which ends with this thread and the sockets."""
    _unshare(_CLONE_NEWNET)
    return inside.make(plan)


def _set_namespace(fd: int, kind: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.setns(fd, kind), "setns")


def _unshare(kinds: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(kinds), "unshare")


def _check(result: int, call: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def _make_by_helper(namespace: str, plan: inside.Plan) -> inside.Made:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(_HELPER_SECONDS_MAX)
        command = [sys.executable, "-I", "-S", "-c", _HELPER, str(_SOURCES), namespace]
        done = subprocess.run(
            [*command, str(theirs.fileno()), json.dumps(plan)],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_HELPER_SECONDS_MAX,
        )
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise OSError(lines[-1] if lines else f"helper ended with {done.returncode}")
        problem, fds, _, _ = socket.recv_fds(ours, _ANSWER_BYTES_MAX, _SOCKETS_MAX)
    sockets = [socket.socket(fileno=fd) for fd in fds]
    for each in sockets:
        each.settimeout(0)
    return inside.Made(sockets, json.loads(problem))


def help_out(namespace: str, fd: str, text: str) -> None:
    """Run as the helper process: enter the namespaces, make what is wanted, hand it back."""
    ports, names, destinations, callers = json.loads(text)
    if namespace:
        there = Path(namespace)
        with there.open("rb") as network, there.with_name("user").open("rb") as user:
            # The user namespace first: being its owner gives the right to enter the other.
            _set_namespace(user.fileno(), _CLONE_NEWUSER)
            _set_namespace(network.fileno(), _CLONE_NEWNET)
    else:
        _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    made = inside.make(inside.Plan(tuple(ports), names, tuple(destinations), callers))
    with socket.socket(fileno=int(fd)) as channel:
        fds = [each.fileno() for each in made.sockets]
        socket.send_fds(channel, [json.dumps(made.problem).encode()], fds)
