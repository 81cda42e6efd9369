"""The forward proxy of one sandbox: its only way out, as far as `access.network` goes.

Serves CONNECT (any protocol within) and plain HTTP in absolute form (one request a connection: what
is passed on is the body it announced and nothing else). Hosts that hold the packages of the base
image are always allowed. A host that is not allowed gets 403 and one line that names it.

Names are resolved here and the address is judged too: no name leads a job to a service of this
machine, however it resolves. Only hosts that the operator lists as package hosts may be here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from plasmid.domain import network_policy
from plasmid.network import proxy_requests, relay

_HEAD_BYTES_MAX: Final = 64 * 1024
_HEAD_SECONDS_MAX: Final = 60.0
_LAST_BYTES_SECONDS_MAX: Final = 2.0
_BODY_PIECE_BYTES: Final = 256 * 1024


class Proxy:
    """One sandbox's proxy; `allowed` may be changed at any time and holds from then on.

    `package_hosts` are always allowed, also on this machine. `services` are hosts and ports as the
    sandbox names them and where they really are. `on_refused` is told each refusal's line (a job's
    log wants it: most clients show a bare 403).
    """

    def __init__(
        self,
        allowed: Sequence[str],
        *,
        package_hosts: Sequence[str] = (),
        services: Mapping[relay.Address, relay.Address] | None = None,
        upstream: proxy_requests.Upstream | None = None,
        on_refused: Callable[[str], None] | None = None,
    ) -> None:
        self.allowed = tuple(allowed)
        self._package_hosts = tuple(package_hosts)
        self._services = dict(services or {})
        self._upstream = upstream or proxy_requests.Upstream()
        self._on_refused = on_refused

    async def handle(self, client: socket.socket) -> None:
        """Serve one connection (a handler for relay.serve)."""
        try:
            async with asyncio.timeout(_HEAD_SECONDS_MAX):
                head, rest = await _read_head(client)
            request = proxy_requests.parse(head)
            target = await self._connect(request)
        except proxy_requests.RefusedError as refused:
            if self._on_refused is not None:
                self._on_refused(refused.line)
            await asyncio.get_running_loop().sock_sendall(client, refused.response())
            await _finish(client)
            return
        with contextlib.closing(target):
            if request.tunnel:
                await _tunnel(client, target, rest)
            else:
                await self._pass_on(request, client, target, rest=rest)

    def _judge_name(self, host: str) -> None:
        if not self._is_package_host(host) and not network_policy.allows(self.allowed, host):
            raise proxy_requests.RefusedError("403 Forbidden", network_policy.refusal(host))

    def _upstream_for(self, request: proxy_requests.Request) -> str:
        return self._upstream.chosen(request.host, tunnel=request.tunnel)

    def _is_package_host(self, host: str) -> bool:
        return network_policy.allows(self._package_hosts, host)

    async def _connect(self, request: proxy_requests.Request) -> socket.socket:
        """Connect to the host, or to the proxy that leads there."""
        service = self._service(request)
        if service is None:
            self._judge_name(request.host)
        proxy = self._upstream_for(request)
        try:
            if service is not None:
                return await relay.connect(service)
            if not proxy:
                address = await self._judged_address(request)
                return await relay.connect((address, request.port))
            if not self._is_package_host(request.host):
                _judge_literal(request.host)
            return await _connect_by(proxy, request)
        except OSError as error:
            line = f"cannot reach {request.host} port {request.port}: {error}"
            raise proxy_requests.RefusedError("502 Bad Gateway", line) from error

    def _service(self, request: proxy_requests.Request) -> relay.Address | None:
        return self._services.get((request.host, request.port))

    async def _judged_address(self, request: proxy_requests.Request) -> str:
        """Resolve a host to an address it may be reached at; RefusedError if it has none."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(request.host, request.port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if self._is_package_host(request.host):
            return addresses[0]
        for address in addresses:
            if network_policy.forbidden_address(address) is None and not _is_own(address):
                return address
        raise _no_job_may(request.host, addresses[0])

    async def _pass_on(
        self,
        request: proxy_requests.Request,
        client: socket.socket,
        target: socket.socket,
        *,
        rest: bytes,
    ) -> None:
        """Pass one plain request on, and its answer back."""
        proxy = self._upstream_for(request)
        if proxy and self._service(request) is None:
            whole = f"http://{request.authority}{request.target}"
            head = request.head(whole, proxy_requests.proxy_credentials(proxy))
        else:
            head = request.head(request.target)
        await asyncio.get_running_loop().sock_sendall(target, head)
        async with asyncio.TaskGroup() as group:
            body = group.create_task(_send_body(client, target, rest, request.body_bytes))
            await relay.pump(target, client)
            body.cancel()
        await _finish(client)


async def _tunnel(client: socket.socket, target: socket.socket, rest: bytes) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, b"HTTP/1.1 200 Connection established\r\n\r\n")
    await loop.sock_sendall(target, rest)
    await relay.join(client, target)


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
    client: socket.socket, target: socket.socket, rest: bytes, body_bytes: int
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


def _is_own(address: str) -> bool:
    """Say whether an address is this machine's: to reach it we would come from it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))  # a datagram socket sends nothing by this
        except OSError:
            return False
        return str(probe.getsockname()[0]) == address


def _judge_literal(host: str) -> None:
    """Refuse what need not be resolved; an upstream proxy resolves the rest."""
    if host == "localhost" or host.endswith(".localhost"):
        raise _no_job_may(host, host)
    try:
        forbidden = network_policy.forbidden_address(host)
    except ValueError:
        return
    if forbidden is not None or _is_own(host):
        raise _no_job_may(host, host)


def _no_job_may(host: str, address: str) -> proxy_requests.RefusedError:
    line = f"no job may reach {host}: {address} is an address of this machine or network link"
    return proxy_requests.RefusedError("403 Forbidden", line)


async def _connect_by(proxy: str, request: proxy_requests.Request) -> socket.socket:
    """Connect to an upstream proxy, through it to the host if a tunnel is wanted."""
    target = await relay.connect(proxy_requests.proxy_address(proxy))
    if not request.tunnel:
        return target
    with contextlib.ExitStack() as undo:
        undo.callback(target.close)
        await _ask_for_tunnel(target, request, proxy_requests.proxy_credentials(proxy))
        undo.pop_all()
    return target


async def _ask_for_tunnel(
    target: socket.socket,
    request: proxy_requests.Request,
    credentials: list[proxy_requests.Header],
) -> None:
    """Send CONNECT to an upstream proxy; OSError unless it agrees."""
    loop = asyncio.get_running_loop()
    where = request.authority
    asked = proxy_requests.head(f"CONNECT {where} HTTP/1.1", [("Host", where), *credentials])
    await loop.sock_sendall(target, asked)
    # One byte at a time: what follows the head belongs to the tunnel.
    answer = b""
    while not answer.endswith(b"\r\n\r\n") and len(answer) < _HEAD_BYTES_MAX:
        more = await loop.sock_recv(target, 1)
        if not more:
            break
        answer += more
    status = answer.split(b"\r\n", 1)[0].decode("latin-1")
    if status.split(" ")[1:2] != ["200"]:
        raise OSError(f"the upstream proxy answered {status!r}")
