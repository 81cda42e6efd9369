"""The story of one try, from its assignment to the last of its files being gone.

Whatever happens to this process, the story can be taken up again from the try's folder: by then
the sandbox was not started yet (it is made anew), runs (it is adopted), or has ended (it is
reported). A cancelled story leaves everything as it is, for the next worker. What ends a try is its
own end, its timeout, or the platform's word (`stopping`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, TypeVar

import msgspec
import structlog

from plasmid.client import api
from plasmid.domain import assignments, errors, failures
from plasmid.engines import engine
from plasmid.network.traffic import Traffic
from plasmid.telemetry import failpoints
from plasmid.worker import (
    beside,
    log_pump,
    making,
    masking,
    outcome,
    platform,
    task_errors,
    try_folder,
)
from plasmid.worker.steps import execute, hold, log_sockets, output, teardown
from plasmid.worker.world import World

T = TypeVar("T")

LAST_LINES_SECONDS_MAX: Final = 5.0
CLOSING_TRIES_MAX: Final = 10
REFUSALS_MAX: Final = 100

_BROKEN: Final = (
    "The worker has a bug, which its own log describes: report it, and run the job again"
)
_STOPPED: Final = "The try was stopped at the platform's word"
_log = structlog.get_logger()


class StoppedError(Exception):
    """The platform has taken the try back."""


class Try:
    """One try of a job on this worker.

    Setting `stopping` ends it, and that is reported; with `abandoned` set as well it is not.
    """

    def __init__(
        self, assignment: assignments.Assignment, folder: try_folder.TryFolder, *, is_adopted: bool
    ) -> None:
        self.assignment = assignment
        self.folder = folder
        self.is_adopted = is_adopted
        self.held = assignments.HeldTry(assignment.job, assignment.attempt)
        self.masker = masking.of(assignment, folder.masked())
        self.stopping = asyncio.Event()
        self.abandoned = asyncio.Event()
        self.traffic = Traffic()


async def run_try(world: World, current: Try) -> None:
    """Run one try to its end, report it, and leave nothing of it here.

    Returns when that is done, or when the platform has taken the try back; cancelling it leaves
    the sandbox running for the next worker.
    """
    with structlog.contextvars.bound_contextvars(
        job=current.held.job, attempt=current.held.attempt
    ):
        finished: assignments.Finished | None = _stopped(world, current)
        try:
            finished = await _told(world, current)
        except* StoppedError:
            _log.info("try_stopped")
        except* platform.RevokedError:
            _log.info("try_revoked")
            finished = None
        except* Exception:
            _log.exception("try_broke")
            finished = _failed(world, current, failures.JM_INTERNAL_ERROR, _BROKEN)
        for failed_tries in range(1, CLOSING_TRIES_MAX + 1):
            try:
                await _close(world, current, finished)
            except Exception:
                # the report may have been cut off with the rest; it may be repeated
                _log.exception("try_stays", folder=str(current.folder.path), tries=failed_tries)
                await asyncio.sleep(log_pump.RETRY.pause_seconds(failed_tries))
            else:
                return


async def report_gone(world: World, held: assignments.HeldTry) -> None:
    """Tell the platform that a try which it wants stopped is not here."""
    await _report_without_folder(world, held, failures.TERMINATED, _STOPPED)


async def report_no_folder(
    world: World, assignment: assignments.Assignment, error: OSError
) -> None:
    """Tell the platform that a try cannot even begin here."""
    work_folder = world.settings.work_folder
    _log.warning("no_try_folder", job=assignment.job, error=str(error))
    message = (
        try_folder.no_space(work_folder)
        if try_folder.is_full(error)
        else f"the work folder {work_folder} cannot be used: {error.strerror}"
    )
    held = assignments.HeldTry(assignment.job, assignment.attempt)
    half_made = try_folder.TryFolder(try_folder.path_of(work_folder, held.job, held.attempt))
    await asyncio.to_thread(half_made.remove)
    await _report_without_folder(world, held, failures.JM_INTERNAL_ERROR, message)


async def _report_without_folder(
    world: World, held: assignments.HeldTry, reason: str, message: str
) -> None:
    finished = assignments.Finished(
        worker=world.settings.name,
        attempt=held.attempt,
        failure_reason=reason,
        failure_message=message,
    )
    with contextlib.suppress(platform.RevokedError, api.Unreachable, errors.ApiError):
        await world.link.finish(held, finished)


async def _told(world: World, current: Try) -> assignments.Finished:
    """Return how the try ended, once its log is with the platform."""
    pump = log_pump.LogPump(
        world.link,
        current.held,
        current.folder,
        bytes_max=current.assignment.log_bytes_max,
        masker=current.masker,
        give_way=world.starts.give_way,
    )
    try:
        if current.is_adopted:
            await _unless_stopped(current, pump.recover())
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(pump.run())
            finished = await _ended(world, current, pump)
            pump.finish()
            await _sent(current, sending)
        return finished
    finally:
        pump.close()


async def _sent(current: Try, sending: asyncio.Task[None]) -> None:
    """Wait until the log is sent; of a try that was taken back, only for a moment."""
    async with asyncio.TaskGroup() as group:
        stopped = group.create_task(current.stopping.wait())
        await asyncio.wait({sending, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            await asyncio.wait({sending}, timeout=LAST_LINES_SECONDS_MAX)
            sending.cancel()
        stopped.cancel()


async def _ended(world: World, current: Try, pump: log_pump.LogPump) -> assignments.Finished:
    """Return how the try ended, kept in its folder."""
    kept = current.folder.finished()
    if kept is not None:
        await _attach_output(world, current, pump)
        return kept
    try:
        finished = await _run(world, current, pump)
    except StoppedError:
        return _stopped(world, current)
    except failures.JobFailure as failure:
        finished = _failed(world, current, failure.reason, failure.message)
    except engine.EngineError as error:
        finished = _engine_failed(world, current, error)
    except OSError as error:
        if not try_folder.is_full(error):
            raise
        message = try_folder.no_space(world.settings.work_folder)
        finished = _failed(world, current, failures.JM_INTERNAL_ERROR, message)
    if finished.failure_reason is not None:
        pump.say(f"{finished.failure_reason}: {finished.failure_message}", "ERROR")
    finished = msgspec.structs.replace(
        finished, not_enforced=current.folder.unenforced(), usage=current.folder.usage()
    )
    try:
        current.folder.keep_finished(finished)
    except OSError as error:
        # Only a worker that takes over from now on would want it; it finds the same out again.
        _log.warning("end_not_kept", error=str(error))
    failpoints.reach("S12", job=current.held.job)
    return finished


async def _run(world: World, current: Try, pump: log_pump.LogPump) -> assignments.Finished:
    """Run the job in its sandbox; raises JobFailure, EngineError or StoppedError without output."""
    with contextlib.ExitStack() as starting:
        starting.enter_context(world.starts.one())
        sandbox = None
        if current.is_adopted:
            sandbox = await execute.adopt(world.adapters.engine, current.folder)
        if sandbox is None:
            story = making.prepare(world, current.assignment, folder=current.folder, pump=pump)
            sandbox = await world.adapters.engine.create(await _unless_stopped(current, story))
        async with (
            _connected(world, current, sandbox, pump),
            beside.beside(
                world,
                current.assignment,
                sandbox,
                folder=current.folder,
                pump=pump,
                traffic=current.traffic,
            ),
        ):
            await execute.start(sandbox, current.folder)
            starting.close()
            seconds = execute.seconds_left(current.folder, current.assignment.timeout_ms)
            try:
                ended = await _unless_stopped(
                    current, hold.wait(sandbox, current.assignment, timeout_seconds=seconds)
                )
                failpoints.reach("S11", job=current.held.job)
                finished = _judged(world, current, sandbox, ended)
                if ended.lives:
                    await _hold(world, current, sandbox, pump=pump, failed=finished)
            except StoppedError:
                await sandbox.kill()
                await sandbox.wait()
                raise
    return finished


def _judged(
    world: World, current: Try, sandbox: engine.Sandbox, ended: hold.AppEnd
) -> assignments.Finished:
    """Return what a try has come to, by what it left in its sandbox."""
    seen = output.read(current.assignment, sandbox.root, ended.exit, timed_out=ended.timed_out)
    finished = assignments.Finished(world.settings.name, current.held.attempt)
    try:
        finished.output = outcome.decide(seen)
    except failures.JobFailure as failure:
        finished = _failed(world, current, failure.reason, failure.message)
    finished.peak_memory_bytes = ended.exit.peak_memory_bytes
    finished.ran = current.folder.ran()
    if finished.ran is not None:
        finished.ran.exit_code = ended.exit.exit_code
        finished.ran.peak_memory_bytes = ended.exit.peak_memory_bytes
    return finished


async def _hold(
    world: World,
    current: Try,
    sandbox: engine.Sandbox,
    *,
    pump: log_pump.LogPump,
    failed: assignments.Finished,
) -> None:
    """Hold a failed job's sandbox until it ends, if its failure is one to be debugged; else end it.

    Raises StoppedError when the platform ends the hold.
    """
    if failed.failure_reason in current.assignment.debug_on:
        failed.not_enforced = current.folder.unenforced()
        await hold.stop_what_runs(sandbox, current.folder, pump)
        told = hold.hold(world.link, current.held, failed, folder=current.folder, pump=pump)
        await _unless_stopped(current, told)
    else:
        await sandbox.kill()
    await _unless_stopped(current, sandbox.wait())


@contextlib.asynccontextmanager
async def _connected(
    world: World, current: Try, sandbox: engine.Sandbox, pump: log_pump.LogPump
) -> AsyncIterator[None]:
    """Follow what the sandbox says and give it its network, for the time of the block."""
    pump.attach_output(sandbox.log_path, sandbox.hold_output)
    watched = world.watch.add(sandbox.log_path, pump.wake)
    refusals: set[str] = set()

    def on_refused(line: str) -> None:
        if line not in refusals and len(refusals) < REFUSALS_MAX:
            refusals.add(line)
            pump.say(line, "WARNING")

    sockets = log_sockets.LogSockets(current.folder.log, pump)
    try:
        await sockets.open(sandbox)
        async with execute.reachable(
            world.adapters.network,
            sandbox,
            allowed=current.assignment.network,
            on_refused=on_refused,
            package_hosts=making.package_hosts(world, current.assignment),
            secret=current.assignment.context_secret,
            traffic=current.traffic,
        ):
            yield
        sockets.drain()
        pump.end_output()
    except (StoppedError, engine.SupervisorLostError):
        sockets.drain()  # its processes are dead: nobody sends any more
        pump.end_output()
        raise
    finally:
        sockets.close()
        world.watch.remove(watched)


async def _attach_output(world: World, current: Try, pump: log_pump.LogPump) -> None:
    """Read the rest of an ended sandbox's output, if it is still there."""
    sandbox = await world.adapters.engine.adopt(current.folder.sandbox)
    with contextlib.suppress(FileNotFoundError):
        if sandbox is not None:
            pump.attach_output(sandbox.log_path)


