"""The server's side of an HTTP connection, below ASGI: what uvicorn's lacks for bad peers.

A connection whose other side reads nothing is only closed by uvicorn, which waits until its buffer
is empty, possibly for ever. It keeps a path and headers of any length, and answers what is no HTTP
with plain text.
"""

from __future__ import annotations

import time
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from plasmid.api import answers
from plasmid.domain import errors

# Where an application finds the protocol of its connection.
EXTENSION: Final = "plasmid.http_protocol"
HEAD_BYTES_MAX: Final = 256 << 10


class HttpProtocol(HttpToolsProtocol):
    """An HTTP connection that can be told to drop, and takes no head that is too long."""

    _head_bytes = 0

    def on_message_begin(self) -> None:
        """Begin a request, and let the application find this."""
        super().on_message_begin()
        self._head_bytes = 0
        cast("dict[str, Any]", self.scope)["extensions"] = {EXTENSION: self}

    def drop(self) -> None:
        """Forget what is not sent, and end the connection."""
        self.transport.abort()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > HEAD_BYTES_MAX:
            raise ValueError("the head of the request is too long")

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read as HTTP in the form of every error, and hang up."""
        if self.transport.is_closing():
            return
        if self._head_bytes > HEAD_BYTES_MAX:
            msg = f"The path and the headers are longer than {HEAD_BYTES_MAX} bytes"
        content = answers.encode_error(errors.MalformedJSON(msg))
        lines = [
            "HTTP/1.1 400 Bad Request",
            "content-type: application/json",
            "x-content-type-options: nosniff",
            f"x-request-id: {time.time_ns() // 1_000_000:013d}-0",
            f"content-length: {len(content)}",
            "connection: close",
        ]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + content)
        self.transport.close()
