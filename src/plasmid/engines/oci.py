"""Sandboxes straight on an OCI runtime (crun or runc), supervised by conmon; needs root.

A sandbox's folder holds `sandbox.json` (written first, so that whatever is half made can be found
and removed), the overlay's `upper`, `work` and `root` (the first two within `disk` where that is
limited, see disk.py), `views` (views.py), the `bundle`, the `runtime`'s own state, and conmon's
files (conmon.py). Everything else (mounts, groups, processes) is named by that state.

Three processes are started per sandbox: conmon, `<runtime> create`, `<runtime> start`. There is no
`<runtime> delete`: groups, mount and folder are ours to remove.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.engines import (
    cdi,
    cgroups,
    conmon,
    cpus,
    disk,
    engine,
    entry,
    nested,
    oci_config,
    oci_sandbox,
    overlay,
    quota,
    views,
)
from plasmid.telemetry import failpoints

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}")
_DEVICES: Final = ("/dev/fuse",)
_OOM_SCORE: Final = 500
# Two that choose processors at once would choose the same.
_CHOOSING: Final = threading.Lock()


class OciEngine:
    """Makes sandboxes by an OCI runtime; `runtime` is `crun` or `runc`, by default what is there.

    crun first: it takes half of runc's time. `disk_limit` is how disks are limited, see disk.py.
    """

    def __init__(self, runtime: str | None = None, *, disk_limit: str = disk.AUTO) -> None:
        self._wanted = (runtime,) if runtime else ("crun", "runc")
        found = (shutil.which(name, path=_search_path()) for name in self._wanted)
        self._runtime = next((path for path in found if path), None)
        self._conmon = conmon.find()
        self._disks = disk.Disks(disk_limit)

    @property
    def name(self) -> str:
        """What configuration calls it."""
        return "oci"

    async def check(self) -> list[str]:
        """Return what keeps this engine from working here, one remedy a line; [] if nothing."""
        problems = []
        if os.geteuid() != 0:
            problems.append("the oci engine needs root: use engine podman, or start as root")
        if self._runtime is None:
            wanted = " or ".join(self._wanted)
            problems.append(f"no {wanted}: apt-get install {self._wanted[0]}")
        if self._conmon is None:
            problems.append("no conmon: apt-get install conmon")
        problems += _check_kernel()
        problems += await asyncio.to_thread(cgroups.check)
        return problems

    async def unenforced(self, spec: engine.SandboxSpec) -> list[str]:
        """Return the limits of a spec that this machine cannot enforce, one reason a line."""
        return await asyncio.to_thread(self._unenforced, spec)

    def _unenforced(self, spec: engine.SandboxSpec) -> list[str]:
        found = []
        if spec.cores and not cgroups.has(cgroups.find_hierarchies(), cgroups.CPUSET):
            found.append(
                f"cores: {spec.cores} is a limit on processor time only, and all processors of the "
                "machine are seen, as there is no cgroup controller cpuset"
            )
        if spec.disk_bytes:
            found += self._disks.unenforced(spec.folder, spec.disk_bytes)
        return found

    async def create(self, spec: engine.SandboxSpec) -> engine.Sandbox:
        """Make a sandbox ready to start; raises EngineError and leaves nothing if it cannot."""
        return await asyncio.to_thread(self._create, spec)

    def _create(self, spec: engine.SandboxSpec) -> oci_sandbox.OciSandbox:
        if not _NAME.fullmatch(spec.name):
            raise engine.EngineError(f"sandbox name {spec.name!r} is not [A-Za-z0-9_.-]+")
        if self._runtime is None or self._conmon is None:
            raise engine.EngineError("no OCI runtime or no conmon here: see `plasmid doctor`")
        groups = cgroups.groups_of(entry.hierarchies(self._runtime), spec.name)
        state = oci_sandbox.State(
            name=spec.name,
            runtime=self._runtime,
            groups=groups,
            memory_bytes=spec.memory_bytes,
            disk_kind=self._disks.kind(spec.folder) if spec.disk_bytes else disk.OFF,
        )
        sandbox = oci_sandbox.OciSandbox(spec.folder, state)
        try:
            oci_sandbox.write_state(spec.folder, state)
            self._make(spec, sandbox, state)
        except (OSError, subprocess.SubprocessError, engine.EngineError) as error:
            with contextlib.suppress(engine.EngineError):
                sandbox.remove_now()
            raise engine.EngineError(f"cannot make sandbox {spec.name}: {error}") from error
        return sandbox

    def _make(
        self, spec: engine.SandboxSpec, sandbox: oci_sandbox.OciSandbox, state: oci_sandbox.State
    ) -> None:
        # Root inside passes through the folder; nobody else outside needs to.
        os.chown(spec.folder, 0, overlay.ROOT_ID)
        spec.folder.chmod(0o710)
        overlay.check_owner(spec.base_image, overlay.ROOT_ID)
        own_disk = self._make_disk(spec, state.disk_kind)
        with quota.without_override():
            overlay.mount(spec.base_image, spec.folder, layers=spec.layers, disk=own_disk)
        failpoints.reach("S6", job=spec.name)
        overlay.put_files(sandbox.root, {**_name_files(spec.hostname), **spec.files})
        failpoints.reach("S8", job=spec.name)
        own_cpus = _limit(spec, state.groups)
        seen = views.make(
            spec.folder / oci_sandbox.VIEWS, limit_bytes=spec.memory_bytes, own=own_cpus
        )
        if spec.runs_containers:
            seen += nested.prepare(own_disk or spec.folder, overlay.ROOT_ID)
        spec = msgspec.structs.replace(spec, mounts=(*seen, *spec.mounts))
        edits = cdi.edits_for(spec.devices)
        spec = cdi.applied(spec, edits)
        files = conmon.Files(spec.folder, spec.name)
        files.bundle.mkdir()
        shown_at = entry.reachable(sandbox.root)
        config = self._config(spec, shown_at, state.groups)
        config["hooks"] = cdi.hooks_of(edits)
        _write_secret(files.bundle / "config.json", msgspec.json.encode(config))
        command = entry.runtime_command(str(self._runtime), spec.folder)
        runtime = entry.joined(state.groups, command, sandbox.root, shown_at)
        argv = conmon.command(str(self._conmon), files, spec.name, runtime)
        conmon.create(argv, files, {"PATH": _search_path()})

    def _make_disk(self, spec: engine.SandboxSpec, kind: str) -> Path | None:
        if kind == disk.OFF:
            return None
        return self._disks.make(spec.folder, spec.disk_bytes, kind=kind, name=spec.name)

    def _config(
        self, spec: engine.SandboxSpec, root: Path, groups: tuple[cgroups.Group, ...]
    ) -> dict[str, Any]:
        config = oci_config.config(
            spec,
            root=root,
            cgroups=entry.cgroups_inside(groups),
            host_devices=tuple(path for path in _DEVICES if Path(path).exists()),
            machine=platform.machine(),
            oom_score=max(_OOM_SCORE, int(Path("/proc/self/oom_score_adj").read_text())),
        )
        if not entry.is_crun(str(self._runtime)):
            config["linux"]["cgroupsPath"] = f"/{cgroups.PARENT_NAME}/{spec.name}"
            # runc keeps a list of devices as well, crun without groups does not.
            config["linux"]["resources"] = {"devices": [nested.FUSE_RULE]}
        return config

    async def adopt(self, folder: Path) -> engine.Sandbox | None:
        """Find the sandbox whose state is in the folder; None if there is none or it is damaged.

        With None there is neither mount, group nor process: the folder can just be deleted.
        """
        state = await asyncio.to_thread(oci_sandbox.read_state, folder)
        return None if state is None else oci_sandbox.OciSandbox(folder, state)


def _write_secret(path: Path, data: bytes) -> None:
    """Write a new file that only root reads: it holds the environment, and so the job's token."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _limit(spec: engine.SandboxSpec, groups: tuple[cgroups.Group, ...]) -> list[int]:
    """Make a sandbox's groups with their limits and return the processors that it has."""
    with _CHOOSING:
        own = cpus.choose_for(groups, spec.cores)
        limits = cgroups.Limits(
            memory_bytes=spec.memory_bytes,
            cpu_weight=spec.cpu_weight,
            processes_max=spec.processes_max,
            cores=spec.cores,
            cpus=cpus.listed(own) if spec.cores else "",
        )
        # Also those that only runc needs: while it makes one itself, another sandbox that ends may
        # remove the shared parent.
        for group in groups:
            cgroups.create(group, limits)
    return own


def _search_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


def _name_files(hostname: str) -> dict[str, bytes]:
    hosts = f"127.0.0.1 localhost {hostname}\n::1 localhost ip6-localhost ip6-loopback\n"
    return {"/etc/hostname": f"{hostname}\n".encode(), "/etc/hosts": hosts.encode()}


def _check_kernel() -> list[str]:
    problems = []
    if "\toverlay" not in Path("/proc/filesystems").read_text():
        problems.append("the kernel has no overlay file system: modprobe overlay")
    limit = Path("/proc/sys/user/max_user_namespaces")
    if not limit.exists() or int(limit.read_text()) == 0:
        problems.append("user namespaces are off: sysctl user.max_user_namespaces=65536")
    return problems
