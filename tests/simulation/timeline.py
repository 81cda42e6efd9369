"""Simulated time: what is to happen, in order, and nothing else ever happens."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Timeline:
    """A heap of things to do; the clock stands still while one of them is done."""

    def __init__(self) -> None:
        self.now_ms = 1_800_000_000_000
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, delay_ms: int, do: Callable[..., None], *given: Any) -> None:
        """Do something after a time; what was said first is done first."""
        self._count += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._count, do, given))

    def step(self) -> bool:
        """Do the next thing; False if there is nothing left."""
        if not self._heap:
            return False
        at_ms, _, do, given = heapq.heappop(self._heap)
        self.now_ms = max(self.now_ms, at_ms)
        do(*given)
        return True


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Carry out a coroutine that waits for nothing; none of ours does with a database in memory.

    It may step aside for others, who do nothing meanwhile.
    """
    try:
        while work.send(None) is None:
            pass
    except StopIteration as end:
        value: T = end.value
        return value
    work.close()
    raise AssertionError("a call waited for something that the simulation does not know")
