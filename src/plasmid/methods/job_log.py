"""The log of a job by calls: a page of messages, or all of it as it is kept (contract F.10).

A cursor names a line, `TRY.NUMBER`, and stays good for ever: whoever was cut off goes on there.
Unlike the messages of the websocket, which go to terminals, these are as the job wrote them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from plasmid.domain import errors, job_states
from plasmid.logs.store import Choice, Place
from plasmid.metadata.rows import JobRow
from plasmid.methods import log_messages
from plasmid.methods.call import Call, Platform
from plasmid.methods.log_messages import RECENT_MAX
from plasmid.methods.registry import method
from plasmid.methods.targets import Access

PAGE_MAX: Final = 1000
# A page ends after so many bytes of the log, however few of its lines are asked for.
PAGE_BYTES_MAX: Final = 4 << 20
STREAM_BYTES: Final = 1 << 18
_PIECE_BYTES: Final = 1 << 16
_CURSOR: Final = re.compile(r"(\d{1,6})\.(\d{1,15})", re.ASCII)


class Cursor(msgspec.Struct, frozen=True):
    """A line of a job's log: the try, and the line's number in it."""

    attempt: int
    line: int

    def __str__(self) -> str:
        """Return it as callers see it."""
        return f"{self.attempt}.{self.line}"


class Question(msgspec.Struct, frozen=True):
    """Where to begin: at the first try or the one given, at a cursor, or with the last lines.

    The last lines are those of the latest try, if none is given.
    """

    attempt: int | None = msgspec.field(default=None, name="try")
    starting: str | None = None
    recent_max: int | None = msgspec.field(default=None, name="numRecentMessages")


class LogPage(Question, frozen=True):
    """Which messages of a job's log are asked for."""

    levels: list[str] | None = None
    limit: int = PAGE_MAX


class Span(msgspec.Struct, frozen=True):
    """Lines of one try."""

    attempt: int
    start: Place
    end: Place


@method("/job-xxxx/getLog", access=Access.VIEW, body=LogPage)
async def get_log(call: Call, target: JobRow, body: LogPage) -> dict[str, Any]:
    """Return messages of a job's log, and where the next page starts.

    `next` is null once the job is over and all is told; of a job that is not, a page may be empty.
    """
    if not 1 <= body.limit <= PAGE_MAX:
        raise errors.InvalidInput(f'Expected key "limit" of input to be from 1 to {PAGE_MAX}')
    choice = log_messages.choose(body.levels, with_metrics=True)
    page = _Page(body.limit, choice)
    spans = await spans_of(call.platform, target, body, choice=choice)
    for span in spans:
        await page.add(call.platform, target.id, span)
    last = spans[-1]
    is_whole = page.next is None
    following = page.next or Cursor(last.attempt, last.end.line)
    is_over = job_states.is_terminal(target.state) or last.attempt < target.attempt
    return {"results": page.results, "next": None if is_whole and is_over else str(following)}


async def spans_of(
    platform: Platform, row: JobRow, question: Question, *, choice: Choice
) -> list[Span]:
    """Return what is to be read, up to what is kept now; of each try one span, at least of one.

    Raises InvalidInput for a bad cursor, ResourceNotFound for a try that there is not.
    """
    logs = platform.logs
    first, start = await _start(platform, row, question, choice=choice)
    last = row.attempt if question.attempt is None else first
    spans = []
    for attempt in range(first, last + 1):
        end = await logs.end(row.id, attempt)
        spans.append(Span(attempt, start if attempt == first else Place(0, 0), end))
    return spans


async def stream(platform: Platform, row: JobRow, spans: list[Span]) -> AsyncIterator[bytes]:
    """Give the lines of spans as they are kept, each try's after a line that names it.

    That line has no `msg`; it says the number of the line that follows it.
    """
    for span in spans:
        head = {"job": row.id, "try": span.attempt, "line": span.start.line}
        yield msgspec.json.encode(head) + b"\n"
        offset = span.start.offset
        while offset < span.end.offset:
            piece = await platform.logs.read(
                row.id,
                span.attempt,
                offset=offset,
                first_line=0,
                bytes_max=min(STREAM_BYTES, span.end.offset - offset),
            )
            if piece.next_offset == offset:
                return  # it was removed meanwhile
            offset = piece.next_offset
            if piece.data:
                yield piece.data


class _Page:
    """Collects messages up to a limit; `next` is the line after, if it was reached."""

    def __init__(self, limit: int, choice: Choice) -> None:
        self.results: list[msgspec.Raw] = []
        self.next: Cursor | None = None
        self._limit = limit
        self._choice = choice
        self._bytes_left = PAGE_BYTES_MAX

    async def add(self, platform: Platform, job: str, span: Span) -> None:
        """Add the messages of a span."""
        place = span.start
        while place.offset < span.end.offset and self.next is None:
            if len(self.results) == self._limit or self._bytes_left <= 0:
                self.next = Cursor(span.attempt, place.line)
                return
            piece = await platform.logs.read(
                job,
                span.attempt,
                offset=place.offset,
                first_line=place.line,
                bytes_max=min(_PIECE_BYTES, span.end.offset - place.offset),
            )
            if piece.next_offset == place.offset:
                return  # it was removed meanwhile
            lines = piece.data.split(b"\n")[:-1]
            self._bytes_left -= len(piece.data) + 1
            for number, line in enumerate(lines, place.line):
                if len(self.results) == self._limit:
                    self.next = Cursor(span.attempt, number)
                    return
                if self._choice.takes(line):
                    message = log_messages.message(line, job, span.attempt, number)
                    self.results.append(msgspec.Raw(message))
            place = Place(piece.next_offset, place.line + len(lines))


async def _start(
    platform: Platform, row: JobRow, question: Question, *, choice: Choice
) -> tuple[int, Place]:
    """Return the try and the line at which to begin."""
    attempt, recent_max = question.attempt, question.recent_max
    if attempt is not None and not 0 <= attempt <= row.attempt:
        raise errors.ResourceNotFound(f"The entity {row.id} has no try {attempt}")
    if question.starting is not None:
        found = _CURSOR.fullmatch(question.starting)
        if found is None or int(found[1]) > row.attempt or attempt not in (None, int(found[1])):
            raise errors.InvalidInput(
                'Expected key "starting" of input to be what a call for this log gave as next'
            )
        place = await platform.logs.find_line(row.id, int(found[1]), int(found[2]))
        return int(found[1]), place
    if recent_max is not None:
        attempt = row.attempt if attempt is None else attempt
        count = max(0, min(recent_max, RECENT_MAX))
        place, _ = await platform.logs.find_last(row.id, attempt, count=count, choice=choice)
        return attempt, place
    return attempt or 0, Place(0, 0)