async def _unless_stopped(current: Try, story: Coroutine[Any, Any, T]) -> T:
    """Return the story's result; raises StoppedError if the platform takes the try back first."""
    with task_errors.unwrapped():
        async with asyncio.TaskGroup() as group:
            told = group.create_task(story)
            stopped = group.create_task(current.stopping.wait())
            await asyncio.wait({told, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not told.done():
                told.cancel()
    if told.cancelled():
        raise StoppedError
    return told.result()


async def _close(world: World, current: Try, finished: assignments.Finished | None) -> None:
    """Report the end, if it is ours to report, and remove all of the try from here."""
    async with asyncio.TaskGroup() as group:
        group.create_task(teardown.remove_sandbox(world.adapters.engine, current.folder))
        if finished is not None:
            await _report(world, current, finished)
    await teardown.remove_folder(current.folder, world.layers)


async def _report(world: World, current: Try, finished: assignments.Finished) -> None:
    """Report the end until the platform has it or says that it is not ours to report."""
    failed_tries = 0
    while not current.abandoned.is_set():
        try:
            await world.link.finish(current.held, finished)
            failpoints.reach("S15", job=current.held.job)
            return
        except platform.RevokedError:
            _log.info("report_came_too_late")
            return
        except (api.Unreachable, errors.ApiError) as error:
            failed_tries += 1
            _log.warning("report_waits", error=str(error), failed_tries=failed_tries)
            pause = log_pump.RETRY.pause_seconds(failed_tries)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await current.abandoned.wait()


def _stopped(world: World, current: Try) -> assignments.Finished:
    return _failed(world, current, failures.TERMINATED, _STOPPED)


def _failed(world: World, current: Try, reason: str, message: str) -> assignments.Finished:
    return assignments.Finished(
        worker=world.settings.name,
        attempt=current.held.attempt,
        failure_reason=reason,
        failure_message=current.masker.mask_text(message),
        usage=current.folder.usage(),
    )


def _engine_failed(world: World, current: Try, error: engine.EngineError) -> assignments.Finished:
    """Return the end of a try whose engine gave up; on a full disk that is the disk's doing."""
    if current.folder.started_ms() is not None and output.is_full(current.folder.path):
        message = (
            "The disk ran full while the job was running, so how it ended is unknown: ask for an "
            f"instance type with more storage, or free some below {world.settings.work_folder}"
        )
        return _failed(world, current, failures.APP_INSUFFICIENT_RESOURCE_ERROR, message)
    if isinstance(error, engine.SupervisorLostError):
        return _failed(world, current, failures.UNRESPONSIVE_WORKER, str(error))
    message = f"{error}; `plasmid doctor` checks this machine"
    return _failed(world, current, failures.JM_INTERNAL_ERROR, message)
