"""The form of a log's file: lines of entries, and a `#` line at the end of each batch.

A `#` line holds the writer's cursors and how many entries the file has up to there:
`#{"stdout":812} 40`. In files of earlier versions the count is missing. No other line begins with
`#`, and no entry has a line break in it: blocks of a file can be taken apart without decoding.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from plasmid.domain.assignments import LogEntry
from plasmid.logs.store import Lines

LARGE_BYTES: Final = 16 << 20
BLOCK_BYTES: Final = 1 << 18
TAIL_BYTES: Final = 1 << 16
_entry = msgspec.json.Decoder(LogEntry).decode
_cursors = msgspec.json.Decoder(dict[str, int]).decode
_encoder = msgspec.json.Encoder()


class End(msgspec.Struct, frozen=True):
    """Where a batch ends, how many entries the file has up to there, and the writer's cursors."""

    offset: int
    lines: int
    cursors: dict[str, int]


def encode(lines: Lines, cursors: dict[str, int], *, lines_before: int) -> bytes:
    """Return a batch as it stands in a file after so many entries."""
    mark = b"#%b %d\n" % (_encoder.encode(cursors), lines_before + lines.count)
    return lines.data + mark


def without_marks(data: bytes) -> bytes:
    """Return whole lines of a file without those that end a batch."""
    kept = []
    start = 0
    while True:
        if data.startswith(b"#", start):
            start = data.index(b"\n", start) + 1
            continue
        mark = data.find(b"\n#", start) + 1
        if mark == 0:
            break
        kept.append(data[start:mark])
        start = mark
    kept.append(data[start:])
    return b"".join(kept) if len(kept) > 1 else kept[0]


def count_entries(data: bytes) -> int:
    """Return how many entries whole lines of a file hold."""
    return data.count(b"\n") - data.count(b"\n#") - data.startswith(b"#")


def find_end(path: Path) -> End:
    """Return the end of the last whole batch, reading the file from its end."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return End(0, 0, {})
    with file:
        found = _last_mark(file)
        if found is None:
            return End(0, 0, {})
        offset, line = found
        cursors, lines = parse_mark(line)
        if lines is None:
            lines = _count_up_to(file, offset)
        return End(offset, lines, cursors)


def parse_mark(line: bytes) -> tuple[dict[str, int], int | None]:
    """Return the cursors and the count of a `#` line; None in files of earlier versions."""
    content = line[1:].rstrip(b"\n")
    if content.endswith(b"}"):
        return _cursors(content), None
    cursors, _, count = content.rpartition(b" ")
    if not count.isdigit():
        raise msgspec.DecodeError("there is no count of lines")
    return _cursors(cursors), int(count)


def _last_mark(file: BinaryIO) -> tuple[int, bytes] | None:
    """Return the last whole `#` line and the offset after it."""
    position = file.seek(0, os.SEEK_END)
    data = b""
    while position > 0:
        step = min(TAIL_BYTES, position)
        position -= step
        file.seek(position)
        data = file.read(step) + data
        mark = data.rfind(b"\n#", 0, data.rfind(b"\n") + 1) + 1
        if mark == 0 and (position or not data.startswith(b"#") or b"\n" not in data):
            continue
        end = data.find(b"\n", mark) + 1
        if end:
            return position + end, data[mark:end]
    return None


def _count_up_to(file: BinaryIO, end: int) -> int:
    file.seek(0)
    count = 0
    rest = b""
    while (left := end - file.tell()) > 0:
        data = rest + file.read(min(BLOCK_BYTES, left))
        cut = data.rfind(b"\n") + 1
        count += count_entries(data[:cut])
        rest = data[cut:]
    return count


def damage(path: Path, *, is_deep: bool) -> str | None:
    """Return what is wrong before the last whole batch, or None; of a large file only its end.

    What stands after the last whole batch was never acknowledged, and may be anything.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        size = os.fstat(file.fileno()).st_size
        lines: int | None = 0
        if size > LARGE_BYTES and not is_deep:
            file.seek(size - LARGE_BYTES)
            file.readline()
            lines = None
        return _Check(path, begun=file.tell(), lines=lines).run(file)


class _Check:
    """Reads batches one by one; `lines` are the entries before the next, if that is known."""

    def __init__(self, path: Path, *, begun: int, lines: int | None) -> None:
        self._path = path
        self._begun = begun
        self._lines = lines
        self._cursors: dict[str, int] = {}

    def run(self, file: BinaryIO) -> str | None:
        wrong: str | None = None
        entries = 0
        while line := file.readline():
            end = file.tell()
            if not line.startswith(b"#") or not line.endswith(b"\n"):
                wrong = wrong or _wrong_entry(line, end)
                entries += 1
            elif wrong is not None:
                return wrong
            else:
                try:
                    cursors, count = parse_mark(line)
                except msgspec.DecodeError:
                    wrong = f"the end of a batch before byte {end} cannot be read"
                    continue
                found = self._wrong_batch(cursors, count, entries=entries, end=end)
                if found is not None:
                    return found
                entries = 0
        return None

    def _wrong_batch(
        self, cursors: dict[str, int], count: int | None, *, entries: int, end: int
    ) -> str | None:
        lines = None if self._lines is None else self._lines + entries
        if count is not None and lines is not None and count != lines:
            return f"it has {lines} lines, not {count}, before byte {end}"
        self._lines = count if lines is None else lines
        for name, value in self._cursors.items():
            if cursors.get(name, value) < value and _repeats(self._path, self._begun, end):
                return f"its cursor {name} goes back before byte {end}"
        self._cursors, self._begun = cursors, end
        return None


def _repeats(path: Path, begun: int, end: int) -> bool:
    """Say whether a batch has a line that is there before.

    Without one, its cursors may go back: what the writer had sent was lost to it in a power cut.
    """
    with path.open("rb") as file:
        file.seek(begun)
        batch = {line for line in file.read(end - begun).splitlines() if not line.startswith(b"#")}
        file.seek(0)
        while file.tell() < begun:
            if file.readline().rstrip(b"\n") in batch:
                return True
    return False


def _wrong_entry(line: bytes, end: int) -> str | None:
    try:
        _entry(line)
    except msgspec.DecodeError:
        return f"the line before byte {end} is no entry"
    return None
