"""A disk that is soon full: a tiny file system in memory, mounted for the length of a block."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

INODES = 64


@contextlib.contextmanager
def small_disk(folder: Path, *, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of a size at a folder; the test is skipped where that is not allowed."""
    folder.mkdir(parents=True)
    options = f"size={size_bytes},nr_inodes={INODES}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "plasmid-test", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
