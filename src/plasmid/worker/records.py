"""The records of conmon's log, taken in runs.

A record is `<time> <stdout|stderr> <P|F> <bytes>`; P means that its line goes on in the next
record of the same stream (conmon's k8s-file format). conmon stamps all that it reads at once with
one time, so many records in a row begin with the same bytes: those are a run, which can be split,
counted or skipped without a look at each of its lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

# conmon reads 8 KiB at once; with an end of line and a head for each line that is more.
WINDOW_BYTES: Final = 16 << 10
# Time, stream and mark are shorter.
_HEAD_BYTES_MAX: Final = 80
_HEAD_PARTS: Final = 3


class Run(NamedTuple):
    """Records with the same head: `start` to `end` of a block, without the last line break."""

    stream: bytes
    is_whole: bool
    stamp: bytes
    start: int
    end: int
    records: int
    head_bytes: int

    @property
    def content_bytes(self) -> int:
        """How much its records hold without their heads and line breaks."""
        return self.end - self.start - self.records * self.head_bytes - (self.records - 1)


def runs(block: bytes, end: int) -> Iterator[Run]:
    """Give the runs of a block up to an end, which is after a line break."""
    at = 0
    while at < end:
        stop = block.index(b"\n", at)
        parts = block[at : min(stop, at + _HEAD_BYTES_MAX)].split(b" ", _HEAD_PARTS)
        if len(parts) < _HEAD_PARTS:
            at = stop + 1
            continue
        stamp, stream, mark = parts[:_HEAD_PARTS]
        head_bytes = min(len(stamp) + len(stream) + len(mark) + _HEAD_PARTS, stop - at)
        count = 1
        head = b"\n" + block[at : at + head_bytes]
        if block.startswith(head, stop):
            stop, count = _last(block, head, at, stop)
        yield Run(stream, mark == b"F", stamp, at, stop, count, head_bytes)
        at = stop + 1


def _last(block: bytes, head: bytes, at: int, stop: int) -> tuple[int, int]:
    """Return where the run ends of which at least the first two records are known, and its length.

    Of a longer one than the window only the beginning is taken.
    """
    last = block.rfind(head, stop, at + WINDOW_BYTES)
    if last > stop:
        end = block.find(b"\n", last + 1)
        if end >= 0:
            # Almost sure, but a coarse clock gives one time to several reads.
            # Heads are looked for by their mark: a search for what ends in a space, of which
            # texts are full, takes three times as long.
            breaks = _breaks(block[at:end])
            if breaks == block.count(head[:-1], at, end):
                return end, breaks + 1
    count = 1
    while block.startswith(head, stop):
        end = block.find(b"\n", stop + 1)
        if end < 0:
            break
        stop, count = end, count + 1
    return stop, count


def _breaks(data: bytes) -> int:
    """Return how many line breaks there are, in half the time that `count` takes."""
    return len(data) - len(data.replace(b"\n", b""))


def half_character(data: bytes) -> int:
    """Return how many bytes at the end begin a UTF-8 character that is not complete."""
    for length in range(1, min(3, len(data)) + 1):
        byte = data[-length]
        if byte & 0xC0 != 0x80:
            needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return length if needed > length else 0
    return 0


def zone_seconds(zone: bytes) -> int:
    """Return the seconds of a zone such as +05:30; Z and anything else is 0."""
    if zone[:1] not in b"+-" or not zone[1:3].isdigit():
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return -seconds if zone[:1] == b"-" else seconds
