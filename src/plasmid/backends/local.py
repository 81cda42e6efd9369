"""The machine the server is on: resident workers that come and ask."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Final

LEASE_MS: Final = 10_000


class LocalBackend:
    """Knows the workers that have called lately."""

    def __init__(self, lease_ms: int = LEASE_MS) -> None:
        self._lease_ms = lease_ms
        self._seen: dict[str, int] = {}
        self._turns: dict[str, int] = {}
        self._deciding: dict[str, asyncio.Lock] = {}

    @property
    def lease_ms(self) -> int:
        """How long a worker may be silent before its jobs are taken from it."""
        return self._lease_ms

    def workers(self, now_ms: int) -> list[str]:
        """Return the workers that called within the lease."""
        return [name for name, seen_ms in self._seen.items() if now_ms - seen_ms < self._lease_ms]

    def seen(self, worker: str, now_ms: int) -> None:
        """Note a worker's call."""
        self._seen[worker] = now_ms

    def next_turn(self, worker: str) -> int:
        """Return the number of a call for jobs that begins now: earlier ones count no more."""
        self._turns[worker] = self._turns.get(worker, 0) + 1
        return self._turns[worker]

    def is_turn(self, worker: str, turn: int) -> bool:
        """Say whether a call for jobs is the last one of its worker."""
        return self._turns.get(worker) == turn

    def deciding(self, worker: str) -> AbstractAsyncContextManager[None]:
        """Return what one call at a time is in while it is decided what a worker gets."""
        return self._deciding.setdefault(worker, asyncio.Lock())

    def last_seen_ms(self, worker: str) -> int | None:
        """Return when a worker last called."""
        return self._seen.get(worker)
