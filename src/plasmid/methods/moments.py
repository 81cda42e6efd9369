"""Give the logic of executions the transaction of a call."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from plasmid.executions import waking
from plasmid.executions.world import Moment
from plasmid.methods.call import Call


@contextlib.asynccontextmanager
async def of(call: Call) -> AsyncIterator[Moment]:
    """Give a moment in the call's transaction; all that follows is done at the block's end."""
    moment = Moment(
        call.tx,
        now_ms=call.now_ms,
        randomness=call.platform.randomness,
        authenticator=call.platform.authenticator,
        logs=call.platform.logs,
    )
    async with waking.following(moment):
        yield moment
