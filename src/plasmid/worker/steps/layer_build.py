"""Builds one layer: runs one step in a sandbox of its own and keeps what that has changed.

The sandbox knows nothing of the job it is built for: no token, no id, no input. It reaches what its
package manager needs. Whatever ends the build, nothing of it is left, and a killed worker's build
is removed by the next one that comes by.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from plasmid.domain import assignments, build_steps, failures
from plasmid.engines import engine
from plasmid.environments import layer_upkeep, layers, uv_program
from plasmid.worker import (
    adapters,
    inside,
    layer_builds,
    masking,
    output_log,
    spool,
    task_errors,
    try_folder,
)
from plasmid.worker.steps import build_files, execute, log_sockets, output
from plasmid.worker.world import World

SECONDS_MAX: Final = 4 * 3600
HOSTNAME: Final = "localhost"
_BATCH_BYTES: Final = 64 * 1024
_REFUSALS_MAX: Final = 20
_log = structlog.get_logger()


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A step that is to be built, and for whom."""

    assignment: assignments.Assignment
    image: adapters.Image
    step: build_steps.Step
    below: tuple[layers.Layer, ...]
    archive: Path | None
    on_wait: Callable[[], None]


async def build(world: World, task: Task, building: layer_builds.Build) -> None:
    """Build the layer of a step, unless another process makes it meanwhile.

    Raises JobFailure for what the step does wrong, EngineError or OSError for what this machine
    does, StoppedError if nobody waits any more.
    """
    waiting = layers.Waiting(task.on_wait, building.stopping)
    async with world.layers.building(task.step.key, waiting) as scratch:
        if scratch is None:
            return
        await layer_upkeep.clear(world.adapters.engine, scratch)
        started = time.monotonic()
        try:
            resolved = await _changes(world, task, building, scratch)
            about = layers.About(
                key=task.step.key,
                label=task.step.label,
                below=task.below[-1].digest if task.below else "",
                depth=len(task.below),
                image=task.image.name,
                seconds=round(time.monotonic() - started, 3),
                resolved=resolved,
            )
            keep = functools.partial(world.layers.keep, scratch, scratch / "tree", about)
            layer = await world.layers.run(keep)
            _log.info("layer_built", key=layer.about.key, label=layer.about.label)
        except OSError as error:
            if try_folder.is_full(error):
                raise _full(world, task) from error
            raise
        finally:
            await layer_upkeep.clear(world.adapters.engine, scratch)


async def _changes(
    world: World, task: Task, building: layer_builds.Build, scratch: Path
) -> dict[str, Any]:
    """Run the step; leave its changes as `tree` in the scratch folder, and return what it tells."""
    for name in ("sandbox", "log"):
        (scratch / name).mkdir(mode=0o755)
    spec = _spec(world, task, scratch)
    sandbox = await world.adapters.engine.create(spec)
    try:
        ended, timed_out = await _run(world, task, building, sandbox)
        if building.stopping.is_set():
            raise layer_builds.StoppedError
        _check(world, task, sandbox, ended, timed_out=timed_out)
        resolved = _resolved(sandbox)
        tree = scratch / "tree"
        sandbox.changes.rename(tree)
    finally:
        await sandbox.remove()
    clean = functools.partial(build_files.clean, tree, spec.files, task.step)
    await world.layers.run(clean)
    return resolved


def _spec(world: World, task: Task, scratch: Path) -> engine.SandboxSpec:
    step, resources = task.step, task.assignment.resources
    ca_bundle = world.settings.ca_bundle if step.group is not None else None
    mounts = [engine.Mount(str(scratch / "log"), log_sockets.INSIDE)]
    if task.archive is not None:
        mounts.append(engine.Mount(str(task.archive), build_files.ARCHIVE))
    if ca_bundle is not None:
        mounts.append(engine.Mount(str(ca_bundle), build_files.CA_BUNDLE))
    if step.group is not None and step.group.manager in ("pip", "pip3"):
        uv = uv_program.find()
        mounts += [engine.Mount(str(uv), uv_program.INSIDE)] if uv is not None else []
    return engine.SandboxSpec(
        name=f"layer-{step.key[:16]}-{secrets.token_hex(4)}",
        folder=scratch / "sandbox",
        base_image=task.image.root,
        hostname=HOSTNAME,
        command=build_files.command(step),
        environment=build_files.variables(),
        working_directory="/",
        files=build_files.files(step, ca_bundle, world.settings.mirrors),
        memory_bytes=resources.memory_bytes,
        cpu_weight=resources.cores * execute.CPU_WEIGHT_OF_A_CORE,
        cores=resources.cores,
        processes_max=execute.PROCESSES_MAX,
        mounts=tuple(mounts),
        layers=tuple(layer.tree for layer in task.below),
    )


async def _run(
    world: World, task: Task, building: layer_builds.Build, sandbox: engine.Sandbox
) -> tuple[engine.Exit, bool]:
    """Return how the sandbox ended, and whether for its time was over."""
    seconds = min(SECONDS_MAX, task.assignment.timeout_ms / 1000)
    masker = masking.of_site(task.assignment)
    sockets = log_sockets.LogSockets(sandbox.folder.parent / "log", _Said(building, masker))
    await sockets.open()
    try:
        with task_errors.unwrapped():
            async with (
                asyncio.TaskGroup() as group,
                _followed(world, building, sandbox, masker),
                _reaching(world, task, building, sandbox),
            ):
                await sandbox.start()
                stopping = group.create_task(_kill_when(building.stopping, sandbox))
                ended = await execute.wait(sandbox, timeout_seconds=seconds)
                stopping.cancel()
        sockets.drain()
    finally:
        sockets.close()
    return ended


