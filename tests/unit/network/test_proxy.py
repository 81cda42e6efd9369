"""The forward proxy, with a server of ours as the world outside."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence

import pytest

from plasmid.network import outside, proxy, proxy_requests, relay

Heard = list[bytes]


@contextlib.asynccontextmanager
async def served(handle: relay.Handler) -> AsyncIterator[int]:
    """Serve on a free port of this machine; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        task = group.create_task(relay.serve(listener, handle))
        try:
            yield listener.getsockname()[1]
        finally:
            task.cancel()


def echo_server(heard: Heard) -> relay.Handler:
    """A web server that keeps what it hears up to `.` and answers with its length."""

    async def handle(connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        whole = b""
        while not whole.endswith(b"."):
            piece = await loop.sock_recv(connection, 65536)
            if not piece:
                break
            whole += piece
        heard.append(whole)
        await loop.sock_sendall(connection, b"HTTP/1.1 200 OK\r\n\r\nheard %d" % len(whole))

    return handle


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@contextlib.asynccontextmanager
async def world(
    *allowed: str, package_hosts: Sequence[str] = (), refused: list[str] | None = None
) -> AsyncIterator[tuple[int, int, Heard, outside.Outside]]:
    """Give the proxy's port, a server's port, what it hears, and what may be reached."""
    heard: Heard = []
    async with served(echo_server(heard)) as target:
        ported = [host if ":" in host else f"{host}:{target}" for host in package_hosts]
        reachable = outside.Outside(allowed, package_hosts=ported)
        made = proxy.Proxy(reachable, on_refused=refused.append if refused is not None else None)
        async with served(made.handle) as port:
            yield port, target, heard, reachable


async def test_a_host_that_is_not_allowed_is_refused_with_a_line_that_names_it() -> None:
    told: list[str] = []
    async with world("*.allowed.test", refused=told) as (port, _, heard, _):
        answer = await ask(port, b"GET http://other.test/ HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"other.test" in answer
        assert b"access.network" in answer
        answer = await ask(port, b"CONNECT other.test:443 HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403 ")
    assert heard == []
    assert len(told) == 2
    assert "other.test" in told[0]


async def test_a_plain_request_is_passed_on_without_what_is_the_proxys_own() -> None:
    async with world(package_hosts=["127.0.0.1"]) as (port, target, heard, _):
        request = (
            b"PUT http://127.0.0.1:%d/p?q=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Proxy-Connection: keep-alive\r\nContent-Length: 5\r\n\r\nbody."
        )
        answer = await ask(port, request % target)
    assert answer.endswith(b"heard %d" % len(heard[0]))
    head, _, body = heard[0].partition(b"\r\n\r\n")
    assert head == (
        b"PUT /p?q=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nConnection: close"
    )
    assert body == b"body."


async def test_a_second_request_on_the_connection_does_not_reach_the_first_ones_server() -> None:
    async with world(package_hosts=["127.0.0.1"]) as (port, target, heard, _):
        request = b"PUT http://127.0.0.1:%d/ HTTP/1.1\r\nContent-Length: 2\r\n\r\na."
        await ask(port, request % target + b"GET http://other.test/ HTTP/1.1\r\n\r\n")
    assert len(heard) == 1
    assert heard[0].endswith(b"\r\n\r\na.")


async def test_a_tunnel_carries_anything_both_ways() -> None:
    async with world(package_hosts=["127.0.0.1"]) as (port, target, heard, _):
        answer = await ask(port, b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n\0any bytes." % target)
    assert heard == [b"\0any bytes."]
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"heard 11")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "169.254.169.254"])
async def test_no_allowed_pattern_leads_to_this_machine(host: str) -> None:
    async with world("*", host.strip("[]")) as (port, target, heard, _):
        for request in ("CONNECT {}:{} HTTP/1.1\r\n\r\n", "GET http://{}:{}/ HTTP/1.1\r\n\r\n"):
            answer = await ask(port, request.format(host, target).encode())
            assert answer.split()[1] in (b"403", b"502")
    assert heard == []


