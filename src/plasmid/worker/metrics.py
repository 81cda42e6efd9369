"""Looks at what a job uses while its sandbox lives, and tells it: in its log and at its end.

Every look feeds the totals, which are kept in the try's folder. Now and then one becomes a METRICS
line of the log; every ten minutes there is a line on resources for people (contract G.4).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
import structlog

from plasmid.domain import assignments, metrics, totals
from plasmid.engines import engine
from plasmid.network.traffic import Traffic
from plasmid.worker import log_pump, meter, side_tasks, try_folder

FIRST_LOOK_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 5.0
FIRST_SAMPLE_MS: Final = 5_000
LINE_MS: Final = 600_000
_KEEP_MS: Final = 4_000
# A look may come so much before a sample is due and be it: timers are not exact.
_EARLY_MS_MAX: Final = 500
_log = structlog.get_logger()


def clock_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@contextlib.asynccontextmanager
async def measured(
    assignment: assignments.Assignment,
    sandbox: engine.Sandbox,
    *,
    folder: try_folder.TryFolder,
    pump: log_pump.LogPump,
    traffic: Traffic,
) -> AsyncIterator[None]:
    """Measure a sandbox for the time of the block, and tell its log what it used in all.

    The block is cancelled when the worker leaves the sandbox to the next one: then nothing is told.
    """
    sampler = Sampler(assignment, sandbox, folder=folder, pump=pump, traffic=traffic)
    is_left = False
    # Not by `async with`: a task group would wrap what the block raises.
    opened = contextlib.AsyncExitStack()
    group = await opened.enter_async_context(asyncio.TaskGroup())
    looking = group.create_task(side_tasks.guarded("sampler", sampler.run()))
    try:
        yield
    except asyncio.CancelledError:
        is_left = True
        raise
    finally:
        looking.cancel()
        await opened.aclose()
        if is_left:
            sampler.keep()
        else:
            await side_tasks.guarded("sampler", sampler.end())


class Sampler:
    """Looks at one sandbox until its end."""

    def __init__(
        self,
        assignment: assignments.Assignment,
        sandbox: engine.Sandbox,
        *,
        folder: try_folder.TryFolder,
        pump: log_pump.LogPump,
        traffic: Traffic,
        now_ms: Callable[[], int] = clock_ms,
    ) -> None:
        self._assignment = assignment
        self._sandbox = sandbox
        self._folder = folder
        self._pump = pump
        self._traffic = traffic
        self._now_ms = now_ms
        self._meter: meter.Meter | None = None
        # The readings of the last sample and of the last line for people, and of what was kept.
        self._sampled = self._lined = metrics.Reading(at_ms=0)
        self._kept_ms = self._next_sample_ms = 0
        self._samples = 0

    async def run(self) -> None:
        """Look again and again, until cancelled or the sandbox is held for debugging."""
        await self.begin()
        loop = asyncio.get_running_loop()
        pause = FIRST_LOOK_SECONDS
        while not (self._assignment.debug_on and self._folder.is_held()):
            # All samplers look at the same moments: to wake this process costs more than a look.
            seconds = min(pause, self._assignment.metrics_ms / 1000)
            await asyncio.sleep(seconds - loop.time() % seconds)
            await self.look()
            pause = LOOK_SECONDS
        await self.end()

    async def begin(self) -> None:
        """Begin to count, or go on from what an earlier worker has counted."""
        room = _room(self._assignment)
        kept = self._folder.measured()
        if kept is not None:
            self._meter = meter.Meter(self._traffic, kept)
        else:
            usage = await self._usage()
            if usage is None:
                return
            began_ms = self._folder.started_ms()
            if began_ms is not None:  # by a worker that could not keep anything any more
                usage = msgspec.structs.replace(usage, cpu_user_ms=0, cpu_system_ms=0)
            began_ms = began_ms or self._now_ms()
            self._meter = meter.Meter.begin(room, self._traffic, usage, now_ms=began_ms)
        last = self._meter.state.last
        self._sampled = self._lined = last
        interval_ms = self._assignment.metrics_ms
        self._next_sample_ms = last.at_ms + (
            interval_ms if kept is not None else min(interval_ms, FIRST_SAMPLE_MS)
        )

    async def look(self) -> None:
        """Look once, and tell the log what is due."""
        if self._meter is None:
            await self.begin()
        reading = await self._reading()
        if reading is None or self._meter is None:
            return
        interval_ms = self._assignment.metrics_ms
        if reading.at_ms + min(interval_ms // 10, _EARLY_MS_MAX) >= self._next_sample_ms:
            self._add_sample(self._meter.state.room, reading)
            self._next_sample_ms = reading.at_ms + interval_ms
        if reading.at_ms - self._lined.at_ms >= LINE_MS:
            sample = metrics.between(self._lined, reading, self._meter.state.room)
            self._pump.say(metrics.machine_line(sample, _free_bytes(self._folder, sample)))
            self._lined = reading
        if reading.at_ms - self._kept_ms >= _KEEP_MS:
            self.keep()

    async def end(self) -> None:
        """Look for the last time and write the log's last lines on it; done before is fine."""
        if self._meter is None:
            await self.begin()
        if self._meter is None or self._meter.state.told:
            return
        state = self._meter.state
        reading = await self._reading()
        is_detailed = metrics.is_wanted(self._assignment.job_description)
        try:
            if reading is not None and (self._samples or is_detailed):
                self._add_sample(state.room, reading)
            used = meter.totals_of(state)
            instance_type = self._assignment.job_description.get("instanceType")
            for line in totals.lines(used, str(instance_type)):
                self._pump.say(line)
        except OSError as error:
            # The machine's disk is full: that is told elsewhere, and how the job ended counts more.
            _log.warning("use_not_told", error=str(error))
        state.told = True
        self.keep()

    def keep(self) -> None:
        """Keep what is counted in the try's folder, for the next worker and the report."""
        if self._meter is None:
            return
        self._kept_ms = self._meter.state.last.at_ms
        try:
            self._folder.keep_measured(self._meter.state)
        except OSError as error:
            _log.warning("use_not_kept", error=str(error))

    def _add_sample(self, room: metrics.Room, reading: metrics.Reading) -> None:
        sample = metrics.between(self._sampled, reading, room)
        self._pump.add("system", [metrics.entry(sample, self._now_ms())])
        self._sampled = reading
        self._samples += 1

    async def _reading(self) -> metrics.Reading | None:
        usage = await self._usage()
        if usage is None or self._meter is None:
            return None
        return self._meter.look(usage, self._now_ms())

    async def _usage(self) -> engine.Usage | None:
        """Return what the sandbox has used; None if nobody can say."""
        try:
            return await self._sandbox.usage()
        except (OSError, engine.EngineError) as error:
            _log.debug("use_unknown", error=str(error))
            return None


def first_line(assignment: assignments.Assignment, folder: try_folder.TryFolder) -> str:
    """Return the line on resources of a job that has not begun to use any (contract G.4)."""
    nothing = metrics.Reading(at_ms=0)
    sample = metrics.between(nothing, nothing, _room(assignment))
    return metrics.machine_line(sample, _free_bytes(folder, sample))


def _room(assignment: assignments.Assignment) -> metrics.Room:
    given = assignment.resources
    return metrics.Room(given.cores, given.memory_bytes, given.disk_bytes)


def _free_bytes(folder: try_folder.TryFolder, sample: metrics.Sample) -> int:
    """Return how much a job may still write: its own limit, and what the machine has left."""
    found = os.statvfs(folder.path)
    own = max(0, sample.disk_total_bytes - sample.disk_used_bytes)
    return min(found.f_bavail * found.f_frsize, own)
