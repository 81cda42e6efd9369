"""The server's side of an HTTP connection, below ASGI: what uvicorn's lacks for slow readers.

A connection whose other side reads nothing is only closed by uvicorn, which waits until its buffer
is empty, possibly for ever.
"""

from __future__ import annotations

from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Where an application finds the protocol of its connection.
EXTENSION: Final = "plasmid.http_protocol"


class HttpProtocol(HttpToolsProtocol):
    """An HTTP connection that can be told to drop."""

    def on_message_begin(self) -> None:
        """Begin a request, and let the application find this."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = {EXTENSION: self}

    def drop(self) -> None:
        """Forget what is not sent, and end the connection."""
        self.transport.abort()
