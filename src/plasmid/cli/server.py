"""Run the platform in this process: API server and dispatcher on a socket of our own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from plasmid import bootstrap
from plasmid.api.http_protocol import HttpProtocol
from plasmid.api.websocket_protocol import WebSocketProtocol
from plasmid.bootstrap import Keys
from plasmid.cli.trouble import CommandError
from plasmid.config import Config
from plasmid.dispatcher import loop as dispatcher
from plasmid.integrity import at_start
from plasmid.metadata.database import DatabaseUnusableError
from plasmid.methods.call import Platform


class _Server(uvicorn.Server):
    """A uvicorn that leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Running:
    """A platform that serves."""

    def __init__(self, platform: Platform, keys: Keys, url: str, data: Path) -> None:
        self.platform = platform
        self.keys = keys
        self.url = url
        self.data = data


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises CommandError if the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with the protocol named, asyncio sends small answers at once (TCP_NODELAY)
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        remedy = "choose another with --port, or stop what uses it" if in_use else "check --host"
        if isinstance(error, OverflowError):
            remedy = "--port takes 0 to 65535"
        raise CommandError(f"cannot listen on {host}:{port}: {error}; {remedy}") from error
    return listener


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a data folder for this process; raises CommandError if another server has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CommandError(
            f"cannot use the data folder {folder}: {error.strerror}; name another with --data"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise CommandError(
            f"another server uses the data folder {folder}; stop it, or name another with --data"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def serving(config: Config, data: Path, listener: socket.socket) -> AsyncIterator[Running]:
    """Serve a data folder on a socket for the length of a block."""
    try:
        platform, keys = await bootstrap.open_platform(config, data)
        await at_start.repair(bootstrap.make_workshop(platform))
    except (DatabaseUnusableError, OSError) as error:
        raise CommandError(f"cannot open the data folder {data}: {error}") from error
    platform.own_url = url_of(listener)
    server = _Server(
        uvicorn.Config(
            bootstrap.make_app(platform),
            log_level="warning",
            access_log=False,
            lifespan="off",
            http=HttpProtocol,
            ws=WebSocketProtocol,
            ws_per_message_deflate=False,
            ws_ping_interval=20,
            ws_ping_timeout=60,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=3,
            server_header=False,
            date_header=False,
            # Whoever could name an address of their own would have as many tries to log in as
            # they like, and could use up those of others.
            proxy_headers=bool(config.server.trusted_proxies),
            forwarded_allow_ips=config.server.trusted_proxies,
        )
    )
    try:
        async with asyncio.TaskGroup() as group:
            serve = group.create_task(server.serve(sockets=[listener]))
            world = bootstrap.make_world(platform)
            dispatch = group.create_task(dispatcher.run(world, platform.now_ms))
            try:
                yield Running(platform, keys, url_of(listener), data)
            finally:
                dispatch.cancel()
                platform.stop()
                server.should_exit = True
                await asyncio.wait([serve])
    finally:
        platform.database.close()


def url_of(listener: socket.socket) -> str:
    """Return the URL under which a listening socket is reached from this machine."""
    address: Any = listener.getsockname()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], address[0])  # noqa: S104
    return f"http://[{host}]:{address[1]}" if ":" in host else f"http://{host}:{address[1]}"
