"""Remove what nothing refers to any more: bytes of removed files, old nonces."""

from __future__ import annotations

from typing import Final

from plasmid.dispatcher.world import Summary, World
from plasmid.metadata import objects, users

BATCH_MAX: Final = 200
NONCE_KEPT_MS: Final = 24 * 3600 * 1000
NONCE_SURE_MS: Final = 3600 * 1000  # contract A.9
STEADY_MS: Final = 60 * 1000


async def tick(now_ms: int, world: World) -> Summary:
    """Collect one batch; the bytes go first, so a crash in between only repeats the work."""
    orphans = await objects.find_orphan_parts(world.database.reader, BATCH_MAX)
    for part in orphans:
        if part.blob:
            await world.blobs.remove(part.blob)
    async with world.database.transaction() as tx:
        for part in orphans:
            await objects.remove_orphan_part(tx, part)
        if _is_time_known(now_ms, world):
            await users.remove_nonces_before(tx, now_ms - NONCE_KEPT_MS)
    return Summary("collect", len(orphans))


def _is_time_known(now_ms: int, world: World) -> bool:
    """Say whether the clock has gone on steadily for as long as a nonce must be remembered.

    A clock that was moved by a day makes all nonces old at once, and the calls that are repeated
    just then would be carried out twice.
    """
    looked_ms = now_ms if world.looked_ms is None else world.looked_ms
    is_steady = 0 <= now_ms - looked_ms <= STEADY_MS
    return is_steady and now_ms - world.started_ms >= NONCE_SURE_MS
