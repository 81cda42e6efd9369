"""What podman is asked for one sandbox, and what it cannot enforce as whoever we are."""

from __future__ import annotations

import os
import resource
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec

from plasmid.engines import cgroups, cpus, engine, nested, oci_config, overlay, views

_MIB: Final = 1 << 20


def create_options(
    spec: engine.SandboxSpec,
    *,
    as_root: bool,
    oom_score: int,
    limits: dict[str, tuple[int, int]],
    held: Collection[str] = (),
) -> list[str]:
    """Return podman's arguments for `create`, up to the command; pure.

    `limits` are our own rlimits, soft and hard: podman's defaults are above what we may set.
    `held` are the cgroup controllers with which podman can limit something.
    """
    first, count = oci_config.ID_FIRST, oci_config.ID_COUNT
    shifted = [f"--uidmap=0:{first}:{count}", f"--gidmap=0:{first}:{count}"] if as_root else []
    own = own_cpus(spec, held)
    shares = max(2, round(spec.cpu_weight * 1024 / 100))
    return [
        f"--name={spec.name}",
        f"--hostname={spec.hostname}",
        f"--workdir={spec.working_directory}",
        "--network=none",
        "--no-hosts",
        "--http-proxy=false",
        *(f"--ulimit={name}={soft}:{hard}" for name, (soft, hard) in limits.items()),
        "--cap-add=AUDIT_WRITE,MKNOD",
        *(["--cap-add=SYS_ADMIN"] if spec.runs_containers else []),
        *(
            [f"--device={nested.FUSE}"]
            if spec.runs_containers and Path(nested.FUSE).exists()
            else []
        ),
        "--log-driver=k8s-file",
        f"--log-opt=path={spec.folder / 'log'}",
        f"--memory={spec.memory_bytes}",
        f"--cpu-shares={shares}",
        f"--pids-limit={spec.processes_max}",
        f"--shm-size={spec.memory_bytes // 2}",
        *([f"--cpus={spec.cores}"] if spec.cores and "cpu" in held else []),
        *([f"--cpuset-cpus={cpus.listed(own)}"] if own else []),
        f"--oom-score-adj={oom_score}",
        *shifted,
        *(f"--env={name}={value}" for name, value in spec.environment.items()),
        *(f"--device={name}" for name in spec.devices),
        *(f"--volume={m.source}:{m.target}:{'ro' if m.read_only else 'rw'}" for m in spec.mounts),
        "--rootfs",
        str(spec.folder / "root"),
    ]


def with_views(spec: engine.SandboxSpec, held: Collection[str]) -> engine.SandboxSpec:
    """Return a spec with the files that show the sandbox what it has of the machine."""
    if "memory" not in held:
        return spec
    own = own_cpus(spec, held) or cpus.here()
    seen = views.make(spec.folder / "views", limit_bytes=spec.memory_bytes, own=own)
    return msgspec.structs.replace(spec, mounts=(*seen, *spec.mounts))


def with_storage(spec: engine.SandboxSpec) -> engine.SandboxSpec:
    """Return a spec with what it needs to run containers, if it shall."""
    if not spec.runs_containers:
        return spec
    inner = nested.prepare(spec.folder, overlay.ROOT_ID if os.geteuid() == 0 else os.geteuid())
    return msgspec.structs.replace(spec, mounts=(*spec.mounts, *inner))


def unenforced(spec: engine.SandboxSpec, controllers: Collection[str]) -> list[str]:
    """Return the limits of a spec that podman cannot enforce with these cgroup controllers."""
    wanted = {
        "memory": f"memory: {spec.memory_bytes // _MIB} MiB",
        "cpu": f"cores: {spec.cores}",
        "pids": f"processes: {spec.processes_max}",
    }
    found = [
        f"{limit} is no limit: the cgroup controller {name} is not delegated to this user"
        for name, limit in wanted.items()
        if name not in controllers and (name != "cpu" or spec.cores)
    ]
    if spec.cores and "cpu" in controllers and cgroups.CPUSET not in controllers:
        found.append(
            f"cores: {spec.cores} is a limit on processor time only, and all processors of the "
            "machine are seen: the cgroup controller cpuset is not delegated to this user"
        )
    if spec.disk_bytes:
        found.append(
            f"disk: {spec.disk_bytes // 10**9} GB is no limit with engine podman: use engine oci"
        )
    return found


def controllers() -> set[str]:
    """Return the cgroup controllers by which podman can limit something for us."""
    if os.geteuid() == 0:
        return {c for hierarchy in cgroups.find_hierarchies() for c in hierarchy.controllers}
    mount = cgroups.find_v2_mount(Path("/proc/self/mountinfo").read_text())
    user = f"user.slice/user-{os.geteuid()}.slice/user@{os.geteuid()}.service"
    file = Path(mount or "/sys/fs/cgroup", user, "cgroup.controllers")
    return set(file.read_text().split()) if mount and file.exists() else set()


def own_cpus(spec: engine.SandboxSpec, held: Collection[str]) -> list[int]:
    """Return the processors of a sandbox, [] for any; podman's groups are its own, so by lot."""
    if not spec.cores or cgroups.CPUSET not in held:
        return []
    there = cpus.here()
    first = zlib.crc32(spec.name.encode()) % len(there)
    return sorted((there[first:] + there[:first])[: spec.cores])


def own_limits() -> dict[str, tuple[int, int]]:
    """Return what a container may have: our own limits, and processes as podman limits itself."""
    pids_max = int(Path("/proc/sys/kernel/pid_max").read_text())
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    processes = [
        pids_max if n == resource.RLIM_INFINITY else min(n, pids_max) for n in (soft, hard)
    ]
    return {
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
        "nproc": (processes[0], processes[1]),
    }
