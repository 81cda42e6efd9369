"""What a sandbox sees of the machine: its own memory and processors, not the machine's.

The kernel's files in /proc and /sys tell of the whole machine, and programs size their threads and
heaps by them. So files of ours, in the same form, are laid over those of them that are read for
this: `meminfo` (free, Java before 10, apps' own arithmetic), `cpuinfo` (`grep -c ^processor`,
lscpu) and the lists of processors (nproc and sysconf in old releases, os.cpu_count, lscpu). The
processors keep the numbers that the kernel gives them, so that affinity works.

`meminfo` is written anew every few seconds by whoever waits for the sandbox; its length stays the
same, so that a reader never sees half a line. /proc/stat, uptime and loadavg stay the machine's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from plasmid.engines import cpus, engine

REFRESH_SECONDS: Final = 5.0
_KIB: Final = 1024
_CPU_LISTS: Final = tuple(
    f"/sys/devices/system/cpu/{name}" for name in ("online", "present", "possible")
)
_MEMINFO: Final = Path("/proc/meminfo")
_CPUINFO: Final = Path("/proc/cpuinfo")


class MemoryUse(msgspec.Struct, frozen=True):
    """What the processes of a sandbox use now: all of it, and the part that is files' content."""

    used_bytes: int = 0
    cached_bytes: int = 0


def meminfo(host: str, limit_bytes: int, use: MemoryUse) -> str:
    """Return /proc/meminfo of a machine whose memory is the limit; pure.

    `host` is the machine's own: the form is taken from it, and what it has available is the most
    that a sandbox can still get.
    """
    there = {name: int(kib) for name, kib in re.findall(r"^(\S+):\s+(\d+)", host, re.MULTILINE)}
    total = min(limit_bytes // _KIB, there.get("MemTotal", limit_bytes // _KIB))
    used = min(use.used_bytes // _KIB, total)
    cached = min(use.cached_bytes // _KIB, used)
    free = total - used
    mine = {
        "MemTotal": total,
        "MemFree": min(free, there.get("MemAvailable", free)),
        "MemAvailable": min(free + cached, there.get("MemAvailable", free + cached)),
        "Cached": cached,
        "Active(file)": cached,
        "Active(anon)": used - cached,
        "Active": used,
        "AnonPages": used - cached,
        "CommitLimit": total,
    }
    kept = ("HugePages_Total", "HugePages_Free", "Hugepagesize", "VmallocTotal")
    width = max(9, len(str(total)))
    lines = []
    for line in host.splitlines():
        name, _, rest = line.partition(":")
        unit = " kB" if rest.endswith("kB") else ""
        value = mine.get(name, there.get(name, 0) if name in kept else 0)
        lines.append(f"{name + ':':<15}{value:>{width}}{unit}\n")
    return "".join(lines)


def cpuinfo(host: str, own: Iterable[int]) -> str:
    """Return /proc/cpuinfo with only some of its processors; pure."""
    wanted = set(own)
    kept = []
    for block in re.split(r"\n[ \t]*\n", host.strip("\n")):
        number = re.search(r"^processor\s*:\s*(\d+)\s*$", block, re.MULTILINE)
        if number is None or int(number.group(1)) in wanted:
            kept.append(block)
    return "".join(f"{block}\n\n" for block in kept)


def make(folder: Path, *, limit_bytes: int, own: list[int]) -> tuple[engine.Mount, ...]:
    """Write the files into a new folder and return what is laid over what.

    Where a sandbox has all processors of the machine, the machine's own files say it already.
    """
    folder.mkdir(mode=0o755)
    files = {"meminfo": meminfo(_MEMINFO.read_text(), limit_bytes, MemoryUse())}
    over = {"meminfo": [str(_MEMINFO)]}
    if set(own) != set(cpus.parse(Path(_CPU_LISTS[0]).read_text())):
        files |= {"cpuinfo": cpuinfo(_CPUINFO.read_text(), own), "cpus": cpus.listed(own) + "\n"}
        over |= {"cpuinfo": [str(_CPUINFO)], "cpus": [*_CPU_LISTS]}
    for name, content in files.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o444)
    return tuple(
        engine.Mount(str(folder / name), target)
        for name, targets in over.items()
        for target in targets
    )


def refresh(folder: Path, *, limit_bytes: int, use: MemoryUse) -> None:
    """Write what memory is left now; a sandbox without the file is left alone."""
    file = folder / "meminfo"
    try:
        with file.open("r+") as sink:
            sink.write(meminfo(_MEMINFO.read_text(), limit_bytes, use))
    except FileNotFoundError:
        return
