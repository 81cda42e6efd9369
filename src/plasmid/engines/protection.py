"""Keeps what supervises jobs alive and quick beside jobs that take all they can get.

Memory: when the machine as a whole runs out, jobs go first. Processors: a control group of our own,
with many times the weight of all jobs together; conmon and whatever else we start is in it too.
Where a service manager has put us into a group, we stay there: that has a weight of its own, which
jobs (engines/cgroups.py) do not share.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from plasmid.engines import cgroups

GROUP: Final = f"{cgroups.PARENT_NAME}-supervisors"
OOM_SCORE: Final = -900
CPU_WEIGHT: Final = 1000
_SHARES: Final = 10240
_PROC: Final = Path("/proc/self")


@contextlib.contextmanager
def protected(*, process: Path = _PROC) -> Iterator[None]:
    """Protect this process and those that it starts; what the machine does not allow is left out.

    At the end of the block this process leaves the group, which goes with the last one in it.
    """
    with contextlib.suppress(OSError):
        (process / "oom_score_adj").write_text(str(OOM_SCORE))
    joined: list[tuple[Path, Path]] = []
    with contextlib.suppress(OSError):
        for home in _homes(process):
            mount = home.parent if home.name == f"{cgroups.PARENT_NAME}-host" else home
            _make(mount / GROUP)
            _enter(mount / GROUP)
            joined.append((home, mount / GROUP))
    try:
        yield
    finally:
        for home, group in joined:
            with contextlib.suppress(OSError):
                _enter(home)
            with contextlib.suppress(OSError):
                group.rmdir()


def _homes(process: Path) -> Iterator[Path]:
    """Give the group that rules this process's processor time, if nobody has chosen it for us."""
    group_of = _groups((process / "cgroup").read_text())
    for hierarchy in cgroups.find_hierarchies():
        if "cpu" in hierarchy.controllers:
            mine = group_of.get("" if hierarchy.version == 2 else "cpu", "")
            if mine in ("/", f"/{cgroups.PARENT_NAME}-host"):
                yield Path(hierarchy.mount, mine.lstrip("/"))


def _groups(text: str) -> dict[str, str]:
    """Return a process's groups by controller, from its cgroup file (cgroups(7)); "": version 2."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def _make(group: Path) -> None:
    group.mkdir(exist_ok=True)
    weight = group / "cpu.weight"
    if weight.exists():
        weight.write_text(str(CPU_WEIGHT))
    else:
        (group / "cpu.shares").write_text(str(_SHARES))


def _enter(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))
