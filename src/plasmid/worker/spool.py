"""Log lines on disk that are not yet with the platform, one JSON object a line.

While the disk is full the lines that come wait in memory, behind those of the file, and are read
from there like those.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

import msgspec
import structlog

from plasmid.domain import assignments

WAITING_BYTES_MAX: Final = 1 << 20

_DECODER = msgspec.json.Decoder(assignments.LogEntry)
_log = structlog.get_logger()


class Spool:
    """A file that lines are added to and read from; what was added survives the process."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; half a line at its end, from a killed process, is cut off."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._end = os.fstat(self._file).st_size
        self._waiting = b""
        if self._end:
            self._cut_half_line()

    def add(self, entry: assignments.LogEntry) -> None:
        """Add a line at the end."""
        self.add_all([entry])

    def add_all(self, entries: list[assignments.LogEntry]) -> None:
        """Add lines at the end with one write; what has no room even in memory is dropped."""
        data = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        if self._waiting and len(self._waiting) + len(data) > WAITING_BYTES_MAX:
            _log.warning("log_lines_dropped", lines=len(entries))
            data = b""
        self._waiting += data
        self._write()

    def _write(self) -> None:
        """Write what waits, as far as the disk has room for it."""
        try:
            while self._waiting:
                written = os.write(self._file, self._waiting)
                self._end += written
                self._waiting = self._waiting[written:]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    def read(self, offset: int, bytes_max: int) -> tuple[list[assignments.LogEntry], int]:
        """Return whole lines from a byte offset on, and the offset after them."""
        block = b""
        # What waited in the memory of a killed process is gone, and was counted.
        offset = min(offset, self._end + len(self._waiting))
        if offset < self._end:
            block = os.pread(self._file, bytes_max, offset)
        if offset + len(block) >= self._end:
            rest = offset + len(block) - self._end
            block += self._waiting[rest : rest + bytes_max - len(block)]
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
