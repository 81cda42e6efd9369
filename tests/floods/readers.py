"""Readers of logs that do not read: raw connections, since every client library reads ahead."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tests.e2e.driver import Site

RECEIVE_BYTES: Final = 4096
KEY: Final = "AAAAAAAAAAAAAAAAAAAAAA=="


def connected(site: Site, job: str, *, asks: bool = True, **asked: Any) -> socket.socket:
    """Open the websocket of a job's log with next to no room for what comes, and ask for it."""
    stream = socket.socket()
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    stream.settimeout(120)
    stream.connect(("127.0.0.1", site.port))
    stream.sendall(
        f"GET /{job}/getLog/websocket HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += stream.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    if asks:
        first = {"access_token": site.keys["user_token"], "token_type": "Bearer", "tail": True}
        say(stream, json.dumps(first | {"numRecentMessages": 262_144, **asked}).encode())
    return stream


def say(stream: socket.socket, text: bytes) -> None:
    """Send a text frame; its mask is zero, so it stands there as it is."""
    assert len(text) < 1 << 16
    size = len(text).to_bytes(2, "big")
    stream.sendall(b"\x81" + (b"\xfe" + size) + bytes(4) + text)


def sip(streams: Sequence[socket.socket]) -> None:
    """Read one byte of each that has one."""
    for stream in streams:
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            stream.recv(1, socket.MSG_DONTWAIT)


@contextlib.contextmanager
def crowd(site: Site, job: str, count: int, **asked: Any) -> Iterator[list[socket.socket]]:
    """Open that many; they are gone after the block, without a word."""
    streams: list[socket.socket] = []
    try:
        for _ in range(count):
            streams.append(connected(site, job, **asked))  # noqa: PERF401 - closed if one fails
        yield streams
    finally:
        for stream in streams:
            stream.close()
