"""Connections of programs that know of no proxy, in a namespace with nothing but lo."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from plasmid.network import (
    inside,
    names,
    namespaces,
    netlink,
    outside,
    proxy,
    proxy_requests,
    redirected,
    relay,
    sandbox_network,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="entering a namespace needs root")

GREETING = b"hello from far"


class Sandbox:
    """Something with a network namespace."""

    def __init__(self, network_namespace: Path) -> None:
        self.network_namespace = network_namespace

    async def keep_open(self, name: str, sockets: Sequence[socket.socket]) -> bool:
        return False

    async def kept_open(self, name: str) -> list[socket.socket]:
        return []


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


async def inside_of(namespace: Path, script: str) -> str:
    """Run a script of bash in the namespace and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        *("nsenter", f"--net={namespace}", "timeout", "10", "bash", "-c", script),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return out.decode()


def connect(address: str, port: int) -> str:
    return f"exec 3<>/dev/tcp/{address}/{port}; cat <&3"


def look_up(name: str) -> str:
    """A script that asks for a name's address by a datagram and prints its last four bytes."""
    labels = "".join(f"\\x{len(part):02x}{part}" for part in name.split("."))
    asked = f"\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0{labels}\\0\\0\\x01\\0\\x01"
    return (
        f"exec 3<>/dev/udp/127.0.0.53/53; printf '{asked}' >&3;"
        "dd bs=512 count=1 <&3 2>/dev/null | tail -c 4 | od -An -tu1"
    )


async def greet(connection: socket.socket) -> None:
    await asyncio.get_running_loop().sock_sendall(connection, GREETING)


