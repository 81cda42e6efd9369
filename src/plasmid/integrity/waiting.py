"""I1 and I14: a job that is not over can say for what it waits, and that will come."""

from __future__ import annotations

from collections.abc import AsyncIterator

from plasmid.domain import ids, job_states
from plasmid.domain.job_states import State
from plasmid.executions import inputs, settle
from plasmid.integrity.around import NOT_HELD, Around
from plasmid.integrity.finding import Finding, Repair, Workshop
from plasmid.metadata import jobs, objects
from plasmid.metadata.rows import JobRow

WAITING = frozenset({State.WAITING_ON_INPUT.value, State.WAITING_ON_OUTPUT.value})


async def check(row: JobRow, around: Around) -> AsyncIterator[Finding]:
    """Yield why a job that is not over would never be."""
    if row.state in (State.IDLE, State.RESTARTABLE):
        yield Finding(
            invariant="I1",
            subject=row.id,
            detail=f"is {row.state}, in which no job stays; repair looks at its input again",
            repair=settle_again(row.id) if row.state == State.IDLE else None,
        )
    elif row.state in WAITING:
        async for finding in _check_waits(row, around):
            yield finding
    elif row.state not in NOT_HELD and row.worker is None:
        yield Finding(
            invariant="I1",
            subject=row.id,
            detail=f"is {row.state} with no worker; a running server ends such a try by itself",
        )


async def _check_waits(row: JobRow, around: Around) -> AsyncIterator[Finding]:
    targets = around.waits.get(row.id, set())
    if not targets:
        yield Finding(
            invariant="I1",
            subject=row.id,
            detail=f"is {row.state} but waits for nothing; repair looks at it again",
            repair=settle_again(row.id),
        )
    for target in sorted(targets):
        if ids.is_id(target, *ids.EXECUTION_CLASSES):
            state = around.state_of(target)
            how = "is gone" if state is None else f"is {state}"
            has_come = around.is_over(target)
        else:
            found = await around.target(target)
            how = "is gone" if found is None else f"is {found.state}"
            has_come = found is None or found.state == "closed"
        if has_come:
            yield Finding(
                invariant="I14" if how in ("is failed", "is terminated", "is gone") else "I1",
                subject=row.id,
                detail=f"waits for {target}, which {how}; repair wakes it",
                repair=wake(target),
            )
    if targets and row.state == State.WAITING_ON_OUTPUT:
        async for finding in _check_left_open(row, around, targets):
            yield finding


async def _check_left_open(
    row: JobRow, around: Around, targets: set[str]
) -> AsyncIterator[Finding]:
    """Yield a finding if the output waits for objects that nobody can close any more."""
    tree = around.trees.get(row.root_execution, [])
    if not all(ids.is_data_object(target) for target in targets):
        return
    if any(member.state in jobs.MAY_ACT for member in tree):
        return
    for target in sorted(targets):
        places = await objects.find_placements(around.reader, target)
        if places and all(place.container.startswith("container-") for place in places):
            yield Finding(
                invariant="I1",
                subject=row.id,
                detail=f"waits for {target}, which no job can close any more; repair wakes it",
                repair=wake(target),
            )
            return


def wake(target: str) -> Repair:
    """Return the repair that looks again at all who wait for a job or a data object."""

    async def repair(workshop: Workshop) -> None:
        async with workshop.moment() as moment:
            moment.to_wake.append(target)

    return repair


def settle_again(job: str) -> Repair:
    """Return the repair that looks again at the input or the output of a job."""

    async def repair(workshop: Workshop) -> None:
        async with workshop.moment() as moment:
            row = await jobs.find_job(moment.tx, job)
            if row is None or job_states.is_terminal(row.state):
                return
            if row.state in (State.IDLE, State.WAITING_ON_INPUT):
                await inputs.settle_input(moment, row)
            elif row.state == State.WAITING_ON_OUTPUT:
                await settle.settle_output(moment, row)

    return repair


def circles(around: Around) -> list[Finding]:
    """Return the jobs that wait for each other: a job ends after what it waits for."""
    done: set[str] = set()
    found = []
    for start in around.waits:
        path: dict[str, None] = {}
        job: str | None = start
        stack = [iter([start])]
        while stack:
            job = next(stack[-1], None)
            if job is None:
                stack.pop()
                if path:
                    done.add(path.popitem()[0])
            elif job in path:
                members = list(path)
                circle = members[members.index(job) :]
                found.append(_circle(circle))
            elif job not in done and not around.is_over(job):
                path[job] = None
                stack.append(iter(sorted(around.waits.get(job, ()))))
    return found


def _circle(jobs_of_it: list[str]) -> Finding:
    first = min(jobs_of_it)
    others = ", ".join(sorted(set(jobs_of_it) - {first})) or "itself"
    return Finding(
        invariant="I1",
        subject=first,
        detail=f"waits in a circle with {others}; terminate one of them",
    )
