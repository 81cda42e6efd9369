"""Requests to a job's web application, through the socket that its worker has made.

That socket is the only thing that is ever connected to. Each request has a connection of its own,
so no two can be mixed up, and bodies are streamed both ways.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    MutableMapping,
)
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2
import structlog

from plasmid.api import app_headers
from plasmid.domain import https_app

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

CONNECT_SECONDS_MAX: Final = 10.0
# An application that takes nothing of a body for so long gets no more of it.
WRITE_SECONDS_MAX: Final = 60.0
# A body is read ahead by so many pieces (of 64 KiB, most), so that its end is seen soon.
PIECES_MAX: Final = 4
_STATUSES: Final = range(200, 600)
# Never used, as nothing here is TLS; making one for each request would take longer than the rest.
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_log = structlog.get_logger()


class Way(NamedTuple):
    """The way to an application: its socket, and what returns (why) once it may not be gone on."""

    path: Path
    forbidden: Callable[[], Coroutine[Any, Any, str]]


class NotListeningError(Exception):
    """The application does not answer: not yet, or not any more."""


class NoAnswerError(Exception):
    """The application has got the request, or some of it, and gives no answer to it."""


class _UnfitError(Exception):
    """What the application answers cannot be passed on."""


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """Yield a name of a socket that is short enough: an address of one may have 108 bytes only."""
    try:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NotListeningError(str(error)) from error
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class _Body:
    """The body of a request, read ahead by one task that also sees when who sent it has gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(PIECES_MAX)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body, as long as `read` goes on."""
        while piece := await self._pieces.get():
            yield piece

    async def read(self) -> None:
        """Read the body; return once who sent it has gone away, or has their answer."""
        while (message := await self._receive())["type"] != "http.disconnect":
            if message.get("body"):
                await self._pieces.put(message["body"])
            if not message.get("more_body"):
                await self._pieces.put(b"")


class _Stream(httpx2.AsyncByteStream):
    """A body in the form that the library sends."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces


async def forward(
    scope: Scope, receive: Receive, send: Send, *, way: Way, headers: app_headers.Headers
) -> None:
    """Let the application answer a request; `headers` go out with its own.

    Raises NotListeningError or NoAnswerError, both before anything was answered.
    """
    given = {name for name, _ in scope["headers"]}
    has_body = bool(given & {b"content-length", b"transfer-encoding"})
    body = _Body(receive)
    asked = _request(scope, _Stream(body.pieces()) if has_body else None)
    with short(way.path) as name:
        async with asyncio.TaskGroup() as group:
            answering = group.create_task(_quietly(_answer(asked, name, send, headers)))
            leaving = group.create_task(body.read())
            forbidden = group.create_task(way.forbidden())
            tasks = (answering, leaving, forbidden)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
    problem = None if answering.cancelled() else answering.result()
    if problem is not None:
        raise problem


async def _quietly(story: Awaitable[None]) -> BaseException | None:
    """Return what a story raises of what is to be expected: a task group would wrap it."""
    try:
        await story
    except (NotListeningError, NoAnswerError) as problem:
        return problem
    except (httpx2.TransportError, _UnfitError) as problem:
        # One side has ended in the middle: what is sent so far is cut off, which says so.
        _log.info("web_app_cut_off", problem=str(problem) or type(problem).__name__)
    return None


def _request(scope: Scope, stream: httpx2.AsyncByteStream | None) -> httpx2.Request:
    inward = app_headers.inward(scope["headers"], client=client_of(scope), scheme=scope["scheme"])
    if stream is not None and not any(name == b"content-length" for name, _ in inward):
        inward.append((b"transfer-encoding", b"chunked"))
    inward.append((b"connection", b"close"))
    timeout = {
        "connect": CONNECT_SECONDS_MAX, "read": None, "write": WRITE_SECONDS_MAX, "pool": None,
    }  # fmt: skip
    return httpx2.Request(
        scope["method"],
        "http://web-app.invalid/",
        headers=inward,
        stream=stream or httpx2.ByteStream(b""),
        extensions={"target": target_of(scope), "timeout": timeout},
    )


def client_of(scope: Scope) -> str:
    """Return the address of who asks."""
    return scope["client"][0] if scope.get("client") else ""


def target_of(scope: Scope) -> bytes:
    """Return path and query just as they came."""
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return path + b"?" + query if query else path


async def _answer(
    asked: httpx2.Request, name: str, send: Send, headers: app_headers.Headers
) -> None:
    transport = httpx2.AsyncHTTPTransport(uds=name, verify=_NO_TLS, trust_env=False)
    async with transport:
        response = await _response(transport, asked)
        outward = app_headers.outward(response.headers.raw, status=response.status_code)
        async with contextlib.aclosing(response):
            if https_app.NOT_LISTENING in response.headers:
                raise NotListeningError("nobody listens inside the sandbox")
            if response.status_code not in _STATUSES:
                raise NoAnswerError(f"its status is {response.status_code}")
            start = {"status": response.status_code, "headers": outward + headers}
            await _pass_on(send, {"type": "http.response.start", **start})
            async for piece in response.aiter_raw():
                more = {"body": piece, "more_body": True}
                await _pass_on(send, {"type": "http.response.body", **more})
            await _pass_on(send, {"type": "http.response.body", "body": b""})


async def _response(transport: httpx2.AsyncHTTPTransport, asked: httpx2.Request) -> httpx2.Response:
    """Return the answer, whose body is still to come."""
    try:
        return await transport.handle_async_request(asked)
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise NotListeningError(str(error)) from error
    except httpx2.WriteTimeout as error:
        raise NoAnswerError("it does not take what is sent to it") from error
    except httpx2.TransportError as error:
        raise NoAnswerError(str(error) or type(error).__name__) from error


async def _pass_on(send: Send, message: MutableMapping[str, Any]) -> None:
    """Send a part of the answer; raises _UnfitError if the server finds it malformed."""
    try:
        await send(message)
    except RuntimeError as error:
        raise _UnfitError(str(error)) from error
