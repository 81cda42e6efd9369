"""Bytes in a folder: one file a blob, written aside, synced, then renamed."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from plasmid.blobs.store import Kept, MissingBlobError, NoSpaceError, TooLargeError, Written
from plasmid.telemetry import failpoints

BATCH_BYTES: Final = 1 << 20
READ_BYTES: Final = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


class _Writing:
    """One file being written; its methods run in a thread of the store.

    A thread cannot be cancelled with its write, so one may still be at work when the file is to be
    discarded: the lock lets it end first, and nothing begins after that.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.size_bytes = 0
        self._file = path.open("xb", buffering=0)
        self._lock = threading.Lock()
        self._is_discarded = False

    def append(self, batch: list[bytes]) -> None:
        with self._lock:
            for piece in () if self._is_discarded else batch:
                self.md5.update(piece)
                view = memoryview(piece)
                while view:
                    view = view[self._file.write(view) :]
                self.size_bytes += len(piece)

    def keep_as(self, target: Path) -> None:
        with self._lock:
            if self._is_discarded:
                return
            os.fdatasync(self._file.fileno())
            self._file.close()
            if not target.parent.exists():
                target.parent.mkdir(exist_ok=True)
                _sync(target.parent.parent)
            self.path = self.path.rename(target)
            _sync(target.parent)

    def discard(self) -> None:
        with self._lock:
            self._is_discarded = True
            self._file.close()
            self.path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Make the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FolderStore:
    """A store in a folder of a local file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="blobs")

    async def write(self, name: str, content: AsyncIterator[bytes], bytes_max: int) -> Written:
        """Keep a stream: while one batch is hashed and written, the next one is received."""
        try:
            writing = _Writing(self._incoming / name)
        except OSError as error:
            raise _understood(error) from error
        try:
            await self._append_all(writing, content, bytes_max)
            failpoints.reach("S13", job=name)
            await asyncio.to_thread(writing.keep_as, self._path(name))
        except asyncio.CancelledError:
            self._threads.submit(writing.discard)
            raise
        except OSError as error:
            writing.discard()
            raise _understood(error) from error
        except BaseException:
            writing.discard()
            raise
        return Written(name, writing.size_bytes, writing.md5.hexdigest())

    async def _append_all(
        self, writing: _Writing, content: AsyncIterator[bytes], bytes_max: int
    ) -> None:
        pending: Future[None] | None = None
        batch: list[bytes] = []
        batch_bytes = total_bytes = 0
        try:
            async for piece in content:
                total_bytes += len(piece)
                if total_bytes > bytes_max:
                    raise TooLargeError(f"more than the {bytes_max} bytes that were announced")
                batch.append(piece)
                batch_bytes += len(piece)
                if batch_bytes >= BATCH_BYTES:
                    if pending:
                        await asyncio.wrap_future(pending)
                    pending = self._threads.submit(writing.append, batch)
                    batch, batch_bytes = [], 0
        finally:
            if pending:
                await asyncio.wrap_future(pending)
        if batch:
            await asyncio.to_thread(writing.append, batch)

    async def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        """Give a range of a blob in pieces of at most READ_BYTES."""
        try:
            descriptor = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise MissingBlobError(f"the bytes of {name} are not in the store") from error
        try:
            end = start + length
            while start < end:
                wanted = min(READ_BYTES, end - start)
                piece = await asyncio.to_thread(os.pread, descriptor, wanted, start)
                if not piece:
                    raise MissingBlobError(f"the bytes of {name} end early")
                start += len(piece)
                yield piece
        finally:
            os.close(descriptor)

    async def copy(self, name: str, copied: str) -> None:
        """Keep the same bytes under another name as well: blobs never change, so a link will do."""
        try:
            await asyncio.to_thread(self._link, self._path(name), self._path(copied))
        except FileNotFoundError as error:
            raise MissingBlobError(f"the bytes of {name} are not in the store") from error
        except OSError as error:
            raise _understood(error) from error

    @staticmethod
    def _link(source: Path, target: Path) -> None:
        if not target.parent.exists():
            target.parent.mkdir(exist_ok=True)
            _sync(target.parent.parent)
        target.hardlink_to(source)
        _sync(target.parent)

    async def remove(self, name: str) -> None:
        """Forget a blob."""
        await asyncio.to_thread(self._path(name).unlink, missing_ok=True)

    async def sweep(self) -> None:
        """Remove half-written files."""
        for path in self._incoming.iterdir():
            path.unlink()

    async def find(self, name: str) -> Kept | None:
        """Return what there is under a name, or None."""
        return await asyncio.to_thread(_kept, self._path(name))

    async def every(self) -> AsyncIterator[Kept]:
        """Give all that is in the store, what is half-written too."""
        for folder in sorted(self._folder.iterdir()):
            is_half = folder == self._incoming
            for kept in await asyncio.to_thread(_kept_in, folder, is_half=is_half):
                yield kept

    async def remove_half(self, name: str) -> None:
        """Remove what a broken write has left under a name; not there is no error."""
        await asyncio.to_thread((self._incoming / name).unlink, missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / name[-2:] / name


def _kept(path: Path, *, is_half: bool = False) -> Kept | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    # ctime: a copy is a link, which keeps the mtime
    return Kept(path.name, found.st_size, int(found.st_ctime * 1000), is_half)


def _kept_in(folder: Path, *, is_half: bool) -> list[Kept]:
    if not folder.is_dir():
        return []
    found = (_kept(path, is_half=is_half) for path in sorted(folder.iterdir()))
    return [kept for kept in found if kept is not None]


def _understood(error: OSError) -> Exception:
    if error.errno in _FULL:
        return NoSpaceError("the disk that holds the files is full; free space and try again")
    return error
