"""Which tries are being started: meanwhile the floods of others wait.

A start is many short steps. Beside a flood each of them waits for a whole batch of lines; the flood
can wait much better, as its writers do then (backlog.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

# One that takes longer, as it builds a layer, is no matter of milliseconds.
WAIT_SECONDS_MAX: Final = 0.3


class Starts:
    """The starts of a worker that go on at the moment."""

    def __init__(self) -> None:
        self._marks: set[object] = set()
        self._are_none = asyncio.Event()
        self._are_none.set()

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Count a start for the time of the block."""
        mark = object()
        self._marks.add(mark)
        self._are_none.clear()
        try:
            yield
        finally:
            self._marks.discard(mark)
            if not self._marks:
                self._are_none.set()

    async def give_way(self) -> None:
        """Return when no try is being started, or after a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await self._are_none.wait()
