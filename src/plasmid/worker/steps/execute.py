"""Makes a try's sandbox, starts it and waits for its end, or takes over one that runs already."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from plasmid.domain import assignments, failures
from plasmid.engines import engine
from plasmid.environments import mirrors
from plasmid.network.traffic import Traffic
from plasmid.telemetry import failpoints
from plasmid.worker import adapters, inside, task_errors, try_folder
from plasmid.worker.steps import environment, log_sockets, workspace

CPU_WEIGHT_OF_A_CORE: Final = 100
PROCESSES_MAX: Final = 16384


def spec(
    assignment: assignments.Assignment,
    *,
    folder: try_folder.TryFolder,
    image: adapters.Image,
    layers: tuple[Path, ...] = (),
    ca_bundle: Path | None,
    needs_proxy: bool = False,
    sources: mirrors.Mirrors | None = None,
) -> engine.SandboxSpec:
    """Return what sandbox a job wants; raises JobFailure if its input cannot be set up."""
    variables = environment.variables(assignment, ca_bundle=ca_bundle, needs_proxy=needs_proxy)
    mounts = [engine.Mount(str(folder.log), log_sockets.INSIDE)]
    if ca_bundle is not None and assignment.network:
        mounts.append(engine.Mount(str(ca_bundle), environment.CA_BUNDLE))
    files = workspace.files(assignment, variables=variables, ca_bundle=ca_bundle, sources=sources)
    return engine.SandboxSpec(
        name=f"{assignment.job}.{assignment.attempt}{assignment.mark}",
        folder=folder.sandbox,
        base_image=image.root,
        hostname=assignment.job,
        command=workspace.command(assignment),
        environment=variables,
        working_directory=environment.HOME,
        files=workspace.without_brought(files, layers),
        memory_bytes=assignment.resources.memory_bytes,
        cpu_weight=assignment.resources.cores * CPU_WEIGHT_OF_A_CORE,
        processes_max=PROCESSES_MAX,
        cores=assignment.resources.cores,
        disk_bytes=assignment.resources.disk_bytes,
        devices=assignment.resources.devices,
        mounts=tuple(mounts),
        layers=layers,
    )


async def adopt(with_engine: engine.Engine, folder: try_folder.TryFolder) -> engine.Sandbox | None:
    """Return the sandbox that an earlier worker has started; None if none was started.

    One that was made and not started is removed, so that the try can begin anew. Raises JobFailure
    if a started sandbox is gone.
    """
    sandbox = await with_engine.adopt(folder.sandbox)
    if folder.started_ms() is None:
        if sandbox is not None:
            await sandbox.remove()
        # What a removal has left when it was killed would be in the way of the next sandbox.
        await asyncio.to_thread(folder.empty_sandbox)
        return None
    if sandbox is None:
        raise failures.JobFailure(
            failures.UNRESPONSIVE_WORKER,
            "The sandbox of this try is gone, with the worker or the machine that ran it: run the "
            "job again",
        )
    return sandbox


async def start(sandbox: engine.Sandbox, folder: try_folder.TryFolder) -> None:
    """Start the sandbox, so that an earlier worker's death in between does no harm.

    The mark comes first. A worker that finds the mark, and no sign of the first process inside,
    starts the sandbox again: engines take that for what it is if it was started.
    """
    if folder.started_ms() is None:
        await asyncio.to_thread(folder.mark_started, time.time_ns() // 1_000_000)
        await sandbox.start()
        failpoints.reach("S9", job=sandbox.name)
    elif inside.read(sandbox.root, f"{workspace.STATE}/phase") is None:
        await asyncio.to_thread(folder.mark_started, time.time_ns() // 1_000_000)
        with contextlib.suppress(engine.EngineError):
            await sandbox.start()


async def wait(sandbox: engine.Sandbox, *, timeout_seconds: float) -> tuple[engine.Exit, bool]:
    """Return how the sandbox ended, and whether that was because its time was over."""
    timed_out = False

    async def end_in_time() -> None:
        nonlocal timed_out
        await asyncio.sleep(timeout_seconds)
        timed_out = True
        await sandbox.kill()

    with task_errors.unwrapped():
        async with asyncio.TaskGroup() as group:
            limit = group.create_task(end_in_time())
            ended = await sandbox.wait()
            limit.cancel()
    return ended, timed_out


@contextlib.asynccontextmanager
async def reachable(
    open_network: adapters.OpenNetwork,
    sandbox: engine.Sandbox,
    *,
    allowed: list[str],
    on_refused: adapters.Refused,
    package_hosts: Sequence[str] = (),
    secret: str = "",
    traffic: Traffic | None = None,
) -> AsyncIterator[None]:
    """Give a sandbox its network for the time of the block; none if it has ended by now."""
    opened = contextlib.AsyncExitStack()
    try:
        with contextlib.suppress(engine.EngineError):
            await opened.enter_async_context(
                open_network(
                    sandbox,
                    allowed,
                    on_refused,
                    package_hosts=package_hosts,
                    secret=secret,
                    traffic=traffic,
                )
            )
        yield
    finally:
        # Not by `async with`: a task group within would wrap what the block raises.
        await opened.aclose()


def seconds_left(folder: try_folder.TryFolder, timeout_ms: int) -> float:
    """Return how long a started try may still run."""
    started_ms = folder.started_ms() or 0
    return max(0.0, (started_ms + timeout_ms - time.time_ns() // 1_000_000) / 1000)
