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


def find_last(path: Path, end: End, *, count: int, choice: Choice) -> tuple[Place, int]:
    """Return a place behind which are the last so many lines of a choice, and how many there are.

    Blocks are read from the end backwards, until there are enough. If there are not so many, other
    lines may come before the first of them.
    """
    missing, lines_after, upper = count, 0, end.offset
    lowest = Place(end.offset, end.lines)
    if end.offset == 0 or missing <= 0:
        return lowest, 0
    with path.open("rb") as file:
        while upper > 0:
            lower, data = _block_before(file, upper)
            found = choice.count_in(data)
            if found >= missing:
                offset, lines = _last_in(data, missing, choice)
                return Place(lower + offset, end.lines - lines_after - lines), count
            missing -= found
            lines_after += batches.count_entries(data)
            upper = lower
            if found:
                lowest = Place(lower, end.lines - lines_after)
    return lowest, count - missing


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
