"""Look again at the jobs that wait for what has ended or closed, until nothing more follows."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from plasmid.domain import ids, job_states
from plasmid.domain.job_states import State
from plasmid.executions import inputs, references, settle
from plasmid.executions.cloning import Launcher
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, objects, waits
from plasmid.metadata.jobs import Source
from plasmid.metadata.waits import Waiter


@contextlib.asynccontextmanager
async def following(moment: Moment) -> AsyncIterator[Moment]:
    """Give the moment, and carry out all that follows from what the block has done with it."""
    yield moment
    while moment.to_wake:
        await _wake(moment, moment.to_wake.pop(0))


async def _wake(moment: Moment, target: str) -> None:
    """Look at who waits for an execution or a data object, which has ended, closed or gone.

    A job that gathers the output of thousands does not look at all of them each time one ends:
    unless this is the last one, or a wrong one, all that is done is to forget the wait for it.
    """
    waiters = await waits.find_waiters(moment.tx, target)
    if not waiters:
        return
    is_execution = ids.is_id(target, *ids.EXECUTION_CLASSES)
    source = (await jobs.find_sources(moment.tx, [target])).get(target) if is_execution else None
    is_well = source is not None and source.state == State.DONE
    if not is_execution:
        found = await objects.find_object(moment.tx, target)
        is_well = found is not None and found.state == "closed"
    for waiter in waiters:
        has_others = await waits.has_others(moment.tx, waiter.job, target)
        if has_others and is_well and await _is_as_wanted(moment, waiter, source):
            await waits.drop(moment.tx, waiter.job, target)
        else:
            await _settle(moment, waiter.job)


async def _is_as_wanted(moment: Moment, waiter: Waiter, source: Source | None) -> bool:
    wanted = waiter.references
    if source is None or not wanted:
        return True
    launcher = Launcher(waiter.launched_by, waiter.project, {})
    return await references.can_be_had(moment.tx, launcher, wanted, source)


async def _settle(moment: Moment, job_id: str) -> None:
    row = await jobs.find_job(moment.tx, job_id)
    if row is None or job_states.is_terminal(row.state):
        return
    if row.state == State.WAITING_ON_INPUT:
        await inputs.settle_input(moment, row)
    elif row.state == State.WAITING_ON_OUTPUT:
        await settle.settle_output(moment, row)
