"""Ends what keeps a killed process in the kernel: file systems of its own that never answer.

A process that waits for an answer of a FUSE file system cannot be killed, and may itself hold open
what would end the wait if it were closed. The kernel lets root end such a file system
(Documentation/filesystems/fuse.rst, fusectl).
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_SECONDS_MAX: Final = 10.0
# In a mount namespace of its own: on most machines fusectl is mounted, on some it is not.
_ABORT: Final = """mount -t fusectl none /sys/fs/fuse/connections 2>/dev/null
for number; do echo 1 >"/sys/fs/fuse/connections/$number/abort"; done
"""


def end_waits(pids: Iterable[int]) -> list[int]:
    """End the FUSE file systems that only these processes see; return their kernel's numbers."""
    seen = {number for pid in pids for number in _file_systems(_PROC / str(pid))}
    numbers = sorted(seen - _file_systems(_PROC / "self"))
    if numbers:
        subprocess.run(
            ["unshare", "-m", "sh", "-c", _ABORT, "sh", *map(str, numbers)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS_MAX,
        )
    return numbers


def _file_systems(process: Path) -> set[int]:
    """Return the minor numbers of the FUSE file systems that a process sees; none if it is gone."""
    found = set()
    with contextlib.suppress(OSError):
        for line in (process / "mountinfo").read_text(errors="replace").splitlines():
            before, _, after = line.partition(" - ")
            kind = after.split(" ", 1)[0]
            major, minor = before.split()[2].split(":")
            if major == "0" and (kind == "fuse" or kind.startswith("fuse.")):
                found.add(int(minor))
    return found
