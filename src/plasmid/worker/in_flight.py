"""The batch of lines that is on its way to the platform, while the next one is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog

from plasmid.client import api
from plasmid.domain import assignments, errors
from plasmid.telemetry import failpoints
from plasmid.worker import encoded, platform

_log = structlog.get_logger()
_Outcome = platform.RevokedError | api.Unreachable | errors.ApiError | None


class InFlight:
    """One batch at a time; one that comes late, after others or twice, is refused by its `since`.

    `seconds` is how long the last one took.
    """

    def __init__(self, link: platform.Platform, held: assignments.HeldTry) -> None:
        self._link = link
        self._held = held
        self._sending: asyncio.Task[_Outcome] | None = None
        self._cursors: dict[str, int] = {}
        self._lines = 0
        self.seconds = 0.0

    @property
    def is_any(self) -> bool:
        """Whether one is on its way, or nobody has asked what became of it."""
        return self._sending is not None

    def start(
        self,
        group: asyncio.TaskGroup,
        batch: Sequence[encoded.Lines],
        *,
        cursors: dict[str, int],
        since: dict[str, int],
    ) -> None:
        """Send a batch; the outcome of the one before it is known."""
        failpoints.reach("S10", job=self._held.job)
        self._cursors = cursors
        self._lines = encoded.count(batch)
        self._sending = group.create_task(self._send([piece.data for piece in batch], since))

    async def outcome(self) -> dict[str, int] | None:
        """Return the cursors that the platform has kept; None if that is not known.

        Raises RevokedError if the try is no longer this worker's.
        """
        if self._sending is None:
            return self._cursors
        error = await self._sending
        self._sending = None
        if isinstance(error, platform.RevokedError):
            raise error
        if error is None:
            return self._cursors
        _log.warning("log_batch_unsure", error=str(error), lines=self._lines)
        return None

    async def _send(self, lines: list[bytes], since: dict[str, int]) -> _Outcome:
        begun = time.monotonic()
        try:
            await self._link.add_log(self._held, lines, self._cursors, since=since)
        except (platform.RevokedError, api.Unreachable, errors.ApiError) as error:
            return error
        self.seconds = time.monotonic() - begun
        return None
