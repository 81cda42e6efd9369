"""Looks for what a run may have left on this machine: processes, mounts, groups, loop devices."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from plasmid.engines import cgroups

PROC: Final = Path("/proc")
SYS_BLOCK: Final = Path("/sys/block")


def find(folder: Path, job: str) -> list[str]:
    """Return what is left of a job and of whatever worked in a folder; [] is how it should be."""
    return [
        *find_processes(job, folder),
        *find_mounts(folder),
        *find_loops(folder),
        *find_groups(job),
        *find_tries(folder),
    ]


def find_processes(job: str, folder: Path | None = None) -> list[str]:
    """Return the processes in the job's cgroup, and those that name the folder in their command."""
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            names_folder = folder is not None and str(folder) in command
            if names_folder or job in (entry / "cgroup").read_text():
                found.append(f"process {entry.name}: {command.strip()[:100]}")
    return found


def find_mounts(folder: Path) -> list[str]:
    """Return the mounts in the folder."""
    lines = (PROC / "self" / "mountinfo").read_text().splitlines()
    return [f"mount {line.split()[4]}" for line in lines if str(folder) in line]


def find_loops(folder: Path) -> list[str]:
    """Return the loop devices whose image is in the folder, deleted or not."""
    found = []
    for backing in SYS_BLOCK.glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            image = backing.read_text().strip()
            if image.startswith(f"{folder}/"):
                found.append(f"loop device {backing.parent.parent.name}: {image}")
    return found


def find_groups(job: str) -> list[str]:
    """Return the cgroups of the job."""
    parents = [Path(h.mount) / cgroups.PARENT_NAME for h in cgroups.find_hierarchies()]
    groups = [group for parent in parents if parent.exists() for group in parent.iterdir()]
    return [f"cgroup {group}" for group in groups if job in group.name]


def find_tries(folder: Path) -> list[str]:
    """Return the folders of tries in a data folder."""
    return [f"folder {path}" for path in folder.glob("data/work/*job-*")]
