"""Log lines on disk that are not yet with the platform, one JSON object a line.

Lines may be those of a message that came with a stamp. Then all of them are here or, after a kill,
none, and whoever has the same message again can tell by its stamp.

While the disk is full the lines that come wait in memory, behind those of the file, and are read
from there like those.
"""

from __future__ import annotations

import errno
import heapq
import operator
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from plasmid.domain import assignments
from plasmid.worker import encoded, holes

WAITING_BYTES_MAX: Final = 1 << 20
# Messages are not dropped: with so much in memory their senders wait.
STUCK_BYTES: Final = 1 << 18
# More than what one call of `add_messages` may write.
_TAIL_BYTES: Final = 4 << 20
# What has been read is given back, but for what the next process looks at.
_MARGIN_BYTES: Final = 2 * _TAIL_BYTES

_TIMESTAMP = operator.attrgetter("timestamp")
_log = structlog.get_logger()


class Message(msgspec.Struct, frozen=True):
    """The lines of one message; its stamp tells it from all others."""

    stamp: int
    entries: list[assignments.LogEntry]


class _Line(assignments.LogEntry, omit_defaults=True):
    """A line of a message; `more` of them follow."""

    stamp: int = 0
    more: bool = False


_DECODER = msgspec.json.Decoder(assignments.LogEntry)
_LINE_DECODER = msgspec.json.Decoder(_Line)


class Spool:
    """A file that lines are added to and read from; what was added survives the process."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; half a message at its end, from a killed process, is cut off.

        `stamps` are those of the last messages, of more than were added at once.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._end = os.fstat(self._file).st_size
        self._waiting = b""
        self._beginning = holes.Beginning(_MARGIN_BYTES)
        self.stamps: set[int] = set()
        if self._end:
            self._cut_half()

    def add(self, entry: assignments.LogEntry) -> None:
        """Add a line at the end."""
        self.add_all([entry])

    def add_all(self, entries: list[assignments.LogEntry]) -> None:
        """Add lines at the end with one write; what has no room even in memory is dropped."""
        data = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        if self._waiting and len(self._waiting) + len(data) > WAITING_BYTES_MAX:
            _log.warning("log_lines_dropped", lines=len(entries))
            data = b""
        self._add(data)

    def add_messages(self, messages: Sequence[Message]) -> None:
        """Add the lines of messages with one write; none is dropped (see `is_stuck`)."""
        lines = [line for message in messages for line in _lines(message)]
        self._add(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))

    def _add(self, data: bytes) -> None:
        self._waiting += data
        self.flush()

    @property
    def waiting_bytes(self) -> int:
        """How much waits for a full disk."""
        return len(self._waiting)

    @property
    def is_stuck(self) -> bool:
        """Whether so much waits for a full disk that no more messages should be added."""
        return len(self._waiting) > STUCK_BYTES

    def flush(self) -> None:
        """Write what waits, as far as the disk has room for it."""
        try:
            while self._waiting:
                written = os.write(self._file, self._waiting)
                self._end += written
                self._waiting = self._waiting[written:]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    @property
    def end(self) -> int:
        """Where the next line will begin."""
        return self._end + len(self._waiting)

    def free(self, below: int) -> Callable[[], None] | None:
        """Return what gives the disk below an offset back, in any thread; None if it is little."""
        return self._beginning.free(self._file, below)

    def read(self, offset: int, bytes_max: int) -> tuple[list[assignments.LogEntry], int]:
        """Return whole lines from a byte offset on, and the offset after them."""
        block, offset = self._block(offset, bytes_max)
        return [_DECODER.decode(line) for line in block.splitlines()], offset + len(block)

    def sizes(self, offset: int, bytes_max: int) -> tuple[list[tuple[int, int]], int]:
        """Return where lines begin and how many bytes each says, and the offset after them."""
        block, offset = self._block(offset, bytes_max)
        found = []
        for line in block.splitlines(keepends=True):
            found.append((offset, len(_DECODER.decode(line).msg.encode())))
            offset += len(line)
        return found, offset

    def _block(self, offset: int, bytes_max: int) -> tuple[bytes, int]:
        """Return whole lines as they are, and where they begin."""
        # What waited in the memory of a killed process is gone, and was counted.
        offset = min(offset, self._end + len(self._waiting))
        while True:
            block = self._bytes(offset, bytes_max)
            whole = block.rfind(b"\n") + 1
            if whole or not block or len(block) < bytes_max:
                return block[:whole], offset
            bytes_max *= 2  # a line that is longer still is a line

    def _bytes(self, offset: int, bytes_max: int) -> bytes:
        block = b""
        if offset < self._end:
            block = os.pread(self._file, bytes_max, offset)
        if offset + len(block) >= self._end:
            rest = offset + len(block) - self._end
            block += self._waiting[rest : rest + bytes_max - len(block)]
        return block

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _cut_half(self) -> None:
        start = max(0, self._end - _TAIL_BYTES)
        tail = os.pread(self._file, self._end - start, start)
        lines = tail.splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            self._end -= len(lines.pop())
        while lines and (len(lines) > 1 or not start) and _LINE_DECODER.decode(lines[-1]).more:
            self._end -= len(lines.pop())
        # The first may be the end of a line that began before.
        found = [_LINE_DECODER.decode(line).stamp for line in lines[1 if start else 0 :]]
        self.stamps = {stamp for stamp in found if stamp}
        os.ftruncate(self._file, self._end)


def _lines(message: Message) -> Iterator[_Line]:
    last = len(message.entries) - 1
    for at, entry in enumerate(message.entries):
        yield _Line(
            entry.timestamp,
            entry.source,
            entry.level,
            entry.msg,
            stamp=message.stamp,
            more=at < last,
        )


def merged(sources: list[list[encoded.Lines]]) -> list[encoded.Lines]:
    """Return lines by their times; the order within a source stays, whatever its times say."""
    filled = [lines for lines in sources if lines]
    if len(filled) > 1:
        return list(heapq.merge(*filled, key=_TIMESTAMP))
    return filled[0] if filled else []
