"""The forward proxy of one sandbox: how apt reaches its packages, whatever `access.network` says.

Serves CONNECT (any protocol within) and plain HTTP in absolute form (one request a connection: what
is passed on is the body it announced and nothing else). A host that may not be reached (see
outside.py) gets 403 and one line that names it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from typing import Final

from plasmid.network import outside, proxy_requests, relay
from plasmid.network.traffic import Traffic

_HEAD_BYTES_MAX: Final = 64 * 1024
_HEAD_SECONDS_MAX: Final = 60.0
_LAST_BYTES_SECONDS_MAX: Final = 2.0
_BODY_PIECE_BYTES: Final = 256 * 1024


class Proxy:
    """One sandbox's proxy.

    `services` are hosts and ports as the sandbox names them and where they really are.
    `on_refused` is told each refusal's line (a job's log wants it: most clients show a bare 403).
    With a `secret`, the tokens of requests to services are given it as a proof of where they are.
    `traffic` counts what goes through.
    """

    def __init__(
        self,
        reachable: outside.Outside,
        *,
        services: Mapping[relay.Address, relay.Address] | None = None,
        on_refused: Callable[[str], None] | None = None,
        secret: str = "",
        traffic: Traffic | None = None,
    ) -> None:
        self._secret = secret
        self._traffic = traffic or Traffic()
        self._outside = reachable
        self._services = dict(services or {})
        self._on_refused = on_refused

    async def handle(self, client: socket.socket, *, origin: str = "") -> None:
        """Serve one connection (a handler for relay.serve).

        With an `origin` such as http://host the client thinks that it speaks with that server.
        """
        try:
            async with asyncio.timeout(_HEAD_SECONDS_MAX):
                head, rest = await _read_head(client)
            self._traffic.send(len(head) + len(rest))
            request = proxy_requests.parse(head, origin)
            if self._secret and self._service(request) is not None:
                request = proxy_requests.proven(request, self._secret)
            target = await self._connect(request)
        except proxy_requests.RefusedError as refused:
            if self._on_refused is not None:
                self._on_refused(refused.line)
            await asyncio.get_running_loop().sock_sendall(client, refused.response())
            await _finish(client)
            return
        with contextlib.closing(target):
            if request.tunnel:
                await _tunnel(client, target, rest, traffic=self._traffic)
            else:
                await self._pass_on(request, client, target, rest=rest)

    async def _connect(self, request: proxy_requests.Request) -> socket.socket:
        """Connect to the host, or to the proxy that leads there."""
        service = self._service(request)
        if service is not None:
            return await relay.connect(service)
        self._outside.judge(request.host, request.port)
        return await self._outside.connect(request.host, request.port, tunnel=request.tunnel)

    def _service(self, request: proxy_requests.Request) -> relay.Address | None:
        return self._services.get((request.host, request.port))

    async def _pass_on(
        self,
        request: proxy_requests.Request,
        client: socket.socket,
        target: socket.socket,
        *,
        rest: bytes,
    ) -> None:
        """Pass one plain request on, and its answer back."""
        proxy = self._outside.upstream_for(request.host, tunnel=False)
        if proxy and self._service(request) is None:
            whole = f"http://{request.authority}{request.target}"
            head = request.head(whole, proxy_requests.proxy_credentials(proxy))
        else:
            head = request.head(request.target)
        await asyncio.get_running_loop().sock_sendall(target, head)
        async with asyncio.TaskGroup() as group:
            sent = _send_body(client, target, rest, request.body_bytes, told=self._traffic.send)
            body = group.create_task(sent)
            await relay.pump(target, client, self._traffic.receive)
            body.cancel()
        await _finish(client)


async def _tunnel(
    client: socket.socket, target: socket.socket, rest: bytes, *, traffic: Traffic
) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, b"HTTP/1.1 200 Connection established\r\n\r\n")
    await loop.sock_sendall(target, rest)
    await relay.join(client, target, traffic)


async def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """Return a request's head and what came after it; RefusedError if it is too long."""
    loop = asyncio.get_running_loop()
    received = b""
    while b"\r\n\r\n" not in received:
        if len(received) > _HEAD_BYTES_MAX:
            raise proxy_requests.RefusedError(
                "431 Request Header Fields Too Large", "the request's head is too long"
            )
        more = await loop.sock_recv(client, _HEAD_BYTES_MAX)
        if not more:
            raise ConnectionError("the client left before its request was whole")
        received += more
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


async def _send_body(
    client: socket.socket,
    target: socket.socket,
    rest: bytes,
    body_bytes: int,
    *,
    told: Callable[[int], None],
) -> None:
    """Pass on exactly the announced body: a further request is not for this server."""
    loop = asyncio.get_running_loop()
    piece = rest[:body_bytes]
    while body_bytes:
        await loop.sock_sendall(target, piece)
        body_bytes -= len(piece)
        if not body_bytes:
            return
        piece = await loop.sock_recv(client, min(body_bytes, _BODY_PIECE_BYTES))
        told(len(piece))
        if not piece:
            raise ConnectionError("the client left before its body was whole")


async def _finish(client: socket.socket) -> None:
    """End our answer so that the client reads all of it: closing with unread input resets."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_LAST_BYTES_SECONDS_MAX):
            while await loop.sock_recv(client, 65536):
                pass
