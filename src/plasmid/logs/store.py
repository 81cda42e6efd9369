"""What a store of job logs must do.

Promises every store keeps (tests/contract/test_logs.py):
- `append` returns only when the lines are durable; a batch is kept whole or not at all.
- Lines of a try are numbered 0, 1, ... in the order of their batches.
- A batch that does not go on where the last one ended is refused, if it says where it goes on.
- The cursors of the last kept batch are given back, also to a later process: a writer that goes on
  from them neither loses nor repeats a line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec

from plasmid.domain.assignments import LogEntry


class NoLogSpaceError(Exception):
    """The disk that holds the logs is full; nothing of the batch was kept."""


class OutOfPlaceError(Exception):
    """The batch does not go on where the last kept one ended; nothing of it was kept."""


class Piece(msgspec.Struct, frozen=True):
    """Some lines of a log, the number of the first, and where the next piece begins."""

    first_line: int
    entries: list[LogEntry]
    next_offset: int


def require_place(
    job: str, attempt: int, *, kept: Mapping[str, int], since: Mapping[str, int] | None
) -> None:
    """Raise OutOfPlaceError unless a batch goes on at the cursors that are kept; 0 is no cursor."""
    if since is None:
        return
    if {name: at for name, at in since.items() if at} != {n: at for n, at in kept.items() if at}:
        raise OutOfPlaceError(
            f"the log of try {attempt} of {job} is kept up to {dict(kept)}, not {dict(since)};"
            " ask for its cursors and go on from there"
        )


class KeptLog(msgspec.Struct, frozen=True):
    """The log of one try that is in a store."""

    job: str
    attempt: int
    size_bytes: int


class LogStore(Protocol):
    """Keeps the logs of jobs, one for each try."""

    async def append(
        self,
        job: str,
        attempt: int,
        *,
        entries: Sequence[LogEntry],
        cursors: dict[str, int],
        since: dict[str, int] | None = None,
    ) -> None:
        """Keep lines and the writer's cursors; raises NoLogSpaceError.

        With `since` they are only kept if those are the cursors now; else raises OutOfPlaceError.
        """
        ...

    async def cursors(self, job: str, attempt: int) -> dict[str, int]:
        """Return the cursors of the last kept batch; {} if there is none."""
        ...

    async def read(self, job: str, attempt: int, *, offset: int, first_line: int) -> Piece:
        """Return lines from an offset that `read` gave (0 at first); no lines at the end."""
        ...

    async def remove(self, job: str) -> None:
        """Forget the logs of a job."""
        ...

    def every(self) -> AsyncIterator[KeptLog]:
        """Give all logs that are in the store."""
        ...

    async def damage(self, log: KeptLog, *, is_deep: bool) -> str | None:
        """Return what is wrong with a log's kept batches; not deep: of a large one only its end."""
        ...
