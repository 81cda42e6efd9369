"""The server's side of a websocket, below ASGI: what uvicorn's protocol lacks for slow readers.

A connection whose other side is gone, or reads nothing, is dropped with what waits in its buffer;
uvicorn only closes it, which waits until the buffer is empty, possibly for ever.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent
    from websockets.http11 import Request

# Where an application finds the protocol of its connection.
EXTENSION: Final = "plasmid.protocol"
# What is closed gets so long to take what was sent before.
LINGER_SECONDS: Final = 60.0
_KERNEL_BYTES: Final = 64 << 10


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A websocket that can be told to hold little, to send much at once, and to drop."""

    def handle_connect(self, event: Request) -> None:
        """Begin, and let the application find this."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self

    def hold_little(self) -> None:
        """Let little wait for a slow reader: a piece here, some pages in the kernel.

        There is room for the next piece when the kernel has taken the last one.
        """
        self.transport.set_write_buffer_limits(high=0)
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)

    async def wait_for_room(self) -> None:
        """Return when something would be sent at once, or when nobody is there any more."""
        await self.writable.wait()

    async def send_texts(self, texts: Sequence[bytes]) -> None:
        """Send text messages with one write, once there is room for it."""
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        try:
            for text in texts:
                self.conn.send_text(text)
        except InvalidState as error:
            raise ClientDisconnected from error
        self.transport.write(b"".join(self.conn.data_to_send()))

    async def send(self, message: ASGISendEvent) -> None:
        """Send; a close is given some time, then the connection is dropped."""
        await super().send(message)
        if message["type"] == "websocket.close":
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def drop(self) -> None:
        """Forget what is not sent, and end the connection."""
        self.transport.abort()

    def eof_received(self) -> None:
        """Drop a connection whose other side will say no more, and tell the application at once.

        What it has not read would keep it open, possibly for ever.
        """
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        self.drop()

    def keepalive_timeout(self) -> None:
        """Drop a connection whose other side has not answered a ping."""
        super().keepalive_timeout()
        self.drop()
