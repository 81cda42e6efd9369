"""Reads from an ended sandbox what its job left, for the decision how it ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from plasmid.domain import assignments
from plasmid.engines import engine
from plasmid.worker import inside, outcome
from plasmid.worker.steps import environment, workspace

SMALL_BYTES_MAX: Final = 64 * 1024
# With less than this free, writes fail.
DISK_FREE_BYTES_MIN: Final = 1 << 20


def read(
    assignment: assignments.Assignment, root: Path, ended: engine.Exit, *, timed_out: bool
) -> outcome.Ending:
    """Return what is known of the end of a job's sandbox; `root` is its root folder."""
    phase, _ = _text(root, f"{workspace.STATE}/phase", SMALL_BYTES_MAX)
    failure, _ = _text(root, f"{workspace.STATE}/failure", SMALL_BYTES_MAX)
    error, _ = _text(root, f"{environment.HOME}/job_error.json")
    output, problem = _text(root, f"{environment.HOME}/job_output.json")
    return outcome.Ending(
        exit_code=ended.exit_code,
        out_of_memory=ended.out_of_memory,
        disk_full=ended.exit_code != 0 and is_full(root),
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


def is_full(folder: Path) -> bool:
    """Say whether the disk of a folder has no room for another file, in bytes or in number."""
    free = os.statvfs(folder)
    has_no_names = free.f_files > 0 and free.f_favail == 0
    return has_no_names or free.f_bavail * free.f_frsize < DISK_FREE_BYTES_MIN
