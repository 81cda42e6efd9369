"""I2, I7 and I9: one try of a job counts, the others are all kept, and only it has a token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from plasmid.domain import job_states
from plasmid.domain.job_states import State
from plasmid.integrity.around import NOT_HELD, Around
from plasmid.integrity.finding import Finding, Repair, Workshop
from plasmid.metadata import jobs, users
from plasmid.metadata.rows import JobRow

_BEFORE_OUTPUT = (State.WAITING_ON_INPUT, State.RUNNABLE, State.RUNNING)


def check(row: JobRow, around: Around) -> Iterator[Finding]:
    """Yield what contradicts the number of a job's tries."""
    yield from _check_kept(row, around.tries.get(row.id, {}))
    yield from _check_counts(row, around.tries.get(row.id, {}))
    yield from _check_tokens(row, around.tokens.get(row.id, []))


def _check_kept(row: JobRow, kept: dict[int, JobRow]) -> Iterator[Finding]:
    wanted = set(range(row.attempt))
    for attempt in sorted(wanted - set(kept)):
        yield _two(row, f"is in try {row.attempt}, and nothing is kept of its try {attempt}")
    for attempt in sorted(set(kept) - wanted):
        yield _two(row, f"is in try {row.attempt}, but its try {attempt} is kept as an earlier one")
    for attempt, earlier in sorted(kept.items()):
        if earlier.id != row.id or earlier.attempt != attempt:
            yield _two(row, f"what is kept of its try {attempt} is try {earlier.attempt}")
        if earlier.state != job_states.RESTARTED:
            yield _two(row, f"its try {attempt} ended as {earlier.state}, and yet it went on")
        if earlier.output is not None and not _had_exited(earlier):
            yield _two(row, f"its try {attempt} was given up and has an output all the same")
    if row.output is not None and row.state in _BEFORE_OUTPUT:
        yield _two(row, f"is {row.state} and has an output already, which is that of another try")


def _had_exited(earlier: JobRow) -> bool:
    """Say whether a try had put something out and only waited for the jobs below it."""
    moves = [str(move["newState"]) for move in earlier.state_transitions]
    return moves[-2:-1] == [State.WAITING_ON_OUTPUT.value]


def _two(row: JobRow, detail: str) -> Finding:
    return Finding(invariant="I2", subject=row.id, detail=detail)


def _check_counts(row: JobRow, kept: dict[int, JobRow]) -> Iterator[Finding]:
    recounted = Counter(str(earlier.failure_reason) for earlier in kept.values())
    if row.failure_counts != dict(recounted):
        yield Finding(
            invariant="I7",
            subject=row.id,
            detail=f"counts the failures {row.failure_counts}, its tries have {dict(recounted)};"
            " repair counts again",
            repair=_count_again(row.id),
        )


def _check_tokens(row: JobRow, attempts: list[int]) -> Iterator[Finding]:
    if row.state in NOT_HELD:
        if attempts:
            yield Finding(
                invariant="I9",
                subject=row.id,
                detail=f"is {row.state} and has a token; repair revokes it",
                repair=revoke(row.id),
            )
        return
    if len(attempts) > 1:
        yield _two(row, f"has {len(attempts)} tokens at once")
    for attempt in sorted(set(attempts) - {row.attempt}):
        yield Finding(
            invariant="I9",
            subject=row.id,
            detail=f"is in try {row.attempt} and has a token of try {attempt}; terminate it",
        )


def revoke(job: str) -> Repair:
    """Return the repair that makes the tokens of a job that no worker holds worthless."""

    async def repair(workshop: Workshop) -> None:
        async with workshop.moment() as moment:
            row = await jobs.find_job(moment.tx, job)
            if row is None or row.state in NOT_HELD:
                await users.remove_job_tokens(moment.tx, job)
                moment.authenticator.forget()

    return repair


def _count_again(job: str) -> Repair:
    async def repair(workshop: Workshop) -> None:
        async with workshop.moment() as moment:
            kept = await jobs.find_tries(moment.tx, job)
            counts = Counter(str(earlier.failure_reason) for earlier in kept)
            await jobs.update_job(moment.tx, job, {"failure_counts": dict(counts)})

    return repair
