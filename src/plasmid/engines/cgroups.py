"""Control groups of sandboxes: made, limited, read and removed by us, not by the OCI runtime.

Version 1, version 2 and any mixture work, because every controller is looked up by itself. Groups
are `<hierarchy>/plasmid/<sandbox>`, beside (not under) the group that we happen to be started in,
as Docker's cgroupfs driver does it: no session or service manager tidies them away early.

The runtime's own cgroup code is not used: crun refuses hybrid machines, both put a process into a
dozen hierarchies by the slow way (a move that waits for all cores), and neither keeps the counters
that tell an out-of-memory kill from any other one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

CONTROLLERS: Final = ("memory", "cpu", "pids")
# Pins a sandbox to processors of its own. Without it a quota does the same, unseen from inside.
CPUSET: Final = "cpuset"
# Limits nothing: it counts processor time, where version 1 does not do that together with `cpu`.
CPUACCT: Final = "cpuacct"
# Limits nothing either: it counts what is read and written, in version 2.
IO: Final = "io"
_ALL: Final = (*CONTROLLERS, CPUSET, CPUACCT)
PARENT_NAME: Final = "plasmid"
_FILE_BYTES_MAX: Final = 64 << 10
_REMOVE_SECONDS_MAX: Final = 10.0
_V1_SHARES_PER_WEIGHT: Final = 1024 / 100
_CPU_PERIOD_US: Final = 100_000


class Hierarchy(msgspec.Struct, frozen=True):
    """One mounted cgroup file system and those of our controllers that live in it."""

    version: int
    mount: str
    controllers: tuple[str, ...]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes of a sandbox may use together.

    `cpu_weight` is in the unit of version 2: 1 to 10000, where 100 is one ordinary share; `cores`
    is how much processor time they may have, 0 for any; `cpus` lists the processors that they may
    be on ("0-3,6"), "" for all.
    """

    memory_bytes: int
    cpu_weight: int
    processes_max: int
    cores: int = 0
    cpus: str = ""


class Group(msgspec.Struct, frozen=True):
    """The group of one sandbox in one hierarchy."""

    version: int
    path: str
    controllers: tuple[str, ...]

    @property
    def join_file(self) -> str:
        """The file to which a process with one thread writes 0 to enter.

        In version 1 that is `tasks`: entering by it alone takes no lock that waits for all cores.
        """
        return f"{self.path}/{'tasks' if self.version == 1 else 'cgroup.procs'}"


def parse_hierarchies(mountinfo: str, v2_controllers: Iterable[str] = ()) -> tuple[Hierarchy, ...]:
    """Find our controllers in the text of /proc/self/mountinfo (proc(5)).

    `v2_controllers` are those that the version 2 root offers; a version 1 mount goes first, since
    a controller can only be in one of them.
    """
    found: list[Hierarchy] = []
    missing = set(_ALL)
    v2_mount = None
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        mount = before.split()[4].encode().decode("unicode_escape")
        kind, _, options = after.split(maxsplit=2)
        if kind == "cgroup2":
            v2_mount = v2_mount or mount
        elif kind == "cgroup" and missing.intersection(options.split(",")):
            here = tuple(c for c in _ALL if c in missing and c in options.split(","))
            found.append(Hierarchy(1, mount, here))
            missing.difference_update(here)
    rest = tuple(c for c in _ALL if c in missing and c in set(v2_controllers))
    if v2_mount is not None and rest:
        counted = (IO,) if IO in set(v2_controllers) else ()
        found.append(Hierarchy(2, v2_mount, rest + counted))
    return tuple(found)


