"""Brings a try's log to the platform: every line exactly once, in the order of its source.

All lines are on disk before they are sent: the output in conmon's log, the others in spools. A
batch carries cursors, how far each source has been read; the platform keeps both in one step. When
the outcome of a call is unknown, the platform is asked for its cursors and reading goes on from
there. While the server is away lines wait on disk, so memory stays flat; when much waits, so do the
job's writers (backlog.py). Beyond the log's limit lines are only counted (log_limit.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from plasmid.client import api
from plasmid.domain import assignments, errors
from plasmid.worker import (
    backlog,
    encoded,
    in_flight,
    log_limit,
    masking,
    output_log,
    platform,
    registered,
    spool,
    task_errors,
    try_folder,
)

SYSTEM: Final = "SYSTEM"
SPOOLS: Final = ("system", "priority", "bulk")
OUTPUT: Final = "output"
# What the sources may fill the log to, in limits: what the platform says is in it in any case.
SHARES: Final = {OUTPUT: 1, "bulk": 1, "priority": 2}
BATCH_BYTES_MAX: Final = 1 << 20
BATCH_BYTES_MIN: Final = 1 << 16
# A batch of so many is one of a flood.
FLOOD_LINES: Final = 1000
# Lines that come within this time of the first travel together: longer where sending takes long.
GATHER_SECONDS_MIN: Final = 0.02
GATHER_SECONDS: Final = 0.1
# What was skipped is told to the platform at the end, and each time that it is so much.
SKIPPED_BYTES: Final = 8 << 20
# What a full disk did not take is tried again.
FULL_DISK_SECONDS: Final = 1.0
RETRY: Final = api.Retry(first_pause_ms=100, pause_ms_max=5_000)

_log = structlog.get_logger()


async def _go_on() -> None:
    """Wait for nothing."""


class LogPump:
    """The log of one try; `run` sends until `finish` was called and everything is kept.

    `bytes_max` is what the log may hold (0: anything); `give_way` returns when what is more urgent
    than a flood is done.
    """

    def __init__(
        self,
        link: platform.Platform,
        held: assignments.HeldTry,
        folder: try_folder.TryFolder,
        *,
        bytes_max: int = 0,
        masker: masking.Masker | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        give_way: Callable[[], Awaitable[None]] = _go_on,
    ) -> None:
        self._link = link
        self._give_way = give_way
        self._held = held
        self._folder = folder
        self._bytes_max = bytes_max
        self._now_ms = now_ms
        self.masker = masker or masking.Masker()
        self._registered = registered.Registered(self.masker, folder)
        self._listen: Callable[[], None] = lambda: None
        self._spools = {name: spool.Spool(folder.spool_path(name)) for name in SPOOLS}
        self._spooled = backlog.Rooms()
        self._cursors: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        self._output: output_log.OutputLog | None = None
        self._holder = backlog.Holder()
        self._in_flight = in_flight.InFlight(link, held)
        self._skipped: dict[str, log_limit.SpoolTrail] = {}
        self._left_out_before = (0, 0)
        self._has_ended = False
        self._news = asyncio.Event()
        self._finishing = asyncio.Event()

    def say(self, message: str, level: str = "INFO") -> None:
        """Add a line of the platform's own."""
        self.add("system", [assignments.LogEntry(self._now_ms(), SYSTEM, level, message)])

    def add(self, source: str, entries: list[assignments.LogEntry]) -> None:
        """Add lines of a spooled source."""
        self._spools[source].add_all(output_log.masked(entries, self.masker))
        self._news.set()

    def add_messages(self, source: str, messages: Sequence[spool.Message]) -> None:
        """Add messages of a spooled source, which are masked already."""
        self._spools[source].add_messages(messages)
        self._news.set()

    def stamps(self, source: str) -> set[int]:
        """Return the stamps of the last messages that an earlier worker has added to a source."""
        return self._spools[source].stamps

    def has_room(self, source: str) -> bool:
        """Say whether a spooled source may take more of what a job sends."""
        each = self._spools[source]
        waiting = each.end - self._kept.get(source, 0)
        return self._spooled.has_room(source, waiting, is_stuck=each.is_stuck)

    def listen(self, take: Callable[[], None]) -> None:
        """Call this before what a job has said is masked, and when a source has room again."""
        self._listen = take

    def hear(self) -> None:
        """Take what a job has registered by now."""
        self._listen()

    def register(self, value: str) -> None:
        """Mask a value from now on, also in the next worker; the log says if that cannot be."""
        refused = self._registered.add(value)
        if refused is not None:
            self.say(refused, "WARNING")

    def attach_output(self, log_path: Path, hold: backlog.Hold | None = None) -> None:
        """Read the sandbox's output from now on; the file must exist.

        `hold` makes its writers wait, or go on.
        """
        self._output = output_log.OutputLog(
            log_path, self._cursors, masker=self.masker, before_masking=self.hear
        )
        self._holder.attach(hold)
        self.wake()

    def wake(self) -> None:
        """Say that the sandbox's output has grown."""
        self._news.set()
        self._holder.look()

    def end_output(self) -> None:
        """Say that the job says nothing more: what the platform says next comes after its lines."""
        self._has_ended = True
        self._news.set()

    def finish(self) -> None:
        """Say that nothing more will come."""
        self._has_ended = True
        self._finishing.set()
        self._news.set()

    def close(self) -> None:
        """Close the files."""
        for each in self._spools.values():
            each.close()
        if self._output is not None:
            self._output.close()

    async def recover(self) -> None:
        """Go on from what the platform has kept; waits for it as long as it takes.

        Raises RevokedError if the try is no longer this worker's.
        """
        failed_tries = 0
        while True:
            try:
                self._kept = await self._link.log_cursors(self._held)
                break
            except (api.Unreachable, errors.ApiError) as error:
                failed_tries += 1
                _log.warning("log_waits", error=str(error), failed_tries=failed_tries)
                await asyncio.sleep(RETRY.pause_seconds(failed_tries))
        self._cursors = dict(self._kept)
        self._skipped.clear()
        self._left_out_before = log_limit.left_out_of(self._kept)
        if self._output is not None:
            self._output.rewind(self._cursors)

    async def run(self) -> None:
        """Send all lines; raises RevokedError if the try is no longer this worker's."""
        with task_errors.unwrapped():
            async with asyncio.TaskGroup() as group:
                holding = group.create_task(self._holder.run(self._waiting_bytes))
                await self._send_all(group)
                holding.cancel()

    async def _send_all(self, group: asyncio.TaskGroup) -> None:
        while True:
            is_final, has_ended = self._finishing.is_set(), self._has_ended
            batch, has_skipped = self._next_batch(has_ended=has_ended)
            if batch or self._is_skip_due():
                await self._send(group, batch)
                if encoded.count(batch) >= FLOOD_LINES:
                    await self._give_way()
            elif self._in_flight.is_any:
                await self._settle()
            elif has_skipped:
                await asyncio.sleep(0)
                await self._give_way()
            elif has_ended and self._needs_closing():
                await self._send(group, self._closing())
            elif is_final:
                return
            else:
                await self._wait()

    async def _wait(self) -> None:
        """Wait for more; while the disk is full, also look if it has room again."""
        waits = self._registered.is_unsaved or any(
            each.waiting_bytes for each in self._spools.values()
        )
        try:
            async with asyncio.timeout(FULL_DISK_SECONDS if waits else None):
                await self._news.wait()
        except TimeoutError:
            self._go_on_with_disk()
        else:
            await self._gather()

    def _go_on_with_disk(self) -> None:
        """Write what waits for the disk, and take more from those who had to wait."""
        self._registered.save()
        for each in self._spools.values():
            each.flush()
        if self._spooled.are_full():
            self._listen()

    def _next_batch(self, *, has_ended: bool) -> tuple[list[encoded.Lines], bool]:
        """Return the next lines of all sources and advance the cursors past them.

        Also says whether there is more even if it gives none.
        """
        self._news.clear()
        sources = []
        has_skipped = False
        for name, each in self._spools.items():
            if self._is_beyond(name):
                has_skipped |= self._skip_spool(name, each)
                continue
            if name == "system" and has_ended and self._needs_closing():
                continue
            entries, self._cursors[name] = each.read(self._cursors.get(name, 0), BATCH_BYTES_MAX)
            sources.append(encoded.all_of(entries))
        if self._output is not None:
            if self._is_beyond(OUTPUT):
                has_skipped |= self._skip_output(self._output)
            else:
                lines, at_end = self._output.read_turn(self._batch_bytes(), is_final=has_ended)
                sources.append(lines)
                has_skipped |= not at_end
            self._cursors |= self._output.cursors
        return spool.merged(sources), has_skipped

    def _is_beyond(self, source: str) -> bool:
        """Say whether the log is too full for a source."""
        share = SHARES.get(source)
        if share is None or not self._bytes_max:
            return False
        return self._cursors.get(log_limit.LOG_BYTES, 0) >= share * self._bytes_max

    def _batch_bytes(self) -> int:
        """Return how much output the next batch may have, so that the limit is met closely."""
        if not self._bytes_max:
            return BATCH_BYTES_MAX
        left = self._bytes_max - self._cursors.get(log_limit.LOG_BYTES, 0)
        return min(BATCH_BYTES_MAX, max(BATCH_BYTES_MIN, left))

    def _skip_spool(self, name: str, source: spool.Spool) -> bool:
        trail = self._skipped.get(name)
        if trail is None:
            trail = self._skipped[name] = log_limit.SpoolTrail(self._cursors.get(name, 0))
        sizes, end = source.sizes(trail.position, BATCH_BYTES_MAX)
        trail.count(sizes, end)
        self._cursors[name] = trail.first.cursor
        self._count_left_out()
        return bool(sizes)

    def _skip_output(self, output: output_log.OutputLog) -> bool:
        if not output.is_skipping:
            output.begin_skipping()
        has_skipped = output.skip(BATCH_BYTES_MAX)
        self._count_left_out()
        return has_skipped

    def _count_left_out(self) -> None:
        lines, size = self._left_out_before
        for trail in self._skipped.values():
            lines, size = lines + trail.first.lines, size + trail.first.bytes
        if self._output is not None:
            more_lines, more_bytes = self._output.left_out
            lines, size = lines + more_lines, size + more_bytes
        self._cursors[log_limit.LEFT_OUT_LINES] = lines
        self._cursors[log_limit.LEFT_OUT_BYTES] = size

    def _is_skip_due(self) -> bool:
        moved = output_log.lowest(self._cursors) - output_log.lowest(self._kept)
        moved += sum(self._cursors.get(name, 0) - self._kept.get(name, 0) for name in SPOOLS)
        return moved >= SKIPPED_BYTES

    def _needs_closing(self) -> bool:
        is_cut = self._cursors.get(log_limit.IS_CUT, 0)
        return bool(is_cut) and not self._cursors.get(log_limit.IS_CLOSED, 0)

    def _closing(self) -> list[encoded.Lines]:
        """Return the line that says what was left out, and the last lines."""
        sources = []
        for name in self._skipped:
            end = self._spools[name].end
            begun = self._cursors[name]
            entries, self._cursors[name] = self._spools[name].read(begun, end - begun)
            sources.append(encoded.all_of(entries))
        if self._output is not None:
            self._output.rewind(self._cursors)
            sources.append(self._output.read_rest(BATCH_BYTES_MAX))
            self._cursors |= self._output.cursors
        self._skipped.clear()
        self._cursors[log_limit.IS_CLOSED] = 1
        self._left_out_before = lines, size = log_limit.left_out_of(self._cursors)
        if not lines and not size:
            return spool.merged(sources)
        message = log_limit.left_out(lines, size, self._bytes_max)
        return [self._own_line(message), *spool.merged(sources)]

    def _own_line(self, message: str) -> encoded.Lines:
        return encoded.of(assignments.LogEntry(self._now_ms(), SYSTEM, "WARNING", message))

    async def _gather(self) -> None:
        """Wait a moment for more lines, unless these are the last."""
        seconds = min(GATHER_SECONDS, max(GATHER_SECONDS_MIN, 3 * self._in_flight.seconds))
        try:
            async with asyncio.timeout(seconds):
                await self._finishing.wait()
        except TimeoutError:
            return

    async def _send(self, group: asyncio.TaskGroup, batch: list[encoded.Lines]) -> None:
        """Send a batch once the one before it is kept, and read on if a whole one waits already."""
        batch = self._counted(batch)
        cursors = dict(self._cursors)
        if not await self._settle():
            return  # the cursors went back, and this is read again
        self._in_flight.start(group, batch, cursors=cursors, since=self._kept)
        if self._output is None or self._output.waiting_bytes < BATCH_BYTES_MAX:
            await self._settle()

    async def _settle(self) -> bool:
        """Return when nothing is on its way; False if reading goes on from what is kept."""
        if not self._in_flight.is_any:
            return True
        cursors = await self._in_flight.outcome()
        if cursors is None:
            await asyncio.sleep(RETRY.pause_seconds(1))
            await self.recover()
        else:
            self._kept = cursors
            await self._let_go()
        self._holder.look()
        return cursors is not None

    def _counted(self, batch: list[encoded.Lines]) -> list[encoded.Lines]:
        """Count a batch; one that reaches the limit says so."""
        if self._bytes_max:
            size = self._cursors.get(log_limit.LOG_BYTES, 0) + sum(len(each.data) for each in batch)
            self._cursors[log_limit.LOG_BYTES] = size
            if size >= self._bytes_max and not self._cursors.get(log_limit.IS_CUT):
                self._cursors[log_limit.IS_CUT] = 1
                return [*batch, self._own_line(log_limit.reached(self._bytes_max))]
        return batch

    async def _let_go(self) -> None:
        """Give back the disk of what is kept, and take more from those who had to wait."""
        steps = [each.free(self._kept.get(name, 0)) for name, each in self._spools.items()]
        if self._output is not None:
            steps.append(self._output.free(output_log.lowest(self._kept)))
        for step in steps:
            if step is not None:
                await asyncio.to_thread(step)
        self._go_on_with_disk()

    def _waiting_bytes(self) -> int:
        """Return how much of the output is not with the platform yet."""
        if self._output is None:
            return 0
        return self._output.size_bytes - output_log.lowest(self._kept)
