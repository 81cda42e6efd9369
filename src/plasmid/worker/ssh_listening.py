"""Where a try's SSH server listens, and what others are told of it."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Iterator
from typing import Final

BACKLOG: Final = 128
_TAKEN_ERRORS: Final = (errno.EADDRINUSE, errno.EACCES)


async def listen(host: str, ports: str, last_port: int) -> socket.socket:
    """Return a non-blocking listening socket, at the port of last time if that is free.

    `ports` is a range such as `22000-22999`; without one any free port is taken. Raises OSError, if
    only because all ports of the range are taken.
    """
    passive = socket.AI_PASSIVE
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=passive)
    family, address = found[0][0], str(found[0][4][0])
    for port in _candidates(ports, last_port):
        try:
            made = socket.create_server((address, port), family=family, backlog=BACKLOG)
        except OSError as error:
            if error.errno not in _TAKEN_ERRORS:
                raise
            continue
        made.setblocking(False)  # noqa: FBT003 - its one parameter
        return made
    raise OSError(errno.EADDRINUSE, f"all ports of [ssh] ports = {ports!r} are taken: allow more")


def _candidates(ports: str, last_port: int) -> Iterator[int]:
    first, _, last = ports.partition("-")
    allowed = range(int(first), int(last) + 1) if ports else range(1)
    if last_port and (not ports or last_port in allowed):
        yield last_port
    yield from allowed


def host_told(host: str) -> str:
    """Return the name or address for people; where all addresses are listened on, the machine's."""
    try:
        is_every = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        is_every = not host
    return socket.gethostname() if is_every else host
