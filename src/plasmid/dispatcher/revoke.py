"""End the tokens of users whose time is over, and the jobs that were launched with them."""

from __future__ import annotations

from plasmid.dispatcher.world import Summary, World
from plasmid.executions import revoking
from plasmid.metadata import revocations


async def tick(now_ms: int, world: World) -> Summary:
    """Forget expired tokens; their jobs fail with AuthError."""
    expired = await revocations.find_expired(world.database.reader, now_ms)
    if not expired:
        return Summary("revoke", 0)
    async with world.moment(now_ms) as moment:
        for token in expired:
            await revoking.revoke(moment, token, "has expired")
    return Summary("revoke", len(expired))
