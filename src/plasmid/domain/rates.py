"""How many calls may be made: one bucket of tokens for each caller, refilled with time (A.7).

A bucket holds `BURST_SECONDS` worth of calls, so that short bursts pass and only what goes on is
slowed down. Pure: the time is passed in.
"""

from __future__ import annotations

import math
from typing import Final

BURST_SECONDS: Final = 10
BUCKETS_MAX: Final = 10_000


class Buckets:
    """The buckets of many callers who may make so many calls a second each; 0: without a limit."""

    def __init__(self, calls_per_second: int) -> None:
        self._rate = calls_per_second
        self._full = calls_per_second * BURST_SECONDS
        self._left: dict[str, tuple[float, int]] = {}

    def take(self, caller: str, now_ms: int) -> int:
        """Take one call out; return 0, or in how many whole seconds there will be one to take."""
        if not self._rate:
            return 0
        left = self._left_of(caller, now_ms)
        if left < 1:
            self._left[caller] = (left, now_ms)
            return math.ceil((1 - left) / self._rate)
        if len(self._left) >= BUCKETS_MAX:
            self._forget_full(now_ms)
        self._left[caller] = (left - 1, now_ms)
        return 0

    def _left_of(self, caller: str, now_ms: int) -> float:
        left, then_ms = self._left.get(caller, (float(self._full), now_ms))
        return min(float(self._full), left + max(0, now_ms - then_ms) * self._rate / 1000)

    def _forget_full(self, now_ms: int) -> None:
        """Drop those who have not called lately: a full bucket is as good as none."""
        callers = list(self._left)
        for caller in callers:
            if self._left_of(caller, now_ms) >= self._full:
                del self._left[caller]
