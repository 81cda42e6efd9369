"""Websockets to a job's web application: messages both ways, with their close codes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from websockets.asyncio import client
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Origin, Subprotocol

from plasmid.api import app_headers
from plasmid.api.app_relay import (
    CONNECT_SECONDS_MAX,
    NotListeningError,
    Receive,
    Scope,
    Send,
    Way,
    client_of,
    short,
    target_of,
)

MESSAGE_BYTES_MAX: Final = 16 << 20
POLICY: Final = 1008
_REASON_BYTES_MAX: Final = 120
# These are never sent: they say that no code was.
_NO_CODES: Final = (1005, 1006, 1015)
# Made anew for the application, by the library.
_OF_HANDSHAKE: Final = (b"host", b"origin", b"content-length")


async def forward(scope: Scope, receive: Receive, send: Send, *, way: Way) -> None:
    """Join a browser's websocket with one of the application until either is closed.

    Raises NotListeningError while nothing was answered.
    """
    await receive()  # the request itself
    with short(way.path) as name:
        try:
            joined = await _connect(scope, name)
        except (OSError, InvalidHandshake, ValueError) as error:
            # Not there yet, or it wants no websocket here, or leads elsewhere: nobody follows that.
            raise NotListeningError(str(error)) from error
    async with joined:
        await send({"type": "websocket.accept", "subprotocol": joined.subprotocol})
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_to_browser(joined, send)),
                group.create_task(_to_application(joined, receive)),
                group.create_task(_closed_once_forbidden(way, send)),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()


async def deny(send: Send) -> None:
    """Refuse the request for a websocket; whoever asks is told no more than that (403)."""
    await send({"type": "websocket.close"})


async def _connect(scope: Scope, name: str) -> client.ClientConnection:
    headers = scope["headers"]
    lowered = [(key.lower(), value) for key, value in headers]
    scheme = "https" if scope["scheme"] in ("wss", "https") else "http"
    inward = app_headers.inward(lowered, client=client_of(scope), scheme=scheme)
    host = app_headers.value_of(lowered, b"host") or ""
    origin = app_headers.value_of(lowered, b"origin")
    passed = [
        (key.decode("latin-1"), value.decode("latin-1"))
        for key, value in inward
        if key not in _OF_HANDSHAKE and not key.startswith(b"sec-websocket-")
    ]
    return await client.unix_connect(
        name,
        f"ws://{host}{target_of(scope).decode('ascii')}",
        origin=None if origin is None else Origin(origin),
        subprotocols=[Subprotocol(each) for each in scope.get("subprotocols") or []] or None,
        additional_headers=passed,
        user_agent_header=None,
        compression=None,
        open_timeout=CONNECT_SECONDS_MAX,
        # Whether it lives is the browser's to find out; the pings of either side are answered.
        ping_interval=None,
        max_size=MESSAGE_BYTES_MAX,
    )


async def _to_browser(joined: client.ClientConnection, send: Send) -> None:
    with contextlib.suppress(OSError):
        try:
            while True:
                message = await joined.recv()
                kind = "text" if isinstance(message, str) else "bytes"
                await send({"type": "websocket.send", kind: message})
        except ConnectionClosed as closed:
            code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1011, "")
            if code in _NO_CODES:
                code = 1000
            await send({"type": "websocket.close", "code": code, "reason": reason})


async def _to_application(joined: client.ClientConnection, receive: Receive) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                code = message.get("code") or 1001
                if code in _NO_CODES:
                    code = 1001
                await joined.close(code, message.get("reason") or "")
                return
            text = message.get("text")
            await joined.send(message["bytes"] if text is None else text)


async def _closed_once_forbidden(way: Way, send: Send) -> None:
    reason = (await way.forbidden()).encode()[:_REASON_BYTES_MAX].decode(errors="ignore")
    with contextlib.suppress(OSError):
        await send({"type": "websocket.close", "code": POLICY, "reason": reason})
