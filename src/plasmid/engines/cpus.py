"""Processors: which of them a sandbox gets to itself.

What is taken is read from the groups that are there, so nothing has to be remembered or given back:
a sandbox's processors are free as soon as its group is gone, whoever made it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from plasmid.engines import cgroups


def here() -> list[int]:
    """Return the processors that we ourselves may use, so the most that a sandbox can have."""
    return sorted(os.sched_getaffinity(0))


def parse(text: str) -> list[int]:
    """Return the processors of a list as the kernel writes it: `0-2,5`."""
    found: list[int] = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    return found


def listed(cpus: Iterable[int]) -> str:
    """Return processors as the kernel writes them: `0-2,5`."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and parts[-1][-1] == cpu - 1:
            parts[-1] = [parts[-1][0], cpu]
        else:
            parts.append([cpu])
    return ",".join("-".join(map(str, part)) for part in parts)


def choose(cpus: Sequence[int], taken: Iterable[Sequence[int]], count: int) -> list[int]:
    """Return `count` of the processors, those that the fewest others have.

    `taken` are the processors of each other sandbox. Neighbours by number, which mostly share a
    cache, stay together. All are returned if there are no more than `count`.
    """
    uses = dict.fromkeys(cpus, 0)
    for others in taken:
        for cpu in others:
            if cpu in uses:
                uses[cpu] += 1
    return sorted(sorted(cpus, key=lambda cpu: (uses[cpu], cpu))[:count])


def choose_for(groups: Iterable[cgroups.Group], count: int) -> list[int]:
    """Return the processors for a sandbox with these groups; all if none can be kept to some."""
    for group in groups:
        if cgroups.CPUSET in group.controllers and count:
            return choose(here(), _taken(Path(group.path)), count)
    return here()


def _taken(own: Path) -> list[list[int]]:
    """Return the processors of every other sandbox that does not have all of them."""
    everything = here()
    found = []
    with contextlib.suppress(FileNotFoundError):
        for group in own.parent.iterdir():
            with contextlib.suppress(OSError):
                cpus = parse((group / "cpuset.cpus").read_text()) if group != own else []
                if cpus and set(cpus) != set(everything):
                    found.append(cpus)
    return found
