"""Sandboxes by the podman command: for people who are not root.

The overlay is ours (podman's own one over a root file system lies in /run, which is memory); podman
is given it as the root. Without root it is mounted in podman's user namespace, where `podman
unshare` leads. There, root inside is the user outside, and the base image must belong to that user.

What is less than with the oci engine:
- without root, only those limits hold whose controllers are delegated to the user (version 2
  cgroups; with version 1 none does: podman says so and ignores them);
- disks are not limited, and what memory is left is told as it was at the start;
- `out_of_memory` is what podman says, which is always "no" with version 1 cgroups;
- nothing is kept open without the worker: what a job sends while there is none fails;
- `root` is the folder of what the sandbox has written: the merged root is not to be seen outside;
- a sandbox takes 0.5 s instead of 0.03 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plasmid.engines import (
    cgroups,
    engine,
    entry,
    overlay,
    podman_conmon,
    podman_options,
    processes,
    stopping,
)

_STATE_FILE: Final = "podman.json"
_COMMAND_SECONDS_MAX: Final = 120.0
_ENDED: Final = ("exited", "stopped")
_KERNEL_MIN: Final = (5, 11)


class _State(msgspec.Struct, frozen=True):
    """What another process needs to know to take a sandbox over."""

    name: str
    options: tuple[str, ...]


class _Status(msgspec.Struct):
    """What `podman inspect` says about a container's state."""

    status: str = msgspec.field(name="Status")
    pid: int = msgspec.field(name="Pid")
    conmon_pid: int = msgspec.field(name="ConmonPid", default=0)
    exit_code: int = msgspec.field(name="ExitCode", default=0)
    out_of_memory: bool = msgspec.field(name="OOMKilled", default=False)


