"""Connections into another network namespace."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid.network import inside, into, namespaces

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="entering a namespace needs root")


@contextlib.contextmanager
def held(*kinds: str) -> Iterator[Path]:
    """A network namespace with nothing in it, held by a process that waits for its input."""
    holder = subprocess.Popen(
        ["unshare", *kinds, "sh", "-c", "echo ready; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"ready\n"
    yield Path(f"/proc/{holder.pid}/ns/net")
    holder.communicate(b"\n")


@pytest.fixture
def namespace() -> Iterator[Path]:
    with held("--net") as namespace:
        yield namespace


@pytest.fixture
def of_a_user() -> Iterator[Path]:
    """One that belongs to a user namespace, as all do that are made without root."""
    with held("--user", "--map-root-user", "--net") as namespace:
        yield namespace


@as_root
async def test_a_port_inside_is_reached_from_outside(namespace: Path) -> None:
    (listener,) = (await namespaces.open_sockets(namespace, inside.Plan((8080,)))).sockets
    loop = asyncio.get_running_loop()
    with listener, await into.connect(namespace, 8080) as caller:
        assert caller.gettimeout() == 0
        served, _ = await loop.sock_accept(listener)
        with served:
            await loop.sock_sendall(caller, b"hello")
            assert await loop.sock_recv(served, 5) == b"hello"


@as_root
async def test_a_port_out_here_is_not_what_is_reached(namespace: Path) -> None:
    with socket.socket() as here:
        here.bind(("127.0.0.1", 0))
        here.listen()
        with pytest.raises(ConnectionRefusedError):
            await into.connect(namespace, here.getsockname()[1])


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_sandbox_that_is_gone_is_an_error() -> None:
    with pytest.raises(OSError, match="cannot listen"):
        await into.connect(Path("/proc/0/ns/net"), 8080)


@as_root
async def test_without_root_a_helper_enters_for_us(
    of_a_user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (listener,) = (await namespaces.open_sockets(of_a_user, inside.Plan((8080,)))).sockets
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with listener, await into.connect(of_a_user, 8080):
        served, _ = await asyncio.get_running_loop().sock_accept(listener)
        served.close()
