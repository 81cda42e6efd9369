"""Bytes that go into a sandbox and out of it are counted, whichever way they go."""

from __future__ import annotations

import asyncio
import os

from plasmid.network import outside, proxy, relay
from plasmid.network.traffic import Traffic
from tests.unit.network import test_proxy
from tests.unit.network.test_relay import connected, read_all


async def test_a_relay_counts_what_left_and_what_came() -> None:
    loop = asyncio.get_running_loop()
    traffic = Traffic()
    sandbox, inside = connected()
    world, outer = connected()
    with sandbox, inside, world, outer:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(relay.join(inside, outer, traffic))
            at_world = group.create_task(read_all(world))
            await loop.sock_sendall(sandbox, os.urandom(3_000_001))
            sandbox.shutdown(1)
            await loop.sock_sendall(world, b"answer")
            world.shutdown(1)
            assert await read_all(sandbox) == b"answer"
    assert len(at_world.result()) == 3_000_001
    assert (traffic.sent_bytes, traffic.received_bytes) == (3_000_001, 6)


async def test_a_proxy_counts_plain_requests_and_tunnels() -> None:
    body = b"x" * 199_999 + b"."
    for request in (
        b"PUT http://127.0.0.1:%d/ HTTP/1.1\r\nContent-Length: 200000\r\n\r\n" + body,
        b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\nany bytes.",
    ):
        traffic, heard = Traffic(), list[bytes]()
        async with test_proxy.served(test_proxy.echo_server(heard)) as target:
            reachable = outside.Outside((), package_hosts=[f"127.0.0.1:{target}"])
            made = proxy.Proxy(reachable, traffic=traffic)
            async with test_proxy.served(made.handle) as port:
                answer = await test_proxy.ask(port, request % target)
        sent = len(request % target)
        assert sent - 4 <= traffic.sent_bytes <= sent
        # the proxy's own word to the client is not from outside
        answer = answer.removeprefix(b"HTTP/1.1 200 Connection established\r\n\r\n")
        assert traffic.received_bytes == len(answer)


async def test_what_goes_to_the_platform_counts_too() -> None:
    traffic, heard = Traffic(), list[bytes]()
    async with test_proxy.served(test_proxy.echo_server(heard)) as target:
        handle = relay.to_address(("127.0.0.1", target), traffic)
        async with test_proxy.served(handle) as port:
            answer = await test_proxy.ask(port, b"POST /system/whoami.")
    assert (traffic.sent_bytes, traffic.received_bytes) == (20, len(answer))