def find_v2_mount(mountinfo: str) -> str | None:
    """Return where version 2 is mounted, if it is."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            return before.split()[4].encode().decode("unicode_escape")
    return None


def find_hierarchies() -> tuple[Hierarchy, ...]:
    """Find our controllers on this machine."""
    mountinfo = Path("/proc/self/mountinfo").read_text()
    mount = find_v2_mount(mountinfo)
    offered = (Path(mount) / "cgroup.controllers").read_text().split() if mount else []
    return parse_hierarchies(mountinfo, offered)


def has(hierarchies: Iterable[Hierarchy], controller: str) -> bool:
    """Say whether a controller is on this machine."""
    return any(controller in hierarchy.controllers for hierarchy in hierarchies)


def other_hierarchies(mountinfo: str, ours: Iterable[Hierarchy]) -> tuple[Hierarchy, ...]:
    """Return the remaining cgroup mounts: runc makes groups in them too, which we remove."""
    taken = {hierarchy.mount for hierarchy in ours}
    others: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        mount = before.split()[4].encode().decode("unicode_escape")
        if after.split()[0] in ("cgroup", "cgroup2") and mount not in taken:
            others[mount] = Hierarchy(2 if after.startswith("cgroup2") else 1, mount, ())
    return tuple(others.values())


def hidden_from_crun(mountinfo: str, v2_controllers: Iterable[str]) -> str | None:
    """Return the version 2 mount that crun must not see, if any.

    crun refuses to run where version 1 is in use and version 2 has controllers left
    ("cgroups in hybrid mode not supported"), even when told to leave cgroups alone.
    """
    mount = find_v2_mount(mountinfo)
    has_v1 = any(h.version == 1 for h in parse_hierarchies(mountinfo))
    return mount if has_v1 and mount and list(v2_controllers) else None


def check() -> list[str]:
    """Return what keeps cgroups from working here, one remedy a line."""
    hierarchies = find_hierarchies()
    missing = set(CONTROLLERS) - {c for h in hierarchies for c in h.controllers}
    problems = [
        f"cgroup controller {c} is missing: mount it (v1: mount -t cgroup -o {c} {c} "
        f"/sys/fs/cgroup/{c}) or boot without cgroup_disable={c}"
        for c in sorted(missing)
    ]
    problems += [
        f"{hierarchy.mount} is read-only: remount it with "
        f"`mount -o remount,rw {hierarchy.mount}` (in a container: start it privileged)"
        for hierarchy in hierarchies
        if os.statvfs(hierarchy.mount).f_flag & os.ST_RDONLY
    ]
    return problems


def groups_of(hierarchies: Iterable[Hierarchy], name: str) -> tuple[Group, ...]:
    """Name the groups that a sandbox will have; makes nothing."""
    return tuple(
        Group(h.version, f"{h.mount.rstrip('/')}/{PARENT_NAME}/{name}", h.controllers)
        for h in hierarchies
    )


def limit_files(group: Group, limits: Limits) -> list[tuple[str, str]]:
    """Return what to write into which file of a group, in order."""
    weight = min(max(limits.cpu_weight, 1), 10000)
    memory, pids = str(limits.memory_bytes), str(limits.processes_max)
    quota = str(limits.cores * _CPU_PERIOD_US) if limits.cores else ""
    shares = str(max(2, round(weight * _V1_SHARES_PER_WEIGHT)))
    values = {
        (1, "memory"): [("memory.limit_in_bytes", memory), ("memory.memsw.limit_in_bytes", memory)],
        (1, "cpu"): [("cpu.shares", shares), ("cpu.cfs_quota_us", quota)],
        (1, "pids"): [("pids.max", pids)],
        (1, CPUSET): [("cpuset.cpus", limits.cpus)],
        (2, "memory"): [("memory.max", memory), ("memory.swap.max", "0")],
        (2, "cpu"): [("cpu.weight", str(weight)), ("cpu.max", quota)],
        (2, "pids"): [("pids.max", pids)],
        (2, CPUSET): [("cpuset.cpus", limits.cpus)],
    }
    pairs = [pair for c in group.controllers for pair in values.get((group.version, c), ())]
    return [(name, value) for name, value in pairs if value]


# A kernel without swap accounting lacks these; then there is no swap to limit.
_OPTIONAL_FILES: Final = frozenset({"memory.memsw.limit_in_bytes", "memory.swap.max"})


def create(group: Group, limits: Limits) -> None:
    """Make a group and set its limits."""
    _make(Path(group.path), group)
    for name, value in limit_files(group, limits):
        file = Path(group.path) / name
        if name not in _OPTIONAL_FILES or file.exists():
            file.write_text(value)


def _make(path: Path, group: Group) -> None:
    # Another sandbox that ends now may remove the shared parent between our two steps.
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError):
            path.parent.mkdir(exist_ok=True)
            if group.version == 2:
                offer(path.parent.parent, group.controllers)
                offer(path.parent, group.controllers)
            path.mkdir(exist_ok=True)
            if group.version == 1 and CPUSET in group.controllers:
                # A new group of version 1 has no processor and no memory node: nothing can enter.
                for folder in (path.parent, path):
                    _inherit(folder)
            return
    raise FileNotFoundError(errno.ENOENT, "its parent keeps vanishing", str(path))


def _inherit(path: Path) -> None:
    """Give a version 1 cpuset what the one above it has, unless it has something."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (path / name).read_text().strip():
            (path / name).write_text((path.parent / name).read_text().strip())


