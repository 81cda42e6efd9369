"""`GET /job-xxxx/getLog`: the whole log of a job in one answer, as it is kept (contract F.10).

NDJSON; hardly anything is done per line, and one block is in memory at a time. The header
`x-plasmid-next` says from where a later call goes on (`?starting=`). A reader that takes nothing
for a while is dropped.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from plasmid.api.http_protocol import EXTENSION, HttpProtocol
from plasmid.domain import errors
from plasmid.logs.store import ALL
from plasmid.methods import call as calls
from plasmid.methods import job_log, targets
from plasmid.methods.call import Call, Platform

NEXT: Final = "x-plasmid-next"
SEND_SECONDS_MAX: Final = 60.0
_NUMBERS: Final = ("try", "numRecentMessages")
_log = structlog.get_logger()


class LogStream:
    """Gives logs to whoever may see the job."""

    def __init__(self, platform: Platform, *, send_seconds_max: float = SEND_SECONDS_MAX) -> None:
        self._platform = platform
        self._send_seconds_max = send_seconds_max

    async def get(self, request: Request) -> Response:
        """Give all lines up to now, of all tries or of what the query names."""
        platform = self._platform
        row = await targets.get_job(await self._call_of(request), request.path_params["job"])
        spans = await job_log.spans_of(platform, row, _question(request), choice=ALL)
        last = spans[-1]
        headers = {
            "x-content-type-options": "nosniff",
            NEXT: str(job_log.Cursor(last.attempt, last.end.line)),
        }
        content = job_log.stream(platform, row, spans)
        response = _Blocks(content, headers=headers, media_type="application/x-ndjson")
        response.send_seconds_max = self._send_seconds_max
        return response

    async def _call_of(self, request: Request) -> Call:
        platform = self._platform
        now_ms = platform.now_ms()
        actor = await platform.authenticator.actor_of(
            platform.database.reader, request.headers.get("authorization"), now_ms
        )
        await platform.rates.admit(actor, now_ms)
        client_ip = request.client.host if request.client else ""
        return Call(platform, actor, calls.Request(client_ip=client_ip), now_ms=now_ms)


class _Blocks(StreamingResponse):
    """A stream each block of which must be taken within a time."""

    send_seconds_max = SEND_SECONDS_MAX

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        protocol: HttpProtocol | None = scope.get("extensions", {}).get(EXTENSION)

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(self.send_seconds_max):
                    await send(message)
            except TimeoutError:
                _log.info("log_reader_dropped", path=scope["path"])
                if protocol is None:
                    raise
                protocol.drop()  # of which we are told as of any reader that has left

        await super().__call__(scope, receive, send_in_time)


def _question(request: Request) -> job_log.Question:
    numbers = {}
    for name in _NUMBERS:
        given = request.query_params.get(name)
        if given is not None and not (given.isascii() and given.isdecimal() and len(given) < 10):
            raise errors.InvalidInput(f"Expected {name} in the query to be a number")
        numbers[name] = None if given is None else int(given)
    starting = request.query_params.get("starting")
    return job_log.Question(numbers["try"], starting, numbers["numRecentMessages"])
