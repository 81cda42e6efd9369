"""Sockets inside another network namespace."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from plasmid.network import inside, namespaces, sandbox_network

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="entering a namespace needs root")


NOBODY = ("127.0.0.1", 1)


class Sandbox:
    """Something with a network namespace."""

    def __init__(self, network_namespace: Path | None) -> None:
        self.network_namespace = network_namespace

    async def keep_open(self, name: str, sockets: Sequence[socket.socket]) -> bool:
        return False

    async def kept_open(self, name: str) -> list[socket.socket]:
        return []


def opened(
    namespace: Path | None, api_address: tuple[str, int], *, secret: str = ""
) -> sandbox_network.SandboxNetwork:
    site = sandbox_network.Site(api_address=api_address)
    return sandbox_network.SandboxNetwork(Sandbox(namespace), site, secret=secret)


@pytest.fixture
def namespace() -> Iterator[Path]:
    """A network namespace with nothing in it, held by a process that waits for its input."""
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"ready\n"
    yield Path(f"/proc/{holder.pid}/ns/net")
    holder.communicate(b"\n")


def ask_inside(namespace: Path, port: int, question: str) -> str:
    """Connect to 127.0.0.1 from inside, by bash's own means."""
    script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{question}' >&3; cat <&3"
    command = ["nsenter", f"--net={namespace}", "timeout", "10", "bash", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@as_root
async def test_a_listener_is_reached_inside_and_not_outside(namespace: Path) -> None:
    made = await namespaces.open_sockets(namespace, inside.Plan((8124,)))
    (listener,) = made.sockets
    with listener:
        asking = asyncio.to_thread(ask_inside, namespace, 8124, "hello")
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            answer = group.create_task(asking)
            connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            with connection:
                connection.sendall(b"from outside")
        assert answer.result() == "from outside"
        with socket.socket() as here:
            here.bind(("127.0.0.1", 8124))  # free where we are


@as_root
async def test_we_stay_in_our_own_namespace(namespace: Path) -> None:
    before = Path("/proc/self/ns/net").readlink()
    for listener in (await namespaces.open_sockets(namespace, inside.Plan((1234,)))).sockets:
        listener.close()
    assert Path("/proc/self/ns/net").readlink() == before
    assert await asyncio.to_thread(Path("/proc/thread-self/ns/net").readlink) == before


@as_root
async def test_a_taken_port_is_an_error_that_leaves_no_socket(namespace: Path) -> None:
    (first,) = (await namespaces.open_sockets(namespace, inside.Plan((8124,)))).sockets
    both = inside.Plan((3128, 8124))
    with first, pytest.raises(namespaces.NamespaceError, match="Address already in use"):
        await namespaces.open_sockets(namespace, both)
    for listener in (await namespaces.open_sockets(namespace, both)).sockets:
        listener.close()


class KeepingSandbox(Sandbox):
    """One whose engine keeps sockets."""

    kept: tuple[socket.socket, ...] = ()

    async def keep_open(self, name: str, sockets: Sequence[socket.socket]) -> bool:
        self.kept = tuple(each.dup() for each in sockets)
        return True

    async def kept_open(self, name: str) -> list[socket.socket]:
        return [each.dup() for each in self.kept]


@as_root
async def test_what_an_engine_keeps_is_served_on_with_what_came_meanwhile(namespace: Path) -> None:
    server = await asyncio.start_server(answer_web, "127.0.0.1", 0)
    sandbox = KeepingSandbox(namespace)
    site = sandbox_network.Site(api_address=server.sockets[0].getsockname()[:2])
    async with server, asyncio.timeout(60), asyncio.TaskGroup() as group:
        async with sandbox_network.SandboxNetwork(sandbox, site, allowed=["*"]):
            pass
        waits = asyncio.to_thread(ask_inside, namespace, 8124, "GET / HTTP/1.1\\r\\n\\r\\n")
        answer = group.create_task(waits)
        await asyncio.to_thread(await_caller, namespace)
        async with sandbox_network.SandboxNetwork(sandbox, site, allowed=["*"]):
            assert "the api" in await answer
    for each in sandbox.kept:
        each.close()


def await_caller(namespace: Path) -> None:
    """Return once a connection waits at 127.0.0.1:8124 inside."""
    sockets = namespace.parents[1] / "net" / "tcp"
    # state 0A: listens; its receive queue is the number of those that wait
    while not re.search(r" 0100007F:1FBC \S+ 0A 00000000:00000001 ", sockets.read_text()):
        pass


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_namespace_that_is_gone_is_an_error() -> None:
    with pytest.raises(namespaces.NamespaceError, match="cannot listen"):
        await namespaces.open_sockets(Path("/proc/0/ns/net"), inside.Plan((8124,)))


async def answer_web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthe api")
    await writer.drain()
    writer.close()


@as_root
async def test_a_sandbox_reaches_the_api_and_the_proxy_and_can_be_given_them_again(
    namespace: Path,
) -> None:
    server = await asyncio.start_server(answer_web, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    request = "GET http://other.test/ HTTP/1.1\\r\\n\\r\\n"
    async with server:
        for _ in range(2):
            network = opened(namespace, address)
            async with network:
                answer = await asyncio.to_thread(
                    ask_inside, namespace, 8124, "GET / HTTP/1.1\\r\\n\\r\\n"
                )
                assert answer.endswith("the api")
                refused = await asyncio.to_thread(ask_inside, namespace, 3128, request)
                assert " 403 " in refused
            gone = await asyncio.to_thread(
                ask_inside, namespace, 8124, "GET / HTTP/1.1\\r\\n\\r\\n"
            )
            assert gone == ""


async def answer_with_token(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    tokens = [line for line in head.split(b"\r\n") if line.lower().startswith(b"authorization")]
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"".join(tokens))
    await writer.drain()
    writer.close()


@as_root
@pytest.mark.parametrize(("secret", "shown"), [("", "Bearer t"), ("proof", "Bearer t.proof")])
async def test_calls_that_leave_a_sandbox_carry_its_secret(
    namespace: Path, secret: str, shown: str
) -> None:
    server = await asyncio.start_server(answer_with_token, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    end = " HTTP/1.1\\r\\nAuthorization: Bearer t\\r\\n\\r\\n"
    async with server, opened(namespace, address, secret=secret):
        for port, target in ((8124, "/x"), (3128, "http://localhost:8124/x")):
            answer = await asyncio.to_thread(ask_inside, namespace, port, f"GET {target}{end}")
            assert answer.endswith(f"Authorization: {shown}"), answer


@as_root
async def test_the_client_may_call_the_api_through_the_proxy(namespace: Path) -> None:
    server = await asyncio.start_server(answer_web, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    request = "POST http://127.0.0.1:8124/system/whoami HTTP/1.1\\r\\n\\r\\n"
    async with (
        server,
        opened(namespace, address),
    ):
        assert (await asyncio.to_thread(ask_inside, namespace, 3128, request)).endswith("the api")


async def test_a_sandbox_without_a_namespace_gets_no_network() -> None:
    network = opened(None, NOBODY)
    with pytest.raises(namespaces.NamespaceError, match="no network namespace"):
        await network.open()
    await network.close()


@as_root
async def test_an_error_inside_the_block_comes_out_as_it_is(namespace: Path) -> None:
    network = opened(namespace, NOBODY)
    with pytest.raises(KeyError):
        async with network:
            raise KeyError


def test_proxies_are_read_from_an_environment() -> None:
    upstream = sandbox_network.upstream_from(
        {"HTTP_PROXY": "http://a:1", "https_proxy": "http://b:2", "no_proxy": "x, .y ,"}
    )
    assert upstream.http_proxy == "http://a:1"
    assert upstream.https_proxy == "http://b:2"
    assert upstream.no_proxy == ("x", ".y")
