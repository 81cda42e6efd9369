"""Brings a try's log to the platform: every line exactly once, in the order of its source.

All lines are on disk before they are sent: the output in conmon's log, the others in spools. A
batch carries cursors, how far each source has been read; the platform keeps both in one step. When
the outcome of a call is unknown, the platform is asked for its cursors and reading goes on from
there. While the server is away lines wait on disk, so memory stays flat.
"""

from __future__ import annotations

import asyncio
import heapq
import operator
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from plasmid.client import api
from plasmid.domain import assignments, errors
from plasmid.telemetry import failpoints
from plasmid.worker import output_log, platform, spool, try_folder

SYSTEM: Final = "SYSTEM"
SPOOLS: Final = ("system", "priority", "bulk")
BATCH_BYTES_MAX: Final = 256 * 1024
# Lines that come within this time of the first travel together.
GATHER_SECONDS: Final = 0.1
RETRY: Final = api.Retry(first_pause_ms=100, pause_ms_max=5_000)

_TIMESTAMP = operator.attrgetter("timestamp")
_log = structlog.get_logger()


class LogPump:
    """The log of one try; `run` sends until `finish` was called and everything is kept."""

    def __init__(
        self,
        link: platform.Platform,
        held: assignments.HeldTry,
        folder: try_folder.TryFolder,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._link = link
        self._held = held
        self._now_ms = now_ms
        self._spools = {name: spool.Spool(folder.spool_path(name)) for name in SPOOLS}
        self._cursors: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        self._output: output_log.OutputLog | None = None
        self._news = asyncio.Event()
        self._finishing = asyncio.Event()

    def say(self, message: str, level: str = "INFO") -> None:
        """Add a line of the platform's own."""
        self.add("system", [assignments.LogEntry(self._now_ms(), SYSTEM, level, message)])

    def add(self, source: str, entries: list[assignments.LogEntry]) -> None:
        """Add lines of a spooled source."""
        self._spools[source].add_all(entries)
        self._news.set()

    def add_messages(self, source: str, messages: Sequence[spool.Message]) -> None:
        """Add messages of a spooled source."""
        self._spools[source].add_messages(messages)
        self._news.set()

    def stamps(self, source: str) -> set[int]:
        """Return the stamps of the last messages that an earlier worker has added to a source."""
        return self._spools[source].stamps

    def attach_output(self, log_path: Path) -> None:
        """Read the sandbox's output from now on; the file must exist."""
        self._output = output_log.OutputLog(log_path, self._cursors)
        self._news.set()

    def wake(self) -> None:
        """Say that the sandbox's output has grown."""
        self._news.set()

    def finish(self) -> None:
        """Say that nothing more will come."""
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
        if self._output is not None:
            self._output.rewind(self._cursors)

    async def run(self) -> None:
        """Send all lines; raises RevokedError if the try is no longer this worker's."""
        while True:
            is_final = self._finishing.is_set()
            batch = self._next_batch(is_final=is_final)
            if batch:
                await self._send(batch)
            elif is_final:
                return
            else:
                await self._news.wait()
                await self._gather()

    def _next_batch(self, *, is_final: bool) -> list[assignments.LogEntry]:
        """Return the next lines of all sources and advance the cursors past them."""
        self._news.clear()
        sources = []
        for name, each in self._spools.items():
            entries, self._cursors[name] = each.read(self._cursors.get(name, 0), BATCH_BYTES_MAX)
            sources.append(entries)
        if self._output is not None:
            sources.append(self._output.read(BATCH_BYTES_MAX, is_final=is_final))
            self._cursors |= self._output.cursors
        # A merge never changes the order within a source, whatever its times say.
        return list(heapq.merge(*sources, key=_TIMESTAMP))

    async def _gather(self) -> None:
        """Wait a moment for more lines, unless these are the last."""
        try:
            async with asyncio.timeout(GATHER_SECONDS):
                await self._finishing.wait()
        except TimeoutError:
            return

    async def _send(self, batch: list[assignments.LogEntry]) -> None:
        """Send a batch; one that comes late, after others or twice, is refused by its `since`."""
        cursors = dict(self._cursors)
        failpoints.reach("S10", job=self._held.job)
        try:
            await self._link.add_log(self._held, batch, cursors, since=self._kept)
            self._kept = cursors
        except (api.Unreachable, errors.ApiError) as error:
            _log.warning("log_batch_unsure", error=str(error), lines=len(batch))
            await asyncio.sleep(RETRY.pause_seconds(1))
            await self.recover()
