"""Connections from here to what listens inside a sandbox's network namespace."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import Final

from plasmid.network import inside, namespaces

_CONNECT_SECONDS_MAX: Final = 10.0


async def connect(namespace: Path, port: int) -> socket.socket:
    """Return a non-blocking connection to 127.0.0.1:port inside a sandbox's network namespace.

    `namespace` is like /proc/PID/ns/net. Raises OSError if nobody listens there, if it is not
    answered within 10 s, or if the sandbox is gone.
    """
    # A socket stays in the namespace that it was made in, so it can be connected from out here.
    try:
        made = await namespaces.open_sockets(namespace, inside.Plan(ports=(), callers=1))
    except namespaces.NamespaceError as error:
        raise OSError(errno.ENETUNREACH, str(error)) from error
    (caller,) = made.sockets
    try:
        async with asyncio.timeout(_CONNECT_SECONDS_MAX):
            await asyncio.get_running_loop().sock_connect(caller, ("127.0.0.1", port))
    except TimeoutError as error:
        caller.close()
        raise OSError(errno.ETIMEDOUT, f"port {port}: {os.strerror(errno.ETIMEDOUT)}") from error
    except BaseException:
        caller.close()
        raise
    return caller
