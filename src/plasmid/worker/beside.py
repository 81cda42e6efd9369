"""What goes on beside a job's code for as long as its sandbox lives."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from plasmid.domain import assignments
from plasmid.engines import engine
from plasmid.worker import log_pump, try_folder
from plasmid.worker.world import World


@contextlib.asynccontextmanager
async def beside(
    world: World,
    assignment: assignments.Assignment,
    sandbox: engine.Sandbox,
    *,
    folder: try_folder.TryFolder,
    pump: log_pump.LogPump,
) -> AsyncIterator[None]:
    """Do it for the time of the block, which may raise what it likes: that comes out as it is."""
    async with contextlib.AsyncExitStack():
        yield