async def test_the_machines_own_outer_address_is_refused_too() -> None:
    # A datagram socket is connected to an address of the documentation: that sends nothing.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but 127.0.0.1")
        own = probe.getsockname()[0]
    async with world("*") as (port, target, heard, _):
        answer = await ask(port, f"CONNECT {own}:{target} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert heard == []


async def test_what_is_allowed_can_be_changed_while_it_serves() -> None:
    async with world() as (port, _, _, reachable):
        assert b" 403 " in await ask(port, b"GET http://unknown.invalid/ HTTP/1.1\r\n\r\n")
        reachable.allowed = ("*",)
        answer = await ask(port, b"GET http://unknown.invalid/ HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"unknown.invalid" in answer


async def test_a_service_is_reached_under_the_name_that_the_sandbox_has_for_it() -> None:
    heard: Heard = []
    async with served(echo_server(heard)) as target:
        services = {("127.0.0.1", 8124): ("127.0.0.1", target)}
        async with served(proxy.Proxy(outside.Outside([]), services=services).handle) as port:
            answer = await ask(
                port, b"POST http://127.0.0.1:8124/x HTTP/1.1\r\nContent-Length: 1\r\n\r\n."
            )
    assert b"heard" in answer
    assert heard[0].startswith(b"POST /x HTTP/1.1\r\n")


async def test_only_a_service_is_told_the_secret_that_proves_a_token() -> None:
    heard: Heard = []
    async with served(echo_server(heard)) as target:
        services = {("127.0.0.1", 8124): ("127.0.0.1", target)}
        reachable = outside.Outside([], package_hosts=[f"127.0.0.1:{target}"])
        made = proxy.Proxy(reachable, services=services, secret="s" * 8)
        async with served(made.handle) as port:
            for host, shown in ((8124, b"Bearer t.ssssssss"), (target, b"Bearer t")):
                head = f"PUT http://127.0.0.1:{host}/ HTTP/1.1\r\nContent-Length: 1\r\n"
                await ask(port, f"{head}authorization: Bearer t\r\n\r\n.".encode())
                lines = heard.pop().split(b"\r\n")
                assert [line for line in lines if b"Bearer" in line] == [b"authorization: " + shown]


async def test_a_server_that_is_not_there_is_a_bad_gateway() -> None:
    async with world(package_hosts=["127.0.0.1:1"]) as (port, _, _, _):
        answer = await ask(port, b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 502 ")


async def test_a_client_that_leaves_in_the_middle_ends_no_other() -> None:
    async with world(package_hosts=["127.0.0.1"]) as (port, target, heard, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PUT http://127.0.0.1:%d/ HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf" % target)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        request = b"PUT http://127.0.0.1:%d/ HTTP/1.1\r\nContent-Length: 1\r\n\r\n."
        assert b"heard" in await ask(port, request % target)
    assert len(heard) == 2


async def test_a_head_without_end_is_refused() -> None:
    async with world("*") as (port, _, _, _):
        answer = await ask(port, b"GET http://x/ HTTP/1.1\r\nX: " + b"x" * 200_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_the_machines_own_proxy_gets_whole_addresses_and_our_name() -> None:
    heard: Heard = []
    async with served(echo_server(heard)) as upstream_port:
        upstream = proxy_requests.Upstream(http_proxy=f"http://me:pw@127.0.0.1:{upstream_port}")
        async with served(
            proxy.Proxy(outside.Outside(["far.test"], upstream=upstream)).handle
        ) as port:
            await ask(port, b"PUT http://far.test/a HTTP/1.1\r\nContent-Length: 1\r\n\r\n.")
    assert heard[0].startswith(b"PUT http://far.test/a HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic bWU6cHc=\r\n" in heard[0]


async def test_a_tunnel_goes_through_the_machines_own_proxy() -> None:
    asked: list[bytes] = []

    async def upstream_proxy(connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        asked.append(await loop.sock_recv(connection, 65536))
        await loop.sock_sendall(connection, b"HTTP/1.1 200 OK\r\n\r\n")
        asked.append(await loop.sock_recv(connection, 65536))
        await loop.sock_sendall(connection, b"hello from far")

    async with served(upstream_proxy) as upstream_port:
        upstream = proxy_requests.Upstream(https_proxy=f"http://127.0.0.1:{upstream_port}")
        async with served(
            proxy.Proxy(outside.Outside(["far.test"], upstream=upstream)).handle
        ) as port:
            answer = await ask(port, b"CONNECT far.test:443 HTTP/1.1\r\n\r\nhi far")
    assert asked == [b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n", b"hi far"]
    assert answer.endswith(b"\r\n\r\nhello from far")


async def test_the_machines_own_proxy_is_not_asked_for_this_machine() -> None:
    heard: Heard = []
    async with served(echo_server(heard)) as upstream_port:
        upstream = proxy_requests.Upstream(http_proxy=f"http://127.0.0.1:{upstream_port}")
        async with served(proxy.Proxy(outside.Outside(["*"], upstream=upstream)).handle) as port:
            for host in ("localhost", "127.0.0.1", "169.254.169.254"):
                answer = await ask(port, f"GET http://{host}/ HTTP/1.1\r\n\r\n".encode())
                assert answer.startswith(b"HTTP/1.1 403 ")
    assert heard == []
