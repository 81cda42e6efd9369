"""Reads from an ended sandbox what its job left, for the decision how it ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from plasmid.domain import assignments
from plasmid.engines import engine
from plasmid.worker import inside, outcome
from plasmid.worker.steps import environment, execute, workspace

SMALL_BYTES_MAX: Final = 64 * 1024
# With less than this free, writes fail.
DISK_FREE_BYTES_MIN: Final = 1 << 20
IN_MEMORY: Final = ("/dev", "/dev/shm")  # noqa: S108 - the job's own
DF_COLUMNS: Final = 6


def read(
    assignment: assignments.Assignment, root: Path, ended: engine.Exit, *, timed_out: bool
) -> outcome.Ending:
    """Return what is known of the end of a job's sandbox; `root` is its root folder."""
    phase, _ = _text(root, f"{workspace.STATE}/phase", SMALL_BYTES_MAX)
    failure, _ = _text(root, f"{workspace.STATE}/failure", SMALL_BYTES_MAX)
    error, _ = _text(root, f"{environment.HOME}/job_error.json")
    output, problem = _text(root, f"{environment.HOME}/job_output.json")
    disks, _ = _text(root, workspace.DISKS, SMALL_BYTES_MAX)
    return outcome.Ending(
        exit_code=ended.exit_code,
        out_of_memory=ended.out_of_memory,
        full=_full_places(root, disks or "") if ended.exit_code != 0 else (),
        processes_full=ended.processes_full,
        processes_max=execute.PROCESSES_MAX,
        timed_out=timed_out,
        timeout_ms=assignment.timeout_ms,
        memory_bytes=assignment.resources.memory_bytes,
        disk_bytes=assignment.resources.disk_bytes,
        lost_writes=ended.lost_writes,
        phase=(phase or outcome.SETUP).strip(),
        setup_failure=failure,
        error_text=error,
        output_text=output,
        unreadable=problem,
    )


def _text(
    root: Path, path: str, bytes_max: int = inside.FILE_BYTES_MAX
) -> tuple[str | None, str | None]:
    """Return (text, None), or (None, why it cannot be read)."""
    try:
        return inside.read_text(root, path, bytes_max=bytes_max), None
    except inside.UnreadableError as error:
        return None, str(error)


def _full_places(root: Path, disks: str) -> tuple[outcome.Full, ...]:
    """Return the file systems in which a job that failed had no room.

    `disks` is what `df` said inside at the job's end, of those that are gone by now; it may be
    anything.
    """
    disk = os.statvfs(root)
    size_bytes = disk.f_blocks * disk.f_frsize
    full = outcome.Full(outcome.ROOT, size_bytes=size_bytes, of_names=_has_no_names(root))
    found = [full] if is_full(root) else []
    for line in disks.splitlines():
        columns = line.split()
        if len(columns) != DF_COLUMNS or columns[-1] not in IN_MEMORY:
            continue
        size, free = (int(text) * 1024 if text.isdecimal() else -1 for text in columns[1:4:2])
        if 0 <= free < DISK_FREE_BYTES_MIN < size:
            found.append(outcome.Full(columns[-1], size_bytes=size))
    return tuple(found)


def is_full(folder: Path) -> bool:
    """Say whether the disk of a folder has no room for another file, in bytes or in number."""
    free = os.statvfs(folder)
    return _has_no_names(folder) or free.f_bavail * free.f_frsize < DISK_FREE_BYTES_MIN


def _has_no_names(folder: Path) -> bool:
    free = os.statvfs(folder)
    return free.f_files > 0 and free.f_favail == 0
