"""What a store of job logs must do.

Promises every store keeps (tests/contract/test_logs.py):
- `append` returns only when the lines are durable; a batch is kept whole or not at all.
- Lines of a try are numbered 0, 1, ... in the order of their batches.
- A batch that does not go on where the last one ended is refused, if it says where it goes on.
- The cursors of the last kept batch are given back, also to a later process: a writer that goes on
  from them neither loses nor repeats a line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from plasmid.domain.assignments import LogEntry

READ_BYTES: Final = 1 << 18
_encode_lines = msgspec.json.Encoder().encode_lines
_decode_lines = msgspec.json.Decoder(LogEntry).decode_lines
# As entries stand in a store: a level can be found without decoding, since a quotation mark inside
# a text has a backslash before it.
_BEGIN: Final = b'{"timestamp":'
_END: Final = b'"}\n'
_LEVEL: Final = b'","level":'
_AFTER_LEVEL: Final = b',"msg":"'


class NoLogSpaceError(Exception):
    """The disk that holds the logs is full; nothing of the batch was kept."""


class OutOfPlaceError(Exception):
    """The batch does not go on where the last kept one ended; nothing of it was kept."""


class MalformedLinesError(Exception):
    """Bytes are no lines of a log."""


class Lines(msgspec.Struct, frozen=True):
    """Lines as they stand in a store: entries as JSON, each with a line break, and their number."""

    data: bytes = b""
    count: int = 0

    @staticmethod
    def of(entries: Sequence[LogEntry]) -> Lines:
        """Return entries as lines."""
        return Lines(_encode_lines(entries), len(entries)) if entries else Lines()

    @staticmethod
    def read(data: bytes) -> Lines:
        """Return lines that somebody else has made; raises MalformedLinesError.

        That it is UTF-8, and that each begins and ends as an entry, is all that is looked at: a
        flood has millions of them.
        """
        if not data:
            return Lines()
        # What `count` says, in a third of the time.
        count = len(data) - len(data.replace(b"\n", b""))
        is_whole = data.startswith(_BEGIN) and data.endswith(_END)
        if not is_whole or data.count(_END + _BEGIN) != count - 1 or not _is_text(data):
            raise MalformedLinesError("these are no lines of a log, one entry of JSON each")
        return Lines(data, count)

    def __add__(self, other: Lines) -> Lines:
        """Return the lines of both."""
        return Lines(self.data + other.data, self.count + other.count)


class Piece(msgspec.Struct, frozen=True):
    """Some lines of a log, the number of the first, and where the next piece begins.

    `data` are the entries as JSON, each of them one line: timestamp, source, level, msg.
    """

    first_line: int
    data: bytes
    next_offset: int

    @property
    def entries(self) -> list[LogEntry]:
        """The lines, decoded."""
        return _decode_lines(self.data)


class Place(msgspec.Struct, frozen=True):
    """Where a line begins: an offset for `read`, and the line's number."""

    offset: int
    line: int


class Choice:
    """Lines of some levels, or of all but some; tells them by their JSON."""

    def __init__(self, levels: Sequence[str] = (), *, others: bool = False) -> None:
        """Choose the lines of these levels; with `others`, those of all others."""
        self._names = {level.encode(): _mark(level) for level in sorted(set(levels))}
        self._marks = list(self._names.values())
        self._others = others

    @property
    def is_all(self) -> bool:
        """Whether every line is chosen."""
        return self._others and not self._marks

    def takes_none(self, data: bytes) -> bool:
        """Say whether none of some whole lines can be chosen, if that can be told quickly."""
        return not self._others and not any(name in data for name in self._names)

    def takes(self, line: bytes) -> bool:
        """Say whether a line is chosen."""
        return any(mark in line for mark in self._marks) != self._others

    def count_in(self, data: bytes) -> int:
        """Return how many of some whole lines are chosen; lines that begin with # are none."""
        # a name alone is looked for in a tenth of the time, and most blocks do not have it
        marked = sum(data.count(mark) for name, mark in self._names.items() if name in data)
        if not self._others:
            return marked
        return data.count(b"\n") - data.count(b"\n#") - data.startswith(b"#") - marked


ALL: Final = Choice(others=True)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _mark(level: str) -> bytes:
    return _LEVEL + msgspec.json.encode(level) + _AFTER_LEVEL


def require_place(
    job: str, attempt: int, *, kept: Mapping[str, int], since: Mapping[str, int] | None
) -> None:
    """Raise OutOfPlaceError unless a batch goes on at the cursors that are kept; 0 is no cursor."""
    if since is None:
        return
    if {name: at for name, at in since.items() if at} != {n: at for n, at in kept.items() if at}:
        raise OutOfPlaceError(
            f"the log of try {attempt} of {job} is kept up to {dict(kept)}, not {dict(since)};"
            " ask for its cursors and go on from there"
        )


class KeptLog(msgspec.Struct, frozen=True):
    """The log of one try that is in a store."""

    job: str
    attempt: int
    size_bytes: int


class LogStore(Protocol):
    """Keeps the logs of jobs, one for each try."""

    async def append(
        self,
        job: str,
        attempt: int,
        *,
        entries: Sequence[LogEntry],
        cursors: dict[str, int],
        since: dict[str, int] | None = None,
    ) -> None:
        """Keep entries; otherwise as `append_lines`."""
        lines = Lines.of(entries)
        await self.append_lines(job, attempt, lines=lines, cursors=cursors, since=since)

    async def append_lines(
        self,
        job: str,
        attempt: int,
        *,
        lines: Lines,
        cursors: dict[str, int],
        since: dict[str, int] | None = None,
    ) -> None:
        """Keep lines and the writer's cursors; raises NoLogSpaceError.

        With `since` they are only kept if those are the cursors now; else raises OutOfPlaceError.
        """
        ...

    async def cursors(self, job: str, attempt: int) -> dict[str, int]:
        """Return the cursors of the last kept batch; {} if there is none."""
        ...

    async def read(
        self,
        job: str,
        attempt: int,
        *,
        offset: int,
        first_line: int,
        bytes_max: int = READ_BYTES,
    ) -> Piece:
        """Return about so many bytes of lines from an offset on (0 at first); none at the end."""
        ...

    async def end(self, job: str, attempt: int) -> Place:
        """Return the end; what is being kept at the moment is waited for."""
        ...

    async def find_line(self, job: str, attempt: int, line: int) -> Place:
        """Return where a line begins, or the end if there are not so many."""
        ...

    async def find_last(
        self, job: str, attempt: int, *, count: int, choice: Choice = ALL
    ) -> tuple[Place, int]:
        """Return a place behind which are the last so many chosen lines, and how many there are."""
        ...

    async def remove(self, job: str) -> None:
        """Forget the logs of a job."""
        ...

    def every(self) -> AsyncIterator[KeptLog]:
        """Give all logs that are in the store."""
        ...

    async def damage(self, log: KeptLog, *, is_deep: bool) -> str | None:
        """Return what is wrong with a log's kept batches; not deep: of a large one only its end."""
        ...
