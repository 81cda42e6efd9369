"""The websocket of a job's log (contract G.1)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from plasmid.domain import errors
from plasmid.metadata.rows import JobRow
from plasmid.methods import decode, log_feed, targets
from plasmid.methods.call import Call, Platform, Request

REASON_BYTES_MAX: Final = 123
END: Final = {"source": "SYSTEM", "msg": "END_LOG"}
RESTART: Final = "Server restart, please reconnect later"


class LogFeed:
    """Sends what a job has logged, then what it logs, until it is over."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def serve(self, socket: WebSocket) -> None:
        """Serve one reader: its first frame says who it is and what it wants to see."""
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            try:
                question = await _question(socket)
                call = await self._call_of(socket, question)
                job = await targets.get_job(call, socket.path_params["job"])
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
        with contextlib.suppress(WebSocketDisconnect):
            async for message in log_feed.messages(self._platform, job, question):
                await socket.send_text(msgspec.json.encode(message).decode())
            if self._platform.is_stopping:
                await socket.close(1001, RESTART)
                return
            await socket.send_json(END)
            await socket.close(1000)

    async def _call_of(self, socket: WebSocket, question: log_feed.Question) -> Call:
        platform = self._platform
        now_ms = platform.now_ms()
        bearer = f"Bearer {question.access_token}" if question.access_token else None
        actor = await platform.authenticator.actor_of(platform.database.reader, bearer, now_ms)
        client_ip = socket.client.host if socket.client else ""
        return Call(platform, actor, Request(client_ip=client_ip), now_ms=now_ms)


async def _question(socket: WebSocket) -> log_feed.Question:
    frame = await socket.receive()
    if frame["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(frame.get("code", 1000))
    text = frame.get("text")
    if text is None:
        raise errors.InvalidInput("The first frame must be text")
    question: log_feed.Question = decode.decode(text.encode(), log_feed.Question)
    return question


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