def offer(path: Path, controllers: tuple[str, ...]) -> None:
    """Hand version 2 controllers down to the children of a group."""
    file = path / "cgroup.subtree_control"
    wanted = [c for c in controllers if c not in file.read_text().split()]
    if not wanted:
        return
    text = " ".join(f"+{c}" for c in wanted)
    try:
        file.write_text(text)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # In a container the group we see as the root holds processes; only leaves may.
        _move_processes(path, path / f"{PARENT_NAME}-host")
        file.write_text(text)


def _move_processes(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for pid in processes(str(source)):
        with contextlib.suppress(ProcessLookupError):
            (target / "cgroup.procs").write_text(str(pid))


def processes(path: str) -> list[int]:
    """Return the pids in a group; none if there is no such group."""
    try:
        return [int(pid) for pid in Path(path, "cgroup.procs").read_text().split()]
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return []
        raise


def kill(groups: Iterable[Group], first: int | None = None) -> None:
    """Send SIGKILL to every process of a sandbox, `first` (its pid 1) before all others.

    A group's list is read again once a pid is held by its pidfd, so a reused pid is never hit.
    """
    group = next(iter(groups))
    pids = processes(group.path)
    for pid in sorted(pids, key=lambda pid: pid != first):
        with contextlib.suppress(ProcessLookupError), _pidfd(pid) as pidfd:
            if pid in processes(group.path):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def is_empty_within(groups: Iterable[Group], seconds: float) -> bool:
    """Say whether a sandbox has no process, as soon as it has none; False when the time is over."""
    group = next(iter(groups))
    deadline = time.monotonic() + seconds
    while processes(group.path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    fd = os.pidfd_open(pid)
    try:
        yield fd
    finally:
        os.close(fd)


def out_of_memory_kills(groups: Iterable[Group]) -> int:
    """Return how many processes of a sandbox the kernel killed because its memory was used up."""
    for group in groups:
        if "memory" in group.controllers:
            name = "memory.oom_control" if group.version == 1 else "memory.events"
            counters = dict(line.split() for line in read(group, name).splitlines())
            return int(counters.get("oom_kill", 0))
    return 0


def refused_processes(groups: Iterable[Group]) -> int:
    """Return how often a sandbox was refused a process or thread for having too many."""
    for group in groups:
        if "pids" in group.controllers:
            counters = dict(line.split() for line in read(group, "pids.events").splitlines())
            return int(counters.get("max", 0))
    return 0


def memory_use(groups: Iterable[Group]) -> tuple[int, int]:
    """Return the memory that a sandbox uses now, and how much of it is the content of files."""
    for group in groups:
        if "memory" in group.controllers:
            v1 = group.version == 1
            used = read(group, "memory.usage_in_bytes" if v1 else "memory.current")
            words = read(group, "memory.stat").split()
            stat = dict(zip(words[::2], words[1::2], strict=True))
            names = ("total_active_file", "total_inactive_file", "total_slab_reclaimable")
            cached = (stat.get(name if v1 else name.removeprefix("total_"), 0) for name in names)
            return int(used or 0), sum(map(int, cached))
    return 0, 0


def peak_memory_bytes(groups: Iterable[Group]) -> int | None:
    """Return the most memory a sandbox has used; None where the kernel does not keep it."""
    for group in groups:
        if "memory" in group.controllers:
            name = "memory.max_usage_in_bytes" if group.version == 1 else "memory.peak"
            text = read(group, name)
            return int(text) if text else None
    return None


def read(group: Group, name: str) -> str:
    """Return the content of a file of a group; "" where there is none."""
    return content(f"{group.path}/{name}")


def content(path: str) -> str:
    """Return the content of a small file of the kernel's; "" where there is none."""
    try:
        # Measuring does this often, and a Path and its text stream take as long again.
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        return os.read(opened, _FILE_BYTES_MAX).decode()
    finally:
        os.close(opened)


def remove(groups: Iterable[Group]) -> None:
    """Kill what is left in a sandbox's groups and remove them; absent ones are fine."""
    deadline = time.monotonic() + _REMOVE_SECONDS_MAX
    groups = tuple(groups)
    for group in groups:
        while not _try_remove(group):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{group.path} still has processes {processes(group.path)[:5]} after SIGKILL "
                    f"and {_REMOVE_SECONDS_MAX:.0f} s: they are stuck in the kernel"
                )
            kill(groups)
            time.sleep(0.002)


def _try_remove(group: Group) -> bool:
    path = Path(group.path)
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    with contextlib.suppress(OSError):
        path.parent.rmdir()
    return True
