"""Sandboxes straight on an OCI runtime (crun or runc), supervised by conmon; needs root.

A sandbox's folder holds `sandbox.json` (written first, so that whatever was half made can be found
and removed), the overlay's `upper`, `work` and `root`, the `bundle`, the `runtime`'s own state, and
conmon's files (see conmon.py). Everything else (mount, groups, processes) is named by that state.

Three processes are started per sandbox: conmon, `<runtime> create`, `<runtime> start`. There is no
`<runtime> delete`: groups, mount and folder are ours to remove.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import select
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from plasmid.engines import cgroups, conmon, engine, oci_config, overlay

_STATE_FILE: Final = "sandbox.json"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}")
_START_SECONDS_MAX: Final = 60.0
_CONMON_SECONDS_MAX: Final = 10.0
_DEVICES: Final = ("/dev/fuse",)
_OOM_SCORE: Final = 500

# The runtime enters the sandbox's groups before it makes anything, so that all of it is counted and
# the cgroup namespace begins there. Arguments: number of join files, those files, the command.
# Before that, in a mount namespace of its own, what the runtime must not or cannot see is mended.
_JOIN: Final = """n=$1; shift
while [ "$n" -gt 0 ]; do echo 0 >"$1" || exit 1; shift; n=$((n-1)); done
exec "$@"
"""
_HIDE: Final = 'umount "$1" || exit 1; shift\n'
_SHOW: Final = 'mount --bind "$1" "$2" || exit 1; shift 2\n'
_SHOWN_AT: Final = Path("/run/plasmid-root")


class _State(msgspec.Struct, frozen=True):
    """What another process needs to know to take a sandbox over."""

    name: str
    runtime: str
    groups: tuple[cgroups.Group, ...]


class OciSandbox:
    """One sandbox; holds no open thing, so another process can do everything it can."""

    def __init__(self, folder: Path, state: _State) -> None:
        self._folder = folder
        self._state = state
        self._files = conmon.Files(folder, state.name)

    @property
    def name(self) -> str:
        """The name it was created under."""
        return self._state.name

    @property
    def folder(self) -> Path:
        """The folder with all of its state."""
        return self._folder

    @property
    def root(self) -> Path:
        """The root file system as the host sees it; hostile: never follow a link in it."""
        return self._folder / "root"

    @property
    def log_path(self) -> Path:
        """The file with stdout and stderr in conmon's k8s-file format."""
        return self._files.log

    @property
    def network_namespace(self) -> Path | None:
        """The path that names its network namespace; EngineError once its processes are gone."""
        return Path(f"/proc/{self._first_pid()}/ns/net")

    def _first_pid(self) -> int:
        """Return the pid of its first process, told from any later one by its group."""
        pid = conmon.read_pid(self._files.sandbox_pid)
        if pid is None or pid not in cgroups.processes(self._state.groups[0].path):
            raise engine.EngineError(f"sandbox {self.name} is not running")
        return pid

    async def start(self) -> None:
        """Start the command; nothing happens if it was started before."""
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        fifo = self._folder / "runtime" / self.name / "exec.fifo"
        done = subprocess.run(
            [*_runtime_command(self._state.runtime, self._folder), "start", self.name],
            capture_output=True,
            check=False,
            timeout=_START_SECONDS_MAX,
        )
        # The runtime removes its fifo when a sandbox starts: without it, it was started before.
        if done.returncode != 0 and (fifo.exists() or not self._files.conmon_pid.exists()):
            message = done.stderr.decode(errors="replace").strip()
            raise engine.EngineError(f"sandbox {self.name} could not be started: {message}")

    async def wait(self) -> engine.Exit:
        """Return how the command ended, as soon as it has.

        Raises EngineError if its supervisor was killed: then all of it is killed, and its exit
        code is not to be had.
        """
        pidfd = conmon.open_pidfd(self._files)
        if pidfd is not None:
            try:
                await _readable(pidfd)
            finally:
                os.close(pidfd)
        return await asyncio.to_thread(self._read_exit)

    def _read_exit(self) -> engine.Exit:
        exit_code = conmon.read_exit_code(self._files)
        if exit_code is None:
            self._kill()
            raise engine.EngineError(
                f"sandbox {self.name} has lost its supervisor (conmon was killed or the machine "
                "was restarted), so how its command ended is unknown; run it again"
            )
        groups = self._state.groups
        return engine.Exit(
            exit_code=exit_code,
            out_of_memory=cgroups.out_of_memory_kills(groups) > 0,
            peak_memory_bytes=cgroups.peak_memory_bytes(groups),
        )

    async def kill(self) -> None:
        """End every process in it at once; `wait` then returns."""
        await asyncio.to_thread(self._kill)

    def _kill(self) -> None:
        cgroups.kill(self._state.groups, conmon.read_pid(self._files.sandbox_pid))

    async def remove(self) -> None:
        """Leave nothing of it, the folder included; done before is fine."""
        await asyncio.to_thread(self.remove_now)

    def remove_now(self) -> None:
        """Do what `remove` does, in the calling thread."""
        try:
            self._kill()
            self._end_conmon()
            cgroups.remove(self._state.groups)
            overlay.unmount(self.root)
            overlay.remove_tree(self._folder)
        except OSError as error:
            raise engine.EngineError(f"sandbox {self.name} is not all gone: {error}") from error

    def _end_conmon(self) -> None:
        """Wait until conmon has seen the end of its sandbox; end it if it does not."""
        pidfd = conmon.open_pidfd(self._files)
        if pidfd is None:
            return
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(_CONMON_SECONDS_MAX * 1000):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                poll.poll(_CONMON_SECONDS_MAX * 1000)
        finally:
            os.close(pidfd)


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(fd)


