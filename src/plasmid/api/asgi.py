"""The HTTP door: one route for all methods (contract A). It knows no method by name."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

import structlog
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from plasmid.api import answers, log_stream, oauth, transfer, websocket
from plasmid.api.discovery import Discovery
from plasmid.api.documents import Documents
from plasmid.api.web_apps import WebApps
from plasmid.domain import errors
from plasmid.methods import registry
from plasmid.methods.call import Call, Platform, Request
from plasmid.telemetry import failpoints

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_BYTES_MAX: Final = 64 << 20
PIECE_BYTES: Final = 1 << 20
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
_JSON_HEADERS: Final = ((b"content-type", b"application/json"), _NOSNIFF)
_log = structlog.get_logger()


def make_app(platform: Platform) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return the ASGI application: methods, bytes of files, and the websocket of logs."""
    api = Api(platform)
    transfers = transfer.Transfers(platform)
    feed = websocket.LogFeed(platform)
    discovery = Discovery(platform)
    around = Starlette(
        routes=[
            Route("/U/{file}/{claim}", transfers.put, methods=["PUT"]),
            Route("/F/{file}/{claim}", transfers.get, methods=["GET", "HEAD"]),
            Route("/F/{file}/{claim}/{name:path}", transfers.get, methods=["GET", "HEAD"]),
            Route("/.well-known/openid-configuration", discovery.configuration),
            Route("/.well-known/jwks.json", discovery.keys),
            Route(oauth.PATH, oauth.refuse, methods=["POST"]),
            Route("/openapi.json", Documents(platform).openapi),
            Route("/{job}/getLog", log_stream.LogStream(platform).get),
            WebSocketRoute("/{job}/getLog/websocket", feed.serve),
        ],
        exception_handlers={
            errors.ApiError: transfer.refuse,
            404: transfer.no_such_page,
            405: transfer.no_such_page,
        },
    )

    web_apps = WebApps(platform)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        place = web_apps.place_of(scope)
        if place is not None:
            await web_apps.serve(scope, receive, send, place)
            return
        is_call = scope["type"] == "http" and scope["method"] in ("POST", "OPTIONS")
        if is_call and scope["path"] != oauth.PATH:
            await api(scope, receive, send)
        elif scope["type"] == "http":
            await around(scope, receive, _marked(send, api.next_id()))
        else:
            await around(scope, receive, send)

    return app


def _marked(send: Send, request_id: str) -> Send:
    """Return a send that gives every answer the headers that all answers have (contract A.4)."""

    async def send_marked(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            if all(name != _NOSNIFF[0] for name, _ in headers):
                headers.append(_NOSNIFF)
            message = {**message, "headers": headers}
        await send(message)

    return send_marked


class Api:
    """Answers the calls of methods."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._numbers = itertools.cycle(range(1, 1_000_000))

    def next_id(self) -> str:
        """Return a new request id (contract A.4)."""
        return f"{self._platform.now_ms():013d}-{next(self._numbers)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever happens, the answer is JSON with a request id."""
        now_ms = self._platform.now_ms()
        request_id = self.next_id()
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        extra = [(b"x-request-id", request_id.encode())]
        if "origin" in headers:
            extra += _cors_headers(headers)
        if "dnanexus-api" in headers:
            extra.append((b"dnanexus-api", headers["dnanexus-api"].encode("latin-1")))
        if scope["method"] == "OPTIONS":
            await _send(send, 200, b"{}", extra)
            return
        try:
            body = await _read_body(receive, headers)
            result = await self._call(scope, headers, body, now_ms)
            status, content = 200, await answers.encode(result)
        except errors.ApiError as error:
            status, content = error.status, answers.encode_error(error)
            extra += _retry_headers(error)
        except Exception:
            _log.exception("call_broke", path=scope["path"], request_id=request_id)
            message = f"Something is wrong on our side; the operator finds it under {request_id}"
            status, content = 500, answers.encode_error(errors.InternalError(message))
        await _send(send, status, content, extra)

    async def _call(self, scope: Scope, headers: dict[str, str], body: bytes, now_ms: int) -> Any:
        platform = self._platform
        actor = await platform.authenticator.actor_of(
            platform.database.reader, headers.get("authorization"), now_ms
        )
        await platform.rates.admit(actor, now_ms)
        client = scope.get("client")
        request = Request(
            base_url=f"{scope['scheme']}://{headers.get('host', '')}",
            client_ip=client[0] if client else "",
            headers=headers,
        )
        call = Call(platform, actor, request, now_ms=now_ms)
        failpoints.reach("S0", job=scope["path"])
        answer = await registry.answer(call, scope["path"], body)
        failpoints.reach("S1", job=scope["path"])
        return answer


def _retry_headers(error: errors.ApiError) -> list[tuple[bytes, bytes]]:
    details = error.details if isinstance(error.details, dict) else {}
    seconds = details.get("retryAfter")
    return [] if seconds is None else [(b"retry-after", str(seconds).encode())]


def _cors_headers(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", headers["origin"].encode("latin-1")),
        (
            b"access-control-allow-headers",
            headers.get("access-control-request-headers", "authorization, content-type").encode(),
        ),
        (b"access-control-allow-methods", b"POST, OPTIONS"),
    ]


async def _read_body(receive: Receive, headers: dict[str, str]) -> bytes:
    """Return the whole body; raises MalformedJSON for another content type (contract A.2)."""
    content_type = headers.get("content-type", "application/json").partition(";")[0].strip()
    if content_type.lower() != "application/json":
        raise errors.MalformedJSON(f"The content type must be application/json, not {content_type}")
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > BODY_BYTES_MAX:
        raise _too_large()  # what comes nevertheless is not kept
    pieces = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise errors.MalformedJSON("The request ended before its body did")
        piece = message.get("body", b"")
        size_bytes += len(piece)
        if size_bytes > BODY_BYTES_MAX:
            raise _too_large()
        pieces.append(piece)
        if not message.get("more_body"):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large() -> errors.InvalidInput:
    return errors.InvalidInput(f"The request body is larger than {BODY_BYTES_MAX} bytes")


async def _send(
    send: Send, status: int, content: bytes, extra: Iterable[tuple[bytes, bytes]]
) -> None:
    headers = [*_JSON_HEADERS, (b"content-length", str(len(content)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    start = 0
    while len(content) - start > PIECE_BYTES:  # the connection takes one when it has sent another
        piece = content[start : start + PIECE_BYTES]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        start += PIECE_BYTES
    await send({"type": "http.response.body", "body": content[start:]})
