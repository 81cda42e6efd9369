"""What a sandbox uses, read from its control groups and the disk that it has to itself.

A sample opens about ten small files of the kernel's and takes a tenth of a millisecond.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from plasmid.engines import cgroups, engine

_SECTOR_BYTES: Final = 512
_TICK_MS: Final = 1000 / os.sysconf("SC_CLK_TCK")
_COUNTED: Final = {
    "rbytes": "read_bytes",
    "wbytes": "written_bytes",
    "rios": "reads",
    "wios": "writes",
}


def measured(
    groups: tuple[cgroups.Group, ...], own_disk: Path | None, *, is_device: bool
) -> engine.Usage:
    """Return what the processes of some groups have used; OSError if the groups are gone.

    `own_disk` is the folder that is theirs alone, if there is one; with `is_device` it is a file
    system on a device of its own, whose reads and writes are theirs.
    """
    os.stat(groups[0].path)  # noqa: PTH116 - a Path takes longer to make
    memory_bytes, cached_bytes = cgroups.memory_use(groups)
    cpu_user_ms, cpu_system_ms = _cpu_ms(groups)
    used_bytes, total_bytes = _space(own_disk) if own_disk is not None else (None, None)
    io = _device_io(own_disk) if is_device and own_disk is not None else _group_io(groups)
    return engine.Usage(
        cpu_user_ms=cpu_user_ms,
        cpu_system_ms=cpu_system_ms,
        memory_bytes=max(0, memory_bytes - cached_bytes),
        cached_bytes=cached_bytes,
        peak_memory_bytes=cgroups.peak_memory_bytes(groups),
        disk_used_bytes=used_bytes,
        disk_total_bytes=total_bytes,
        processes=int(_first(groups, "pids", "pids.current") or 0),
        out_of_memory_kills=cgroups.out_of_memory_kills(groups),
        **io,
    )


def _cpu_ms(groups: Iterable[cgroups.Group]) -> tuple[int, int]:
    """Return the time that processors worked for a sandbox: its programs, the kernel for them."""
    for group in groups:
        if group.version == 2:
            found = _pairs(cgroups.read(group, "cpu.stat"))
            return found.get("user_usec", 0) // 1000, found.get("system_usec", 0) // 1000
        if cgroups.CPUACCT in group.controllers:
            found = _pairs(cgroups.read(group, "cpuacct.stat"))
            return int(found.get("user", 0) * _TICK_MS), int(found.get("system", 0) * _TICK_MS)
    return 0, 0


def _space(folder: Path) -> tuple[int | None, int | None]:
    """Return how much of a file system is used, and its size as `df` shows it."""
    with contextlib.suppress(OSError):
        found = os.statvfs(folder)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        return used, used + found.f_bavail * found.f_frsize
    return None, None


def _device_io(folder: Path) -> dict[str, int]:
    """Return what a file system's device has counted (the kernel's Documentation/block/stat)."""
    with contextlib.suppress(OSError):
        number = folder.stat().st_dev
        path = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat"
        fields = [int(field) for field in cgroups.content(path).split()]
        if fields:
            return {
                "reads": fields[0],
                "read_bytes": fields[2] * _SECTOR_BYTES,
                "writes": fields[4],
                "written_bytes": fields[6] * _SECTOR_BYTES,
                "disk_busy_ms": fields[9],
            }
    return {}


def _group_io(groups: Iterable[cgroups.Group]) -> dict[str, int]:
    """Return what a version 2 group has read and written, on all disks; {} if unknown."""
    text = _first(groups, cgroups.IO, "io.stat")
    if text is None:
        return {}
    found = dict.fromkeys(_COUNTED.values(), 0)
    for word in text.split():
        name, _, value = word.partition("=")
        if name in _COUNTED:
            found[_COUNTED[name]] += int(value)
    return found


def _first(groups: Iterable[cgroups.Group], controller: str, name: str) -> str | None:
    for group in groups:
        if controller in group.controllers:
            return cgroups.read(group, name)
    return None


def _pairs(text: str) -> Mapping[str, int]:
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}
