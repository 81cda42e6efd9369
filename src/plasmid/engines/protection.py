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
_HOST: Final = f"{cgroups.PARENT_NAME}-host"  # where cgroups.offer moves who is in its way
_PROC: Final = Path("/proc/self")


@contextlib.contextmanager
def protected(*, process: Path = _PROC) -> Iterator[None]:
    """Protect this process and those that it starts; what the machine does not allow is left out.

    At the end of the block this process leaves the group; the group goes too, if nobody is left in
    it (a conmon of a running job may be).
    """
    with contextlib.suppress(OSError):
        (process / "oom_score_adj").write_text(str(OOM_SCORE))
    joined: list[tuple[Path, Path]] = []
    with contextlib.suppress(OSError):
        for version, home in _homes(process):
            mount = home.parent if home.name == _HOST else home
            _make(mount / GROUP, version)
            _enter(mount / GROUP)
            host = mount / _HOST  # making room for the group may have moved all of us there
            joined.append((host if version == 2 and host.is_dir() else home, mount / GROUP))
    try:
        yield
    finally:
        for home, group in joined:
            with contextlib.suppress(OSError):
                _enter(home)
            with contextlib.suppress(OSError):
                group.rmdir()


def _homes(process: Path) -> Iterator[tuple[int, Path]]:
    """Give the group that rules this process's processor time, if nobody has chosen it for us.

    And of which version it is.
    """
    group_of = _groups((process / "cgroup").read_text())
    for hierarchy in cgroups.find_hierarchies():
        if "cpu" in hierarchy.controllers:
            mine = group_of.get("" if hierarchy.version == 2 else "cpu", "")
            if mine in ("/", f"/{_HOST}"):
                yield hierarchy.version, Path(hierarchy.mount, mine.lstrip("/"))


def _groups(text: str) -> dict[str, str]:
    """Return a process's groups by controller, from its cgroup file (cgroups(7)); "": version 2."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def _make(group: Path, version: int) -> None:
    if version == 2:
        cgroups.offer(group.parent, ("cpu",))  # without, a group has no weight
        group.mkdir(exist_ok=True)
        (group / "cpu.weight").write_text(str(CPU_WEIGHT))
    else:
        group.mkdir(exist_ok=True)
        (group / "cpu.shares").write_text(str(_SHARES))


def _enter(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))
