"""Logs in memory: a test double that can be told to be full."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from plasmid.domain.assignments import LogEntry
from plasmid.logs.store import (
    ALL,
    READ_BYTES,
    Choice,
    KeptLog,
    Lines,
    LogStore,
    NoLogSpaceError,
    Piece,
    Place,
    require_place,
)

_decode_lines = msgspec.json.Decoder(LogEntry).decode_lines


class MemoryLogs(LogStore):
    """A log store that forgets everything with the process; `is_full` makes appends fail."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, int], list[LogEntry]] = {}
        self._cursors: dict[tuple[str, int], dict[str, int]] = {}
        self.is_full = False

    async def append_lines(
        self,
        job: str,
        attempt: int,
        *,
        lines: Lines,
        cursors: dict[str, int],
        since: dict[str, int] | None = None,
    ) -> None:
        """Keep a batch."""
        if self.is_full:
            raise NoLogSpaceError("the store was told to be full")
        kept = self._cursors.get((job, attempt), {})
        require_place(job, attempt, kept=kept, since=since)
        self._entries.setdefault((job, attempt), []).extend(_decode_lines(lines.data))
        self._cursors[job, attempt] = dict(cursors)

    async def cursors(self, job: str, attempt: int) -> dict[str, int]:
        """Return the cursors of the last batch."""
        return dict(self._cursors.get((job, attempt), {}))

    async def read(
        self,
        job: str,
        attempt: int,
        *,
        offset: int,
        first_line: int,
        bytes_max: int = READ_BYTES,
    ) -> Piece:
        """Return lines from an offset, which here is a line number."""
        lines: list[bytes] = []
        for entry in self._entries.get((job, attempt), [])[offset:]:
            lines.append(msgspec.json.encode(entry) + b"\n")
            bytes_max -= len(lines[-1])
            if bytes_max <= 0:
                break
        return Piece(first_line, b"".join(lines), offset + len(lines))

    async def end(self, job: str, attempt: int) -> Place:
        """Return the end."""
        count = len(self._entries.get((job, attempt), []))
        return Place(count, count)

    async def find_line(self, job: str, attempt: int, line: int) -> Place:
        """Return where a line begins."""
        found = max(0, min(line, len(self._entries.get((job, attempt), []))))
        return Place(found, found)

    async def find_last(
        self, job: str, attempt: int, *, count: int, choice: Choice = ALL
    ) -> tuple[Place, int]:
        """Return where the last lines of a choice begin."""
        entries = self._entries.get((job, attempt), [])
        encoded = [msgspec.json.encode(entry) + b"\n" for entry in entries]
        chosen = [at for at, line in enumerate(encoded) if choice.takes(line)]
        last = chosen[len(chosen) - count :] if 0 < count < len(chosen) else chosen
        if count <= 0:
            return Place(len(entries), len(entries)), 0
        first = last[0] if last else len(entries)
        return Place(first, first), len(last)

    async def remove(self, job: str) -> None:
        """Forget the logs of a job."""
        for key in [key for key in self._entries if key[0] == job]:
            del self._entries[key]
            self._cursors.pop(key, None)

    async def every(self) -> AsyncIterator[KeptLog]:
        """Give all logs that are in the store."""
        for (job, attempt), entries in sorted(self._entries.items()):
            yield KeptLog(job, attempt, len(entries))

    async def damage(self, log: KeptLog, *, is_deep: bool) -> str | None:
        """Nothing here can be damaged."""
        return None
