"""Readers of a whole log who read nothing are dropped, with what waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from plasmid.api.http_protocol import HttpProtocol
from plasmid.api.log_stream import LogStream
from plasmid.domain.assignments import LogEntry
from plasmid.logs.folder import FolderLogs
from tests.unit.api.test_websocket_protocol import Served, until
from tests.worlds import ALICE, World


@pytest.fixture
async def job(world: World, tmp_path: Path) -> str:
    """A running job with a log of 20 MB, on a disk: more than kernels keep."""
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    world.platform.logs = logs = FolderLogs(tmp_path)
    lines = [LogEntry(1, "s", "STDOUT", "x" * 1000) for _ in range(20_000)]
    await logs.append(job, 0, entries=lines, cursors={"stdout": 1})
    return job


@pytest.mark.parametrize("reads", [False, True])
async def test_a_reader_of_a_stream_that_takes_nothing_is_dropped(
    world: World, job: str, reads: bool
) -> None:
    stream = LogStream(world.platform, send_seconds_max=5.0 if reads else 0.2)
    app = Starlette(routes=[Route("/{job}/getLog", stream.get)])
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=HttpProtocol, lifespan="off", log_level="critical", timeout_graceful_shutdown=1
    )
    server = Served(config)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1000)
        asked = f"GET /{job}/getLog HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ALICE}\r\n"
        writer.write(f"{asked}Connection: close\r\n\r\n".encode())
        if reads:
            assert len(await reader.read()) > 20_000_000
        else:
            await until(lambda: server.server_state.connections)
            await until(lambda: not server.server_state.connections)
            await until(lambda: not server.server_state.tasks)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(20_000_000)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        server.should_exit = True
        await serving
    listener.close()
