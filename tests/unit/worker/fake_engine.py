"""An engine without sandboxes: what a job does is a function that a test gives."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from plasmid.engines import engine
from plasmid.network.traffic import Traffic
from plasmid.worker import adapters

STAMP = "2026-01-02T03:04:05.678901234+00:00"


class FakeSandbox:
    """A folder; its job runs when it is started."""

    def __init__(self, spec: engine.SandboxSpec, job: Job) -> None:
        self.spec = spec
        self.job = job
        self.starts = 0
        self.kills = 0
        self.stops = 0
        self.removals = 0
        self.exit: engine.Exit | None = None
        self.ended = asyncio.Event()
        self.kept: dict[str, list[socket.socket]] = {}
        self.used = engine.Usage()
        self.holds: list[bool] = []
        self.root.mkdir()
        self.log_path.touch()
        for path, content in spec.files.items():
            self.put(path, content)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def folder(self) -> Path:
        return self.spec.folder

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def changes(self) -> Path:
        return self.folder / "root"

    @property
    def log_path(self) -> Path:
        return self.folder / "log"

    @property
    def network_namespace(self) -> Path | None:
        return None

    async def start(self) -> None:
        self.starts += 1
        if self.starts == 1:
            self.put("/opt/plasmid/phase", b"running\n")
            self.job(self)

    def entry(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        user: str = "0:0",
        working_directory: str = "/",
        terminal: bool = False,
    ) -> Sequence[str]:
        if self.ended.is_set():
            raise engine.EngineError(f"sandbox {self.name} is not running")
        return ["/usr/bin/env", *(f"{k}={v}" for k, v in environment.items()), *command]

    async def stop_processes(self) -> None:
        self.stops += 1

    async def keep_open(self, name: str, sockets: Sequence[socket.socket]) -> bool:
        self.kept[name] = [each.dup() for each in sockets]
        return True

    async def kept_open(self, name: str) -> list[socket.socket]:
        return [each.dup() for each in self.kept.get(name, ())]

    async def wait(self) -> engine.Exit:
        await self.ended.wait()
        assert self.exit is not None
        return self.exit

    async def so_far(self, exit_code: int) -> engine.Exit:
        return engine.Exit(exit_code, out_of_memory=False, peak_memory_bytes=1 << 20)

    async def usage(self) -> engine.Usage:
        return self.used

    async def hold_output(self, is_held: bool) -> None:
        self.holds.append(is_held)

    async def kill(self) -> None:
        self.kills += 1
        self.end(137)

    async def remove(self) -> None:
        self.removals += 1
        self.close_kept()
        shutil.rmtree(self.folder)

    def close_kept(self) -> None:
        for each in [one for kept in self.kept.values() for one in kept]:
            each.close()
        self.kept.clear()

    def put(self, path: str, content: bytes) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def write(self, line: str, stream: str = "stdout") -> None:
        with self.log_path.open("a") as log:
            log.write(f"{STAMP} {stream} F {line}\n")

    def end(self, exit_code: int = 0, *, out_of_memory: bool = False) -> None:
        if self.exit is None:
            self.exit = engine.Exit(exit_code, out_of_memory, 1 << 20)
            self.ended.set()


Job = Callable[[FakeSandbox], None]


def succeed(sandbox: FakeSandbox) -> None:
    """Do nothing and succeed."""
    sandbox.end()


def run_on(sandbox: FakeSandbox) -> None:
    """Run until somebody ends it."""


class FakeEngine:
    """Remembers its sandboxes by folder, as if each lived on without the worker."""

    def __init__(self, job: Job = succeed) -> None:
        self.job = job
        self.sandboxes: dict[Path, FakeSandbox] = {}
        self.made: list[FakeSandbox] = []
        self.problem: str | None = None

    @property
    def name(self) -> str:
        return "fake"

    async def check(self) -> list[str]:
        return []

    async def unenforced(self, spec: engine.SandboxSpec) -> list[str]:
        return []

    async def create(self, spec: engine.SandboxSpec) -> engine.Sandbox:
        if self.problem is not None:
            raise engine.EngineError(self.problem)
        sandbox = FakeSandbox(spec, self.job)
        self.sandboxes[spec.folder] = sandbox
        self.made.append(sandbox)
        return sandbox

    async def adopt(self, folder: Path) -> engine.Sandbox | None:
        sandbox = self.sandboxes.get(folder)
        return sandbox if sandbox is not None and folder.exists() else None


class FakeImage:
    """A base image that stands in for another."""

    name = "debian-12"
    digest = "0" * 32
    root = Path("/nowhere")
    stand_in = True
    apt_hosts = ()


class FakeImages:
    """Has one image for every release."""

    def find(self, distribution: str, release: str, version: str) -> adapters.Image:
        return FakeImage()


class NoNetwork:
    """Reaches nothing."""

    def __call__(
        self,
        sandbox: engine.Sandbox,
        allowed: Sequence[str],
        on_refused: adapters.Refused,
        *,
        package_hosts: Sequence[str] = (),
        secret: str = "",
        traffic: Traffic | None = None,
    ) -> AbstractAsyncContextManager[object]:
        return nullcontext()


def fake_adapters(with_engine: FakeEngine) -> adapters.Adapters:
    return adapters.Adapters(engine=with_engine, images=FakeImages(), network=NoNetwork())
