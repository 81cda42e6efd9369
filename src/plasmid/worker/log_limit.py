"""The size limit of a try's log: what is beyond it is counted, but for its last lines.

How much the log holds and how much was left out are cursors of the log, kept with each batch: so
every line is either in the log or counted, once, whichever worker came to it.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

TAIL_LINES: Final = 1_000
TAIL_BYTES: Final = 256 << 10
# Last lines that have so much other output after them are no last lines.
TAIL_LAG_BYTES_MAX: Final = 8 << 20
_OPEN_BYTES_MAX: Final = 64 << 10

# Cursors that only grow, see above.
LOG_BYTES: Final = "log_bytes"
IS_CUT: Final = "is_cut"
IS_CLOSED: Final = "is_closed"
LEFT_OUT_LINES: Final = "left_out_lines"
LEFT_OUT_BYTES: Final = "left_out_bytes"


class Mark(NamedTuple):
    """A place in a source, what was left out before it, and whether it is within a line."""

    cursor: int
    lines: int
    bytes: int
    is_split: bool


class Trail:
    """Where the last lines of a source begin, while its lines are only counted."""

    def __init__(self, cursor: int, *, is_split: bool = False) -> None:
        self._marks = deque([Mark(cursor, 0, 0, is_split)])
        self._lines = 0
        self._bytes = 0
        self._is_open = is_split

    @property
    def first(self) -> Mark:
        """Where the last lines begin: what is before is left out."""
        return self._marks[0]

    def add(self, start: int, *, lines: int, size: int, is_open: bool = False) -> None:
        """Count lines that begin at a place; with `is_open` the last of them goes on."""
        newest = self._marks[-1]
        if not self._is_open or self._bytes - newest.bytes >= _OPEN_BYTES_MAX:
            self._marks.append(Mark(start, self._lines, self._bytes, self._is_open))
        self._lines += lines
        self._bytes += size
        self._is_open = is_open
        while len(self._marks) > 1 and self._is_enough_after(self._marks[1]):
            self._marks.popleft()

    def leave_behind(self, position: int) -> None:
        """Say how far the file of this source has been counted, whatever the source."""
        limit = position - TAIL_LAG_BYTES_MAX
        while len(self._marks) > 1 and self._marks[0].cursor < limit:
            self._marks.popleft()
        first = self._marks[0]
        is_empty = (first.lines, first.bytes) == (self._lines, self._bytes)
        if is_empty or first.cursor < limit:
            # It may be behind: a reader begins where the stream that lags most was taken.
            cursor = max(position, first.cursor)
            self._marks[0] = Mark(cursor, self._lines, self._bytes, self._is_open)

    def _is_enough_after(self, mark: Mark) -> bool:
        return self._lines - mark.lines >= TAIL_LINES or self._bytes - mark.bytes >= TAIL_BYTES


class SpoolTrail(Trail):
    """The trail of a spool, of which each line is known, and how far it was counted."""

    def __init__(self, cursor: int) -> None:
        super().__init__(cursor)
        self.position = cursor

    def count(self, sizes: list[tuple[int, int]], end: int) -> None:
        """Count lines by where they begin and how long they are; `end` is after the last."""
        for start, size in sizes:
            self.add(start, lines=1, size=size)
        self.position = end
        self.leave_behind(end)


def reached(bytes_max: int) -> str:
    """Return the line that says that from now on lines are left out."""
    return (
        f"The log has reached its limit of {bytes_max} bytes: lines are left out from here on, but "
        "for urgent ones and the last ones"
    )


def left_out(lines: int, size: int, bytes_max: int) -> str:
    """Return the line that says how much was left out."""
    return (
        f"Left out here: {lines} lines ({size} bytes), as the log had reached its limit of "
        f"{bytes_max} bytes; its last lines follow"
    )


def left_out_of(cursors: dict[str, int]) -> tuple[int, int]:
    """Return how many lines and bytes were left out, by the cursors of a log."""
    return cursors.get(LEFT_OUT_LINES, 0), cursors.get(LEFT_OUT_BYTES, 0)
