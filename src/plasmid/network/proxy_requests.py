"""What clients ask a forward proxy for, read and written again (RFC 9112); pure."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterable
from typing import Final

import msgspec

from plasmid.domain import network_policy

_HOP_HEADERS: Final = frozenset(
    {"connection", "proxy-connection", "proxy-authorization", "keep-alive", "te", "upgrade"}
)
Header = tuple[str, str]


class RefusedError(Exception):
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
    """What a client wants: a tunnel to a host and port, or one plain HTTP request passed on.

    `target` is the path and query as the server is to see it.
    """

    host: str
    port: int
    tunnel: bool
    method: str = ""
    target: str = ""
    headers: tuple[Header, ...] = ()
    body_bytes: int = 0

    @property
    def authority(self) -> str:
        """The host and port as they stand in a request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 and not self.tunnel else f"{host}:{self.port}"

    def head(self, target: str, extra: Iterable[Header] = ()) -> bytes:
        """Return the request's head for a server, which is asked to close after its answer."""
        kept = [(n, v) for n, v in self.headers if n.lower() not in _HOP_HEADERS]
        return head(f"{self.method} {target} HTTP/1.1", [*kept, *extra, ("Connection", "close")])


def proven(request: Request, secret: str) -> Request:
    """Return a request whose token says that it comes out of the sandbox which has this secret."""
    headers = tuple(
        (name, f"{value}.{secret}" if name.lower() == "authorization" else value)
        for name, value in request.headers
    )
    return msgspec.structs.replace(request, headers=headers)


def head(first: str, headers: Iterable[Header]) -> bytes:
    """Return the head of an HTTP message."""
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def parse(text: bytes, origin: str = "") -> Request:
    """Read a request's head; raises RefusedError if it is none for a proxy.

    With an `origin` such as http://host it may be one for that server.
    """
    first, *rest = text.decode("latin-1").split("\r\n")
    try:
        method, target, version = first.split(" ")
        headers = tuple(_header(line) for line in rest if line)
    except ValueError:
        raise RefusedError("400 Bad Request", "this is no HTTP request") from None
    if not version.startswith("HTTP/1."):
        raise RefusedError(
            "505 HTTP Version Not Supported", "the proxy speaks HTTP/1.0 and HTTP/1.1"
        )
    if origin and target.startswith("/"):
        target = origin + target
    if method == "CONNECT":
        host, port = authority(target, 443)
        return Request(host=host, port=port, tunnel=True)
    return _plain(method, target, headers)


def _header(line: str) -> Header:
    name, colon, value = line.partition(":")
    if not colon or name != name.strip():
        raise ValueError(line)
    return name, value.strip()


def _plain(method: str, target: str, headers: tuple[Header, ...]) -> Request:
    parts = urllib.parse.urlsplit(target)
    if parts.scheme.lower() != "http" or not parts.netloc:
        line = f"the proxy takes http:// addresses and CONNECT, not {target[:80]!r}"
        raise RefusedError("400 Bad Request", line)
    host, port = authority(parts.netloc.rpartition("@")[2], 80)
    names = {name.lower(): value for name, value in headers}
    if "transfer-encoding" in names:
        raise RefusedError("411 Length Required", "send the body with a Content-Length")
    length = names.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise RefusedError("400 Bad Request", f"Content-Length {length[:20]!r} is no number")
    return Request(
        host=host,
        port=port,
        tunnel=False,
        method=method,
        target=urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")),
        headers=headers,
        body_bytes=int(length),
    )


def authority(text: str, port: int) -> tuple[str, int]:
    """Return the host and port in `host`, `host:port` or `[v6]:port`; RefusedError if none."""
    try:
        parts = urllib.parse.urlsplit(f"//{text}")
        host, number = parts.hostname, parts.port
    except ValueError:
        host, number = None, None
    if not host:
        raise RefusedError("400 Bad Request", f"{text[:80]!r} names no host")
    return host, number or port


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


def proxy_address(proxy: str) -> tuple[str, int]:
    """Return the host and port of a proxy given as in http_proxy."""
    parts = _split(proxy)
    return parts.hostname or "", parts.port or 3128


def proxy_credentials(proxy: str) -> list[Header]:
    """Return the header that tells a proxy who we are; [] if its address names nobody."""
    parts = _split(proxy)
    if parts.username is None:
        return []
    pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
    return [("Proxy-Authorization", "Basic " + base64.b64encode(pair.encode()).decode())]


def _split(proxy: str) -> urllib.parse.SplitResult:
    return urllib.parse.urlsplit(proxy if "://" in proxy else f"//{proxy}")
