"""Lines as the platform keeps them: one entry of JSON each, with a line break.

What goes from a worker to the platform's disk is made here once, and never taken apart again. Many
lines of one time are one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from plasmid.domain import assignments

_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines
_decode_lines = msgspec.json.Decoder(assignments.LogEntry).decode_lines


class Lines(msgspec.Struct, frozen=True, gc=False):
    """Some lines of one time."""

    timestamp: int
    count: int
    data: bytes


def of(entry: assignments.LogEntry) -> Lines:
    """Return one line."""
    return Lines(entry.timestamp, 1, _encode(entry) + b"\n")


def all_of(entries: Iterable[assignments.LogEntry]) -> list[Lines]:
    """Return each line as a piece of its own."""
    return [of(entry) for entry in entries]


def entries(pieces: Iterable[Lines]) -> list[assignments.LogEntry]:
    """Return the lines that are in some pieces."""
    return [entry for piece in pieces for entry in _decode_lines(piece.data)]


def count(pieces: Iterable[Lines]) -> int:
    """Return how many lines some pieces have."""
    return sum(piece.count for piece in pieces)


def texts(timestamp: int, source: str, level: str, said: Sequence[str]) -> Lines:
    """Return lines by their texts, which are some."""
    begin = _begin(timestamp, source, level)
    # No break is within a text: JSON has none. All texts at once cost a fraction of one by one.
    quoted = _encode_lines(said)
    data = b"%b%b}\n" % (begin, quoted[:-1].replace(b"\n", b"}\n" + begin))
    return Lines(timestamp, len(said), data)


def _begin(timestamp: int, source: str, level: str) -> bytes:
    return b'{"timestamp":%d,"source":%b,"level":%b,"msg":' % (
        timestamp,
        _encode(source),
        _encode(level),
    )