class PodmanSandbox:
    """One podman container, found again by its name."""

    def __init__(self, folder: Path, state: _State) -> None:
        self._folder = folder
        self._state = state
        self._first: Path | None = None
        self._is_killed = False
        self._holding = threading.Lock()

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
        """The root as the host sees it: merged for root, else what was written into it."""
        return self._folder / ("root" if os.geteuid() == 0 else "upper")

    @property
    def changes(self) -> Path:
        """The folder of what differs from base image and layers."""
        return self._folder / "upper"

    @property
    def log_path(self) -> Path:
        """The file with stdout and stderr in conmon's k8s-file format."""
        return self._folder / "log"

    @property
    def network_namespace(self) -> Path:
        """The path that names its network namespace; EngineError once its processes are gone."""
        status = self._inspect()
        if status is None or status.pid <= 0:
            raise engine.EngineError(f"sandbox {self.name} is not running")
        return Path(f"/proc/{status.pid}/ns/net")

    def _podman(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return _run(["podman", *self._state.options, *arguments])

    def _inspect(self) -> _Status | None:
        done = self._podman("container", "inspect", "--format", "{{json .State}}", self.name)
        return msgspec.json.decode(done.stdout, type=_Status) if done.returncode == 0 else None

    def initialize(self) -> None:
        """Make its namespaces and first process, which then waits for `start`."""
        _succeed(self._podman("init", self.name), "podman init")

    async def start(self) -> None:
        """Start the command; nothing happens if it was started before."""
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        status = self._inspect()
        if status is None or status.status == "initialized":
            _succeed(self._podman("start", self.name), "podman start")

    def entry(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        user: str = "0:0",
        working_directory: str = "/",
        terminal: bool = False,
    ) -> Sequence[str]:
        """Return the command line of a host process that runs a command inside, see engine.py."""
        status = self._inspect()
        if status is None or status.status != "running":
            raise engine.EngineError(f"sandbox {self.name} is not running")
        wanted = entry.Command(command, environment, user, working_directory, terminal)
        options = ["--interactive", f"--workdir={working_directory}", *wanted.options()]
        inside = ["podman", *self._state.options, "exec", *options, self.name, *command]
        return entry.taking_terminal(inside) if terminal else inside

    async def keep_open(self, name: str, sockets: Sequence[socket.socket]) -> bool:
        """Return False: podman starts its supervisors itself."""
        return False

    async def kept_open(self, name: str) -> list[socket.socket]:
        """Return []."""
        return []

    async def wait(self) -> engine.Exit:
        """Return how the command ended, as soon as it has.

        Raises EngineError if its supervisor was killed or podman knows it no more.
        """
        status = await asyncio.to_thread(self._inspect)
        if status is not None and status.status not in _ENDED:
            await _process_end(status.conmon_pid)
            status = await asyncio.to_thread(self._inspect)
        if status is None or status.status not in _ENDED:
            await self.kill()
            raise engine.SupervisorLostError(
                f"sandbox {self.name} has lost its supervisor (conmon was killed or the machine "
                "was restarted), so how its command ended is unknown; run it again"
            )
        return engine.Exit(
            exit_code=status.exit_code,
            out_of_memory=status.out_of_memory,
            peak_memory_bytes=None,
        )

    async def so_far(self, exit_code: int) -> engine.Exit:
        """Return what `wait` would if the command ended now, with this exit code; it lives on."""
        status = await asyncio.to_thread(self._inspect)
        return engine.Exit(
            exit_code=exit_code,
            out_of_memory=status is not None and status.out_of_memory,
            peak_memory_bytes=None,
        )

    async def usage(self) -> engine.Usage:
        """Return what its processes use; what is on its disk, and once it has ended, is unknown."""
        return await asyncio.to_thread(self._usage)

    def _usage(self) -> engine.Usage:
        self._first = self._first or self.network_namespace.parents[1]  # asking podman takes long
        return processes.usage(int(self._first.name))

    async def stop_processes(self) -> None:
        """Stop all that its command has left running, but not who came in by `entry`."""
        status = await asyncio.to_thread(self._inspect)
        if status is not None and status.pid > 0:
            await asyncio.to_thread(stopping.stop, status.pid)

    async def hold_output(self, is_held: bool) -> None:  # noqa: FBT001 - see engine.py
        """Stop or continue its conmon: what it does not read fills the pipes of the writers."""
        await asyncio.to_thread(self._hold_output, is_held)

    def _hold_output(self, is_held: bool) -> None:  # noqa: FBT001 - as above
        with self._holding:
            if not (is_held and self._is_killed):  # who is being killed is waited for
                podman_conmon.hold(self._folder, is_held=is_held)

    def _let_go(self) -> None:
        """Let a held sandbox end: from now on it is not held any more."""
        self._is_killed = True
        self._hold_output(False)  # noqa: FBT003 - as above

    async def kill(self) -> None:
        """End every process in it at once; `wait` then returns."""
        await asyncio.to_thread(self._kill)

    def _kill(self) -> None:
        self._let_go()
        done = self._podman("kill", "--signal", "KILL", self.name)
        status = self._inspect() if done.returncode != 0 else None
        if status is not None and status.pid > 0 and status.status not in _ENDED:
            # podman kills no container that was made and not started.
            with contextlib.suppress(ProcessLookupError):
                os.kill(status.pid, signal.SIGKILL)

    async def remove(self) -> None:
        """Leave nothing of it, the folder included; done before is fine."""
        await asyncio.to_thread(self.remove_now)

    def remove_now(self) -> None:
        """Do what `remove` does, in the calling thread."""
        self._let_go()
        removed = self._podman("rm", "--force", "--time", "0", "--ignore", self.name)
        _succeed(removed, "podman rm")
        podman_conmon.await_end(self._folder)
        if os.geteuid() == 0:
            overlay.unmount(self._folder / "root")
            overlay.remove_tree(self._folder)
        elif self._folder.exists():
            _succeed(_unshared("remove", self._folder), "removing its files")


async def _process_end(pid: int) -> None:
    """Return once a process has ended; at once if there is none."""
    try:
        pidfd = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _run(command: Sequence[str], content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            command,
            input=content,
            capture_output=True,
            check=False,
            timeout=_COMMAND_SECONDS_MAX,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise engine.EngineError(f"`{' '.join(command[:3])} …` failed: {error}") from error


def _succeed(done: subprocess.CompletedProcess[bytes], what: str) -> None:
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise engine.EngineError(f"{what} failed: {lines[-1] if lines else done.returncode}")


def _unshared(verb: str, folder: Path, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run overlay.py in podman's user namespace."""
    program = [sys.executable, "-I", "-S", str(overlay.__file__)]
    return _run(["podman", "unshare", *program, verb, str(folder)], content)


class PodmanEngine:
    """Makes sandboxes by podman, as whoever we are."""

    @property
    def name(self) -> str:
        """What configuration calls it."""
        return "podman"

    async def check(self) -> list[str]:
        """Return what keeps this engine from working here, one remedy a line; [] if nothing."""
        return await asyncio.to_thread(self._check)

    def _check(self) -> list[str]:
        if shutil.which("podman") is None:
            return ["no podman: apt-get install podman"]
        problems = []
        if shutil.which(_runtime()) is None:
            problems.append(f"no {_runtime()}: apt-get install {_runtime()}")
        if os.geteuid() != 0:
            problems += _check_user()
        return problems

    async def unenforced(self, spec: engine.SandboxSpec) -> list[str]:
        """Return the limits of a spec that this machine cannot enforce, one reason a line."""
        return await asyncio.to_thread(
            podman_options.unenforced, spec, podman_options.controllers()
        )

    async def create(self, spec: engine.SandboxSpec) -> engine.Sandbox:
        """Make a sandbox ready to start; raises EngineError and leaves nothing if it cannot."""
        return await asyncio.to_thread(self._create, spec)

    def _create(self, spec: engine.SandboxSpec) -> PodmanSandbox:
        state = _State(name=spec.name, options=("--runtime", _runtime()))
        sandbox = PodmanSandbox(spec.folder, state)
        try:
            (spec.folder / _STATE_FILE).write_bytes(msgspec.json.encode(state))
            _make_root(spec)
            score = max(500, int(Path("/proc/self/oom_score_adj").read_text()))
            held = podman_options.controllers()
            options = podman_options.create_options(
                podman_options.with_views(podman_options.with_storage(spec), held),
                as_root=os.geteuid() == 0,
                oom_score=score,
                limits=podman_options.own_limits(),
                held=held,
            )
            command = ["podman", *state.options, "create", *options, *spec.command]
            _succeed(_run(command), "podman create")
            sandbox.initialize()
        except (OSError, engine.EngineError) as error:
            with contextlib.suppress(engine.EngineError, OSError):
                sandbox.remove_now()
            raise engine.EngineError(f"cannot make sandbox {spec.name}: {error}") from error
        return sandbox

    async def adopt(self, folder: Path) -> engine.Sandbox | None:
        """Find the sandbox whose state is in the folder; None if there is none or it is damaged."""
        try:
            content = await asyncio.to_thread((folder / _STATE_FILE).read_bytes)
            return PodmanSandbox(folder, msgspec.json.decode(content, type=_State))
        except (OSError, msgspec.DecodeError):
            return None


def _make_root(spec: engine.SandboxSpec) -> None:
    hosts = f"127.0.0.1 localhost {spec.hostname}\n::1 localhost\n".encode()
    files = {"/etc/hosts": hosts, **spec.files}
    overlay.check_owner(spec.base_image, os.geteuid() or overlay.ROOT_ID)
    if os.geteuid() == 0:
        os.chown(spec.folder, 0, overlay.ROOT_ID)
        spec.folder.chmod(0o710)
        overlay.mount(spec.base_image, spec.folder, layers=spec.layers)
        overlay.put_files(spec.folder / "root", files)
        return
    asked = overlay.request(spec.base_image, spec.folder, files, spec.layers)
    made = _unshared("make", spec.folder, asked)
    _succeed(made, "mounting the overlay")


def _runtime() -> str:
    """Return crun, or runc where crun refuses to work."""
    mountinfo = Path("/proc/self/mountinfo").read_text()
    mount = cgroups.find_v2_mount(mountinfo)
    offered = Path(mount, "cgroup.controllers").read_text().split() if mount else []
    refuses = cgroups.hidden_from_crun(mountinfo, offered) is not None
    return "runc" if refuses or shutil.which("crun") is None else "crun"


def _check_user() -> list[str]:
    """Return what podman without root lacks here."""
    problems = []
    release = tuple(int(part) for part in platform.release().split(".")[:2] if part.isdigit())
    if release < _KERNEL_MIN:
        problems.append("overlay mounts without root need Linux 5.11 or later: use engine oci")
    done = _run(["podman", "unshare", "true"])
    if done.returncode != 0:
        problems.append(
            "`podman unshare true` fails: apt-get install uidmap, and give the user 65536 ids "
            "in /etc/subuid and /etc/subgid (usermod --add-subuids, --add-subgids)"
        )
    return problems
