"""How often somebody else could have had a turn on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator


class Turns:
    """Counts the rounds of the event loop."""

    def __init__(self) -> None:
        self.count = 0
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self.count += 1
        self._next = self._loop.call_soon(self._turn)

    def end(self) -> None:
        """Count no more."""
        self._next.cancel()


@contextlib.contextmanager
def counted() -> Iterator[Turns]:
    """Count the rounds of the event loop until the end of the block."""
    turns = Turns()
    try:
        yield turns
    finally:
        turns.end()
