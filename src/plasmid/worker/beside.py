"""What goes on beside a job's code for as long as its sandbox lives."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from plasmid.domain import assignments
from plasmid.engines import engine
from plasmid.network.traffic import Traffic
from plasmid.worker import log_pump, metrics, output_copy, ssh, try_folder, web_app
from plasmid.worker.world import World


@contextlib.asynccontextmanager
async def beside(
    world: World,
    assignment: assignments.Assignment,
    sandbox: engine.Sandbox,
    *,
    folder: try_folder.TryFolder,
    pump: log_pump.LogPump,
    traffic: Traffic,
) -> AsyncIterator[None]:
    """Do it for the time of the block, which may raise what it likes: that comes out as it is."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            metrics.measured(assignment, sandbox, folder=folder, pump=pump, traffic=traffic)
        )
        await stack.enter_async_context(web_app.opened(world, assignment, sandbox, folder))
        await stack.enter_async_context(
            output_copy.kept(world, assignment, sandbox, folder=folder, pump=pump)
        )
        await stack.enter_async_context(
            ssh.logins(world, assignment, sandbox, folder=folder, pump=pump)
        )
        yield