def _is_crun(runtime: str) -> bool:
    return Path(runtime).name == "crun"


def _runtime_command(runtime: str, folder: Path) -> list[str]:
    options = ["--cgroup-manager=disabled"] if _is_crun(runtime) else []
    return [runtime, *options, "--root", str(folder / "runtime")]


class OciEngine:
    """Makes sandboxes by an OCI runtime; `runtime` is `crun` or `runc`, by default what is there.

    crun first: it takes half of runc's time.
    """

    def __init__(self, runtime: str | None = None) -> None:
        self._wanted = (runtime,) if runtime else ("crun", "runc")
        found = (shutil.which(name, path=_search_path()) for name in self._wanted)
        self._runtime = next((path for path in found if path), None)
        self._conmon = conmon.find()

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

    async def create(self, spec: engine.SandboxSpec) -> engine.Sandbox:
        """Make a sandbox ready to start; raises EngineError and leaves nothing if it cannot."""
        return await asyncio.to_thread(self._create, spec)

    def _create(self, spec: engine.SandboxSpec) -> OciSandbox:
        if not _NAME.fullmatch(spec.name):
            raise engine.EngineError(f"sandbox name {spec.name!r} is not [A-Za-z0-9_.-]+")
        if self._runtime is None or self._conmon is None:
            raise engine.EngineError("no OCI runtime or no conmon here: see `plasmid doctor`")
        groups = cgroups.groups_of(_hierarchies(self._runtime), spec.name)
        state = _State(name=spec.name, runtime=self._runtime, groups=groups)
        sandbox = OciSandbox(spec.folder, state)
        try:
            _write_state(spec.folder, state)
            self._make(spec, sandbox, groups)
        except (OSError, subprocess.SubprocessError, engine.EngineError) as error:
            with contextlib.suppress(engine.EngineError):
                sandbox.remove_now()
            raise engine.EngineError(f"cannot make sandbox {spec.name}: {error}") from error
        return sandbox

    def _make(
        self, spec: engine.SandboxSpec, sandbox: OciSandbox, groups: tuple[cgroups.Group, ...]
    ) -> None:
        # Root inside passes through the folder; nobody else outside needs to.
        os.chown(spec.folder, 0, overlay.ROOT_ID)
        spec.folder.chmod(0o710)
        overlay.check_owner(spec.base_image, overlay.ROOT_ID)
        overlay.mount(spec.base_image, spec.folder)
        overlay.put_files(sandbox.root, {**_name_files(spec.hostname), **spec.files})
        for group in _limited(groups):
            cgroups.create(
                group,
                memory_bytes=spec.memory_bytes,
                cpu_weight=spec.cpu_weight,
                processes_max=spec.processes_max,
            )
        files = conmon.Files(spec.folder, spec.name)
        files.bundle.mkdir()
        shown_at = _reachable(sandbox.root)
        (files.bundle / "config.json").write_bytes(self._config(spec, shown_at, groups))
        command = _runtime_command(str(self._runtime), spec.folder)
        runtime = _joined(groups, command, sandbox.root, shown_at)
        argv = conmon.command(str(self._conmon), files, spec.name, runtime)
        conmon.create(argv, files, {"PATH": _search_path()})

    def _config(
        self, spec: engine.SandboxSpec, root: Path, groups: tuple[cgroups.Group, ...]
    ) -> bytes:
        config = oci_config.config(
            spec,
            root=root,
            cgroups=_cgroups_inside(groups),
            host_devices=tuple(path for path in _DEVICES if Path(path).exists()),
            machine=platform.machine(),
            oom_score=max(_OOM_SCORE, int(Path("/proc/self/oom_score_adj").read_text())),
        )
        if not _is_crun(str(self._runtime)):
            config["linux"]["cgroupsPath"] = f"/{cgroups.PARENT_NAME}/{spec.name}"
        return msgspec.json.encode(config)

    async def adopt(self, folder: Path) -> engine.Sandbox | None:
        """Find the sandbox whose state is in the folder; None if there is none or it is damaged.

        With None there is neither mount, group nor process: the folder can just be deleted.
        """
        try:
            content = await asyncio.to_thread((folder / _STATE_FILE).read_bytes)
            return OciSandbox(folder, msgspec.json.decode(content, type=_State))
        except (OSError, msgspec.DecodeError):
            return None


