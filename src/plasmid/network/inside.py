"""What is made inside a sandbox's network namespace, by a thread or process that is in it.

Standard library only: the helper process of namespaces.py runs it.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import socket
import struct
from typing import Final, NamedTuple

from plasmid.network import netlink

DNS_ADDRESS: Final = "127.0.0.53"
OUTSIDE_PORT: Final = 3129
IP_PKTINFO: Final = 8  # linux/in.h; Python's socket has no name for it

_DNS_PORT: Final = 53
_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1
_BACKLOG: Final = 512
_IP_TRANSPARENT: Final = 19
_IPV6_TRANSPARENT: Final = 75
_NO_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class Plan(NamedTuple):
    """What to make: listeners at 127.0.0.1, name service, and networks whose TCP comes to us.

    `callers` is a number of TCP sockets that are not connected yet.
    """

    ports: tuple[int, ...]
    names: bool = False
    destinations: tuple[str, ...] = ()
    callers: int = 0


class Made(NamedTuple):
    """Non-blocking sockets in the order of the plan, and why some could not be had ("": all are).

    After the listeners: the callers; if `names`, name service by TCP and by UDP; if `destinations`
    and there is no problem, the transparent listeners and, last, a socket that only has to be kept
    open.
    """

    sockets: list[socket.socket]
    problem: str = ""


def make(plan: Plan) -> Made:
    """Make the sockets of a plan in the namespace we are in, and bring its `lo` up.

    Raises OSError with nothing left if a listener cannot be had.
    """
    made: list[socket.socket] = []
    try:
        _bring_loopback_up()
        made.extend(_listen("127.0.0.1", port) for port in plan.ports)
        made.extend(_caller() for _ in range(plan.callers))
        if plan.names:
            made.append(_listen(DNS_ADDRESS, _DNS_PORT))
            made.append(_datagrams(everywhere=bool(plan.destinations)))
    except OSError:
        _close(made)
        raise
    try:
        outside = _outside(plan.destinations) if plan.destinations else []
    except OSError as error:
        return Made(made, f"the kernel leads no connections to us: {error.strerror or error}")
    return Made(made + outside)


def _outside(destinations: tuple[str, ...]) -> list[socket.socket]:
    made: list[socket.socket] = []
    try:
        wanted = {ipaddress.ip_network(network).version for network in destinations}
        made.append(_listen("127.0.0.1", OUTSIDE_PORT, transparent=True))
        if 6 in wanted:
            try:
                made.append(_listen("::1", OUTSIDE_PORT, transparent=True))
            except OSError as error:
                if error.errno not in _NO_IPV6:
                    raise
                destinations = tuple(n for n in destinations if ":" not in n)
        made.append(netlink.lead_to(OUTSIDE_PORT, destinations))
    except OSError:
        _close(made)
        raise
    return made


def _listen(address: str, port: int, *, transparent: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited when accepted
        if transparent:
            _make_transparent(listener)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener


def _caller() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.settimeout(0)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _make_transparent(made: socket.socket) -> None:
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)


def _datagrams(*, everywhere: bool) -> socket.socket:
    """Return the name service's own socket; everywhere: it answers in any server's place."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        made.bind(("0.0.0.0" if everywhere else DNS_ADDRESS, _DNS_PORT))  # noqa: S104
        made.settimeout(0)
    except OSError:
        made.close()
        raise
    return made


def _close(sockets: list[socket.socket]) -> None:
    for made in sockets:
        made.close()


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        if not flags & _IFF_UP:
            up = struct.pack("16sH14x", b"lo", flags | _IFF_UP)
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, up)
