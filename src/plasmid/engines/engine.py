"""What an engine must do: make a sandbox, run one command in it, and leave nothing behind.

A sandbox is one isolated root of one try of a job: an overlay over a base image, its own user,
pid, mount, uts, ipc, network and cgroup namespaces, hostname as given, root inside and nobody
outside.

Promises every engine keeps (tests/contract/test_engines.py):
- `create` leaves either a whole sandbox or nothing.
- What the command writes to stdout and stderr is in `log_path` in conmon's k8s-file format,
  complete once `wait` has returned, also if the process that called `start` has died in between.
- A limit that this machine cannot enforce is named by `unenforced`, and never pretended.
- `adopt` finds a sandbox again from its folder alone, in another process.
- What `keep_open` has taken another process gets by `kept_open`: connections and datagrams that
  came meanwhile wait in it. Nothing inside the sandbox has it.
- `remove` is idempotent and leaves no mount, cgroup, namespace, process or file of the sandbox.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec


class EngineError(Exception):
    """The engine could not do its part; the message says what to do about it."""


class SupervisorLostError(EngineError):
    """What watched over a sandbox was killed: how its command ended is not to be had."""


class Mount(msgspec.Struct, frozen=True):
    """A file or folder of the host that the sandbox sees."""

    source: str
    target: str
    read_only: bool = True


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a sandbox; sizes in bytes, `cpu_weight` in cgroup v2 units (100: one share).

    `folder` belongs to the engine: it exists, is empty, and holds all of the sandbox's state.
    `files` are put into the root before the start: absolute path inside to content; parents are
    made; owner is root inside; mode 0755 when the content starts with `#!`, else 0644.
    `layers` are read-only folders laid over the base image, the last one on top. `cores` and
    `disk_bytes` are limits that are enforced and seen inside; 0: none. `runs_containers` lets
    the root inside mount within its own namespaces, for docker and FUSE in the job; `devices` are
    names of the Container Device Interface.
    """

    name: str
    folder: Path
    base_image: Path
    hostname: str
    command: tuple[str, ...]
    environment: dict[str, str]
    working_directory: str
    files: dict[str, bytes]
    memory_bytes: int
    cpu_weight: int
    processes_max: int = 4096
    mounts: tuple[Mount, ...] = ()
    layers: tuple[Path, ...] = ()
    cores: int = 0
    disk_bytes: int = 0
    runs_containers: bool = False
    devices: tuple[str, ...] = ()


class Exit(msgspec.Struct, frozen=True):
    """How the command ended: `exit_code` is 128+n after signal n.

    `lost_writes`: not all that it wrote has reached the machine's disk, which was full.
    `processes_full`: it was refused a process, as it had as many as it may.
    """

    exit_code: int
    out_of_memory: bool
    peak_memory_bytes: int | None
    lost_writes: bool = False
    processes_full: bool = False


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a sandbox has used by now, and uses now; None is what cannot be told here.

    `memory_bytes` is without the content of files (`cached_bytes`), which the kernel drops when the
    room is needed; `peak_memory_bytes` includes it. What was read and written is that of its own
    disk, `disk_busy_ms` is how long that had something to do. All that grows begins anywhere: only
    differences mean something.
    """

    cpu_user_ms: int = 0
    cpu_system_ms: int = 0
    memory_bytes: int = 0
    cached_bytes: int = 0
    peak_memory_bytes: int | None = None
    disk_used_bytes: int | None = None
    disk_total_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    reads: int = 0
    writes: int = 0
    disk_busy_ms: int = 0
    processes: int = 0
    out_of_memory_kills: int = 0


class Sandbox(Protocol):
    """A sandbox that was created and not yet removed."""

    @property
    def name(self) -> str:
        """The name it was created under."""
        ...

    @property
    def folder(self) -> Path:
        """The folder with all of its state."""
        ...

    @property
    def root(self) -> Path:
        """The root file system as the host sees it; hostile: never follow a link in it."""
        ...

    @property
    def changes(self) -> Path:
        """The folder of what differs from base image and layers, in overlay's own form.

        After the command has ended it can be moved away and used as a layer, if `disk_bytes` is 0.
        """
        ...

    @property
    def log_path(self) -> Path:
        """The file with stdout and stderr in conmon's k8s-file format."""
        ...

    @property
    def network_namespace(self) -> Path | None:
        """The path that names its network namespace; None if it shares the host's."""
        ...

    async def start(self) -> None:
        """Start the command."""
        ...

    def entry(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        user: str = "0:0",
        working_directory: str = "/",
        terminal: bool = False,
    ) -> Sequence[str]:
        """Return the command line of a host process that runs a command inside.

        It has what the job has and no more, and counts as the job's. stdin, stdout and stderr are
        the host process's. So is the exit code, 128+n after signal n. SIGTERM and SIGHUP are handed
        on, not by podman; after SIGKILL the command loses its terminal or its pipes. `environment`
        is on the command line, which everybody on the machine can read; engines may add that of the
        sandbox.

        With `terminal` all three are to be one terminal, and the process is to be the leader of a
        session (`start_new_session`): it takes the terminal for its own, and the command has one
        inside that follows its size. Raises EngineError if the sandbox is not running.
        """
        ...

    async def keep_open(self, name: str, sockets: Sequence[socket.socket]) -> bool:
        """Keep sockets open, also without this process, until the command has ended.

        Returns False where the engine or the machine cannot: podman and simulated never do.
        """
        ...

    async def kept_open(self, name: str) -> list[socket.socket]:
        """Return duplicates of what is kept under a name, in its order; [] if nothing is."""
        ...

    async def wait(self) -> Exit:
        """Return how the command ended, as soon as it has."""
        ...

    async def so_far(self, exit_code: int) -> Exit:
        """Return what `wait` would if the command ended now, with this exit code; it lives on."""
        ...

    async def usage(self) -> Usage:
        """Return what it has used by now, also once it has ended.

        Raises OSError or EngineError where nobody knows any more: after its removal, and with
        podman after its end.
        """
        ...

    async def stop_processes(self) -> None:
        """Stop (SIGSTOP) all that its command has left running, but not who came in by `entry`.

        The first process goes on, too.
        """
        ...

    async def hold_output(self, is_held: bool) -> None:  # noqa: FBT001 - it is a switch
        """Let whoever writes to stdout and stderr wait, once a pipe is full, or let them go on.

        `log_path` does not grow meanwhile, and `wait` does not return. It stays so without this
        process. `kill` and `remove` let go, and so does the end of the supervisor; a simulated
        sandbox only remembers it.
        """
        ...

    async def kill(self) -> None:
        """End every process in it at once; `wait` then returns."""
        ...

    async def remove(self) -> None:
        """Leave nothing of it."""
        ...


class Engine(Protocol):
    """Makes sandboxes on this machine."""

    @property
    def name(self) -> str:
        """What configuration calls it."""
        ...

    async def check(self) -> list[str]:
        """Return what keeps this engine from working here, one remedy a line; [] if nothing."""
        ...

    async def unenforced(self, spec: SandboxSpec) -> list[str]:
        """Return the limits of a spec that this machine cannot enforce, one reason a line."""
        ...

    async def create(self, spec: SandboxSpec) -> Sandbox:
        """Make a sandbox ready to start; raises EngineError and leaves nothing if it cannot."""
        ...

    async def adopt(self, folder: Path) -> Sandbox | None:
        """Find the sandbox whose state is in the folder; None if there is none or it is damaged."""
        ...
