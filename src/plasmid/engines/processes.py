"""What processes use, from /proc, for sandboxes without control groups of their own.

All that a process's ended children used counts with it once it has waited for them. What nobody
waited for is lost, so sums can fall.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from plasmid.engines import engine

_TICK_MS: Final = 1000 / os.sysconf("SC_CLK_TCK")
_KIB: Final = 1024
# proc(5), counted behind the name in parentheses: utime, stime, and those of waited-for children.
_USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM = 11, 12, 13, 14


def usage(first_pid: int, proc: Path = Path("/proc")) -> engine.Usage:
    """Return what all processes of a process's pid namespace use; OSError if it has ended."""
    namespace = (proc / str(first_pid) / "ns" / "pid").readlink()
    user, system, memory_bytes, read_bytes, written_bytes, count = 0, 0, 0, 0, 0, 0
    for process in _in_namespace(proc, namespace):
        # Who ends meanwhile says nothing, or less. All is bytes: a name may be anything.
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
            own_user = int(fields[_USER]) + int(fields[_CHILDREN_USER])
            own_system = int(fields[_SYSTEM]) + int(fields[_CHILDREN_SYSTEM])
            memory_bytes += _memory_bytes(process)
            user, system, count = user + own_user, system + own_system, count + 1
            io = _pairs((process / "io").read_bytes())
            read_bytes += io.get("read_bytes", 0)
            written_bytes += io.get("write_bytes", 0)
    return engine.Usage(
        cpu_user_ms=int(user * _TICK_MS),
        cpu_system_ms=int(system * _TICK_MS),
        memory_bytes=memory_bytes,
        read_bytes=read_bytes,
        written_bytes=written_bytes,
        processes=count,
    )


def _in_namespace(proc: Path, namespace: Path) -> Iterator[Path]:
    for entry in os.scandir(proc):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if Path(entry.path, "ns", "pid").readlink() == namespace:
                    yield Path(entry.path)


def _memory_bytes(process: Path) -> int:
    """Return the memory that is a process's own; what it shares by fork counts with each."""
    found = _pairs((process / "status").read_bytes())
    return (found.get("RssAnon", 0) + found.get("RssShmem", 0)) * _KIB


def _pairs(content: bytes) -> dict[str, int]:
    """Return the numbers of lines `name: number`, by their names."""
    lines = (line.split() for line in content.split(b"\n"))
    return {
        words[0].rstrip(b":").decode(errors="replace"): int(words[1])
        for words in lines
        if len(words) > 1 and words[1].isdigit()
    }
