"""What a long command says while it works: numbered steps, and how long each took."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO


class Steps:
    """Prints the steps of a piece of work as they begin, and a table of their times at the end."""

    def __init__(
        self,
        total: int,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._stream = stream or sys.stdout
        self._clock = clock
        self.seconds: list[tuple[str, float]] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step, and when it ends say how long it took; nothing is said if it fails."""
        self.say(f"\n[{len(self.seconds) + 1}/{self._total}] {title}")
        begun = self._clock()
        yield
        took = self._clock() - begun
        self.seconds.append((title, took))
        self.say(f"      ({took:.1f} s)")

    def say(self, text: str) -> None:
        """Print a line at once, also where output is not a terminal."""
        print(text, file=self._stream, flush=True)

    def note(self, text: str) -> None:
        """Print a line that belongs to the step."""
        self.say(f"      {text}")

    def table(self) -> str:
        """Return the steps with their times and the sum."""
        rows = [*self.seconds, ("all together", sum(took for _, took in self.seconds))]
        width = max(len(title) for title, _ in rows)
        return "\n".join(f"  {title:<{width}}  {took:6.1f} s" for title, took in rows)
