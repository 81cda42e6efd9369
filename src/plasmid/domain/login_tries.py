"""How often a login may fail: so many at once, and then one each while (contract A.7).

Pure: the time is passed in. What is remembered is bounded: who has not tried for the longest time
is forgotten first.
"""

from __future__ import annotations

import math
from typing import Final

REMEMBERED_MAX: Final = 10_000


class Tries:
    """The tries that are left to each of many: `burst` of them, and one more each `refill_ms`."""

    def __init__(self, burst: int, refill_ms: float) -> None:
        self._burst = burst
        self._refill_ms = refill_ms
        # the least lately tried first
        self._left: dict[str, tuple[float, int]] = {}

    def __len__(self) -> int:
        """Return of how many something is remembered."""
        return len(self._left)

    def wait_seconds(self, who: str, now_ms: int) -> int:
        """Return 0 if a try is left, or in how many whole seconds there will be one."""
        left = self._left_of(who, now_ms)
        return 0 if left >= 1 else math.ceil((1 - left) * self._refill_ms / 1000)

    def take(self, who: str, now_ms: int) -> None:
        """Count a try; one that there is not counts for nothing."""
        left = self._left_of(who, now_ms)
        self._left.pop(who, None)
        if len(self._left) >= REMEMBERED_MAX:
            del self._left[next(iter(self._left))]
        self._left[who] = (left - 1 if left >= 1 else left, now_ms)

    def give_back(self, who: str) -> None:
        """Take back that a try was counted: it was none that failed."""
        if who in self._left:
            left, then_ms = self._left[who]
            self._left[who] = (min(float(self._burst), left + 1), then_ms)

    def _left_of(self, who: str, now_ms: int) -> float:
        left, then_ms = self._left.get(who, (float(self._burst), now_ms))
        if now_ms < then_ms:  # the clock was set back: from now on it counts anew
            then_ms = now_ms
            self._left[who] = left, then_ms
        return min(float(self._burst), left + (now_ms - then_ms) / self._refill_ms)
