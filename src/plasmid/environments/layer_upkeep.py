"""Keeps the folder of layers small, and clean of what killed builders have left."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Final

import msgspec
import structlog

from plasmid.engines import engine
from plasmid.environments import layers

# Whoever has a layer made takes it a moment later: until then nothing tells of its use.
_GRACE_MS: Final = 60_000
_DAY_MS: Final = 24 * 3600 * 1000
_log = structlog.get_logger()


class Limits(msgspec.Struct, frozen=True):
    """How much is kept: layers that nobody uses go after so many days, or for want of room."""

    size_bytes_max: int
    age_days_max: int


async def clear(with_engine: engine.Engine, scratch: Path) -> None:
    """Remove all that is in the folder of a build, a sandbox that still runs included.

    Raises EngineError if the sandbox cannot be removed: then its files stay too.
    """
    sandbox = await with_engine.adopt(scratch / "sandbox")
    if sandbox is not None:
        await sandbox.remove()
    await asyncio.to_thread(_delete_all, scratch)


def _delete_all(scratch: Path) -> None:
    for path in scratch.iterdir():
        layers.delete(path)


async def sweep(with_engine: engine.Engine, kept: layers.Layers) -> None:
    """Remove the builds of builders that were killed, and layers that were put away."""
    for scratch in kept.abandoned():
        try:
            await clear(with_engine, scratch)
            _log.info("build_swept", folder=str(scratch))
        except (engine.EngineError, OSError) as error:
            _log.warning("build_stays", folder=str(scratch), error=str(error))
    await kept.run(kept.delete_old)


def collect(
    kept: layers.Layers, limits: Limits, *, now_ms: int | None = None
) -> list[layers.Layer]:
    """Delete the layers that are too old or too many, the longest unused first; return them.

    One that is in use stays, and so do the layers below it.
    """
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    oldest_ms = now_ms - limits.age_days_max * _DAY_MS
    kept.delete_old()
    kept.forget_files(oldest_ms)
    all_layers = kept.all()
    room = sum(layer.size_bytes for layer in all_layers)
    deleted = []
    for used_ms, layer in _in_order(all_layers):
        if used_ms >= oldest_ms and room <= limits.size_bytes_max:
            break
        if now_ms - used_ms < _GRACE_MS:
            continue
        with contextlib.suppress(layers.LayerError):
            kept.remove(layer.about.key)
            room -= layer.size_bytes
            deleted.append(layer)
    return deleted


def _in_order(found: tuple[layers.Layer, ...]) -> list[tuple[int, layers.Layer]]:
    """Return (last use, layer), the longest unused first; a layer is used by those above it."""
    used = {layer.digest: layer.used_ms for layer in found}
    by_depth = sorted(found, key=lambda layer: -layer.about.depth)
    for layer in by_depth:
        below = layer.about.below
        if below in used:
            used[below] = max(used[below], used[layer.digest])
    return sorted(
        ((used[layer.digest], layer) for layer in found),
        key=lambda entry: (entry[0], -entry[1].about.depth),
    )
