"""The websocket of a job's log (contract G.1).

A reader costs little: what it has not taken waits on disk. One that takes nothing for a while, says
nothing at the beginning, or goes away is dropped; it finds all again when it comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from plasmid.api.websocket_protocol import EXTENSION, WebSocketProtocol
from plasmid.domain import errors
from plasmid.metadata.rows import JobRow
from plasmid.methods import decode, log_feed, targets
from plasmid.methods.call import Call, Platform, Request

REASON_BYTES_MAX: Final = 123
END: Final = {"source": "SYSTEM", "msg": "END_LOG"}
RESTART: Final = "Server restart, please reconnect later"
SEND_SECONDS_MAX: Final = 60.0
QUESTION_SECONDS_MAX: Final = 30.0
_log = structlog.get_logger()


class LogFeed:
    """Sends what a job has logged, then what it logs, until it is over."""

    def __init__(
        self,
        platform: Platform,
        *,
        send_seconds_max: float = SEND_SECONDS_MAX,
        question_seconds_max: float = QUESTION_SECONDS_MAX,
    ) -> None:
        self._platform = platform
        self._send_seconds_max = send_seconds_max
        self._question_seconds_max = question_seconds_max

    async def serve(self, socket: WebSocket) -> None:
        """Serve one reader: its first frame says who it is and what it wants to see."""
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            try:
                question = await self._question(socket)
                call = await self._call_of(socket, question)
                job = await targets.get_job(call, socket.path_params["job"])
                if question.attempt is not None and not 0 <= question.attempt <= job.attempt:
                    raise errors.ResourceNotFound(f"{job.id} has no try {question.attempt}")
                await self._send(socket, job, question)
            except errors.ApiError as error:
                await socket.close(4000, _reason(error))

    async def _send(self, socket: WebSocket, job: JobRow, question: log_feed.Question) -> None:
        """Send until all is said, or until the reader has gone away."""
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send_all(socket, job, question))
            leaving = group.create_task(_until_gone(socket))
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            leaving.cancel()

    async def _send_all(self, socket: WebSocket, job: JobRow, question: log_feed.Question) -> None:
        protocol: WebSocketProtocol | None = socket.scope.get("extensions", {}).get(EXTENSION)
        if protocol is not None:
            protocol.hold_little()
        try:
            async with contextlib.aclosing(
                log_feed.messages(self._platform, job, question)
            ) as feed:
                while not self._platform.is_stopping:
                    async with asyncio.timeout(self._send_seconds_max):
                        await _wait_for_room(protocol)
                    # only now is more read: for who does not take it, none of it is held here
                    messages = await anext(feed, None)
                    if messages is None:
                        break
                    async with asyncio.timeout(self._send_seconds_max):
                        await _send_some(socket, protocol, messages)
                    messages.clear()  # the feed has the list too
            async with asyncio.timeout(self._send_seconds_max):
                if self._platform.is_stopping:
                    await socket.close(1001, RESTART)
                else:
                    await socket.send_json(END)
                    await socket.close(1000)
        except TimeoutError:
            _log.info("log_reader_dropped", job=job.id)
            if protocol is not None:
                protocol.drop()
        except WebSocketDisconnect:
            return

    async def _question(self, socket: WebSocket) -> log_feed.Question:
        try:
            async with asyncio.timeout(self._question_seconds_max):
                frame = await socket.receive()
        except TimeoutError:
            raise errors.InvalidInput("The first frame, with the token, did not come") from None
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1000))
        text = frame.get("text")
        if text is None:
            raise errors.InvalidInput("The first frame must be text")
        question: log_feed.Question = decode.decode(text.encode(), log_feed.Question)
        return question

    async def _call_of(self, socket: WebSocket, question: log_feed.Question) -> Call:
        platform = self._platform
        now_ms = platform.now_ms()
        bearer = f"Bearer {question.access_token}" if question.access_token else None
        actor = await platform.authenticator.actor_of(platform.database.reader, bearer, now_ms)
        await platform.rates.admit(actor, now_ms)
        client_ip = socket.client.host if socket.client else ""
        return Call(platform, actor, Request(client_ip=client_ip), now_ms=now_ms)


async def _wait_for_room(protocol: WebSocketProtocol | None) -> None:
    if protocol is not None:
        await protocol.wait_for_room()


async def _send_some(
    socket: WebSocket, protocol: WebSocketProtocol | None, messages: Sequence[bytes]
) -> None:
    if protocol is None:
        for message in messages:
            await socket.send_text(message.decode())
        return
    try:
        await protocol.send_texts(messages)
    except OSError as error:
        raise WebSocketDisconnect(1006) from error


async def _until_gone(socket: WebSocket) -> None:
    """Return when the reader has gone away; whatever else it says is not listened to."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        continue


def _reason(error: errors.ApiError) -> str:
    """Return the close reason; a control frame holds 123 bytes."""
    message = error.message
    while True:
        reason = msgspec.json.encode({"type": error.type, "message": message}).decode()
        if len(reason.encode()) <= REASON_BYTES_MAX:
            return reason
        message = message[: len(message) * 3 // 4]
