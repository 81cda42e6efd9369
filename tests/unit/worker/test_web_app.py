"""The way in to a job's web application, from a unix socket into the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from plasmid.client import api
from plasmid.domain import https_app
from plasmid.engines import engine
from plasmid.network import inside, namespaces, relay
from plasmid.worker import platform, try_folder, web_app

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="entering a namespace needs root")


class Link:
    """The platform, which takes what it is told after so many failures."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.told: list[str] = []
        self.is_told = asyncio.Event()

    async def tell_doors(self, held: object, *, app_socket: str) -> None:
        self.told.append(app_socket)
        self.is_told.set()
        if self.failures:
            raise self.failures.pop(0)


class Sandbox:
    """Something with a network namespace, or the trouble that there is none any more."""

    def __init__(self, namespace: Path | None) -> None:
        self._namespace = namespace

    @property
    def network_namespace(self) -> Path | None:
        if self._namespace is None:
            raise engine.EngineError("the sandbox is not running")
        return self._namespace


@asynccontextmanager
async def opened(
    folder: Path, link: Link, *ports: int, namespace: Path | None = None
) -> AsyncIterator[None]:
    world = cast("Any", SimpleNamespace(link=link))
    assignment = cast("Any", SimpleNamespace(job="job-1", attempt=0, https_ports=list(ports)))
    sandbox = cast("Any", Sandbox(namespace))
    async with web_app.opened(world, assignment, sandbox, try_folder.TryFolder(folder)):
        yield


@pytest.fixture
def namespace() -> Iterator[Path]:
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"ready\n"
    yield Path(f"/proc/{holder.pid}/ns/net")
    holder.communicate(b"\n")


async def said_by(path: Path, question: bytes = b"hello") -> bytes:
    """Return what comes from a socket after a question, first of all; b"" if it ends."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(0)
        await loop.sock_connect(link, str(path))
        await loop.sock_sendall(link, question)
        with contextlib.suppress(ConnectionResetError):
            return await loop.sock_recv(link, 4096)
        return b""


@as_root
async def test_each_port_is_reached_by_its_own_socket(namespace: Path, tmp_path: Path) -> None:
    plan = inside.Plan((443, 8080))
    made = (await namespaces.open_sockets(namespace, plan)).sockets

    async def answer(listener: socket.socket, name: bytes) -> None:
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(listener)
        with connection:
            asked = await loop.sock_recv(connection, 100)
            await loop.sock_sendall(connection, name + b" got " + asked)

    link = Link()
    async with asyncio.timeout(60), opened(tmp_path, link, 443, 8080, namespace=namespace):
        async with asyncio.TaskGroup() as group:
            for listener, name in zip(made, (b"443", b"8080"), strict=True):
                group.create_task(answer(listener, name))
            assert await said_by(tmp_path / "app.443") == b"443 got hello"
            assert await said_by(tmp_path / "app.8080") == b"8080 got hello"
        await link.is_told.wait()
    assert link.told == [str(tmp_path / "app")]
    for listener in made:
        listener.close()


@as_root
async def test_where_nobody_listens_that_is_said(namespace: Path, tmp_path: Path) -> None:
    async with asyncio.timeout(60), opened(tmp_path, Link(), 443, namespace=namespace):
        assert await said_by(tmp_path / "app.443") == https_app.NOBODY_LISTENS


async def test_a_sandbox_that_is_gone_ends_connections_only(tmp_path: Path) -> None:
    async with asyncio.timeout(60), opened(tmp_path, Link(), 443):
        for _ in range(2):
            assert await said_by(tmp_path / "app.443") == https_app.NOBODY_LISTENS


async def test_a_connection_that_breaks_in_an_unknown_way_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_: object) -> socket.socket:
        raise KeyError

    async with asyncio.timeout(60), opened(tmp_path, Link(), 443):
        with monkeypatch.context() as broken:
            broken.setattr(web_app, "_connect", connect)
            assert await said_by(tmp_path / "app.443") == b""
        assert await said_by(tmp_path / "app.443") == https_app.NOBODY_LISTENS


async def test_a_service_that_breaks_ends_no_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = asyncio.Event()

    async def serve(*_: object) -> None:
        broken.set()
        raise KeyError

    monkeypatch.setattr(relay, "serve", serve)
    link = Link(KeyError("telling breaks too"))
    async with asyncio.timeout(60), opened(tmp_path, link, 443):
        await broken.wait()
        await link.is_told.wait()


async def test_a_folder_in_which_nothing_can_listen_ends_no_try(tmp_path: Path) -> None:
    async with asyncio.timeout(60), opened(tmp_path / "gone", Link(), 443, 8080):
        assert not (tmp_path / "gone").exists()
    (tmp_path / "app.443").mkdir()
    async with asyncio.timeout(60), opened(tmp_path, Link(), 443, 8080):
        assert (tmp_path / "app.8080").is_socket()


async def test_only_this_account_can_connect(tmp_path: Path) -> None:
    async with opened(tmp_path, Link(), 443):
        mode = (tmp_path / "app.443").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600


async def test_the_next_worker_takes_the_place_of_the_last(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    for _ in range(2):
        link = Link()
        async with asyncio.timeout(60), opened(folder, link, 443):
            await link.is_told.wait()
        assert (folder / "app.443").is_socket()


@pytest.mark.parametrize(
    ("failures", "tries"),
    [
        ([api.Unreachable("away"), api.Unreachable("away")], 3),
        ([platform.RevokedError("lost")], 1),
    ],
)
async def test_it_is_told_until_it_is_known_or_the_try_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: list[Exception], tries: int
) -> None:
    monkeypatch.setattr(web_app, "RETRY", api.Retry(first_pause_ms=1, pause_ms_max=2))
    link = Link(*failures)
    world = cast("Any", SimpleNamespace(link=link))
    assignment = cast("Any", SimpleNamespace(job="job-1", attempt=0))
    async with asyncio.timeout(60):
        await web_app._tell(world, assignment, try_folder.TryFolder(tmp_path))
    assert link.told == [str(tmp_path / "app")] * tries


@pytest.mark.parametrize("ports", [(), (443,)])
async def test_what_the_block_raises_comes_out_as_it_is(
    tmp_path: Path, ports: tuple[int, ...]
) -> None:
    with pytest.raises(KeyError):
        async with opened(tmp_path, Link(), *ports):
            raise KeyError


async def test_a_job_without_a_web_application_has_no_socket(tmp_path: Path) -> None:
    link = Link()
    async with opened(tmp_path, link):
        assert list(tmp_path.iterdir()) == []
    assert link.told == []
