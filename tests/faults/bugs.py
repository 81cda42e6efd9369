"""The seeded bugs (tests/faults/seeded), and the faults by which each must be seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from tests.faults import campaign, checking, plan


class Hunt(msgspec.Struct, frozen=True):
    """The faults that show a bug, how many of them must do, and what they then say."""

    only: tuple[str, ...]
    runs_max: int
    kinds: frozenset[str]


HUNTS: Final = {
    "adopt-skipped": Hunt(("worker",), 75, frozenset({checking.DOUBLED})),
    "log-repeated": Hunt(("worker",), 75, frozenset({checking.DOUBLED})),
    "leftover-kept": Hunt(("user process",), 25, frozenset({checking.LEFTOVER, checking.WRONG})),
    "fence-off": Hunt(("beyond the lease",), 50, frozenset({checking.DOUBLED})),
    "fsync-skipped": Hunt(("power cut",), 50, frozenset({checking.LOST, checking.DOUBLED})),
    "effect-twice": Hunt(("S1",), 50, frozenset({checking.DOUBLED})),
}


class Caught(msgspec.Struct):
    """How a bug was seen; `first` is None if it was not."""

    bug: str
    runs: int
    seconds: float
    first: checking.Violation | None

    def row(self) -> str:
        """Return a row of the table."""
        said = "not seen" if self.first is None else f"{self.first.kind}: {self.first.detail[:60]}"
        return f"| {self.bug} | {self.runs} | {self.seconds:.0f} | {said} |"


def hunt(
    images: Path, bug: str, *, seed: int, tell: Callable[[str], None] = lambda _: None
) -> Caught:
    """Run the faults that should show a bug, until one does."""
    sought = HUNTS[bug]
    faults = [plan.choose(seed, number, sought.only) for number in range(sought.runs_max)]
    result = campaign.run(
        images,
        faults,
        bug=bug,
        tell=tell,
        stops_at=1,
        stops_on=sought.kinds,
        keeps_story=False,
    )
    fitting = [each for each in result.violations if each.kind in sought.kinds]
    first = fitting[0] if fitting else None
    return Caught(bug, len(result.outcomes), result.seconds, first)
