"""What the platform is told of where people log in to a try: the last word, until it has that."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from plasmid.client import api
from plasmid.domain import assignments, errors
from plasmid.worker import log_pump, platform

_log = structlog.get_logger()


class Sign:
    """Shows where one try's door is, or that it is closed; `run` brings that to the platform."""

    def __init__(self, link: platform.Platform, held: assignments.HeldTry) -> None:
        self._link = link
        self._held = held
        self._wanted: dict[str, Any] = {}
        self._news = asyncio.Event()

    def show(self, host: str, port: int, host_key: str) -> None:
        """Say where it is, and with which public key it shows itself."""
        self._put({"ssh_host": host, "ssh_port": port, "ssh_host_key": host_key})

    def take_down(self) -> None:
        """Say that it is closed."""
        self._put({"ssh_closed": True})

    def _put(self, wanted: dict[str, Any]) -> None:
        self._wanted = wanted
        self._news.set()

    async def run(self) -> None:
        """Tell it for ever, or until the try is no longer this worker's."""
        failed_tries = 0
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._link.tell_doors(self._held, **self._wanted)
                failed_tries = 0
            except platform.RevokedError:
                return  # the try's own story finds that out too
            except (api.Unreachable, errors.ApiError) as error:
                failed_tries += 1
                _log.warning("ssh_door_not_told", error=str(error), failed_tries=failed_tries)
                self._news.set()
                await asyncio.sleep(log_pump.RETRY.pause_seconds(failed_tries))
