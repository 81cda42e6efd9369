"""The forward proxy of one sandbox: its only way out, as far as `access.network` goes.

Serves CONNECT (any protocol within) and plain HTTP in absolute form (one request a connection: what
is relayed after it is the body it announced and nothing else). Hosts that hold the packages of the
base image are always allowed. A host that is not allowed gets 403 and one line that names it.

Names are resolved here and the address is judged, not the name: no name leads a job to a service
of this machine, however it resolves. Only hosts that the operator lists as package hosts may.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from plasmid.domain import network_policy
from plasmid.network import relay

_HEAD_BYTES_MAX: Final = 64 * 1024
_HEAD_SECONDS_MAX: Final = 60.0
_HOP_HEADERS: Final = frozenset(
    {"connection", "proxy-connection", "proxy-authorization", "keep-alive", "te", "upgrade"}
)


class Upstream(msgspec.Struct, frozen=True):
    """The proxies that this machine itself must use, as in its environment; "" for none."""

    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: tuple[str, ...] = ()

    def chosen(self, host: str, *, tunnel: bool) -> str:
        """Return the proxy for a host; "" to connect directly."""
        name = network_policy.normalized(host)
        for entry in self.no_proxy:
            bare = network_policy.normalized(entry.lstrip("."))
            if entry == "*" or (bare and (name == bare or name.endswith(f".{bare}"))):
                return ""
        return self.https_proxy if tunnel else self.http_proxy


class Refused(Exception):
    """The proxy's own answer to a request: a status and one line of text."""

    def __init__(self, status: str, line: str) -> None:
        super().__init__(line)
        self.status = status
        self.line = line

    def response(self) -> bytes:
        """Return it as an HTTP response."""
        body = f"{self.line}\n".encode()
        head = (
            f"HTTP/1.1 {self.status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body


class Request(msgspec.Struct, frozen=True):
    """What a client asked the proxy for; `head` goes to the host (empty for a tunnel)."""

    host: str
    port: int
    tunnel: bool
    method: str = ""
    target: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body_bytes: int = 0

    def head(self, target: str, extra: Iterable[tuple[str, str]] = ()) -> bytes:
        """Return the request's head for a server, which is asked to close after its answer."""
        kept = [(n, v) for n, v in self.headers if n.lower() not in _HOP_HEADERS]
        lines = [f"{self.method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in [*kept, *extra, ("Connection", "close")]]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def parse_request(head: bytes) -> Request:
    """Read a request's head (RFC 9112); raises Refused if it is none for a proxy."""
    first, *rest = head.decode("latin-1").split("\r\n")
    try:
        method, target, version = first.split(" ")
        headers = tuple(_header(line) for line in rest if line)
    except ValueError:
        raise Refused("400 Bad Request", "this is no HTTP request") from None
    if not version.startswith("HTTP/1."):
        raise Refused("505 HTTP Version Not Supported", "the proxy speaks HTTP/1.0 and HTTP/1.1")
    if method == "CONNECT":
        host, port = _authority(target, 443)
        return Request(host=host, port=port, tunnel=True)
    return _plain_request(method, target, headers)


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or name != name.strip():
        raise ValueError(line)
    return name, value.strip()


def _plain_request(method: str, target: str, headers: tuple[tuple[str, str], ...]) -> Request:
    scheme, _, after = target.partition("://")
    if scheme.lower() != "http" or not after:
        raise Refused(
            "400 Bad Request",
            f"the proxy takes http://… and CONNECT, not {target[:80]!r}",
        )
    authority, slash, path = after.partition("/")
    authority, mark, query = authority.partition("?")
    host, port = _authority(authority.rpartition("@")[2], 80)
    names = {name.lower(): value for name, value in headers}
    if "transfer-encoding" in names:
        raise Refused("411 Length Required", "send the body with a Content-Length")
    length = names.get("content-length", "0")
    if not length.isdigit():
        raise Refused("400 Bad Request", f"Content-Length {length[:20]!r} is no number")
    return Request(
        host=host,
        port=port,
        tunnel=False,
        method=method,
        target=f"/{path}" if slash else f"/{mark}{query}",
        headers=headers,
        body_bytes=int(length),
    )


def _authority(text: str, port: int) -> tuple[str, int]:
    try:
        parts = urllib.parse.urlsplit(f"//{text}")
        host, number = parts.hostname, parts.port
    except ValueError:
        host, number = None, None
    if not host:
        raise Refused("400 Bad Request", f"{text[:80]!r} names no host")
    return host, number or port


class Proxy:
    """One sandbox's proxy; `allowed` may be changed at any time and holds from then on.

    `package_hosts` are always allowed, also on this machine. `on_refused` is told each refusal's
    line (a job's log wants it: most clients show a bare 403).
    """

    def __init__(
        self,
        allowed: Sequence[str],
        *,
        package_hosts: Sequence[str] = (),
        upstream: Upstream | None = None,
        on_refused: Callable[[str], None] | None = None,
    ) -> None:
        self.allowed = tuple(allowed)
        self._package_hosts = tuple(package_hosts)
        self._upstream = upstream or Upstream()
        self._on_refused = on_refused

    async def handle(self, client: socket.socket) -> None:
        """Serve one connection (a handler for relay.serve)."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_HEAD_SECONDS_MAX):
                head, rest = await _read_head(client)
            request = parse_request(head)
            self._judge_name(request.host)
            target = await self._connect(request)
        except Refused as refused:
            if self._on_refused is not None:
                self._on_refused(refused.line)
            await loop.sock_sendall(client, refused.response())
            await _finish(client)
            return
        with contextlib.closing(target):
            if request.tunnel:
                await self._tunnel(request, client, target, rest)
            else:
                await self._forward(request, client, target, rest)

    def _judge_name(self, host: str) -> None:
        if not self._is_package_host(host) and not network_policy.allows(self.allowed, host):
            raise Refused("403 Forbidden", network_policy.refusal(host))

    def _is_package_host(self, host: str) -> bool:
        return network_policy.allows(self._package_hosts, host)

    async def _connect(self, request: Request) -> socket.socket:
        """Connect to the host, or to the proxy that leads there."""
        proxy = self._upstream.chosen(request.host, tunnel=request.tunnel)
        try:
            if proxy:
                _judge_literal(request.host)
                target = await relay.connect(_authority(_bare_authority(proxy), 3128))
                if request.tunnel:
                    await _ask_for_tunnel(target, request, _credentials(proxy))
                return target
            address = await self._judged_address(request)
            return await relay.connect((address, request.port))
        except OSError as error:
            where = f"{request.host}:{request.port}"
            raise Refused("502 Bad Gateway", f"cannot reach {where}: {error}") from error

    async def _judged_address(self, request: Request) -> str:
        """Resolve a host to an address it may be reached at; Refused if it has none."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(request.host, request.port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if self._is_package_host(request.host):
            return addresses[0]
        for address in addresses:
            if network_policy.forbidden_address(address) is None and not _is_own(address):
                return address
        raise _no_job_may(request.host, addresses[0])

    async def _tunnel(
        self, request: Request, client: socket.socket, target: socket.socket, rest: bytes
    ) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, b"HTTP/1.1 200 Connection established\r\n\r\n")
        await loop.sock_sendall(target, rest)
        await relay.join(client, target)

    async def _forward(
        self, request: Request, client: socket.socket, target: socket.socket, rest: bytes
    ) -> None:
        loop = asyncio.get_running_loop()
        proxy = self._upstream.chosen(request.host, tunnel=False)
        if proxy:
            port = "" if request.port == 80 else f":{request.port}"
            host = f"[{request.host}]" if ":" in request.host else request.host
            head = request.head(f"http://{host}{port}{request.target}", _credentials(proxy))
        else:
            head = request.head(request.target)
        await loop.sock_sendall(target, head)
        async with asyncio.TaskGroup() as group:
            body = group.create_task(_send_body(client, target, rest, request.body_bytes))
            await relay.pump(target, client)
            body.cancel()
        await _finish(client)


async def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """Return a request's head and what came after it; Refused if it is too long."""
    loop = asyncio.get_running_loop()
    received = b""
    while b"\r\n\r\n" not in received:
        if len(received) > _HEAD_BYTES_MAX:
            raise Refused("431 Request Header Fields Too Large", "the request's head is too long")
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
        piece = await loop.sock_recv(client, min(body_bytes, 256 * 1024))
        if not piece:
            raise ConnectionError("the client left before its body was whole")


async def _finish(client: socket.socket) -> None:
    """End our answer so that the client reads all of it: closing with unread input resets."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(2):
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


def _no_job_may(host: str, address: str) -> Refused:
    line = f"no job may reach {host}: {address} is an address of this machine or network link"
    return Refused("403 Forbidden", line)


def _bare_authority(proxy: str) -> str:
    return urllib.parse.urlsplit(proxy if "://" in proxy else f"//{proxy}").netloc.rpartition("@")[2]


def _credentials(proxy: str) -> list[tuple[str, str]]:
    parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"//{proxy}")
    if parts.username is None:
        return []
    pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
    return [("Proxy-Authorization", "Basic " + base64.b64encode(pair.encode()).decode())]


async def _ask_for_tunnel(
    target: socket.socket, request: Request, credentials: list[tuple[str, str]]
) -> None:
    """Send CONNECT to an upstream proxy; OSError unless it agrees."""
    loop = asyncio.get_running_loop()
    host = f"[{request.host}]" if ":" in request.host else request.host
    where = f"{host}:{request.port}"
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    lines += [f"{name}: {value}" for name, value in credentials]
    try:
        await loop.sock_sendall(target, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        # One byte at a time past the head: what follows it belongs to the tunnel.
        answer = b""
        while not answer.endswith(b"\r\n\r\n") and len(answer) < _HEAD_BYTES_MAX:
            more = await loop.sock_recv(target, 1)
            if not more:
                break
            answer += more
        status = answer.split(b"\r\n", 1)[0].decode("latin-1")
        if status.split(" ")[1:2] != ["200"]:
            raise OSError(f"the upstream proxy answered {status!r}")
    except BaseException:
        target.close()
        raise
