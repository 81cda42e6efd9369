"""`plasmid worker`: the resident worker as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Final

import msgspec

from plasmid import bootstrap
from plasmid.bootstrap import Keys
from plasmid.cli.serve import SERVER_FILE, ServerFile
from plasmid.cli.trouble import CommandError
from plasmid.config import Config
from plasmid.worker import resident

WATCH_SECONDS: Final = 2.0


async def run(config: Config, data: Path) -> int:
    """Run until stopped, or until the server has been gone for a while; returns the exit code.

    A server that has moved to another address ends this worker: the next one adopts its jobs.
    """
    keys, found = _read(data)
    settings = bootstrap.worker_settings(
        config, url=found.url, token=keys.worker_token, work=data / "work"
    )
    stop = resident.Stop()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_leave_when_moved(data, found.url, stop))
        exit_code = await resident.run_process(settings, stop)
        watching.cancel()
    return exit_code


async def _leave_when_moved(data: Path, url: str, stop: resident.Stop) -> None:
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
            if _server(data).url != url:
                stop.leave()


def _read(data: Path) -> tuple[Keys, ServerFile]:
    try:
        keys = msgspec.json.decode((data / "keys.json").read_bytes(), type=Keys)
        return keys, _server(data)
    except FileNotFoundError as error:
        raise CommandError(f"no server runs on {data}; start one with: plasmid serve") from error


def _server(data: Path) -> ServerFile:
    return msgspec.json.decode((data / SERVER_FILE).read_bytes(), type=ServerFile)
