"""What a process is doing, for the failure of a test that waits for its end."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_TOLD: Final = ("State", "PPid", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")


def story(pid: int) -> str:
    """Return its state, signals, and where each of its threads is in the kernel."""
    lines = [f"process {pid}:"]
    with contextlib.suppress(OSError):
        status = (PROC / str(pid) / "status").read_text().splitlines()
        lines += [f"  {line}" for line in status if line.partition(":")[0] in _TOLD]
        for task in sorted((PROC / str(pid) / "task").iterdir()):
            lines += _of_thread(task)
    return "\n".join(lines)


def _of_thread(task: Path) -> list[str]:
    told = [f"  thread {task.name}:"]
    for name in ("comm", "wchan", "syscall", "stack"):
        with contextlib.suppress(OSError):
            said = (task / name).read_text().splitlines()
            told.append(f"    {name}: {'; '.join(said)}")
    return told
