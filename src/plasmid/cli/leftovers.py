"""Looks for what a run may have left on this machine: processes, mounts, cgroups, sandboxes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from plasmid.engines import cgroups

PROC: Final = Path("/proc")


def find(folder: Path, job: str) -> list[str]:
    """Return what is left of a job and of whatever worked in a folder; [] is how it should be."""
    return [
        *find_processes(folder, job),
        *find_mounts(folder),
        *find_groups(job),
        *find_tries(folder),
    ]


def find_processes(folder: Path, job: str) -> list[str]:
    """Return the processes that name the folder in their command or the job in their cgroup."""
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in command or job in (entry / "cgroup").read_text():
                found.append(f"process {entry.name}: {command.strip()[:100]}")
    return found


def find_mounts(folder: Path) -> list[str]:
    """Return the mounts in the folder."""
    lines = (PROC / "self" / "mountinfo").read_text().splitlines()
    return [f"mount {line.split()[4]}" for line in lines if str(folder) in line]


def find_groups(job: str) -> list[str]:
    """Return the cgroups of the job."""
    parents = [Path(h.mount) / cgroups.PARENT_NAME for h in cgroups.find_hierarchies()]
    groups = [group for parent in parents if parent.exists() for group in parent.iterdir()]
    return [f"cgroup {group}" for group in groups if job in group.name]


def find_tries(folder: Path) -> list[str]:
    """Return the folders of tries in a data folder."""
    return [f"folder {path}" for path in folder.glob("data/work/*job-*")]
