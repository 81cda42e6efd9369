"""The messages of a job's log as its readers see them: past ones, then live ones (contract G.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import msgspec

from plasmid.domain import job_states
from plasmid.domain.assignments import LogEntry
from plasmid.executions import advance
from plasmid.logs import topics
from plasmid.metadata import jobs
from plasmid.metadata.rows import JobRow
from plasmid.methods.call import Platform

RECENT_MAX: Final = 262_144
POLL_SECONDS: Final = 10.0

Message = Callable[[], dict[str, Any]]


class Question(msgspec.Struct, frozen=True):
    """What a reader's first frame asks for."""

    access_token: str | None = None
    recent_max: int = msgspec.field(default=RECENT_MAX, name="numRecentMessages")
    recurses: bool = msgspec.field(default=False, name="recurseJobs")
    tail: bool = True
    levels: list[str] | None = None
    attempt: int | None = msgspec.field(default=None, name="try")


class _Position:
    """How far one job's log has been sent."""

    def __init__(self, row: JobRow, attempt: int | None) -> None:
        self.job = row.id
        self.follows = attempt is None
        self.attempt = 0 if attempt is None else attempt
        self.offset = 0
        self.line = 0

    def next_try(self) -> None:
        self.attempt += 1
        self.offset = self.line = 0


async def messages(
    platform: Platform, row: JobRow, question: Question
) -> AsyncIterator[dict[str, Any]]:
    """Give the log's messages in order; ends when all is said, or when the server stops.

    The last `numRecentMessages` of the past come first: the past is counted, then read again, so
    that no log is ever held in memory. With `recurseJobs` the logs of the jobs below this one are
    mixed in.
    """
    own = topics.tree_log(row.root_execution) if question.recurses else topics.log(row.id)
    with platform.changes.subscribe(own, advance.JOBS_TOPIC) as news:
        positions: dict[str, _Position] = {}
        is_over = await _is_over(platform, row, question)
        surplus = await _count_past(platform, row, question) - _recent_max(question)
        async for message in _new_messages(platform, row, question, positions=positions):
            surplus -= 1
            if surplus < 0:
                yield message()
        while question.tail and not is_over and not platform.is_stopping:
            await news.wait(POLL_SECONDS)
            is_over = await _is_over(platform, row, question)
            async for message in _new_messages(platform, row, question, positions=positions):
                yield message()


def _recent_max(question: Question) -> int:
    return max(0, min(question.recent_max, RECENT_MAX))


async def _count_past(platform: Platform, row: JobRow, question: Question) -> int:
    count = 0
    async for _ in _new_messages(platform, row, question, positions={}):
        count += 1
    return count


async def _members(platform: Platform, row: JobRow, question: Question) -> list[JobRow]:
    reader = platform.database.reader
    current = await jobs.find_job(reader, row.id)
    members = [current] if current else []
    if question.recurses:
        for member in members:
            members.extend(await jobs.find_children(reader, member.id))
    return members


async def _is_over(platform: Platform, row: JobRow, question: Question) -> bool:
    members = await _members(platform, row, question)
    return all(job_states.is_terminal(member.state) for member in members)


async def _new_messages(
    platform: Platform, row: JobRow, question: Question, *, positions: dict[str, _Position]
) -> AsyncIterator[Message]:
    """Give what makes each message that is not sent yet."""
    for member in await _members(platform, row, question):
        position = positions.get(member.id)
        if position is None:
            position = positions[member.id] = _Position(member, question.attempt)
        while True:
            async for message in _read_on(platform, position, question):
                yield message
            if not position.follows or position.attempt >= member.attempt:
                break
            position.next_try()


async def _read_on(
    platform: Platform, position: _Position, question: Question
) -> AsyncIterator[Message]:
    while True:
        piece = await platform.logs.read(
            position.job, position.attempt, offset=position.offset, first_line=position.line
        )
        is_end = piece.next_offset == position.offset
        position.offset = piece.next_offset
        for entry in piece.entries:
            if question.levels is None or entry.level in question.levels:
                yield partial(_message, entry, position)
            position.line += 1
        if is_end:
            return


def _message(entry: LogEntry, position: _Position) -> dict[str, Any]:
    message: dict[str, Any] = {
        "timestamp": entry.timestamp,
        "source": entry.source,
        "level": entry.level,
        "job": position.job,
        "line": position.line,
        "msg": entry.msg,
    }
    if not position.follows or position.attempt > 0:
        message["jobTry"] = position.attempt
    return message
