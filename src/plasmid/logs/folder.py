"""Logs in a folder: one file a try, whose form is that of batches.py.

What stands after the last whole batch was never acknowledged, and is cut off before the next one:
so a crash in the middle of a write leaves no half batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from plasmid.logs import batches, seeking
from plasmid.logs.batches import End
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
from plasmid.telemetry import failpoints

STATES_MAX: Final = 4096
# Readers that look for rare lines in large logs must not keep threads from those who write.
SEEKERS_MAX: Final = 2
_FULL = (errno.ENOSPC, errno.EDQUOT)
T = TypeVar("T")


class FolderLogs(LogStore):
    """A log store in a folder of a local file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._ends: dict[tuple[str, int], End] = {}
        self._locks: dict[tuple[str, int], asyncio.Lock] = {}
        self._seekers = ThreadPoolExecutor(SEEKERS_MAX, thread_name_prefix="log-seeking")

    async def append_lines(
        self,
        job: str,
        attempt: int,
        *,
        lines: Lines,
        cursors: dict[str, int],
        since: dict[str, int] | None = None,
    ) -> None:
        """Keep a batch; one fdatasync for all of its lines."""
        key = (job, attempt)
        async with self._locks.setdefault(key, asyncio.Lock()):
            end = await self._end_of(key)
            require_place(job, attempt, kept=end.cursors, since=since)
            data = batches.encode(lines, cursors, lines_before=end.lines)
            try:
                await asyncio.to_thread(_write_at, self._path(key), end.offset, data)
            except OSError as error:
                if error.errno in _FULL:
                    raise NoLogSpaceError(
                        "the disk that holds the logs is full; free space in the data folder"
                    ) from error
                raise
            failpoints.reach("S18", job=job)
            self._remember(key, End(end.offset + len(data), end.lines + lines.count, dict(cursors)))

    async def cursors(self, job: str, attempt: int) -> dict[str, int]:
        """Return the cursors of the last whole batch."""
        return dict((await self._end_of((job, attempt))).cursors)

    async def read(
        self,
        job: str,
        attempt: int,
        *,
        offset: int,
        first_line: int,
        bytes_max: int = READ_BYTES,
    ) -> Piece:
        """Return about so many bytes of lines, up to the last whole batch."""
        key = (job, attempt)
        end = await self._end_of(key)
        if offset >= end.offset:
            return Piece(first_line, b"", offset)
        last = min(end.offset, offset + bytes_max)
        data = await asyncio.to_thread(_read_lines, self._path(key), offset, last, end.offset)
        return Piece(first_line, batches.without_marks(data), offset + len(data))

    async def end(self, job: str, attempt: int) -> Place:
        """Return the end of the last batch, also of one that is being written."""
        key = (job, attempt)
        async with self._locks.setdefault(key, asyncio.Lock()):
            end = await self._end_of(key)
            return Place(end.offset, end.lines)

    async def find_line(self, job: str, attempt: int, line: int) -> Place:
        """Return where a line begins; the file is bisected."""
        end = await self._end_of((job, attempt))
        path = self._path((job, attempt))
        return await self._seek(lambda: seeking.find_line(path, end, line))

    async def find_last(
        self, job: str, attempt: int, *, count: int, choice: Choice = ALL
    ) -> tuple[Place, int]:
        """Return where the last lines of a choice begin; the file is read backwards.

        That is done in steps: others get their turn between two, and it ends when it is cancelled.
        """
        end = await self._end_of((job, attempt))
        search = seeking.LastLines(self._path((job, attempt)), end, count=count, choice=choice)
        while True:
            found = await self._seek(search.go_on)
            if found is not None:
                return found

    async def _seek(self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._seekers, step)

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

    async def _end_of(self, key: tuple[str, int]) -> End:
        end = self._ends.get(key)
        if end is None:
            found = await asyncio.to_thread(batches.find_end, self._path(key))
            # A writer that came meanwhile knows better: what it kept must not be written over.
            end = self._ends.get(key)
            if end is None:
                end = found
        self._remember(key, end)
        return end

    def _remember(self, key: tuple[str, int], end: End) -> None:
        """Keep an end as the one used last; of many, those used longest ago are forgotten."""
        if self._ends.pop(key, None) is None and len(self._ends) >= STATES_MAX:
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


def _read_lines(path: Path, start: int, end: int, last: int) -> bytes:
    """Return what is between two offsets, and the rest of its last line, which ends before last."""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(end - start)
        if end < last and not data.endswith(b"\n"):
            data += file.readline()
    return data
