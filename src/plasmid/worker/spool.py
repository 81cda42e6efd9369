"""Log lines on disk that are not yet with the platform, one JSON object a line."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from plasmid.domain import assignments

_DECODER = msgspec.json.Decoder(assignments.LogEntry)


class Spool:
    """A file that lines are added to and read from; what was added survives the process."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; half a line at its end, from a killed process, is cut off."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._end = os.fstat(self._file).st_size
        if self._end:
            self._cut_half_line()

    def add(self, entry: assignments.LogEntry) -> None:
        """Add a line at the end."""
        self.add_all([entry])

    def add_all(self, entries: list[assignments.LogEntry]) -> None:
        """Add lines at the end with one write."""
        data = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        while data:
            written = os.write(self._file, data)
            self._end += written
            data = data[written:]

    def read(self, offset: int, bytes_max: int) -> tuple[list[assignments.LogEntry], int]:
        """Return whole lines from a byte offset on, and the offset after them."""
        if offset >= self._end:
            return [], offset
        block = os.pread(self._file, bytes_max, offset)
        block = block[: block.rfind(b"\n") + 1]
        return [_DECODER.decode(line) for line in block.splitlines()], offset + len(block)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _cut_half_line(self) -> None:
        start = max(0, self._end - (1 << 20))
        tail = os.pread(self._file, self._end - start, start)
        self._end = start + tail.rfind(b"\n") + 1
        os.ftruncate(self._file, self._end)
