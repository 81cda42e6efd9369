"""Makes a job's writers wait while much of what they wrote is not with the platform yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from plasmid.engines import engine

OUTPUT_BYTES_MAX: Final = 64 << 20
SPOOL_BYTES_MAX: Final = 16 << 20
LOOK_SECONDS: Final = 0.02
# What failed is tried again: writers that nobody lets go wait for ever.
RETRY_SECONDS: Final = 1.0

Hold = Callable[[bool], Awaitable[None]]
_log = structlog.get_logger()


class Holder:
    """Holds a sandbox's output back (engine.Sandbox.hold_output) from a limit on, to half of it."""

    def __init__(self) -> None:
        self._hold: Hold | None = None
        self._is_held: bool | None = None
        self._news = asyncio.Event()

    def attach(self, hold: Hold | None) -> None:
        """Hold this from now on; an earlier worker may have left it held."""
        self._hold = hold
        self._is_held = None

    def look(self) -> None:
        """Say that there may be more or less than before."""
        self._news.set()

    async def run(self, waiting_bytes: Callable[[], int]) -> None:
        """Hold and let go for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            is_done = True
            if self._hold is not None:
                is_done = await self._hold_if_needed(self._hold, waiting_bytes())
            await asyncio.sleep(LOOK_SECONDS if is_done else RETRY_SECONDS)
            if not is_done:
                self._news.set()

    async def _hold_if_needed(self, hold: Hold, waiting: int) -> bool:
        """Hold or let go as is needed; say whether that was done."""
        wanted = waiting > (OUTPUT_BYTES_MAX // 2 if self._is_held else OUTPUT_BYTES_MAX)
        if wanted == self._is_held:
            return True
        try:
            await hold(wanted)
        except (engine.EngineError, OSError) as error:
            _log.warning("output_not_held", error=str(error), is_held=wanted)
            return False
        self._is_held = wanted
        return True


class Rooms:
    """Which spools have room; one that was full has none before half of it is sent."""

    def __init__(self) -> None:
        self._full: set[str] = set()

    def are_full(self) -> bool:
        """Say whether any of them is full."""
        return bool(self._full)

    def has_room(self, name: str, waiting: int, *, is_stuck: bool = False) -> bool:
        """Say whether a spool may take more, where so many bytes wait, or the disk is full."""
        limit = SPOOL_BYTES_MAX // 2 if name in self._full else SPOOL_BYTES_MAX
        is_full = is_stuck or waiting > limit
        (self._full.add if is_full else self._full.discard)(name)
        return not is_full
