"""Readers of logs over real connections: slow, silent, half-closed and gone ones cost little."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from plasmid.api import websocket, websocket_protocol
from plasmid.api.websocket_protocol import WebSocketProtocol
from plasmid.domain.assignments import LogEntry
from plasmid.logs.folder import FolderLogs
from plasmid.methods import log_feed
from tests.worlds import ALICE, World

PATH = "/{job}/getLog/websocket"


class Served(uvicorn.Server):
    """A server on a free port; `protocols` are its connections."""

    port: int

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    @property
    def protocols(self) -> list[WebSocketProtocol]:
        return [one for one in self.server_state.connections if isinstance(one, WebSocketProtocol)]


@pytest.fixture
async def job(world: World, tmp_path: Path) -> str:
    """A running job with a log of 4 MB, on a disk."""
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    logs = FolderLogs(tmp_path)
    world.platform.logs = logs
    lines = [LogEntry(1, "s", "STDOUT", "x" * 1000) for _ in range(4000)]
    await logs.append(job, 0, entries=lines, cursors={"stdout": 1})
    return job


@contextlib.asynccontextmanager
async def served(
    world: World, *, ping_seconds: float = 20, **limits: float
) -> AsyncIterator[Served]:
    feed = websocket.LogFeed(world.platform, **limits)
    app = Starlette(routes=[WebSocketRoute(PATH, feed.serve)])
    listener = socket.create_server(("127.0.0.1", 0))
    server = Served(
        uvicorn.Config(
            app,
            ws=WebSocketProtocol,
            ws_per_message_deflate=False,
            lifespan="off",
            log_level="critical",
            timeout_graceful_shutdown=1,
            ws_ping_interval=ping_seconds,
            ws_ping_timeout=ping_seconds,
        )
    )
    server.port = listener.getsockname()[1]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]))
        try:
            yield server
        finally:
            world.platform.stop()
            server.should_exit = True
            await serving


async def until(holds: Callable[[], object]) -> None:
    """Wait until something is so, letting the server's loop turn."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        while not holds():
            turned = asyncio.Event()
            loop.call_later(0.002, turned.set)
            await turned.wait()


def question(**asked: Any) -> str:
    return msgspec.json.encode({"access_token": ALICE, **asked}).decode()


@contextlib.asynccontextmanager
async def silent(server: Served, job: str) -> AsyncIterator[socket.socket]:
    """Give a connection that has asked for a log, and reads nothing of it; the server is stuck."""
    async with asking(server, job) as connection:
        await until(lambda: server.protocols and not server.protocols[0].writable.is_set())
        yield connection


@contextlib.asynccontextmanager
async def asking(server: Served, job: str) -> AsyncIterator[socket.socket]:
    """Give a connection that has asked for a log."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.setblocking(False)
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        handshake = (
            f"GET /{job}/getLog/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, handshake.encode())
        assert (await loop.sock_recv(connection, 1000)).endswith(b"\r\n\r\n")
        frame = question().encode()
        # a masked text frame of less than 126 bytes; the mask is zeros
        await loop.sock_sendall(connection, bytes([0x81, 0x80 | len(frame), 0, 0, 0, 0]) + frame)
        yield connection


async def test_all_of_a_log_comes_in_order_over_a_connection(world: World, job: str) -> None:
    async with served(world) as server:
        url = f"ws://127.0.0.1:{server.port}/{job}/getLog/websocket"
        async with connect(url, proxy=None) as client:
            await client.send(question(tail=False))
            with contextlib.suppress(ConnectionClosed):
                told = [msgspec.json.decode(message) async for message in client]
            assert [message.get("line") for message in told] == [*range(4000), None]
            assert (client.close_code, told[-1]["msg"]) == (1000, "END_LOG")


async def test_a_reader_that_reads_nothing_is_dropped_and_little_waits_for_it(
    world: World, job: str
) -> None:
    async with served(world, send_seconds_max=0.3) as server, silent(server, job):
        (protocol,) = server.protocols
        assert protocol.transport.get_write_buffer_size() < 64 << 10
        await until(lambda: not server.protocols and not world.platform.changes.topics())


async def test_a_slow_reader_that_goes_on_is_served(world: World, job: str) -> None:
    async with served(world) as server, silent(server, job) as connection:
        loop, told = asyncio.get_running_loop(), b""
        while b'"line":3999}' not in told:
            told = told[-20:] + await loop.sock_recv(connection, 1 << 16)


@pytest.mark.parametrize("how", [socket.SHUT_WR, socket.SHUT_RDWR])
async def test_a_reader_that_half_closes_or_goes_is_noticed_at_once(
    world: World, job: str, how: int
) -> None:
    async with served(world) as server, silent(server, job) as connection:
        assert world.platform.changes.topics() != []
        connection.shutdown(how)
        await until(lambda: not world.platform.changes.topics())


@pytest.mark.parametrize("how", [socket.SHUT_WR, socket.SHUT_RDWR])
@pytest.mark.parametrize("is_stuck", [True, False])
async def test_no_task_is_left_of_a_reader_that_half_closes_or_goes(
    world: World, job: str, how: int, is_stuck: bool
) -> None:
    """Whether the server waits for it to take what it is sent, or for the job to say more."""
    if not is_stuck:
        world.platform.logs = world.logs
        await world.log(job, "so far")
    async with served(world) as server, asking(server, job) as connection:
        tasks = server.server_state.tasks
        if is_stuck:
            await until(lambda: server.protocols and not server.protocols[0].writable.is_set())
        else:
            await asyncio.get_running_loop().sock_recv(connection, 1)
        assert len(tasks) == 1
        before = asyncio.all_tasks() - tasks - {asyncio.current_task()}
        connection.shutdown(how)
        await until(lambda: not tasks and not server.protocols)
        assert not [task for task in before if _is_of_reader(task)]


def _is_of_reader(task: asyncio.Task[Any]) -> bool:
    """Say whether a task serves a reader, and is not over."""
    return not task.done() and websocket.__name__ in repr(task.get_coro())


async def test_of_what_waits_for_a_slow_reader_only_one_piece_is_held(
    world: World, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[list[bytes]] = []
    made = log_feed.messages

    async def seen(*given: Any) -> AsyncIterator[list[bytes]]:
        async with contextlib.aclosing(made(*given)) as feed:
            async for messages in feed:
                pieces.append(messages)
                yield messages

    monkeypatch.setattr(log_feed, "messages", seen)
    async with served(world) as server, silent(server, job):
        (protocol,) = server.protocols
        await until(lambda: pieces and not any(pieces))
        assert protocol.transport.get_write_buffer_size() < 2 * log_feed.PIECE_BYTES


async def test_a_connection_that_says_nothing_is_sent_away(world: World, job: str) -> None:
    async with served(world, question_seconds_max=0.05) as server:
        url = f"ws://127.0.0.1:{server.port}/{job}/getLog/websocket"
        async with connect(url, proxy=None) as client:
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 4000
            assert "first frame" in (client.close_reason or "")


async def test_what_is_closed_is_dropped_when_it_does_not_take_the_rest(
    world: World, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_protocol, "LINGER_SECONDS", 0.05)
    async with served(world) as server, silent(server, job):
        (protocol,) = server.protocols
        protocol.writable.set()
        await protocol.send({"type": "websocket.close", "code": 1000, "reason": ""})
        await until(lambda: not server.protocols)


async def test_who_answers_no_ping_is_dropped(world: World, job: str) -> None:
    async with served(world, ping_seconds=0.05) as server, silent(server, job):
        await until(lambda: not server.protocols and not world.platform.changes.topics())
