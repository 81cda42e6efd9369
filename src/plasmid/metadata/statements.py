"""Statements on the driver itself: what their troubles mean, and how long ones hold nobody up."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from plasmid.domain import errors

T = TypeVar("T")

FULL: Final = ("disk is full", "disk I/O")
# Whoever commits more waits for it in a thread: to write it takes longer than a handover.
ROWS_MAX: Final = 1_000
BYTES_MAX: Final = 1 << 20


def run(connection: sqlite3.Connection, text: str) -> None:
    """Run a statement that gives nothing; raises ServiceUnavailable for what passes."""
    try:
        connection.execute(text)
    except sqlite3.OperationalError as error:
        raise understood(error) from error


def understood(error: sqlite3.OperationalError) -> Exception:
    """Return the answer for troubles that pass (no space, lock held); bugs stay as they are."""
    text = str(error)
    if any(sign in text for sign in FULL):
        return errors.ServiceUnavailable(
            "The disk that holds the database is full; nothing was changed. "
            "Free space in the data folder and try again"
        )
    if "locked" in text:
        return errors.ServiceUnavailable("The database is locked by another program; try again")
    return error


def why_unusable(path: Path | None, error: sqlite3.DatabaseError) -> str:
    """Return one line that says what to do about a database that cannot be opened."""
    remedy = "check its folder, restore it from a backup, or move it away"
    if any(sign in str(error) for sign in FULL):
        remedy = "free space on its disk and start again"
    elif "locked" in str(error):
        remedy = "stop the other program that uses it"
    return f"{path}: cannot be opened as a database ({error}); {remedy}"


async def in_thread(thread: Executor | None, work: Callable[[], T]) -> T:
    """Return what some work gives, done in a thread; it is over when this ends, however it ends."""
    result, cancelled = await _ended(thread, work)
    if cancelled is not None:
        raise cancelled
    return result


async def _ended(
    thread: Executor | None, work: Callable[[], T]
) -> tuple[T, asyncio.CancelledError | None]:
    """Return what work in a thread gives, and how the caller was cancelled meanwhile, if at all."""
    done = asyncio.get_running_loop().run_in_executor(thread, work)
    cancelled = None
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError as error:
            cancelled = error
    return done.result(), cancelled


class Committer:
    """Commits on one connection: what is large in a thread, so that reads go on meanwhile.

    The thread is its own: others wait in theirs, perhaps for what this one holds up.
    """

    def __init__(self, connection: sqlite3.Connection, reading: sqlite3.Connection | None) -> None:
        """With `reading`, which is the event loop's, the other may be used in any thread."""
        self._connection = connection
        self._reading = reading
        self.thread = None if reading is None else ThreadPoolExecutor(1, "metadata-writer")
        self._is_behind = False

    def close(self) -> None:
        """End the thread, when it has done what it does."""
        if self.thread is not None:
            self.thread.shutdown()

    async def commit(self, rows: int, size_bytes: int) -> asyncio.CancelledError | None:
        """Commit so many changed rows of such values, whatever becomes of the caller.

        A caller who was cancelled meanwhile gets that back: it is theirs to raise, when those who
        wait for the change are told of it.
        """
        is_large = self._is_behind or rows > ROWS_MAX or size_bytes > BYTES_MAX
        if self.thread is None or self._reading is None or not is_large:
            run(self._connection, "COMMIT")
            return None
        with _unchanged(self._reading):
            _, cancelled = await _ended(self.thread, self._commit)
        _, then = await _ended(self.thread, self._checkpoint)
        return cancelled or then

    def _commit(self) -> None:
        run(self._connection, "COMMIT")

    def _checkpoint(self) -> None:
        """Bring the log into the file: what a reader keeps in it is left for later."""
        self._is_behind = True
        with contextlib.suppress(sqlite3.DatabaseError):  # what is committed stays so
            found = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._is_behind = found[1] > found[2]


@contextlib.contextmanager
def _unchanged(reading: sqlite3.Connection) -> Iterator[None]:
    """Let a connection see nothing new in the block: who reads twice in one turn sees the same."""
    run(reading, "BEGIN")
    try:
        run(reading, "SELECT version_num FROM alembic_version")
        yield
    finally:
        reading.execute("COMMIT")
