"""The messages of a job's log as its readers see them: past ones, then live ones (contract G.1).

A reader is given small pieces, each made when it asks for it, so that a slow one costs little
memory. Without a try asked for, a job's latest is shown, and those that follow it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import msgspec

from plasmid.domain import job_states, metrics
from plasmid.executions import advance
from plasmid.logs import topics
from plasmid.logs.store import Place
from plasmid.metadata import members
from plasmid.metadata.changes import Subscription
from plasmid.metadata.members import Member
from plasmid.metadata.rows import JobRow
from plasmid.methods import log_messages
from plasmid.methods.call import Platform
from plasmid.methods.log_messages import RECENT_MAX

PIECE_BYTES: Final = 16 << 10
# Where no line was wanted, the next ones are looked for in larger pieces.
SPARSE_BYTES: Final = 64 << 10
POLL_SECONDS: Final = 30.0
# A tree is looked at again at most so often, and less often the larger it is.
LOOK_SECONDS: Final = 0.2
LOOK_SECONDS_A_JOB: Final = 0.0001
_START: Final = Place(0, 0)


class Question(msgspec.Struct, frozen=True):
    """What a reader's first frame asks for."""

    access_token: str | None = None
    recent_max: int = msgspec.field(default=RECENT_MAX, name="numRecentMessages")
    recurses: bool = msgspec.field(default=False, name="recurseJobs")
    tail: bool = True
    levels: list[str] | None = None
    attempt: int | None = msgspec.field(default=None, name="try")
    without_metrics: bool = msgspec.field(default=False, name="excludeMetrics")
    metrics_format: str | None = msgspec.field(default=None, name="metricsFormat")


class _Position:
    """How far one job's log has been sent; `latest` is the job's latest try."""

    def __init__(self, member: Member, attempt: int | None) -> None:
        self.job = member.id
        self.latest = member.attempt
        self.follows = attempt is None
        self.attempt = member.attempt if attempt is None else attempt
        self.place = _START
        self.is_over = False

    @property
    def shown_attempt(self) -> int | None:
        """The try as a message tells it: if it was asked for, or is not the first."""
        return self.attempt if self.attempt > 0 or not self.follows else None


async def messages(
    platform: Platform, row: JobRow, question: Question
) -> AsyncGenerator[list[bytes], None]:
    """Give the log's messages in order, some at a time; ends when all is said, or on a stop.

    A list belongs to who asks for it, and may be emptied: until the next one it is kept here too.
    The last `numRecentMessages` of the past come first. With `recurseJobs` the logs of the jobs
    below this one are mixed in, also of those that come while it is read.
    """
    moves = advance.JOBS_TOPIC if question.recurses else row.id
    with (
        platform.changes.subscribe(moves) as news,
        platform.changes.subscribe(moves) as moved,
    ):
        feed = _Feed(platform, row, question, news)
        await feed.look()
        await feed.skip()
        async for some in feed.read():
            yield some
        while question.tail and not feed.is_over and not platform.is_stopping:
            await feed.wait(moved)
            async for some in feed.read():
                yield some


class _Feed:
    """What one reader has been sent of the logs of one job, or of a tree."""

    def __init__(
        self, platform: Platform, row: JobRow, question: Question, news: Subscription
    ) -> None:
        self._platform = platform
        self._row = row
        self._question = question
        self._news = news
        # by the topic of the job's log
        self._positions: dict[str, _Position] = {}
        # those of which there may be something to read, in a set that keeps the order: a tree may
        # have thousands of jobs that say nothing
        self._due: dict[str, None] = {}
        self._look_at = 0.0
        self.is_over = False
        wants = question.levels is not None or metrics.is_wanted(row.settings)
        choice = log_messages.choose(
            question.levels, with_metrics=wants and not question.without_metrics
        )
        self._maker = log_messages.Maker(choice, question.metrics_format)

    async def look(self) -> None:
        """See which jobs there are now, their tries, and whether all of them are over."""
        question = self._question
        found = await members.find_members(
            self._platform.database.reader, self._row.id, with_below=question.recurses
        )
        for member in found:
            topic = topics.log(member.id)
            position = self._positions.get(topic)
            if position is None:
                position = self._positions[topic] = _Position(member, question.attempt)
                self._platform.changes.follow(self._news, topic)
                self._due[topic] = None
            is_over = job_states.is_terminal(member.state)
            if (position.latest, position.is_over) != (member.attempt, is_over):
                self._due[topic] = None
            position.latest, position.is_over = member.attempt, is_over
        self.is_over = all(job_states.is_terminal(member.state) for member in found)
        if question.recurses:
            pause = LOOK_SECONDS + LOOK_SECONDS_A_JOB * len(found)
            self._look_at = asyncio.get_running_loop().time() + pause

    async def wait(self, moved: Subscription) -> None:
        """Wait for something new."""
        loop = asyncio.get_running_loop()
        until_look = self._look_at - loop.time()
        if until_look <= 0 and await moved.wait(0):
            # it came when it was too early for a look
            await self.look()
            return
        is_woken = await self._news.wait(until_look if until_look > 0 else POLL_SECONDS)
        if not is_woken and until_look <= 0:
            self._due.update((at, None) for at, each in self._positions.items() if not each.is_over)
        if loop.time() >= self._look_at and (await moved.wait(0) or not is_woken):
            await self.look()

    async def skip(self) -> None:
        """Pass over what is older than the messages that the reader wants."""
        missing = max(0, min(self._question.recent_max, RECENT_MAX))
        logs, positions = self._platform.logs, self._positions.values()
        ends = [await logs.end(position.job, position.attempt) for position in positions]
        if sum(end.line for end in ends) <= missing:
            return
        for position in reversed(positions):
            position.place, found = await logs.find_last(
                position.job, position.attempt, count=missing, choice=self._maker.choice
            )
            missing -= found

    async def read(self) -> AsyncIterator[list[bytes]]:
        """Give what is not sent yet of the jobs that may have said something."""
        self._due.update((at, None) for at in self._news.take_named() if at in self._positions)
        due = list(self._due)
        self._due.clear()
        for topic in due:
            position = self._positions[topic]
            is_last = position.is_over
            while True:
                if is_last or position.attempt < position.latest:
                    # what is being kept at this moment belongs to it
                    await self._platform.logs.end(position.job, position.attempt)
                async for some in self._read_on(position):
                    yield some
                if not position.follows or position.attempt >= position.latest:
                    break
                position.attempt += 1
                position.place = _START
            if is_last:
                self._platform.changes.leave(self._news, topic)

    async def _read_on(self, position: _Position) -> AsyncIterator[list[bytes]]:
        bytes_max = PIECE_BYTES
        while True:
            place = position.place
            piece = await self._platform.logs.read(
                position.job,
                position.attempt,
                offset=place.offset,
                first_line=place.line,
                bytes_max=bytes_max,
            )
            if piece.next_offset == place.offset:
                return
            position.place = Place(piece.next_offset, place.line + piece.data.count(b"\n"))
            made = self._maker.make(piece, position.job, position.shown_attempt)
            bytes_max = PIECE_BYTES if made else SPARSE_BYTES
            del piece  # it would be kept as long as the reader takes for the messages
            if made:
                yield made
