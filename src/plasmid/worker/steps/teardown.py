"""Removes all of a try from this machine."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from plasmid.engines import engine
from plasmid.environments import layers
from plasmid.worker import try_folder

TRIES_MAX: Final = 5
PAUSE_SECONDS: Final = 0.5

_log = structlog.get_logger()


async def remove_sandbox(with_engine: engine.Engine, folder: try_folder.TryFolder) -> None:
    """Remove the try's sandbox, whoever has made it; nothing to remove is fine.

    A folder that the engine cannot clear after a few tries stays, for the next worker's start.
    """
    for failed_tries in range(1, TRIES_MAX + 1):
        try:
            sandbox = await with_engine.adopt(folder.sandbox)
            if sandbox is not None:
                await sandbox.remove()
            return
        except engine.EngineError as error:
            _log.warning("sandbox_stays", error=str(error), failed_tries=failed_tries)
            await asyncio.sleep(PAUSE_SECONDS * failed_tries)
    raise engine.EngineError(f"the sandbox in {folder.sandbox} could not be removed")


async def remove_folder(folder: try_folder.TryFolder, held: layers.Layers) -> None:
    """Remove the try's folder, and let go of its layers."""
    keys = folder.layers()
    await asyncio.to_thread(folder.remove)
    if keys:
        await held.run(lambda: held.release(keys, folder.path))
