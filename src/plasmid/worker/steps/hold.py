"""Waits for the end of a job's code, and holds what it leaves if it is to be debugged (H.5).

With `debug_on`, the sandbox of a job that failed lives on (runtime/start.sh); whether it is held or
removed is decided by the reason of the failure. All of it is read from the sandbox, so the next
worker comes to the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import msgspec
import structlog

from plasmid.client import api
from plasmid.domain import assignments, errors
from plasmid.engines import engine
from plasmid.worker import inside, log_pump, platform, side_tasks, task_errors, try_folder
from plasmid.worker.steps import execute, workspace

LOOK_SECONDS: Final = 0.25
_log = structlog.get_logger()


class AppEnd(msgspec.Struct, frozen=True):
    """How a job's code ended; with `lives` the sandbox has not, and waits for a decision."""

    exit: engine.Exit
    timed_out: bool = False
    lives: bool = False


async def wait(
    sandbox: engine.Sandbox, assignment: assignments.Assignment, *, timeout_seconds: float
) -> AppEnd:
    """Return how a job's code ended, as soon as it has."""
    if not assignment.debug_on:
        return AppEnd(*await execute.wait(sandbox, timeout_seconds=timeout_seconds))
    exit_code = _exit_code(sandbox)
    if exit_code is None:
        ended = await _first(sandbox, timeout_seconds)
        if ended is not None:
            return ended
        exit_code = _exit_code(sandbox)
    return AppEnd(await sandbox.so_far(exit_code or 1), lives=True)


async def _first(sandbox: engine.Sandbox, timeout_seconds: float) -> AppEnd | None:
    """Return the sandbox's end, or None as soon as only the job's code in it has ended."""
    with task_errors.unwrapped():
        async with asyncio.TaskGroup() as group:
            whole = group.create_task(execute.wait(sandbox, timeout_seconds=timeout_seconds))
            code = group.create_task(_code_ended(sandbox))
            await asyncio.wait({whole, code}, return_when=asyncio.FIRST_COMPLETED)
            code.cancel()
            if not whole.done():
                whole.cancel()
    return None if whole.cancelled() else AppEnd(*whole.result())


async def _code_ended(sandbox: engine.Sandbox) -> None:
    while True:
        if _exit_code(sandbox) is not None:
            return
        await asyncio.sleep(LOOK_SECONDS)


def _exit_code(sandbox: engine.Sandbox) -> int | None:
    """Return what start.sh wrote; None before that, and if the job has made nonsense of it."""
    with contextlib.suppress(inside.UnreadableError, ValueError):
        text = inside.read_text(sandbox.root, workspace.EXITED, bytes_max=64) or ""
        if text.strip():
            return int(text) & 0xFF
    return None


async def stop_what_runs(
    sandbox: engine.Sandbox, folder: try_folder.TryFolder, pump: log_pump.LogPump
) -> None:
    """Stop what a failed job has left running, so that it stays as it was left.

    Only as the hold begins: later it is for those who look to say what runs. If it cannot be
    stopped, the log says so, and the job is held all the same.
    """
    if not folder.is_held():
        stopping = _stop_processes(sandbox)
        await side_tasks.guarded("stopping_what_still_runs", stopping, on_trouble=pump.say)


async def _stop_processes(sandbox: engine.Sandbox) -> None:
    with contextlib.suppress(engine.EngineError):  # it has ended meanwhile
        await sandbox.stop_processes()


async def hold(
    link: platform.Platform,
    held: assignments.HeldTry,
    failed: assignments.Finished,
    *,
    folder: try_folder.TryFolder,
    pump: log_pump.LogPump,
) -> None:
    """Tell the platform, once it can be reached, and the job's log that a failed job is held.

    Raises RevokedError if the try is not this worker's any more.
    """
    if folder.mark_held():
        pump.say(f"{failed.failure_reason}: {failed.failure_message}", "ERROR")
        pump.say(
            f"The job is held for debugging, as debugOn names {failed.failure_reason}: its sandbox "
            f"stays as it is, and what it left running is stopped, until `dx terminate {held.job}` "
            f"or the site's limit for holds; `dx ssh {held.job}` leads into it"
        )
    failed_tries = 0
    while True:
        try:
            await link.hold(held, failed)
            return
        except (api.Unreachable, errors.ApiError) as error:
            failed_tries += 1
            _log.warning("hold_waits", error=str(error), failed_tries=failed_tries)
            await asyncio.sleep(log_pump.RETRY.pause_seconds(failed_tries))
