"""What of a request goes in to a job's web application, and of its answer out to the browser.

Everything an application could use against others stays here: the Plasmid cookie and token of who
asks, what belongs to one connection only, cookies for more than its own host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

Headers = list[tuple[bytes, bytes]]

COOKIE: Final = "plasmid-app"
# Browsers take a name with this prefix for one host only, and only by TLS.
SECURE_COOKIE: Final = "__Host-plasmid-app"
HEADERS_BYTES_MAX: Final = 64 * 1024
_OWN_COOKIES: Final = (COOKIE.encode(), SECURE_COOKIE.encode())
_HOST: Final = re.compile(rb"[A-Za-z0-9.-]+(?::[0-9]{0,5})?")
_OF_CONNECTION: Final = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
_NOT_INWARD: Final = _OF_CONNECTION | {
    b"authorization", b"expect", b"forwarded", b"host", b"http2-settings", b"x-forwarded-for",
    b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip", b"cookie",
}  # fmt: skip
# The last ones would lead a browser, or other hosts, elsewhere.
_NOT_OUTWARD: Final = _OF_CONNECTION | {b"alt-svc", b"set-cookie"}


def value_of(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """Return the first value of a header; None if it is not there."""
    return next((value.decode("latin-1") for key, value in headers if key == name), None)


def cookie_name(scheme: str) -> str:
    """Return the name of the Plasmid cookie for browsers that come by a scheme."""
    return SECURE_COOKIE if scheme == "https" else COOKIE


def cookies(headers: Headers, *, scheme: str) -> list[str]:
    """Return the values of the Plasmid cookies that count of those that a browser has sent.

    By TLS these are only the ones that no other host can have set.
    """
    own = cookie_name(scheme).encode()
    return [value.decode("latin-1") for name, value in _pairs(headers) if name == own]


def _pairs(headers: Headers) -> Iterable[tuple[bytes, bytes]]:
    for key, value in headers:
        if key == b"cookie":
            for pair in value.split(b";"):
                name, _, content = pair.partition(b"=")
                yield name.strip(), content.strip()


def problem(headers: Headers) -> tuple[int, str] | None:
    """Return status and reason if a request is one that two readers could take for two."""
    if sum(len(name) + len(value) + 4 for name, value in headers) > HEADERS_BYTES_MAX:
        return 431, "The headers of the request are too large"
    names = [name for name, _ in headers]
    if names.count(b"host") > 1:
        return 400, "The request names more than one host"
    if not all(_HOST.fullmatch(value) for name, value in headers if name == b"host"):
        return 400, "What the request names as its host is no name and port"
    if names.count(b"content-length") > 1:
        return 400, "The request says more than once how long it is"
    if b"content-length" in names and b"transfer-encoding" in names:
        return 400, "The request says in two ways how long it is"
    return None


def is_service_worker(headers: Headers) -> bool:
    """Say whether a browser asks for a script that would from then on stand before all of a host.

    It would also stand before our login there, and read what is typed into it.
    """
    return value_of(headers, b"service-worker") is not None


def inward(headers: Headers, *, client: str, scheme: str) -> Headers:
    """Return the headers with which an application gets a request, but for its length."""
    dropped = _NOT_INWARD | _named_by_connection(headers)
    kept = [(name, value) for name, value in headers if name not in dropped]
    others = b"; ".join(
        name + b"=" + value for name, value in _pairs(headers) if name not in _OWN_COOKIES and name
    )
    if others:
        kept.append((b"cookie", others))
    host = (value_of(headers, b"host") or "").encode("latin-1")
    return [
        (b"host", host),
        *kept,
        (b"x-forwarded-for", client.encode("latin-1", "replace")),
        (b"x-forwarded-host", host),
        (b"x-forwarded-proto", scheme.encode()),
    ]


def outward(headers: Headers, *, status: int) -> Headers:
    """Return the headers with which a browser gets an application's answer."""
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = _NOT_OUTWARD | _named_by_connection(lowered)
    is_chunked = any(name == b"transfer-encoding" for name, _ in lowered)
    if status in (204, 304) or is_chunked:
        # There is no content, or it is as long as its pieces are, whatever is said.
        dropped |= {b"content-length"}
    kept = [(name, value) for name, value in lowered if name not in dropped]
    kept += [
        (b"set-cookie", own)
        for name, value in lowered
        if name == b"set-cookie" and (own := _for_own_host(value))
    ]
    if value_of(kept, b"origin-agent-cluster") is None:
        # No application may loosen its origin to that of its neighbours (document.domain).
        kept.append((b"origin-agent-cluster", b"?1"))
    return kept


def _for_own_host(cookie: bytes) -> bytes:
    """Return a cookie of an application for its own host only; b"" if it may not set that one."""
    pair, *attributes = cookie.split(b";")
    if pair.partition(b"=")[0].strip() in _OWN_COOKIES:
        return b""
    kept = [each for each in attributes if each.partition(b"=")[0].strip().lower() != b"domain"]
    return b";".join([pair, *kept])


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    """Return what a Connection header says is of this connection only."""
    named = [value for name, value in headers if name == b"connection"]
    return frozenset(token.strip().lower() for value in named for token in value.split(b","))


def is_own_origin(headers: Headers, *, scheme: str) -> bool:
    """Say whether what a browser says of where a request comes from is this very host.

    A request that says nothing of it comes from no page, or from one that was opened by hand.
    """
    origin = value_of(headers, b"origin")
    if origin is None:
        return True
    try:
        parts = urlsplit(f"{scheme}://{value_of(headers, b'host') or ''}")
        given = urlsplit(origin)
        port = given.port or _usual_port(given.scheme)
        own_port = parts.port or _usual_port(parts.scheme)
    except ValueError:
        return False
    return (given.scheme, given.hostname, port) == (parts.scheme, parts.hostname, own_port)


def _usual_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def is_from_elsewhere(method: str, headers: Headers, *, scheme: str) -> bool:
    """Say whether another site has made a browser send this request, in its user's name.

    Following a link to here is no such thing. Browsers say more (Sec-Fetch-...) to hosts that they
    trust; of all others only the origin is known.
    """
    site = value_of(headers, b"sec-fetch-site")
    if site is None:
        return not is_own_origin(headers, scheme=scheme)
    if site in ("same-origin", "none"):
        return False
    follows = (
        method in ("GET", "HEAD")
        and value_of(headers, b"sec-fetch-mode") == "navigate"
        and value_of(headers, b"sec-fetch-dest") in (None, "document")
    )
    return not follows
