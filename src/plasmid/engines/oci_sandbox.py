"""One sandbox of the oci engine: what can be done with it once it is made (oci.py makes it)."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plasmid.engines import (
    cgroups,
    conmon,
    disk,
    engine,
    entry,
    measuring,
    overlay,
    quota,
    stopping,
    stuck,
    views,
)
from plasmid.telemetry import failpoints

VIEWS: Final = "views"
_STATE_FILE: Final = "sandbox.json"
_START_SECONDS_MAX: Final = 60.0
_CONMON_SECONDS_MAX: Final = 10.0
_DYING_SECONDS: Final = 1.0
_DEATH_SECONDS_MAX: Final = 15.0


class State(msgspec.Struct, frozen=True):
    """What another process needs to know to take a sandbox over."""

    name: str
    runtime: str
    groups: tuple[cgroups.Group, ...]
    memory_bytes: int = 0
    disk_kind: str = disk.OFF


class OciSandbox:
    """One sandbox; holds no open thing, so another process can do everything it can."""

    def __init__(self, folder: Path, state: State) -> None:
        self._folder = folder
        self._state = state
        self._files = conmon.Files(folder, state.name)
        self._kill_time = 0.0
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
        """The root file system as the host sees it; hostile: never follow a link in it."""
        return self._folder / "root"

    @property
    def changes(self) -> Path:
        """The folder of what differs from base image and layers; with a disk limit, on its disk."""
        return (
            self._folder / disk.MOUNT if self._state.disk_kind != disk.OFF else self._folder
        ) / "upper"

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

    @property
    def _fifo(self) -> Path:
        """The file that the runtime removes when it starts the command."""
        return self._folder / "runtime" / self.name / "exec.fifo"

    def _start(self) -> None:
        done = subprocess.run(
            [*entry.runtime_command(self._state.runtime, self._folder), "start", self.name],
            capture_output=True,
            check=False,
            timeout=_START_SECONDS_MAX,
        )
        # Without its fifo it was started before.
        if done.returncode != 0 and (self._fifo.exists() or not self._files.conmon_pid.exists()):
            message = done.stderr.decode(errors="replace").strip()
            raise engine.EngineError(f"sandbox {self.name} could not be started: {message}")

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
        if self._fifo.exists():
            raise engine.EngineError(f"sandbox {self.name} is not running yet")
        self._first_pid()
        wanted = entry.Command(command, environment, user, working_directory, terminal)
        runtime = entry.runtime_command(self._state.runtime, self._folder)
        return entry.entered(self._state.groups, runtime, self.name, wanted)

    async def keep_open(self, name: str, sockets: Sequence[socket.socket]) -> bool:
        """Keep sockets open in its conmon, which ends when the command has ended."""
        return await asyncio.to_thread(conmon.keep_open, self._files, name, sockets)

    async def kept_open(self, name: str) -> list[socket.socket]:
        """Return duplicates of what is kept under a name, in its order; [] if nothing is."""
        return await asyncio.to_thread(conmon.kept_open, self._files, name)

    async def wait(self) -> engine.Exit:
        """Return how the command ended, as soon as it has; meanwhile it sees what memory is left.

        Raises SupervisorLostError if its supervisor was killed: then all of it is killed, and its
        exit code is not to be had. Raises EngineError if it was killed and does not end.
        """
        pidfd = conmon.open_pidfd(self._files)
        if pidfd is not None:
            try:
                while not await _is_readable(pidfd, views.REFRESH_SECONDS):
                    self._require_dying()
                    await asyncio.to_thread(self._refresh)
            finally:
                os.close(pidfd)
        return await asyncio.to_thread(self._read_exit)

    def _require_dying(self) -> None:
        if self._kill_time and time.monotonic() - self._kill_time > _DEATH_SECONDS_MAX:
            left = cgroups.processes(self._state.groups[0].path)
            raise engine.EngineError(
                f"sandbox {self.name} was killed {_DEATH_SECONDS_MAX:.0f} s ago and processes"
                f" {left[:5]} are still there, stuck in the kernel"
            )

    def _refresh(self) -> None:
        use = cgroups.memory_use(self._state.groups)
        folder = self._folder / VIEWS
        views.refresh(folder, limit_bytes=self._state.memory_bytes, use=views.MemoryUse(*use))

    def _read_exit(self) -> engine.Exit:
        exit_code = conmon.read_exit_code(self._files)
        # After a restart of the machine the code may be there, but what was written is not.
        if exit_code is None or not os.path.ismount(self.root):
            self._kill()
            raise engine.SupervisorLostError(
                f"sandbox {self.name} has lost its supervisor (conmon was killed or the machine "
                "was restarted), so how its command ended is unknown; run it again"
            )
        return self._exit(exit_code)

    async def so_far(self, exit_code: int) -> engine.Exit:
        """Return what `wait` would if the command ended now, with this exit code; it lives on."""
        return await asyncio.to_thread(self._exit, exit_code)

    def _exit(self, exit_code: int) -> engine.Exit:
        groups = self._state.groups
        return engine.Exit(
            exit_code=exit_code,
            out_of_memory=cgroups.out_of_memory_kills(groups) > 0,
            peak_memory_bytes=cgroups.peak_memory_bytes(groups),
            lost_writes=disk.has_lost_writes(self._folder),
            processes_full=cgroups.refused_processes(groups) > 0,
        )

    async def usage(self) -> engine.Usage:
        """Return what it has used by now; nothing here waits for a disk."""
        own_disk = None if self._state.disk_kind == disk.OFF else self._folder / disk.MOUNT
        is_device = self._state.disk_kind == disk.LOOP
        return measuring.measured(self._state.groups, own_disk, is_device=is_device)

    async def stop_processes(self) -> None:
        """Stop all that its command has left running, but not who came in by `entry`."""
        await asyncio.to_thread(stopping.stop, self._first_pid())

    async def hold_output(self, is_held: bool) -> None:  # noqa: FBT001 - see engine.py
        """Stop or continue conmon: what it does not read fills the pipes of the writers."""
        await asyncio.to_thread(self._hold_output, is_held)

    def _hold_output(self, is_held: bool) -> None:  # noqa: FBT001 - as above
        with self._holding:
            if not (is_held and self._kill_time):  # who is being killed is waited for
                conmon.hold(self._files, is_held=is_held)

    async def kill(self) -> None:
        """End every process in it at once; `wait` then returns."""
        await asyncio.to_thread(self._kill)

    def _kill(self) -> None:
        """Kill all; who is deaf to that because of a file system of its own is helped out of it."""
        with self._holding:
            self._kill_time = self._kill_time or time.monotonic()
            conmon.hold(self._files, is_held=False)
        groups = self._state.groups
        cgroups.kill(groups, conmon.read_pid(self._files.sandbox_pid))
        if not cgroups.is_empty_within(groups, _DYING_SECONDS):
            stuck.end_waits(cgroups.processes(groups[0].path))
            cgroups.kill(groups)

    async def remove(self) -> None:
        """Leave nothing of it, the folder included; done before is fine."""
        await asyncio.to_thread(self.remove_now)

    def remove_now(self) -> None:
        """Do what `remove` does, in the calling thread."""
        try:
            self._kill()
            self._end_conmon()
            cgroups.remove(self._state.groups)
            failpoints.reach("S17", job=self.name)
            overlay.unmount(self.root)
            disk.remove(self._folder)
            overlay.remove_tree(self._folder)
            if self._state.disk_kind == disk.QUOTA:
                quota.release(self._folder.parent, quota.project_of(self.name))
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


async def _is_readable(fd: int, seconds: float) -> bool:
    """Say, as soon as it is so, that something can be read; False when the time is over."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        return ended.is_set()
    finally:
        loop.remove_reader(fd)
    return True


def write_state(folder: Path, state: State) -> None:
    """Write what `read_state` reads, whole or not at all."""
    temporary = folder / f"{_STATE_FILE}.new"
    temporary.write_bytes(msgspec.json.encode(state))
    temporary.rename(folder / _STATE_FILE)


def read_state(folder: Path) -> State | None:
    """Return the state of the sandbox in a folder; None if there is none or it is damaged."""
    try:
        return msgspec.json.decode((folder / _STATE_FILE).read_bytes(), type=State)
    except (OSError, msgspec.DecodeError):
        return None
