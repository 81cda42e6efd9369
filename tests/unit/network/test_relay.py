"""Bytes relayed between sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import pytest

from plasmid.network import relay


def connected() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        end.settimeout(0)
    return ends


async def read_all(source: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    received = bytearray()
    while piece := await loop.sock_recv(source, 1 << 20):
        received += piece
    return bytes(received)


@contextlib.asynccontextmanager
async def joined() -> AsyncIterator[tuple[socket.socket, socket.socket]]:
    """Two sockets with a relay between them, which has ended by itself when the block has."""
    left, left_inner = connected()
    right, right_inner = connected()
    with left, left_inner, right, right_inner:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(relay.join(left_inner, right_inner))
            yield left, right


async def test_bytes_arrive_whole_and_in_order_while_both_sides_send() -> None:
    loop = asyncio.get_running_loop()
    up, down = os.urandom(3_000_001), os.urandom(2_000_003)
    async with joined() as (left, right), asyncio.TaskGroup() as group:
        at_right = group.create_task(read_all(right))
        at_left = group.create_task(read_all(left))

        async def send(sink: socket.socket, content: bytes) -> None:
            await loop.sock_sendall(sink, content)
            sink.shutdown(socket.SHUT_WR)

        group.create_task(send(left, up))
        group.create_task(send(right, down))
    assert at_right.result() == up
    assert at_left.result() == down


async def test_one_direction_may_end_before_the_other() -> None:
    loop = asyncio.get_running_loop()
    async with joined() as (left, right):
        await loop.sock_sendall(left, b"question")
        left.shutdown(socket.SHUT_WR)
        assert await read_all(right) == b"question"
        await loop.sock_sendall(right, b"answer")
        right.shutdown(socket.SHUT_WR)
        assert await read_all(left) == b"answer"


async def test_a_slow_receiver_stops_its_sender() -> None:
    async with joined() as (left, right):
        sent = 0
        stuck = 0
        while stuck < 100:
            try:
                sent += left.send(bytes(65536))
                stuck = 0
            except BlockingIOError:
                stuck += 1
                await asyncio.tasks.sleep(0)
        assert sent < 8 << 20
        left.shutdown(socket.SHUT_WR)
        right.shutdown(socket.SHUT_WR)
        assert len(await read_all(right)) == sent


async def test_a_broken_side_ends_both() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = listener.getsockname()
        caller = stack.enter_context(socket.create_connection(address))
        inner, _ = listener.accept()
        stack.enter_context(inner)
        inner.settimeout(0)
        other, other_inner = connected()
        stack.enter_context(other)
        stack.enter_context(other_inner)
        # Closing with "linger 0" resets the connection.
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        caller.close()
        with pytest.raises(OSError, match="broke"):
            async with asyncio.timeout(10):
                await relay.join(inner, other_inner)


async def test_no_descriptor_is_left_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with joined() as (left, right):
        left.shutdown(socket.SHUT_WR)
        right.shutdown(socket.SHUT_WR)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_connections_are_handed_over_until_cancelled_and_closed_then() -> None:
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0)
    address = listener.getsockname()

    async def shout(connection: socket.socket) -> None:
        await loop.sock_sendall(connection, (await loop.sock_recv(connection, 100)).upper())

    async def fail(connection: socket.socket) -> None:
        if await loop.sock_recv(connection, 100) == b"fail":
            raise ConnectionError("lost")
        await shout(connection)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        serving = group.create_task(relay.serve(listener, fail))
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"fail")
        assert await reader.read() == b""
        writer.close()
        waiting, held = await asyncio.open_connection(*address)
        held.write(b"more")
        held.write(b"")
        serving_reader, last = await asyncio.open_connection(*address)
        last.write(b"x")
        last.write(b"y")
        serving.cancel()
    assert await waiting.read() in {b"", b"MORE"}
    held.close()
    last.close()
    assert listener.fileno() == -1
    del serving_reader


async def test_a_connection_to_nobody_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
    with pytest.raises(OSError):
        await relay.connect((address[0], address[1]))
