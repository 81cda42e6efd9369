"""What one try has used in all, as its job's describe and the last lines of its log tell it.

People choose instance types by guessing; these lines are for those who would rather know.
"""

from __future__ import annotations

from typing import Final

import msgspec

from plasmid.domain import instance_types
from plasmid.domain.instance_types import GB, GIB, InstanceType

_MB: Final = 10**6
# What is used of a limit from which on a job might have wanted more of it.
_NEARLY_ALL: Final = 0.95
# A type is called large enough if it has this much more than was used, and the one that the job had
# too large if it ran for so long and used no more than this of anything.
_SPARE: Final = 1.25
_MEASURED_MS_MIN: Final = 60_000
_LITTLE: Final = 0.4


class Totals(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a try has used; None is what this machine could not tell.

    Memory is without the content of files; bytes of the network include calls of the API and what
    the job down- and uploads; bytes of the disk are those of its own disk that were not cached.
    """

    measured_ms: int = 0
    cores: int = 0
    cpu_ms: int = 0
    average_cores: float = 0.0
    peak_cores: float = 0.0
    peak_memory_bytes: int | None = None
    memory_limit_bytes: int = 0
    peak_disk_bytes: int | None = None
    disk_limit_bytes: int = 0
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None
    network_in_bytes: int = 0
    network_out_bytes: int = 0
    out_of_memory_kills: int = 0


def lines(totals: Totals, instance_type: str) -> list[str]:
    """Return the last lines on what a try has used, and on what instance type would do."""
    hint = _hint(totals, instance_types.ALL.get(instance_type))
    return [_figures(totals), *([hint] if hint else [])]


def _figures(totals: Totals) -> str:
    held = []
    if totals.peak_memory_bytes is not None:
        used, limit = totals.peak_memory_bytes, totals.memory_limit_bytes
        share = f" ({100 * used / limit:.0f} %)" if limit else ""
        held.append(f"{_short(used / GIB)} of {_short(limit / GIB)} GiB memory{share}")
    if totals.peak_disk_bytes is not None:
        limit = totals.disk_limit_bytes
        held.append(f"{_short(totals.peak_disk_bytes / GB)} of {_short(limit / GB)} GB disk")
    cores = "core" if totals.cores == 1 else "cores"
    held.append(
        f"{_short(totals.average_cores)} of {totals.cores} {cores} on average"
        f" (peak {_short(totals.peak_cores)})"
    )
    moved = []
    if totals.disk_read_bytes is not None and totals.disk_write_bytes is not None:
        moved.append(f"read {_size(totals.disk_read_bytes)}")
        moved.append(f"wrote {_size(totals.disk_write_bytes)}")
    moved.append(f"received {_size(totals.network_in_bytes)}")
    moved.append(f"sent {_size(totals.network_out_bytes)}")
    return f"Used at most {', '.join(held)}; {', '.join(moved)}"


def _short(number: float) -> str:
    """Return a number in about two figures."""
    if number >= 100:
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 0.1 else f"{number:.2f}"


def _size(size_bytes: int) -> str:
    if size_bytes >= GB:
        return f"{size_bytes / GB:.1f} GB"
    if size_bytes >= 10 * _MB or not size_bytes:
        return f"{size_bytes / _MB:.0f} MB"
    return f"{size_bytes / _MB:.1f} MB" if size_bytes >= _MB else f"{size_bytes / 1000:.0f} kB"


def _hint(totals: Totals, had: InstanceType | None) -> str:
    """Return what other instance type is clearly the better one; "" if none is."""
    if had is None or had.gpus or had.fpgas or _has_less(totals, had):
        return ""
    memory_bytes, disk_bytes = totals.peak_memory_bytes or 0, totals.peak_disk_bytes or 0
    lacks_memory = totals.out_of_memory_kills > 0 or _is_nearly(
        memory_bytes, totals.memory_limit_bytes
    )
    lacks_disk = _is_nearly(disk_bytes, totals.disk_limit_bytes)
    if lacks_memory or lacks_disk:
        return _larger(had, memory=lacks_memory, disk=lacks_disk)
    used = (
        memory_bytes / max(1, totals.memory_limit_bytes),
        disk_bytes / max(1, totals.disk_limit_bytes),
        totals.peak_cores / max(1, totals.cores),
    )
    is_known = None not in (totals.peak_memory_bytes, totals.peak_disk_bytes)
    if not is_known or totals.measured_ms < _MEASURED_MS_MIN or max(used) > _LITTLE:
        return ""
    return _smaller(had, totals)


def _has_less(totals: Totals, had: InstanceType) -> bool:
    """Say whether the job got less than its type has: then the machine is the limit."""
    return (
        totals.cores < had.cores
        or totals.memory_limit_bytes < had.memory_bytes
        or totals.disk_limit_bytes < had.disk_bytes
    )


def _is_nearly(used: int, limit: int) -> bool:
    return limit > 0 and used >= _NEARLY_ALL * limit


def _larger(had: InstanceType, *, memory: bool, disk: bool) -> str:
    """Return the smallest step up from a type, with as many cores or more of its own family."""
    fitting = [
        other
        for other in instance_types.ALL.values()
        if _is_kin(had, other)
        and other.cores >= had.cores
        and other.memory_bytes >= had.memory_bytes * (1.5 if memory else 1)
        and other.disk_bytes >= had.disk_bytes * (1.5 if disk else 1)
    ]
    if not fitting:
        return ""
    best = min(fitting, key=_size_of)
    what = " and ".join(["memory"] * memory + ["disk"] * disk)
    return f"More {what} would help: {best.name} has {_offers(best)}"


def _smaller(had: InstanceType, totals: Totals) -> str:
    """Return the smallest type that would have done with some room to spare."""
    cores = totals.peak_cores * _SPARE
    fitting = [
        other
        for other in instance_types.ALL.values()
        if _is_kin(had, other)
        and other.cores < had.cores
        and other.cores >= cores
        and other.memory_bytes <= had.memory_bytes
        and other.memory_bytes >= (totals.peak_memory_bytes or 0) * _SPARE
        and other.disk_bytes >= (totals.peak_disk_bytes or 0) * _SPARE
    ]
    if not fitting:
        return ""
    best = min(fitting, key=_size_of)
    return f"A smaller instance type would have done: {best.name} has {_offers(best)}"


def _is_kin(had: InstanceType, other: InstanceType) -> bool:
    """Say whether two types are of one cloud and generation, and kind of disk."""
    return not (other.gpus or other.fpgas) and _kind(had) == _kind(other)


def _kind(of: InstanceType) -> tuple[str, str]:
    """Return a type's name without its memory and cores, `mem1_ssd1_v2_x4`: ("", "ssd1_v2")."""
    family = of.name.rpartition("_x")[0]
    cloud, _, rest = family.rpartition(":")
    return cloud, rest.partition("_")[2]


def _size_of(of: InstanceType) -> tuple[int, int, int]:
    return of.cores, of.memory_bytes, of.disk_bytes


def _offers(of: InstanceType) -> str:
    cores = f"{of.cores} core{'' if of.cores == 1 else 's'}"
    memory = f"{of.memory_bytes / GIB:.4g} GiB of memory"
    return f"{cores}, {memory} and {of.disk_bytes // GB} GB of disk"