async def _kill_when(stopping: asyncio.Event, sandbox: engine.Sandbox) -> None:
    await stopping.wait()
    await sandbox.kill()


@contextlib.asynccontextmanager
async def _followed(
    world: World,
    building: layer_builds.Build,
    sandbox: engine.Sandbox,
    masker: masking.Masker,
) -> AsyncIterator[None]:
    """Give the sandbox's output to whoever listens to the build, to its end."""
    grown = asyncio.Event()
    ended = asyncio.Event()

    async def follow() -> None:
        read = output_log.OutputLog(sandbox.log_path, masker=masker)
        try:
            while True:
                is_final = ended.is_set()
                grown.clear()
                entries = read.read(_BATCH_BYTES, is_final=is_final)
                if entries:
                    building.say("bulk", entries)
                elif is_final:
                    return
                else:
                    await grown.wait()
        finally:
            read.close()

    watched = world.watch.add(sandbox.log_path, grown.set)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            try:
                yield
            finally:
                ended.set()
                grown.set()
    finally:
        world.watch.remove(watched)


class _Said:
    """Lines of a build, which ends with its worker: they go to whoever listens."""

    def __init__(self, building: layer_builds.Build, masker: masking.Masker) -> None:
        self._building = building
        self.masker = masker

    def add_messages(self, source: str, messages: Sequence[spool.Message]) -> None:
        """Pass the lines of messages on."""
        self._building.say(source, [entry for message in messages for entry in message.entries])

    def stamps(self, source: str) -> set[int]:
        """Return nothing: no earlier worker has left anything."""
        return set()

    def has_room(self, source: str) -> bool:
        """Return True: whoever listens takes all."""
        return True

    def listen(self, take: Callable[[], None]) -> None:
        """Do nothing: a build knows nothing of the job, and so none of its secrets."""

    def register(self, value: str) -> None:
        """Mask a value in what the sockets bring."""
        self.masker.add(value)


@contextlib.asynccontextmanager
async def _reaching(
    world: World, task: Task, building: layer_builds.Build, sandbox: engine.Sandbox
) -> AsyncIterator[None]:
    """Give the sandbox the network that its package manager needs; an archive needs none."""
    if task.step.group is None:
        yield
        return
    refusals: set[str] = set()

    def on_refused(line: str) -> None:
        if line not in refusals and len(refusals) < _REFUSALS_MAX:
            refusals.add(line)
            now_ms = time.time_ns() // 1_000_000
            building.say("system", [assignments.LogEntry(now_ms, "SYSTEM", "WARNING", line)])

    async with execute.reachable(
        world.adapters.network,
        sandbox,
        allowed=list(_hosts(task)),
        on_refused=on_refused,
        package_hosts=[*task.image.apt_hosts, *_mirror_hosts(world, task)],
    ):
        yield


def _mirror_hosts(world: World, task: Task) -> list[str]:
    group = task.step.group
    return [] if group is None else world.settings.mirrors.hosts(group.manager, group.packages)


def _hosts(task: Task) -> Sequence[str]:
    """Return what access.network grants; apt needs none of it."""
    group = task.step.group
    return task.assignment.network if group is not None and group.manager != "apt" else ()


def _check(
    world: World, task: Task, sandbox: engine.Sandbox, ended: engine.Exit, *, timed_out: bool
) -> None:
    """Raise JobFailure unless the step has succeeded."""
    label = task.step.label
    if timed_out:
        raise layer_builds.ShortageError(
            failures.EXECUTION_ERROR,
            f"DXExecDependencyError: {label}: not installed in the time that the job has: raise "
            "timeoutPolicy of the executable",
        )
    if ended.exit_code == 0 and not ended.lost_writes:
        return
    if ended.out_of_memory:
        limit = task.assignment.resources.memory_bytes // (1024 * 1024)
        raise layer_builds.ShortageError(
            failures.APP_INSUFFICIENT_RESOURCE_ERROR,
            f"{label}: installing it used up the memory of {limit} MiB: ask for an instance type "
            "with more memory",
        )
    if output.is_full(sandbox.folder) or ended.lost_writes:
        raise _full(world, task)
    message = None
    with contextlib.suppress(inside.UnreadableError):
        message = inside.read_text(sandbox.root, build_files.FAILURE, bytes_max=64 * 1024)
    unknown = f"DXExecDependencyError: {label}: it ended with code {ended.exit_code}: see the log"
    raise failures.JobFailure(failures.EXECUTION_ERROR, (message or "").strip() or unknown)


def _full(world: World, task: Task) -> failures.JobFailure:
    return failures.JobFailure(
        failures.JM_INTERNAL_ERROR,
        f"{task.step.label}: the disk of {world.layers.folder} has no space left to install it: "
        "free some (`plasmid layer gc` deletes layers that no job uses), and run the job again",
    )


def _resolved(sandbox: engine.Sandbox) -> dict[str, Any]:
    """Return what became installed, as far as the step tells."""
    try:
        content = inside.read(sandbox.root, build_files.RESOLVED)
        return {} if content is None else msgspec.json.decode(content, type=dict[str, Any])
    except (inside.UnreadableError, msgspec.DecodeError):
        return {}
