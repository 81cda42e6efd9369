"""Reads the log that conmon writes of a sandbox's stdout and stderr.

A record is `<time> <stdout|stderr> <P|F> <bytes>`; P means that its line goes on in the next
record of the same stream (conmon's k8s-file format). Lines are put together and split at 8 KiB.

Each stream has a cursor: the byte of the file after its last line that was taken. A cursor may
stand inside a record, behind a piece of a long line. A reader that starts at given cursors returns
exactly what was not taken before, whichever process took it.
"""

from __future__ import annotations

import calendar
import os
import time
from pathlib import Path
from typing import Final

from plasmid.domain import assignments

STREAMS: Final = {b"stdout": "STDOUT", b"stderr": "STDERR"}
LINE_BYTES_MAX: Final = 8192
# A piece ends before a character that does not fit: up to three bytes early.
PIECE_BYTES_MIN: Final = LINE_BYTES_MAX - 3
# No record of conmon is longer: its buffer is 32 KiB at most.
RECORD_BYTES_MAX: Final = 1 << 16
SOURCE: Final = "DX_APP_STREAM"


class _Stream:
    """What is known of a stream's line that is not complete yet."""

    def __init__(self, level: str, cursor: int) -> None:
        self.level = level
        self.cursor = cursor
        self.pieces: list[bytes] = []
        self.length = 0
        self.timestamp = 0
        self.is_split = False


class OutputLog:
    """The lines of a sandbox's output from given cursors on."""

    def __init__(self, path: Path, cursors: dict[str, int] | None = None) -> None:
        """Open a log file, which must exist; cursors are those of an earlier reader."""
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._seconds: dict[bytes, int] = {}
        self._streams: dict[bytes, _Stream] = {}
        self._position = 0
        self.rewind(cursors or {})

    def rewind(self, cursors: dict[str, int]) -> None:
        """Read again from cursors: {"stdout": byte, "stderr": byte}; none means 0."""
        self._streams = {
            name: _Stream(level, cursors.get(name.decode(), 0)) for name, level in STREAMS.items()
        }
        first = min(stream.cursor for stream in self._streams.values())
        self._position = self._record_start(first)

    @property
    def cursors(self) -> dict[str, int]:
        """How far each stream has been taken."""
        return {name.decode(): stream.cursor for name, stream in self._streams.items()}

    def read(self, bytes_max: int, *, is_final: bool = False) -> list[assignments.LogEntry]:
        """Return the next lines, from about `bytes_max` of the file; none at its end only.

        With `is_final` nothing more will be written: what is left of lines without an end is
        returned once the end of the file is reached.
        """
        wanted = max(bytes_max, RECORD_BYTES_MAX)
        entries: list[assignments.LogEntry] = []
        at_end = False
        while not entries and not at_end:
            block = os.pread(self._file, wanted, self._position)
            at_end = len(block) < wanted
            end = block.rfind(b"\n") + 1
            for record in block[:end].split(b"\n")[:-1]:
                self._take(record, entries)
            if is_final and at_end:
                if end < len(block):
                    self._take(block[end:], entries)  # conmon was killed while it wrote
                self._flush(entries)
        return entries

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _record_start(self, offset: int) -> int:
        """Return where the record that holds a byte begins."""
        back = max(0, offset - RECORD_BYTES_MAX)
        before = os.pread(self._file, offset - back, back)
        return back + before.rfind(b"\n") + 1

    def _take(self, record: bytes, entries: list[assignments.LogEntry]) -> None:
        """Add a record to its stream's line, and the line to the entries when it is complete."""
        end = self._position = self._position + len(record) + 1
        stamp, _, rest = record.partition(b" ")
        name, _, rest = rest.partition(b" ")
        mark, _, content = rest.partition(b" ")
        stream = self._streams.get(name)
        if stream is None or stream.cursor >= end:
            return
        content_start = end - 1 - len(content)
        if stream.cursor >= content_start:
            content = content[stream.cursor - content_start :]
            stream.is_split = stream.is_split or stream.cursor > content_start
        if not stream.pieces:
            stream.timestamp = self._milliseconds(stamp)
        stream.pieces.append(content)
        stream.length += len(content)
        if mark == b"F":
            _emit_line(stream, entries)
            stream.cursor = end
        elif stream.length >= PIECE_BYTES_MIN:
            # The cursor stays inside the record: whoever starts there knows that a line goes on.
            stream.cursor = end - 1 - _emit_pieces(stream, entries)

    def _flush(self, entries: list[assignments.LogEntry]) -> None:
        for stream in self._streams.values():
            if stream.pieces:
                _emit_line(stream, entries)
                stream.cursor = self._position

    def _milliseconds(self, stamp: bytes) -> int:
        """Return a time such as 2026-01-02T03:04:05.678901234+00:00 in ms since 1970."""
        whole, fraction, zone = stamp[:19], stamp[20:23], stamp[-6:]
        seconds = self._seconds.get(whole)
        if seconds is None:
            try:
                parsed = time.strptime(whole.decode("ascii"), "%Y-%m-%dT%H:%M:%S")
                seconds = calendar.timegm(parsed) - _zone_seconds(zone)
            except ValueError:
                return 0
            self._seconds = {whole: seconds}
        return seconds * 1000 + (int(fraction) if fraction.isdigit() else 0)


