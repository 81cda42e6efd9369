"""What a backend must do: get a worker to look at its assignments.

Which job runs where is in the database (the lease); a backend only wakes workers, starts them where
there are none, and says which it knows.
"""

from __future__ import annotations

from typing import Protocol


class Backend(Protocol):
    """Somewhere workers run."""

    def workers(self, now_ms: int) -> list[str]:
        """Return the workers that can be given jobs now."""
        ...

    def seen(self, worker: str, now_ms: int) -> None:
        """Note a worker's sign of life."""
        ...

    def last_seen_ms(self, worker: str) -> int | None:
        """Return when a worker last gave a sign of life; None if never to this process."""
        ...
