"""The websocket of a job's log (contract G.1)."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from plasmid.domain import errors
from plasmid.methods import log_feed, targets
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
        try:
            question = await _question(socket)
            call = await self._call_of(socket, question)
            job = await targets.get_job(call, socket.path_params["job"])
            async for message in log_feed.messages(self._platform, job, question):
                await socket.send_text(msgspec.json.encode(message).decode())
            if self._platform.is_stopping:
                await socket.close(1001, RESTART)
                return
            await socket.send_json(END)
            await socket.close(1000)
        except errors.ApiError as error:
            await socket.close(4000, _reason(error))
        except WebSocketDisconnect:
            return

    async def _call_of(self, socket: WebSocket, question: log_feed.Question) -> Call:
        platform = self._platform
        now_ms = platform.now_ms()
        bearer = f"Bearer {question.access_token}" if question.access_token else None
        actor = await platform.authenticator.actor_of(platform.database.reader, bearer, now_ms)
        client_ip = socket.client.host if socket.client else ""
        return Call(platform, actor, Request(client_ip=client_ip), now_ms=now_ms)


async def _question(socket: WebSocket) -> log_feed.Question:
    frame: Any = await socket.receive_text()
    try:
        return msgspec.json.decode(frame, type=log_feed.Question)
    except msgspec.DecodeError as error:
        raise errors.InvalidInput(f"The first frame must be a JSON object: {error}") from error


def _reason(error: errors.ApiError) -> str:
    """Return the close reason; a control frame holds 123 bytes."""
    message = error.message
    while True:
        reason = msgspec.json.encode({"type": error.type, "message": message}).decode()
        if len(reason.encode()) <= REASON_BYTES_MAX:
            return reason
        message = message[: len(message) * 3 // 4]
