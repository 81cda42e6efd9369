"""Bytes relayed between sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

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
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
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


async def turns(count: int) -> None:
    """Let the event loop go round."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        turned = asyncio.Event()
        loop.call_soon(turned.set)
        await turned.wait()


async def test_a_slow_receiver_stops_its_sender() -> None:
    content = bytes(32 << 20)
    async with joined() as (left, right), asyncio.TaskGroup() as group:
        sending = group.create_task(asyncio.get_running_loop().sock_sendall(left, content))
        await turns(2000)
        assert not sending.done()
        received = group.create_task(read_all(right))
        await sending
        left.shutdown(socket.SHUT_WR)
        right.shutdown(socket.SHUT_WR)
        assert await received == content


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
            async with asyncio.timeout(60):
                await relay.join(inner, other_inner)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_no_descriptor_is_left_behind() -> None:
    before = open_descriptors()
    async with joined() as (left, right):
        left.shutdown(socket.SHUT_WR)
        right.shutdown(socket.SHUT_WR)
    assert open_descriptors() == before


def listening() -> tuple[socket.socket, tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0)
    host, port = listener.getsockname()
    return listener, (host, port)


async def shout(connection: socket.socket) -> None:
    """Answer in capitals; fail when told to."""
    loop = asyncio.get_running_loop()
    heard = await loop.sock_recv(connection, 100)
    if heard == b"fail":
        raise ConnectionError("lost")
    await loop.sock_sendall(connection, heard.upper())


async def ask(address: tuple[str, int], question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(question)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_failing_connection_ends_alone() -> None:
    listener, address = listening()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        serving = group.create_task(relay.serve(listener, shout))
        assert await ask(address, b"fail") == b""
        assert await ask(address, b"hello") == b"HELLO"
        serving.cancel()


async def test_the_end_of_a_service_closes_its_listener_and_connections() -> None:
    listener, address = listening()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        serving = group.create_task(relay.serve(listener, shout))
        reader, writer = await asyncio.open_connection(*address)
        assert await ask(address, b"accepted after it") == b"ACCEPTED AFTER IT"
        serving.cancel()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert listener.fileno() == -1


async def test_a_relay_leads_to_its_address() -> None:
    inner, target = listening()
    outer, address = listening()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(relay.serve(inner, shout)),
            group.create_task(relay.serve(outer, relay.to_address(target))),
        ]
        assert await ask(address, b"through") == b"THROUGH"
        for task in tasks:
            task.cancel()


async def test_a_connection_to_nobody_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
    with pytest.raises(ConnectionRefusedError):
        await relay.connect((address[0], address[1]))
