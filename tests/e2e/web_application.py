"""A small web application, which test_web_apps.py puts into an applet; standard library only.

It says what it was asked, how long a body was, what happens as it happens, and by a websocket
whatever it hears.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import struct
import threading
from collections.abc import Iterator

PORTS = (443, 8080)
# What a websocket's key is hashed with (RFC 6455).
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE, FINAL_CLOSE = 8, 0x88
ENDED, RELEASED = threading.Event(), threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers requests."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self.echo()
        elif self.path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b"data: first\n\n")
            RELEASED.wait()
            self.wfile.write(b"data: last\n\n")
            self.close_connection = True
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = {"path": self.path, "port": self.connection.getsockname()[1], "headers": headers}
            self.answer(said, "own=1; Domain=localhost; Path=/")
            {"/release": RELEASED, "/stop": ENDED}.get(self.path, threading.Event()).set()

    def do_POST(self) -> None:
        found, size = hashlib.sha256(), 0
        for piece in self.pieces():
            found.update(piece)
            size += len(piece)
        self.answer({"size": size, "sha256": found.hexdigest()})

    def pieces(self) -> Iterator[bytes]:
        """Yield the body, whose length is said before it or with each chunk."""
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read(min(left, 1 << 20))
            left -= len(piece)
            yield piece
        if self.headers.get("Transfer-Encoding") == "chunked":
            while length := int(self.rfile.readline(), 16):
                yield self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()

    def answer(self, said: object, cookie: str = "") -> None:
        content = json.dumps(said).encode()
        self.send_response(200)
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def echo(self) -> None:
        """Send each message of a websocket back; at "close" end it with a code."""
        key = self.headers["Sec-WebSocket-Key"] + MAGIC
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_header("Sec-WebSocket-Accept", accept)
        if "echo" in self.headers.get("Sec-WebSocket-Protocol", ""):
            self.send_header("Sec-WebSocket-Protocol", "echo")
        self.end_headers()
        self.close_connection = True
        while True:
            first, second = self.rfile.read(2)
            length = second & 127
            if length > 125:
                form = ">H" if length == 126 else ">Q"
                length = struct.unpack(form, self.rfile.read(struct.calcsize(form)))[0]
            mask = self.rfile.read(4) * (length // 4 + 1)
            content = bytes(a ^ b for a, b in zip(self.rfile.read(length), mask, strict=False))
            if content == b"close":
                first, content = FINAL_CLOSE, struct.pack(">H", 4321) + b"as asked"
            self.wfile.write(
                struct.pack(">BBQ", first, 127, len(content)) + content
                if len(content) > 125
                else bytes([first, len(content)]) + content
            )
            if first & 15 == CLOSE:
                return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    for port in PORTS:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    ENDED.wait()


if __name__ == "__main__":
    main()