def _zone_seconds(zone: bytes) -> int:
    """Return the seconds of a zone such as +05:30; Z and anything else is 0."""
    if zone[:1] not in b"+-" or not zone[1:3].isdigit():
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return -seconds if zone[:1] == b"-" else seconds


def _emit_line(stream: _Stream, entries: list[assignments.LogEntry]) -> None:
    """Take a whole line; the empty rest of a line that was split is none."""
    data = b"".join(stream.pieces)
    if data or not stream.is_split:
        for piece in split(data):
            entries.append(_entry(stream, piece))  # noqa: PERF401 - hot: no second list
    stream.pieces, stream.length, stream.is_split = [], 0, False


def _emit_pieces(stream: _Stream, entries: list[assignments.LogEntry]) -> int:
    """Take what fills whole pieces of a line that goes on; return the length of the rest.

    The rest is shorter than the last record, as all before it made less than a piece.
    """
    pieces = split(b"".join(stream.pieces))
    last = pieces.pop()
    keep = len(last) if len(last) < PIECE_BYTES_MIN else _half_character(last)
    rest = last[len(last) - keep :]
    if keep < len(last):
        pieces.append(last[: len(last) - keep])
    entries += [_entry(stream, piece) for piece in pieces]
    stream.pieces, stream.length = ([rest], len(rest)) if rest else ([], 0)
    stream.is_split = True
    return len(rest)


def _half_character(data: bytes) -> int:
    """Return how many bytes at the end begin a UTF-8 character that is not complete."""
    for length in range(1, min(3, len(data)) + 1):
        byte = data[-length]
        if byte & 0xC0 != 0x80:
            needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return length if needed > length else 0
    return 0


def _entry(stream: _Stream, data: bytes) -> assignments.LogEntry:
    return assignments.LogEntry(
        stream.timestamp, SOURCE, stream.level, data.decode("utf-8", "replace")
    )


def split(data: bytes) -> list[bytes]:
    """Return a line in pieces of at most 8 KiB, none of which cuts a character in two."""
    if len(data) <= LINE_BYTES_MAX:
        return [data]
    pieces = []
    start = 0
    while len(data) - start > LINE_BYTES_MAX:
        end = start + LINE_BYTES_MAX
        # A continuation byte is 10xxxxxx; a character has at most three of them.
        back = next((n for n in range(4) if data[end - n] & 0xC0 != 0x80), 0)
        pieces.append(data[start : end - back])
        start = end - back
    pieces.append(data[start:])
    return pieces
