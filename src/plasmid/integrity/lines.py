"""I6: the log of a try is a row of whole batches, and belongs to a try that there was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from plasmid.integrity.finding import Finding, Repair, Workshop
from plasmid.logs.store import KeptLog, LogStore
from plasmid.metadata import jobs
from plasmid.metadata.inspection import JobFacts


async def check(
    logs: LogStore, kept: Sequence[KeptLog], known: Mapping[str, JobFacts], *, is_deep: bool
) -> AsyncIterator[Finding]:
    """Yield the logs that are damaged or nobody's.

    `kept` must have been listed before the picture with the jobs was taken.
    """
    for log in kept:
        facts = known.get(log.job)
        if facts is None:
            yield Finding(
                invariant="I6",
                subject=log.job,
                detail="has a log, but is not there; repair removes it",
                repair=_remove(log.job),
            )
            continue
        if log.attempt > facts.attempt:
            yield Finding(
                invariant="I6",
                subject=log.job,
                detail=f"has a log of try {log.attempt}, but is in try {facts.attempt}",
            )
        damage = await logs.damage(log, is_deep=is_deep)
        if damage is not None:
            yield Finding(
                invariant="I6",
                subject=log.job,
                detail=f"the log of its try {log.attempt} is damaged: {damage}",
            )


def _remove(job: str) -> Repair:
    async def repair(workshop: Workshop) -> None:
        if await jobs.find_job(workshop.database.reader, job) is None:
            await workshop.logs.remove(job)

    return repair
