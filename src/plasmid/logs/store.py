"""What a store of job logs must do.

Promises every store keeps (tests/contract/test_logs.py):
- `append` returns only when the lines are durable; a batch is kept whole or not at all.
- Lines of a try are numbered 0, 1, ... in the order of their batches.
- The cursors of the last kept batch are given back, also to a later process: a writer that goes on
  from them neither loses nor repeats a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from plasmid.domain.assignments import LogEntry


class NoLogSpaceError(Exception):
    """The disk that holds the logs is full; nothing of the batch was kept."""


class Piece(msgspec.Struct, frozen=True):
    """Some lines of a log, the number of the first, and where the next piece begins."""

    first_line: int
    entries: list[LogEntry]
    next_offset: int


class LogStore(Protocol):
    """Keeps the logs of jobs, one for each try."""

    async def append(
        self, job: str, attempt: int, *, entries: Sequence[LogEntry], cursors: dict[str, int]
    ) -> None:
        """Keep lines and the writer's cursors; raises NoLogSpaceError."""
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
