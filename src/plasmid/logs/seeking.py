"""Find a line in the file of a log without decoding what is before or after it.

The counts at the ends of batches tell where to look; blocks are counted, not decoded. So the last
lines of a log of gigabytes are found in milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from plasmid.logs import batches
from plasmid.logs.batches import End
from plasmid.logs.store import Choice, Place

BLOCK_BYTES: Final = 1 << 18
# A search that takes long lets others have their turn after so much.
STEP_BYTES: Final = 4 << 20


def find_line(path: Path, end: End, line: int) -> Place:
    """Return where a line begins, or the end if there are not so many."""
    if line <= 0:
        return Place(0, 0)
    if line >= end.lines:
        return Place(end.offset, end.lines)
    with path.open("rb") as file:
        low = _batch_before(file, end, line)
        for start, data in _blocks(file, low.offset, end.offset):
            count = batches.count_entries(data)
            if low.line + count > line:
                return _walk(data, Place(start, low.line), line)
            low = Place(start + len(data), low.line + count)
    return low


class LastLines:
    """The search for a place behind which are the last so many lines of a choice.

    Blocks are read from the end backwards, until there are enough. If there are not so many, other
    lines may come before the first of them.
    """

    def __init__(self, path: Path, end: End, *, count: int, choice: Choice) -> None:
        self._path = path
        self._end = end
        self._count = count
        self._choice = choice
        self._missing = count
        self._lines_after = 0
        self._upper = end.offset
        self._lowest = Place(end.offset, end.lines)

    def go_on(self) -> tuple[Place, int] | None:
        """Read a step; return the place and how many lines there are, None if it is not over."""
        if self._upper == 0 or self._missing <= 0:
            return self._lowest, self._count - self._missing
        lowest_wanted = self._upper - STEP_BYTES
        with self._path.open("rb") as file:
            while self._upper > max(0, lowest_wanted):
                if found := self._look_at_block(file):
                    return found
        return None if self._upper else (self._lowest, self._count - self._missing)

    def _look_at_block(self, file: BinaryIO) -> tuple[Place, int] | None:
        lower, data = _block_before(file, self._upper)
        found = self._choice.count_in(data)
        if found >= self._missing:
            offset, lines = _last_in(data, self._missing, self._choice)
            return Place(lower + offset, self._end.lines - self._lines_after - lines), self._count
        self._missing -= found
        self._lines_after += batches.count_entries(data)
        self._upper = lower
        if found:
            self._lowest = Place(lower, self._end.lines - self._lines_after)
        return None


def _batch_before(file: BinaryIO, end: End, line: int) -> Place:
    """Return the end of a batch near before a line, by bisection."""
    low, high = Place(0, 0), end.offset
    while high - low.offset > BLOCK_BYTES:
        found = _mark_after(file, (low.offset + high) // 2, high)
        if found is None:
            break
        if found.line <= line:
            low = found
        elif found.offset < high:
            high = found.offset
        else:
            break
    return low


def _mark_after(file: BinaryIO, start: int, end: int) -> Place | None:
    """Return the end of the first batch that ends in a part of a file, if its count is there."""
    position, data = start, b""
    while position < end:
        file.seek(position)
        data += file.read(min(BLOCK_BYTES, end - position))
        position = start + len(data)
        mark = data.find(b"\n#") + 1
        after = data.find(b"\n", mark) + 1 if mark else 0
        if after:
            _, count = batches.parse_mark(data[mark:after])
            return None if count is None else Place(start + after, count)
    return None


def _blocks(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Give whole lines of a part of a file, which begins with one, in blocks."""
    rest = b""
    position = start
    while position + len(rest) < end:
        file.seek(position + len(rest))
        data = rest + file.read(min(BLOCK_BYTES, end - position - len(rest)))
        cut = data.rfind(b"\n") + 1
        rest = data[cut:]
        if cut:
            yield position, data[:cut]
            position += cut


def _block_before(file: BinaryIO, upper: int) -> tuple[int, bytes]:
    """Return whole lines that end at an offset, and where they begin."""
    size = BLOCK_BYTES
    while True:
        start = max(0, upper - size)
        data = os.pread(file.fileno(), upper - start, start)
        if start == 0:
            return 0, data
        cut = data.find(b"\n", 0, len(data) - 1) + 1
        if cut:
            return start + cut, data[cut:]
        size *= 2


def _walk(data: bytes, place: Place, line: int) -> Place:
    """Return where a line begins in a block that begins at a place."""
    position, number = 0, place.line
    while True:
        if not data.startswith(b"#", position):
            if number == line:
                return Place(place.offset + position, line)
            number += 1
        position = data.index(b"\n", position) + 1


def _last_in(data: bytes, missing: int, choice: Choice) -> tuple[int, int]:
    """Return where the last chosen lines of a block begin, and how many lines follow from there."""
    position, lines = len(data), 0
    while True:
        start = data.rfind(b"\n", 0, position - 1) + 1
        if not data.startswith(b"#", start):
            lines += 1
            missing -= choice.takes(data[start:position])
            if missing == 0:
                return start, lines
        position = start
