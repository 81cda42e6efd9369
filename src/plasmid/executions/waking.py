"""Look again at the jobs that wait for what has ended or closed, until nothing more follows."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from plasmid.domain import job_states
from plasmid.domain.job_states import State
from plasmid.executions import inputs, settle
from plasmid.executions.world import Moment
from plasmid.metadata import jobs


@contextlib.asynccontextmanager
async def following(moment: Moment) -> AsyncIterator[Moment]:
    """Give the moment, and carry out all that follows from what the block has done with it."""
    yield moment
    while moment.to_wake:
        await _wake(moment, moment.to_wake.pop(0))


async def _wake(moment: Moment, target: str) -> None:
    for found in await jobs.find_waiting_for(moment.tx, target):
        waiting = await jobs.find_job(moment.tx, found.id)
        if waiting is None or job_states.is_terminal(waiting.state):
            continue
        if waiting.state == State.WAITING_ON_INPUT:
            await inputs.look_again(moment, waiting, target)
        elif waiting.state == State.WAITING_ON_OUTPUT:
            await settle.look_again(moment, waiting, target)
