"""Bytes from one socket to another and back, by splice(2): they never enter this process.

A direction that has ended is shut down on the other side while the opposite one goes on (half
close); a full receiver stops its sender; a broken side ends both.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from plasmid.network.traffic import Traffic

CONNECTIONS_MAX: Final = 512
"""Connections that one listener serves at a time; more wait in its queue."""

_PIPE_BYTES: Final = 512 * 1024
_ACCEPT_PAUSE_SECONDS: Final = 0.05
_CONNECT_SECONDS_MAX: Final = 30.0

Handler = Callable[[socket.socket], Awaitable[None]]
Address = tuple[str, int]
Control = tuple[int, int, bytes]
"""What comes along with a datagram: level, type and data."""


async def serve(listener: socket.socket, handle: Handler) -> None:
    """Hand every connection of a non-blocking listener to `handle`, until cancelled.

    `handle` may raise OSError, also in a group: that ends its connection only. Each connection is
    closed after it.
    """
    loop = asyncio.get_running_loop()
    places = asyncio.Semaphore(CONNECTIONS_MAX)
    with contextlib.closing(listener):
        async with asyncio.TaskGroup() as group:
            while True:
                await places.acquire()
                try:
                    connection, _ = await loop.sock_accept(listener)
                except OSError:
                    # The caller has gone, or no descriptor is free: neither ends the service.
                    places.release()
                    await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
                    continue
                group.create_task(_attend(connection, handle, places))


async def _attend(connection: socket.socket, handle: Handler, places: asyncio.Semaphore) -> None:
    try:
        with contextlib.closing(connection):
            connection.settimeout(0)
            await handle(connection)
    except* OSError:
        pass  # one side has gone: nobody is left to be told
    finally:
        places.release()


def to_address(address: Address, traffic: Traffic | None = None) -> Handler:
    """Return a handler that relays each connection to a host and port."""

    async def handle(connection: socket.socket) -> None:
        with contextlib.closing(await connect(address)) as target:
            await join(connection, target, traffic)

    return handle


async def connect(address: Address) -> socket.socket:
    """Return a non-blocking connection to an address; OSError if there is none in 30 s."""
    loop = asyncio.get_running_loop()
    try:
        # An address that needs no name server needs no thread either.
        numeric = socket.AI_NUMERICHOST
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=numeric)
    except socket.gaierror:
        found = await loop.getaddrinfo(*address, type=socket.SOCK_STREAM)
    failure: OSError = OSError(f"no address for {address[0]}")
    async with asyncio.timeout(_CONNECT_SECONDS_MAX):
        for kind, _, protocol, _, target in found:
            with contextlib.ExitStack() as undo:
                made = socket.socket(kind, socket.SOCK_STREAM, protocol)
                undo.callback(made.close)
                made.settimeout(0)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    await loop.sock_connect(made, target)
                except OSError as error:
                    failure = error
                    continue
                undo.pop_all()
                return made
    raise failure


async def receive(source: socket.socket, count: int) -> bytes:
    """Return exactly so many bytes; ConnectionError if the source ends before."""
    loop = asyncio.get_running_loop()
    received = b""
    while len(received) < count:
        more = await loop.sock_recv(source, count - len(received))
        if not more:
            raise ConnectionError("the other side has ended")
        received += more
    return received


async def join(
    inside: socket.socket, outside: socket.socket, traffic: Traffic | None = None
) -> None:
    """Relay both ways until both directions have ended; OSError if one side breaks."""
    counted = traffic or Traffic()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(inside, outside, counted.send))
            group.create_task(pump(outside, inside, counted.receive))
    except* OSError as broken:
        raise OSError(f"a connection broke: {broken.exceptions[0]}") from broken


async def pump(source: socket.socket, sink: socket.socket, told: Callable[[int], None]) -> None:
    """Move bytes one way until the source ends, then shut the sink's way down.

    `told` is how many have come, piece by piece.
    """
    with _pipe() as (read_end, write_end):
        while count := await _move(source.fileno(), write_end, _PIPE_BYTES, source):
            told(count)
            while count:
                count -= await _move(read_end, sink.fileno(), count, sink)
            # A sender and a receiver that are always ready must not keep all others waiting.
            await asyncio.sleep(0)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # Beyond its share of pipe memory an ordinary user gets small pipes: slower, not wrong.
        with contextlib.suppress(PermissionError):
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        yield ends
    finally:
        os.close(ends[0])
        os.close(ends[1])


async def _move(source: int, sink: int, count: int, waited_for: socket.socket) -> int:
    """Splice once as soon as the socket among the two is ready; 0 at the end of the source."""
    while True:
        try:
            return os.splice(source, sink, count, flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE)
        except BlockingIOError:
            await ready(waited_for, for_writing=waited_for.fileno() == sink)


async def ready(waited_for: socket.socket, *, for_writing: bool) -> None:
    """Return once a socket can be read from or written to."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    add, remove = (
        (loop.add_writer, loop.remove_writer)
        if for_writing
        else (loop.add_reader, loop.remove_reader)
    )
    add(waited_for.fileno(), lambda: None if done.done() else done.set_result(None))
    try:
        await done
    finally:
        remove(waited_for.fileno())
