"""What a backend must do: get a worker to look at its assignments.

Which job runs where is in the database (the lease); a backend only wakes workers, starts them where
there are none, and says which it knows.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Backend(Protocol):
    """Somewhere workers run."""

    @property
    def lease_ms(self) -> int:
        """How long a worker may be silent before its jobs are taken from it."""
        ...

    def workers(self, now_ms: int) -> list[str]:
        """Return the workers that can be given jobs now."""
        ...

    def seen(self, worker: str, now_ms: int) -> None:
        """Note a worker's sign of life."""
        ...

    def next_turn(self, worker: str) -> int:
        """Return the number of a call for jobs that begins now: earlier ones count no more."""
        ...

    def is_turn(self, worker: str, turn: int) -> bool:
        """Say whether a call for jobs is the last one of its worker."""
        ...

    def deciding(self, worker: str) -> AbstractAsyncContextManager[None]:
        """Return what one call at a time is in while it is decided what a worker gets."""
        ...

    def last_seen_ms(self, worker: str) -> int | None:
        """Return when a worker last gave a sign of life; None if never to this process."""
        ...
