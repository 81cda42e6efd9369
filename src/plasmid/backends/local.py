"""The machine the server is on: resident workers that come and ask."""

from __future__ import annotations

from typing import Final

ALIVE_MS: Final = 15_000


class LocalBackend:
    """Knows the workers that have called lately."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def workers(self, now_ms: int) -> list[str]:
        """Return the workers that called within ALIVE_MS."""
        return [name for name, seen_ms in self._seen.items() if now_ms - seen_ms < ALIVE_MS]

    def seen(self, worker: str, now_ms: int) -> None:
        """Note a worker's call."""
        self._seen[worker] = now_ms

    def last_seen_ms(self, worker: str) -> int | None:
        """Return when a worker last called."""
        return self._seen.get(worker)
