"""What a sandbox's network costs: sandboxes of `true` with and without one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from plasmid.engines import choice, engine
from plasmid.network import sandbox_network

NOBODY = ("127.0.0.1", 1)
MEMORY_BYTES = 256 * 1024 * 1024


def seconds(root: Path, folder: Path, grants: Sequence[Sequence[str] | None]) -> list[float]:
    """Return how long a sandbox of `true` takes with each grant; None: with no network at all."""
    return asyncio.run(_seconds(root, folder, grants))


async def _seconds(root: Path, folder: Path, grants: Sequence[Sequence[str] | None]) -> list[float]:
    taken = []
    for number, granted in enumerate(grants):
        place = folder / f"sandbox-{number}"
        place.mkdir()
        started = time.perf_counter()
        sandbox = await choice.named("auto").create(_spec(root, place))
        async with contextlib.AsyncExitStack() as opened:
            if granted is not None:
                site = sandbox_network.Site(api_address=NOBODY)
                network = sandbox_network.SandboxNetwork(sandbox, site, allowed=granted)
                await opened.enter_async_context(network)
            await sandbox.start()
            await sandbox.wait()
            taken.append(time.perf_counter() - started)
        await sandbox.remove()
    return taken


def _spec(root: Path, place: Path) -> engine.SandboxSpec:
    return engine.SandboxSpec(
        name=place.name,
        folder=place,
        base_image=root,
        hostname="bench",
        command=("/bin/true",),
        environment={"PATH": "/usr/bin:/bin"},
        working_directory="/",
        files={},
        memory_bytes=MEMORY_BYTES,
        cpu_weight=100,
    )
