"""What of an instance type this machine enforces: findings for `plasmid doctor`.

Standard library only, as the doctor itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from plasmid.network import namespaces

Found = tuple[str, str, str, str]
"""Level, what was looked at, what was found, remedy."""

_OK: Final = "ok"
_WARN: Final = "warn"
_CDI: Final = (Path("/etc/cdi"), Path("/var/run/cdi"))
_LOOP_CONTROL: Final = "/dev/loop-control"
_QUOTA_ONLY: Final = "enforced only where home has project quotas"


def check(environ: Mapping[str, str], *, is_root: bool) -> list[Found]:
    """Look at what keeps a job to its cores and its disk, and at graphics cards."""
    mke2fs = shutil.which("mke2fs", path=f"{environ.get('PATH', '')}:/usr/sbin:/sbin")
    files = [path for folder in _CDI if folder.is_dir() for path in sorted(folder.iterdir())]
    return [
        judge_cores(_controllers(), is_root=is_root),
        judge_disks(
            has_loop=Path(_LOOP_CONTROL).exists(),
            has_mke2fs=mke2fs is not None,
            mode=environ.get("PLASMID_JOBS_DISK_LIMIT", ""),
            is_root=is_root,
        ),
        judge_cards(files),
        judge_grants(namespaces.find_problem()),
    ]


def judge_grants(problem: str) -> Found:
    """Judge whether what access.network grants holds for programs that know no proxy."""
    if problem:
        text = f"only programs that use http_proxy reach out: {problem}"
        return (_WARN, "access.network", text, "modprobe nft_tproxy, or a kernel that has it")
    return (_OK, "access.network", "what it grants, any TCP program reaches", "")


def judge_cores(controllers: Collection[str], *, is_root: bool) -> Found:
    """Judge the cgroup controllers that the user who asks can use."""
    if "cpuset" in controllers and "cpu" in controllers:
        return (_OK, "cores", "enforced, and jobs see their own only", "")
    if is_root and "cpu" in controllers:
        remedy = "mount -t cgroup -o cpuset cpuset /sys/fs/cgroup/cpuset (after mkdir)"
        return (_WARN, "cores", "enforced, but jobs see those of the machine: no cpuset", remedy)
    remedy = "run as root, or delegate cpu and cpuset: Delegate=yes in user@.service of systemd"
    return (_WARN, "cores", "not enforced: controllers are not delegated", remedy)


def judge_disks(*, has_loop: bool, has_mke2fs: bool, mode: str, is_root: bool) -> Found:
    """Judge whether jobs can have a file system of their own (engines/disk.py).

    Quotas are tried when a job runs, not here.
    """
    if not is_root:
        return (_WARN, "disk of a job", "not enforced: only root can", "run as root")
    if mode == "off":
        return (_WARN, "disk of a job", "not enforced: PLASMID_JOBS_DISK_LIMIT=off", "unset it")
    if not has_mke2fs:
        remedy = "apt-get install e2fsprogs"
        return (_WARN, "disk of a job", f"no mke2fs: {_QUOTA_ONLY}", remedy)
    if not has_loop:
        return (_WARN, "disk of a job", f"no loop devices: {_QUOTA_ONLY}", "modprobe loop")
    return (_OK, "disk of a job", "enforced, by a file system of its own or a quota", "")


def judge_cards(files: Sequence[Path]) -> Found:
    """Judge the files that describe devices for containers (CDI)."""
    if not files:
        return (_OK, "graphics cards", "none described (/etc/cdi): GPU types are refused", "")
    open_files = [path for path in files if path.stat().st_mode & 0o022]
    if open_files:
        names = " ".join(map(str, open_files))
        return (_WARN, "graphics cards", f"others may write {names}", f"chmod go-w {names}")
    return (_OK, "graphics cards", f"described by {' '.join(map(str, files))}", "")


def _controllers() -> set[str]:
    """Return the cgroup controllers that we can use: those of version 1 as root only."""
    found: set[str] = set()
    v2 = Path("/sys/fs/cgroup")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = [*after.split(maxsplit=2), "", "", ""][:3]
        if kind == "cgroup" and os.geteuid() == 0:
            found |= set(options.split(","))
        elif kind == "cgroup2":
            v2 = Path(before.split()[4])
    user = os.geteuid()
    slice_of_user = v2 / f"user.slice/user-{user}.slice/user@{user}.service"
    offered = (v2 if user == 0 else slice_of_user) / "cgroup.controllers"
    return found | set(offered.read_text().split() if offered.exists() else ())
