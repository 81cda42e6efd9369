"""The way in to a job's web application (contract H.7): unix sockets that lead into its sandbox.

For each declared port there is a socket `app.PORT` in the try's folder, which only this account can
use; each connection to it is led to that port inside the sandbox, by its network namespace. Who may
come is the platform's business, which alone connects here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog

from plasmid.client import api
from plasmid.domain import assignments, errors, https_app
from plasmid.engines import engine
from plasmid.network import into, relay
from plasmid.worker import platform, side_tasks, task_errors, try_folder
from plasmid.worker.world import World

NAME: Final = "app"
OWNER_ONLY: Final = 0o600
RETRY: Final = api.Retry()
_BACKLOG: Final = 128
_log = structlog.get_logger()


@contextlib.asynccontextmanager
async def opened(
    world: World,
    assignment: assignments.Assignment,
    sandbox: engine.Sandbox,
    folder: try_folder.TryFolder,
) -> AsyncIterator[None]:
    """Let the platform reach the application for the time of the block; nothing if it has none.

    What the block raises comes out as it is (of a group, its first error); nothing here ends it.
    """
    if not assignment.https_ports:
        yield
        return
    with (
        _listeners(folder.path, assignment.https_ports) as listeners,
        task_errors.unwrapped(),
    ):
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_serve(listener, sandbox, port))
                for port, listener in listeners.items()
            ]
            tasks.append(group.create_task(_tell(world, assignment, folder)))
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()


async def _serve(listener: socket.socket, sandbox: engine.Sandbox, port: int) -> None:
    """Lead each connection to a port of a sandbox, until cancelled."""

    async def handle(connection: socket.socket) -> None:
        # One that breaks in a way nobody has thought of must not end the others.
        await side_tasks.guarded("web_app_connection", _lead(connection, sandbox, port))

    await side_tasks.guarded("web_app_listener", relay.serve(listener, handle))


async def _lead(connection: socket.socket, sandbox: engine.Sandbox, port: int) -> None:
    """Join a connection with one to a port of a sandbox, or say that nobody listens there."""
    with contextlib.suppress(OSError):  # one side has gone
        try:
            target = await _connect(sandbox, port)
        except (OSError, engine.EngineError):
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(connection, https_app.NOBODY_LISTENS)
            return
        with contextlib.closing(target):
            await relay.join(connection, target)


async def _connect(sandbox: engine.Sandbox, port: int) -> socket.socket:
    namespace = await asyncio.to_thread(lambda: sandbox.network_namespace)
    if namespace is None:
        raise OSError("the sandbox has no network of its own")
    return await into.connect(namespace, port)


@contextlib.contextmanager
def _listeners(folder: Path, ports: Sequence[int]) -> Iterator[dict[int, socket.socket]]:
    """Listen for each port for the time of the block, but for those for which it cannot be."""
    with contextlib.ExitStack() as listening:
        found = {}
        for port in ports:
            try:
                found[port] = listening.enter_context(_listener(folder, port))
            except OSError as error:
                _log.warning("web_app_not_listening", port=port, error=str(error))
        yield found


@contextlib.contextmanager
def _listener(folder: Path, port: int) -> Iterator[socket.socket]:
    """Listen in a folder for the time of the block, in the place of an earlier worker's socket."""
    name = f"{NAME}.{port}"
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        with contextlib.closing(bound):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=place)
            # Nobody may connect before it has its mode: nobody can before it listens.
            # Through /proc, as a socket's address may have 108 bytes only.
            bound.bind(f"/proc/self/fd/{place}/{name}")
            os.chmod(name, OWNER_ONLY, dir_fd=place)
            bound.listen(_BACKLOG)
            yield bound
    finally:
        os.close(place)


async def _tell(
    world: World, assignment: assignments.Assignment, folder: try_folder.TryFolder
) -> None:
    """Report where the application is reached; what breaks that ends nothing else."""
    await side_tasks.guarded("web_app_address", _told(world, assignment, folder))


async def _told(
    world: World, assignment: assignments.Assignment, folder: try_folder.TryFolder
) -> None:
    """Report it until the platform has it or the try is lost."""
    held = assignments.HeldTry(assignment.job, assignment.attempt)
    failed_tries = 0
    while True:
        try:
            await world.link.tell_doors(held, app_socket=str(folder.path.absolute() / NAME))
            return
        except platform.RevokedError:
            return
        except (api.Unreachable, errors.ApiError) as error:
            failed_tries += 1
            _log.warning("web_app_not_told", job=held.job, error=str(error))
        await asyncio.sleep(RETRY.pause_seconds(failed_tries))
