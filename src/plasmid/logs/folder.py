"""Logs in a folder: one file a try, one JSON line an entry, one `#` line at the end of a batch.

The `#` line holds the writer's cursors. What stands after the last one was never acknowledged, and
is cut off before the next batch: so a crash in the middle of a write leaves no half batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plasmid.domain.assignments import LogEntry
from plasmid.logs import batches
from plasmid.logs.store import KeptLog, NoLogSpaceError, Piece, require_place
from plasmid.telemetry import failpoints

READ_BYTES: Final = 1 << 20
TAIL_BYTES: Final = 1 << 16
STATES_MAX: Final = 4096
_FULL = (errno.ENOSPC, errno.EDQUOT)


class _End(msgspec.Struct):
    """Where the last whole batch of a file ends, and its cursors."""

    offset: int
    cursors: dict[str, int]


class FolderLogs:
    """A log store in a folder of a local file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._ends: dict[tuple[str, int], _End] = {}
        self._locks: dict[tuple[str, int], asyncio.Lock] = {}

    async def append(
        self,
        job: str,
        attempt: int,
        *,
        entries: Sequence[LogEntry],
        cursors: dict[str, int],
        since: dict[str, int] | None = None,
    ) -> None:
        """Keep a batch; one fdatasync for all of its lines."""
        key = (job, attempt)
        async with self._locks.setdefault(key, asyncio.Lock()):
            end = await self._end_of(key)
            require_place(job, attempt, kept=end.cursors, since=since)
            lines = [msgspec.json.encode(entry) for entry in entries]
            lines.append(b"#" + msgspec.json.encode(cursors))
            data = b"\n".join(lines) + b"\n"
            try:
                await asyncio.to_thread(_write_at, self._path(key), end.offset, data)
            except OSError as error:
                if error.errno in _FULL:
                    raise NoLogSpaceError(
                        "the disk that holds the logs is full; free space in the data folder"
                    ) from error
                raise
            failpoints.reach("S18", job=job)
            self._remember(key, _End(end.offset + len(data), dict(cursors)))

    async def cursors(self, job: str, attempt: int) -> dict[str, int]:
        """Return the cursors of the last whole batch."""
        return dict((await self._end_of((job, attempt))).cursors)

    async def read(self, job: str, attempt: int, *, offset: int, first_line: int) -> Piece:
        """Return about READ_BYTES of lines, up to the last whole batch."""
        key = (job, attempt)
        end = await self._end_of(key)
        if offset >= end.offset:
            return Piece(first_line, [], offset)
        data = await asyncio.to_thread(_read_lines, self._path(key), offset, end.offset)
        entries = [
            msgspec.json.decode(line, type=LogEntry)
            for line in data.splitlines()
            if not line.startswith(b"#")
        ]
        return Piece(first_line, entries, offset + len(data))

    async def remove(self, job: str) -> None:
        """Remove the files of all tries."""
        for path in self._path((job, 0)).parent.glob(f"{job}.*.log"):
            await asyncio.to_thread(path.unlink, missing_ok=True)
        for key in [key for key in self._ends if key[0] == job]:
            del self._ends[key]
            self._locks.pop(key, None)

    async def every(self) -> AsyncIterator[KeptLog]:
        """Give all logs that are in the store."""
        for folder in sorted(self._folder.iterdir()):
            for kept in await asyncio.to_thread(_kept_in, folder):
                yield kept

    async def damage(self, log: KeptLog, *, is_deep: bool) -> str | None:
        """Return what is wrong with a log's kept batches; not deep: of a large one only its end."""
        path = self._path((log.job, log.attempt))
        return await asyncio.to_thread(batches.damage, path, is_deep=is_deep)

    async def _end_of(self, key: tuple[str, int]) -> _End:
        end = self._ends.get(key)
        if end is None:
            end = await asyncio.to_thread(_find_end, self._path(key))
            self._remember(key, end)
        return end

    def _remember(self, key: tuple[str, int], end: _End) -> None:
        if key not in self._ends and len(self._ends) >= STATES_MAX:
            for old in list(self._ends)[: STATES_MAX // 2]:
                if not self._locks.get(old, _UNLOCKED).locked():
                    del self._ends[old]
                    self._locks.pop(old, None)
        self._ends[key] = end

    def _path(self, key: tuple[str, int]) -> Path:
        job, attempt = key
        return self._folder / job[-2:] / f"{job}.{attempt}.log"


_UNLOCKED = asyncio.Lock()


def _write_at(path: Path, offset: int, data: bytes) -> None:
    is_new = not path.exists()
    if is_new and not path.parent.exists():
        path.parent.mkdir(exist_ok=True)
        _sync(path.parent.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, offset)
        written = 0
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], offset + written)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        _sync(path.parent)


def _kept_in(folder: Path) -> list[KeptLog]:
    found = []
    for path in sorted(folder.glob("*.log")):
        job, attempt = path.stem.rsplit(".", 1)
        with contextlib.suppress(FileNotFoundError):
            found.append(KeptLog(job, int(attempt), path.stat().st_size))
    return found


def _sync(folder: Path) -> None:
    """Make the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_lines(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(min(READ_BYTES, end - start))
        if start + len(data) < end and not data.endswith(b"\n"):
            data += file.readline()
    return data


def _find_end(path: Path) -> _End:
    """Return where the last whole batch ends, reading the file from its end."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return _End(0, {})
    with file:
        position = file.seek(0, os.SEEK_END)
        data = b""
        while position > 0:
            step = min(TAIL_BYTES, position)
            position -= step
            file.seek(position)
            data = file.read(step) + data
            mark = data.rfind(b"\n#", 0, data.rfind(b"\n"))
            if position == 0 and mark < 0 and data.startswith(b"#") and b"\n" in data:
                mark = -1
            elif mark < 0:
                continue
            line_end = data.index(b"\n", mark + 1)
            cursors = msgspec.json.decode(data[mark + 2 : line_end], type=dict[str, int])
            return _End(position + line_end + 1, cursors)
    return _End(0, {})
