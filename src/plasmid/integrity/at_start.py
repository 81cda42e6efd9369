"""The cheap part of the checks, for each start of a server: what a crash could have left undone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import structlog

from plasmid.integrity import endings, tries, waiting
from plasmid.integrity.finding import Finding, Workshop
from plasmid.metadata import suspects
from plasmid.metadata.database import Reader

_log = structlog.get_logger()


async def check(reader: Reader) -> AsyncIterator[Finding]:
    """Yield what keeps jobs from going on, and what outlives its job; each with its repair."""
    for target in await suspects.find_never_woken(reader):
        yield Finding(
            invariant="I1",
            subject=target,
            detail="has ended or closed, and jobs still wait for it",
            repair=waiting.wake(target),
        )
    for job in await suspects.find_without_waits(reader):
        yield Finding(
            invariant="I1",
            subject=job,
            detail="waits for nothing",
            repair=waiting.settle_again(job),
        )
    for job in await suspects.find_still_waiting(reader):
        yield Finding(
            invariant="I3",
            subject=job,
            detail="does not wait any more, but is woken",
            repair=endings.forget_waits(job),
        )
    for job in await suspects.find_tokens_left(reader):
        yield Finding(
            invariant="I9",
            subject=job,
            detail="is held by no worker and has a token",
            repair=tries.revoke(job),
        )


async def repair(workshop: Workshop) -> int:
    """Repair what is found, log each repair, and return how many there were."""
    found = [finding async for finding in check(workshop.database.reader)]
    for finding in found:
        _log.warning(
            "repaired_at_start",
            invariant=finding.invariant,
            subject=finding.subject,
            detail=finding.detail,
        )
        if finding.repair is not None:
            await finding.repair(workshop)
    return len(found)