def _hierarchies(runtime: str) -> tuple[cgroups.Hierarchy, ...]:
    """Return where a sandbox will have groups: ours first, then those that only runc makes."""
    ours = cgroups.find_hierarchies()
    if _is_crun(runtime):
        return ours
    return ours + cgroups.other_hierarchies(Path("/proc/self/mountinfo").read_text(), ours)


def _search_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


def _write_state(folder: Path, state: _State) -> None:
    temporary = folder / f"{_STATE_FILE}.new"
    temporary.write_bytes(msgspec.json.encode(state))
    temporary.rename(folder / _STATE_FILE)


def _name_files(hostname: str) -> dict[str, bytes]:
    hosts = f"127.0.0.1 localhost {hostname}\n::1 localhost ip6-localhost ip6-loopback\n"
    return {"/etc/hostname": f"{hostname}\n".encode(), "/etc/hosts": hosts.encode()}


def _cgroups_inside(groups: tuple[cgroups.Group, ...]) -> dict[str, str]:
    """Return where each group is seen inside: as on the host, in pure version 2 as the root."""
    seen = _limited(groups)
    if [group.version for group in seen] == [2]:
        return {"/sys/fs/cgroup": seen[0].path}
    return {f"/sys/fs/cgroup/{Path(group.path).parent.parent.name}": group.path for group in seen}


def _limited(groups: tuple[cgroups.Group, ...]) -> list[cgroups.Group]:
    return [group for group in groups if group.controllers]


def _joined(
    groups: tuple[cgroups.Group, ...], command: list[str], root: Path, shown_at: Path
) -> list[str]:
    """Return the command that enters a sandbox's groups and becomes the given one.

    It hides the mount that crun must not see, and shows `root` at `shown_at` if that is elsewhere.
    """
    script, arguments = _JOIN, [str(len(_limited(groups)))]
    arguments += [group.join_file for group in _limited(groups)]
    if shown_at != root:
        script, arguments = _SHOW + script, [str(root), str(shown_at), *arguments]
    hidden = _hidden_mount() if _is_crun(command[0]) else None
    if hidden is not None:
        script, arguments = _HIDE + script, [hidden, *arguments]
    apart = [] if script == _JOIN else ["/usr/bin/unshare", "-m"]
    return [*apart, "/bin/sh", "-c", script, "sh", *arguments, *command]


def _reachable(root: Path) -> Path:
    """Return where root inside can reach its root: another place if a folder above is closed."""
    closed = [p for p in root.parent.parents if not p.stat().st_mode & stat.S_IXOTH]
    if not closed:
        return root
    _SHOWN_AT.mkdir(mode=0o755, exist_ok=True)
    return _SHOWN_AT


def _hidden_mount() -> str | None:
    mountinfo = Path("/proc/self/mountinfo").read_text()
    mount = cgroups.find_v2_mount(mountinfo)
    offered = Path(mount, "cgroup.controllers").read_text().split() if mount else []
    return cgroups.hidden_from_crun(mountinfo, offered)


def _check_kernel() -> list[str]:
    problems = []
    if "\toverlay" not in Path("/proc/filesystems").read_text():
        problems.append("the kernel has no overlay file system: modprobe overlay")
    limit = Path("/proc/sys/user/max_user_namespaces")
    if not limit.exists() or int(limit.read_text()) == 0:
        problems.append("user namespaces are off: sysctl user.max_user_namespaces=65536")
    return problems
