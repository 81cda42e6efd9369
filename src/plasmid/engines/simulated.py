"""An engine that runs nothing: for tests of whatever uses engines, and for a demo without root.

What a sandbox does is a `Behavior`, by default "ends well at once". It keeps the promises of
engine.py as far as files go: `root` holds the files of the spec, `log_path` is in conmon's format,
the state lies in the folder, so that another instance adopts what this one made.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plasmid.engines import engine

_STATE_FILE: Final = "simulated.json"
_KILLED: Final = 137
_LOG_TIME: Final = "2026-01-01T00:00:00.000000000+00:00"


class Behavior(msgspec.Struct, frozen=True, kw_only=True):
    """What a sandbox does once it is started.

    `log` are pairs of stream (`stdout` or `stderr`) and line. `files` are written into its root,
    by absolute path inside. One that `hangs` ends only when it is killed (exit code 137). With
    `fails_create` or `fails_start` that call raises EngineError with this message; with
    `loses_supervisor`, `wait` does.
    """

    exit_code: int = 0
    log: tuple[tuple[str, str], ...] = ()
    files: dict[str, bytes] = {}
    hangs: bool = False
    out_of_memory: bool = False
    peak_memory_bytes: int | None = None
    usage: engine.Usage = engine.Usage()
    fails_create: str = ""
    fails_start: str = ""
    loses_supervisor: bool = False


class _State(msgspec.Struct):
    """What another instance needs to know to go on."""

    name: str
    behavior: Behavior
    started: bool = False
    killed: bool = False


class SimulatedSandbox:
    """A folder that pretends to be a sandbox."""

    def __init__(self, folder: Path, state: _State) -> None:
        self._folder = folder
        self._state = state
        self._ended = asyncio.Event()
        self.is_held = False
        if state.started:
            self._end_unless_hanging()

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
        """The folder with its files."""
        return self._folder / "root"

    @property
    def changes(self) -> Path:
        """The folder of what differs from base image and layers."""
        return self._folder / "root"

    @property
    def log_path(self) -> Path:
        """The file with stdout and stderr in conmon's k8s-file format."""
        return self._folder / "log"

    @property
    def network_namespace(self) -> Path | None:
        """None: it has no processes, so it has no namespace."""
        return None

    async def start(self) -> None:
        """Do all that the behavior says at once."""
        behavior = self._state.behavior
        if behavior.fails_start:
            raise engine.EngineError(behavior.fails_start)
        if not self._state.started:
            lines = [f"{_LOG_TIME} {stream} F {line}\n" for stream, line in behavior.log]
            self.log_path.write_text("".join(lines))
            _put_files(self.root, behavior.files)
            self._state.started = True
            self.keep()
        self._end_unless_hanging()

    def _end_unless_hanging(self) -> None:
        if self._state.killed or not self._state.behavior.hangs:
            self._ended.set()

    def entry(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        user: str = "0:0",
        working_directory: str = "/",
        terminal: bool = False,
    ) -> Sequence[str]:
        """Raise EngineError: nothing runs in it that a command could run beside."""
        raise engine.EngineError(f"sandbox {self.name} is not running: it is a simulated one")

    async def keep_open(self, name: str, sockets: Sequence[socket.socket]) -> bool:
        """Return False: nothing but this process has them."""
        return False

    async def kept_open(self, name: str) -> list[socket.socket]:
        """Return []."""
        return []

    async def wait(self) -> engine.Exit:
        """Return how it ended; never, if it hangs and is not killed."""
        await self._ended.wait()
        behavior = self._state.behavior
        if behavior.loses_supervisor:
            message = f"sandbox {self.name} has lost its supervisor; run it again"
            raise engine.SupervisorLostError(message)
        return await self.so_far(_KILLED if self._state.killed else behavior.exit_code)

    async def so_far(self, exit_code: int) -> engine.Exit:
        """Return what `wait` would if the command ended now, with this exit code; it lives on."""
        return engine.Exit(
            exit_code=exit_code,
            out_of_memory=self._state.behavior.out_of_memory,
            peak_memory_bytes=self._state.behavior.peak_memory_bytes,
        )

    async def usage(self) -> engine.Usage:
        """Return what its behavior says."""
        return self._state.behavior.usage

    async def stop_processes(self) -> None:
        """Do nothing: it has no processes."""

    async def hold_output(self, is_held: bool) -> None:  # noqa: FBT001 - see engine.py
        """Remember it: nobody writes."""
        self.is_held = is_held

    async def kill(self) -> None:
        """End it, if it has not ended; `wait` then returns 137."""
        if not self._ended.is_set():
            self._state.killed = True
            if self._folder.exists():
                self.keep()
            self._ended.set()

    async def remove(self) -> None:
        """Delete its folder; deleted already is fine."""
        await self.kill()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def keep(self) -> None:
        """Write its state into its folder."""
        (self._folder / _STATE_FILE).write_bytes(msgspec.json.encode(self._state))


class SimulatedEngine:
    """Makes simulated sandboxes; `behave` says for each spec what it does.

    `created` are the specs of all sandboxes made so far, for a test to look at.
    """

    def __init__(
        self, behave: Behavior | Callable[[engine.SandboxSpec], Behavior] | None = None
    ) -> None:
        self._behave = behave
        self.created: list[engine.SandboxSpec] = []

    @property
    def name(self) -> str:
        """What configuration calls it."""
        return "simulated"

    async def check(self) -> list[str]:
        """Return []: it works everywhere."""
        return []

    async def unenforced(self, spec: engine.SandboxSpec) -> list[str]:
        """Return []: nothing runs, so nothing exceeds a limit."""
        return []

    async def create(self, spec: engine.SandboxSpec) -> engine.Sandbox:
        """Make a sandbox, unless its behavior is to fail."""
        behavior = self._behavior_of(spec)
        if behavior.fails_create:
            raise engine.EngineError(behavior.fails_create)
        sandbox = SimulatedSandbox(spec.folder, _State(name=spec.name, behavior=behavior))
        sandbox.root.mkdir()
        sandbox.log_path.touch()
        _put_files(sandbox.root, spec.files)
        sandbox.keep()
        self.created.append(spec)
        return sandbox

    def _behavior_of(self, spec: engine.SandboxSpec) -> Behavior:
        if isinstance(self._behave, Behavior):
            return self._behave
        return self._behave(spec) if self._behave is not None else Behavior()

    async def adopt(self, folder: Path) -> engine.Sandbox | None:
        """Find the sandbox in a folder; one that was started and does not hang has ended."""
        try:
            content = (folder / _STATE_FILE).read_bytes()
            return SimulatedSandbox(folder, msgspec.json.decode(content, type=_State))
        except (OSError, msgspec.DecodeError):
            return None


def _put_files(root: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o755 if content[:2] == b"#!" else 0o644)
