"""A world outside of this machine, on this machine: hosts in a namespace behind a cable of ours.

It has addresses that exist nowhere (RFC 5737, RFC 3849). Every server here, outside or on the
machine itself, is a canary: it remembers who spoke to it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

NEAR, FAR = "198.51.100.1", "198.51.100.2"
NEAR6, FAR6 = "2001:db8:51::1", "2001:db8:51::2"
BANNER: Final = b"hello from outside\n"
PORTS: Final = (21, 53, 80, 7070, 9418)
_NEAR_END, _FAR_END = "plasmid-near", "plasmid-far"
_BATCH: Final = f"""
link set {_NEAR_END} addrgenmode none
addr add {NEAR}/24 dev {_NEAR_END}
addr add {NEAR6}/64 dev {_NEAR_END} nodad
link set {_NEAR_END} up
"""
_FAR_BATCH: Final = f"""
link set lo up
link set {_FAR_END} addrgenmode none
addr add {FAR}/24 dev {_FAR_END}
addr add {FAR6}/64 dev {_FAR_END} nodad
link set {_FAR_END} up
"""


class Canaries:
    """Servers by name; `heard` is what each was told, one entry a connection or datagram."""

    def __init__(self) -> None:
        self.heard: dict[str, list[bytes]] = {}
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def add(self, name: str, served: socket.socket) -> int:
        """Serve a listener or a socket of datagrams; return its port."""
        self.heard.setdefault(name, [])
        self._sockets.append(served)
        is_stream = served.type == socket.SOCK_STREAM
        serve = self._serve_stream if is_stream else self._serve_datagrams
        thread = threading.Thread(target=serve, args=(name, served), daemon=True)
        self._threads.append(thread)
        thread.start()
        address = served.getsockname()
        return int(address[1]) if isinstance(address, tuple) else 0

    def close(self) -> None:
        for served in self._sockets:
            with contextlib.suppress(OSError):
                served.shutdown(socket.SHUT_RDWR)
            if served.type == socket.SOCK_DGRAM:
                with contextlib.suppress(OSError):
                    served.settimeout(0)
            served.close()

    def _serve_stream(self, name: str, served: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = served.accept()
                threading.Thread(target=self._talk, args=(name, connection), daemon=True).start()

    def _talk(self, name: str, connection: socket.socket) -> None:
        index = len(self.heard[name])
        self.heard[name].append(b"")
        with contextlib.suppress(OSError), connection:
            connection.settimeout(60)
            connection.sendall(BANNER)
            while piece := connection.recv(65536):
                self.heard[name][index] += piece
                connection.sendall(piece)

    def _serve_datagrams(self, name: str, served: socket.socket) -> None:
        served.settimeout(0.2)
        while served.fileno() >= 0:
            with contextlib.suppress(OSError):
                self.heard[name].append(served.recv(65536))


class Outside:
    """The hosts outside: every name leads to the same address, as with hosts that share one."""

    def __init__(self, holder: int, canaries: Canaries) -> None:
        self._holder = holder
        self.canaries = canaries

    def packets(self) -> int:
        """How many packets have come over the cable."""
        for line in Path(f"/proc/{self._holder}/net/dev").read_text().splitlines():
            name, _, numbers = line.partition(":")
            if name.strip() == _FAR_END:
                return int(numbers.split()[1])
        raise AssertionError("the cable is gone")

    def heard(self, port: int) -> list[bytes]:
        """What was told to a port of the outside, over IPv4 and IPv6."""
        return self.canaries.heard[f"outside {port}"]


@contextlib.contextmanager
def world() -> Iterator[Outside]:
    """Lay the cable, run servers at its far end; nothing is left of it afterwards."""
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    canaries = Canaries()
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        _ip("link", "add", _NEAR_END, "type", "veth", "peer", _FAR_END, "netns", str(holder.pid))
        _ip("-batch", "-", batch=_BATCH)
        enter = ("nsenter", f"--net=/proc/{holder.pid}/ns/net")
        _ip("-batch", "-", batch=_FAR_BATCH, enter=enter)
        for port in PORTS:
            for made in in_namespace(holder.pid, functools.partial(_servers, port)):
                canaries.add(f"outside {port}", made)
        yield Outside(holder.pid, canaries)
    finally:
        canaries.close()
        subprocess.run(["ip", "link", "del", _NEAR_END], check=False, capture_output=True)
        holder.communicate(b"\n")


def in_namespace(pid: int, make: Callable[[], T]) -> T:
    """Return what a function returns that is called in the network of a process."""

    def call() -> T:
        with Path(f"/proc/{pid}/ns/net").open("rb") as there:
            assert ctypes.CDLL(None).setns(there.fileno(), 0x40000000) == 0
        return make()

    with futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


def _servers(port: int) -> list[socket.socket]:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("0.0.0.0", port))
    both = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return [both, datagrams]


def _ip(*arguments: str, batch: str = "", enter: tuple[str, ...] = ()) -> None:
    done = subprocess.run(
        [*enter, "ip", *arguments], input=batch.encode(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def host_canaries() -> tuple[Canaries, dict[str, int]]:
    """Return servers of this machine that no job may reach, and the port of each by its name."""
    made = Canaries()
    ports: dict[str, int] = {}
    for name, address in (("loopback", "127.0.0.1"), ("everywhere", "0.0.0.0")):
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind((address, 0))
        for kind, served in (("tcp", socket.create_server((address, 0))), ("udp", datagrams)):
            ports[f"{kind} {name}"] = made.add(f"{kind} {name}", served)
    six = socket.create_server(("::", 0), family=socket.AF_INET6)
    ports["tcp everywhere by IPv6"] = made.add("tcp everywhere by IPv6", six)
    abstract = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    abstract.bind(f"\0plasmid-canary-{os.getpid()}")
    abstract.listen()
    made.add("abstract", abstract)
    return made, ports