@contextlib.asynccontextmanager
async def world(
    namespace: Path,
    *allowed: str,
    said: list[str],
    upstream: proxy_requests.Upstream | None = None,
    names_file: Path | None = None,
    handle: relay.Handler = greet,
) -> AsyncIterator[int]:
    """A sandbox's network; gives the port of a server that `far.test` leads to."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0)
    port = listener.getsockname()[1]
    site = sandbox_network.Site(
        api_address=("127.0.0.1", 1),
        hosts={} if upstream else {"far.test": "127.0.0.1", "other.test": "127.0.0.1"},
        package_hosts=(f"far.test:{port}",),  # else it could not be on this machine
        upstream=upstream or proxy_requests.Upstream(),
    )
    network = sandbox_network.SandboxNetwork(
        Sandbox(namespace), site, allowed=allowed, on_refused=said.append, names_file=names_file
    )
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        serving = group.create_task(relay.serve(listener, handle))
        async with network:
            yield port
        serving.cancel()


def dotted(printed: str) -> str:
    return ".".join(printed.split())


async def test_a_connection_to_a_names_address_is_made_by_that_name(
    namespace: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    known = tmp_path / "names"
    known.write_text("far.test\nother.test\n")
    async with world(namespace, "far.test", "other.test", said=said, names_file=known) as port:
        assert await inside_of(namespace, connect("198.18.0.1", port)) == GREETING.decode()
        await inside_of(namespace, connect("198.18.0.2", port))
    assert said == ["no job may reach other.test: 127.0.0.1 is a loopback address"]


async def test_an_address_that_no_name_has_leads_nowhere(namespace: Path) -> None:
    said: list[str] = []
    async with world(namespace, "*", said=said) as port:
        assert "reset" in await inside_of(namespace, connect("198.18.0.1", port))
    assert said == []


@pytest.mark.parametrize("address", ["127.0.0.2", "192.0.2.1", "2001:db8::1"])
async def test_without_a_grant_there_is_no_route_and_no_rule(namespace: Path, address: str) -> None:
    async with world(namespace, said=[]) as port:
        refused = await inside_of(namespace, connect(address, port))
        routes = await inside_of(namespace, "cat /proc/net/route")
    assert "refused" in refused or "unreachable" in refused
    assert len(routes.splitlines()) == 1


async def test_with_names_only_an_address_has_no_route(namespace: Path) -> None:
    async with world(namespace, "far.test", said=[]) as port:
        assert "unreachable" in await inside_of(namespace, connect("192.0.2.1", port))


@pytest.mark.parametrize("address", ["169.254.169.254", "10.255.255.1", "fe80::1"])
async def test_an_address_that_is_not_granted_is_reset_and_said(
    namespace: Path, address: str
) -> None:
    said: list[str] = []
    async with world(namespace, "192.0.2.*", "169.254.*", said=said) as port:
        answer = await inside_of(namespace, connect(address, port))
    assert GREETING.decode() not in answer
    assert len(said) == 1 or address == "fe80::1"


async def test_own_listeners_inside_are_no_outside(namespace: Path) -> None:
    script = (
        "import socket; l = socket.create_server(('0.0.0.0', 7777));"
        "c = socket.create_connection(('127.0.0.1', 7777)); l.accept(); print('met')"
    )
    async with world(namespace, "*", said=[]):
        assert await inside_of(namespace, f'python3 -c "{script}"') == "met\n"


async def test_behind_a_proxy_the_name_is_what_it_is_asked_for(namespace: Path) -> None:
    asked: list[bytes] = []

    async def upstream_proxy(connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        asked.append(await loop.sock_recv(connection, 65536))
        if asked[-1].startswith(b"CONNECT"):
            await loop.sock_sendall(connection, b"HTTP/1.1 200 OK\r\n\r\n" + GREETING)

    with socket.create_server(("127.0.0.1", 0)) as proxy_listener:
        proxy_listener.settimeout(0)
        address = f"http://127.0.0.1:{proxy_listener.getsockname()[1]}"
        upstream = proxy_requests.Upstream(http_proxy=address, https_proxy=address)
        async with world(namespace, "*", said=[], upstream=upstream), asyncio.TaskGroup() as group:
            serving = group.create_task(relay.serve(proxy_listener, upstream_proxy))
            found = dotted(await inside_of(namespace, look_up("nobody.invalid")))
            said = await inside_of(namespace, connect(found, 22))
            get = f"exec 3<>/dev/tcp/{found}/80; printf 'GET /a HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3"
            await inside_of(namespace, get)
            serving.cancel()
    assert said == GREETING.decode()
    assert asked[0].startswith(b"CONNECT nobody.invalid:22 HTTP/1.1\r\n")
    assert asked[1].startswith(b"GET http://nobody.invalid/a HTTP/1.1\r\n")


async def test_where_the_kernel_cannot_it_is_said_and_the_rest_works(
    namespace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(2, "No such file or directory")

    monkeypatch.setattr(netlink, "lead_to", refuse)
    said: list[str] = []
    async with world(namespace, "far.test", said=said) as port:
        request = f"CONNECT far.test:{port} HTTP/1.1\\r\\n\\r\\n"
        ask = f"exec 3<>/dev/tcp/127.0.0.1/3128; printf '{request}' >&3; cat <&3"
        answer = await inside_of(namespace, ask)
    assert answer.endswith(GREETING.decode())
    (line,) = said
    assert "only programs that use the proxy reach the outside" in line
    assert "No such file or directory" in line
    assert "No such file" in namespaces.find_problem()


def test_this_machine_can_lead_connections_to_us() -> None:
    assert namespaces.find_problem() == ""


async def test_doing_it_again_is_fine_and_leaves_one_rule_set(namespace: Path) -> None:
    plan = inside.Plan((), destinations=("0.0.0.0/0", "::/0"))
    for _ in range(2):
        made = await namespaces.open_sockets(namespace, plan)
        assert made.problem == ""
        for each in made.sockets:
            each.close()
    routes = await inside_of(namespace, "cat /proc/net/fib_trie | grep -c '/0 host LOCAL'")
    assert routes.strip() in ("1", "2")  # main and local may be shown as one


async def test_who_connects_to_the_listener_itself_gets_nowhere() -> None:
    said: list[str] = []
    reachable = outside.Outside(["*"])
    leading = redirected.Redirected(
        reachable, names.Names(), proxy.Proxy(reachable), on_refused=said.append
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            serving = group.create_task(relay.serve(listener, leading.handle))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
            serving.cancel()
    assert said == ["no job may reach 127.0.0.1: it is a loopback address"]
