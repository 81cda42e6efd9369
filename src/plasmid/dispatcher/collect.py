"""Remove what nothing refers to any more: bytes of removed files, old nonces."""

from __future__ import annotations

from typing import Final

from plasmid.dispatcher.world import Summary, World
from plasmid.metadata import objects, users

BATCH_MAX: Final = 200
NONCE_KEPT_MS: Final = 24 * 3600 * 1000


async def tick(now_ms: int, world: World) -> Summary:
    """Collect one batch; the bytes go first, so a crash in between only repeats the work."""
    orphans = await objects.find_orphan_parts(world.database.reader, BATCH_MAX)
    for part in orphans:
        if part.blob:
            await world.blobs.remove(part.blob)
    async with world.database.transaction() as tx:
        for part in orphans:
            await objects.remove_part(tx, part)
        await users.remove_nonces_before(tx, now_ms - NONCE_KEPT_MS)
    return Summary("collect", len(orphans))
