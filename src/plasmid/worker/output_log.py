"""Reads the log that conmon writes of a sandbox's stdout and stderr (records.py has its form).

Lines are put together, masked, and split at 8 KiB. Each stream has a cursor: the byte of the file
after its last line that was taken. A cursor may stand inside a record, behind a piece of a long
line; where it stands between two records, an odd `<stream>_splits` says that a line goes on there.
A reader that starts at given cursors returns exactly what was not taken before, whichever process
took it. A reader that skips only counts, and its cursors stay before the last lines (log_limit.py).
"""

from __future__ import annotations

import calendar
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from plasmid.domain import assignments
from plasmid.worker import encoded, holes, log_limit, masking, output_stream, records

STREAMS: Final = {b"stdout": "STDOUT", b"stderr": "STDERR"}
SPLITS: Final = "_splits"
LINE_BYTES_MAX: Final = 8192
# A piece ends before a character that does not fit: up to three bytes early.
PIECE_BYTES_MIN: Final = LINE_BYTES_MAX - 3
# No record of conmon is longer: its buffer is 32 KiB at most.
RECORD_BYTES_MAX: Final = 1 << 16
# A line that does not end is told after so much other output: all after it would wait on disk.
OPEN_BYTES_MAX: Final = 4 << 20
# Masking many values takes its time, in which the loop does nothing else.
SECRET_BYTES_MAX: Final = 1 << 17


class OutputLog:
    """The lines of a sandbox's output from given cursors on."""

    def __init__(
        self,
        path: Path,
        cursors: dict[str, int] | None = None,
        *,
        masker: masking.Masker | None = None,
        before_masking: Callable[[], None] = lambda: None,
    ) -> None:
        """Open a log file, which must exist; cursors are those of an earlier reader.

        `before_masking` is called between reading and masking: what is registered as secret before
        it is written is masked.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._masker = masker or masking.Masker()
        self._before_masking = before_masking
        self._beginning = holes.Beginning(margin_bytes=1 << 20)
        self._seconds: dict[bytes, int] = {}
        self._streams: dict[bytes, output_stream.Stream] = {}
        self._position = 0
        self.rewind(cursors or {})

    def rewind(self, cursors: dict[str, int]) -> None:
        """Read again from cursors: {"stdout": byte, "stderr": byte}; none means 0."""
        self._streams = {
            name: output_stream.Stream(
                level, cursors.get(name.decode(), 0), cursors.get(name.decode() + SPLITS, 0)
            )
            for name, level in STREAMS.items()
        }
        self._position = self._record_start(lowest(cursors))

    @property
    def cursors(self) -> dict[str, int]:
        """How far each stream has been taken."""
        found = {}
        for name, stream in self._streams.items():
            key = name.decode()
            found[key], splits = stream.place(self._position)
            if splits:
                found[key + SPLITS] = splits
        return found

    @property
    def size_bytes(self) -> int:
        """How long the file is."""
        return os.fstat(self._file).st_size

    @property
    def waiting_bytes(self) -> int:
        """How much of the file was not read yet."""
        return self.size_bytes - self._position

    @property
    def left_out(self) -> tuple[int, int]:
        """How many lines and bytes were skipped before the cursors."""
        firsts = [stream.trail.first for stream in self._streams.values() if stream.trail]
        return sum(first.lines for first in firsts), sum(first.bytes for first in firsts)

    def read(self, bytes_max: int, *, is_final: bool = False) -> list[assignments.LogEntry]:
        """Return the next lines, from about `bytes_max` of the file; none at its end only.

        With `is_final` nothing more will be written: what is left of lines without an end is
        returned once the end of the file is reached.
        """
        while True:
            lines, at_end = self.read_turn(bytes_max, is_final=is_final)
            if lines or at_end:
                return encoded.entries(lines)

    def read_turn(
        self, bytes_max: int, *, is_final: bool = False
    ) -> tuple[list[encoded.Lines], bool]:
        """Return the lines of one block, maybe none, and whether it was the file's last."""
        lines: list[encoded.Lines] = []
        block, end, at_end = self._block(bytes_max)
        has_secrets = self._masker.finds(block)
        if has_secrets and len(block) > SECRET_BYTES_MAX:
            block, end, at_end = self._block(SECRET_BYTES_MAX)
        base = self._position
        for run in records.runs(block, end):
            self._take(block, base, run, lines, has_secrets=has_secrets)
        self._position = base + end
        if is_final and at_end:
            self._take_half(block[end:], lines)  # conmon was killed while it wrote
            self._flush(lines)
        self._flush(lines, before=self._position - OPEN_BYTES_MAX)
        return lines, at_end

    def read_rest(self, bytes_max: int) -> list[encoded.Lines]:
        """Return all lines to the end of a file that grows no more, block by block."""
        lines: list[encoded.Lines] = []
        while True:
            more, at_end = self.read_turn(bytes_max, is_final=True)
            lines += more
            if at_end and not more:
                return lines

    def begin_skipping(self) -> None:
        """From now on only count, from the cursors on."""
        cursors = self.cursors
        self.rewind(cursors)
        for stream in self._streams.values():
            stream.trail = log_limit.Trail(stream.cursor, is_split=stream.is_split)

    @property
    def is_skipping(self) -> bool:
        """Whether lines are only counted."""
        return any(stream.trail is not None for stream in self._streams.values())

    def skip(self, bytes_max: int) -> bool:
        """Count about so many bytes of the file; says whether there were any."""
        block, end, at_end = self._block(bytes_max)
        base = self._position
        for run in records.runs(block, end):
            self._count(block, base, run)
        self._position = base + end
        for stream in self._streams.values():
            if stream.trail is not None:
                stream.trail.leave_behind(self._position)
        return end > 0 or not at_end

    def free(self, below: int) -> Callable[[], None] | None:
        """Return what gives the disk below an offset back, in any thread; None if it is little."""
        return self._beginning.free(self._file, below)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _record_start(self, offset: int) -> int:
        """Return where the record that holds a byte begins."""
        back = max(0, offset - RECORD_BYTES_MAX)
        before = os.pread(self._file, offset - back, back)
        return back + before.rfind(b"\n") + 1

    def _block(self, bytes_max: int) -> tuple[bytes, int, bool]:
        """Return what comes next, where its last whole record ends, and whether it is the last."""
        wanted = max(bytes_max, RECORD_BYTES_MAX)
        block = os.pread(self._file, wanted, self._position)
        self._before_masking()
        end = block.rfind(b"\n") + 1
        if not end and len(block) == wanted:  # conmon never wrote this: the file is damaged
            self._position += wanted
            return b"", 0, False
        return block, end, len(block) < wanted

    def _take(
        self,
        block: bytes,
        base: int,
        run: records.Run,
        lines: list[encoded.Lines],
        *,
        has_secrets: bool,
    ) -> None:
        """Take the records of a run: one by one until a line begins, the others at once."""
        stream = self._streams.get(run.stream)
        if stream is None or stream.cursor >= base + run.end + 1:
            return
        at = run.start
        while at < run.end + 1:
            is_between = not stream.pieces and not stream.is_split and stream.cursor <= base + at
            if run.is_whole and is_between:
                stream.timestamp = self._milliseconds(run.stamp)
                lines.append(self._lines(stream, block, run, at=at, has_secrets=has_secrets))
                stream.cursor = base + run.end + 1
                return
            stop = block.index(b"\n", at)
            content = block[at + run.head_bytes : stop]
            start = base + at + run.head_bytes
            self._take_record(stream, run, lines, start=start, content=content)
            at = stop + 1

    def _lines(
        self,
        stream: output_stream.Stream,
        block: bytes,
        run: records.Run,
        *,
        at: int,
        has_secrets: bool,
    ) -> encoded.Lines:
        """Return the lines of a run's records, which are whole lines, from an offset on."""
        whole, head_bytes = block[at : run.end], run.head_bytes
        if has_secrets:
            contents = [record[head_bytes:] for record in whole.split(b"\n")]
            whole = self._masker.mask(b"\n".join(contents))
            head_bytes = 0
        if run.content_bytes > LINE_BYTES_MAX:
            contents = whole.split(b"\n")
            if max(map(len, contents)) > LINE_BYTES_MAX + head_bytes:
                pieces = [piece for line in contents for piece in split(line[head_bytes:])]
                return stream.lines(_shown(pieces))
        said = whole.decode("utf-8", "replace").split("\n")
        return stream.lines([text[head_bytes:] for text in said] if head_bytes else said)

    def _take_record(
        self,
        stream: output_stream.Stream,
        run: records.Run,
        lines: list[encoded.Lines],
        *,
        start: int,
        content: bytes,
    ) -> None:
        """Add a record to its stream's line, and the line to the lines when it is complete."""
        end = start + len(content) + 1
        if stream.cursor >= end:
            return
        if stream.cursor >= start:
            content = content[stream.cursor - start :]
            stream.is_split = stream.is_split or stream.cursor > start
            start = stream.cursor
        if not stream.pieces:
            stream.timestamp = self._milliseconds(run.stamp)
        stream.pieces.append((start, content))
        stream.length += len(content)
        if run.is_whole:
            self._emit_line(stream, lines)
            stream.is_split = False
            stream.cursor = end
        elif stream.length - stream.searched >= PIECE_BYTES_MIN + 2 * self._masker.margin:
            # The cursor stays inside the record: whoever starts there knows that a line goes on.
            self._emit_pieces(stream, lines)

    def _take_half(self, record: bytes, lines: list[encoded.Lines]) -> None:
        block = record + b"\n"
        for run in records.runs(block, len(block)):
            self._take(block, self._position, run, lines, has_secrets=True)
        self._position += len(record)

    def _flush(self, lines: list[encoded.Lines], before: int | None = None) -> None:
        """Take lines that have no end; only those that begin before an offset, if one is given."""
        for stream in self._streams.values():
            if stream.pieces and (before is None or stream.pieces[0][0] < before):
                self._emit_line(stream, lines)
                stream.is_split = True
                stream.cursor = self._position

    def _emit_line(self, stream: output_stream.Stream, lines: list[encoded.Lines]) -> None:
        """Take a whole line; the empty rest of a line that was split is none."""
        data = b"".join([piece for _, piece in stream.pieces])
        if data or not stream.is_split:
            lines.append(stream.lines(_shown(split(self._masker.mask(data)))))
        stream.pieces, stream.length, stream.searched = [], 0, 0

    def _emit_pieces(self, stream: output_stream.Stream, lines: list[encoded.Lines]) -> None:
        """Take what fills whole pieces of a line that goes on, but no part of a secret."""
        data = b"".join([piece for _, piece in stream.pieces])
        until = len(data) - self._masker.margin
        masked, end, is_inside = self._masker.mask_before(data, until)
        pieces = split(masked)
        if is_inside:
            pass  # nothing of the cut value is shown, also no part of a character
        elif masked == data[:end]:
            if len(pieces[-1]) < PIECE_BYTES_MIN:
                end -= len(pieces.pop())
            elif half := records.half_character(pieces[-1]):
                end -= half
                pieces[-1] = pieces[-1][:-half]
        elif half := records.half_character(masked):
            end -= half
            pieces = split(masked[:-half])
        stream.searched = len(data) - end
        if not end:
            return
        lines.append(stream.lines(_shown(pieces)))
        stream.cut(end)
        stream.is_split = True

    def _count(self, block: bytes, base: int, run: records.Run) -> None:
        """Count the records of a run that are behind its stream's cursor."""
        stream = self._streams.get(run.stream)
        if stream is None or stream.trail is None or stream.cursor >= base + run.end + 1:
            return
        lines, size, start = run.records if run.is_whole else 0, run.content_bytes, run.start
        if stream.cursor > base + run.start:
            passed = block.count(b"\n", run.start, stream.cursor - base)
            begun = block.rfind(b"\n", 0, stream.cursor - base) + 1
            into = max(0, stream.cursor - base - begun - run.head_bytes)
            of_passed = begun - run.start - passed * (run.head_bytes + 1)
            lines, size = lines - passed * run.is_whole, size - of_passed - into
            start = stream.cursor - base
        stream.trail.add(base + start, lines=lines, size=size, is_open=not run.is_whole)
        stream.cursor = base + run.end + 1

    def _milliseconds(self, stamp: bytes) -> int:
        """Return a time such as 2026-01-02T03:04:05.678901234+00:00 in ms since 1970."""
        whole, fraction, zone = stamp[:19], stamp[20:23], stamp[-6:]
        seconds = self._seconds.get(whole)
        if seconds is None:
            try:
                parsed = time.strptime(whole.decode("ascii"), "%Y-%m-%dT%H:%M:%S")
                seconds = calendar.timegm(parsed) - records.zone_seconds(zone)
            except ValueError:
                return 0
            self._seconds = {whole: seconds}
        return seconds * 1000 + (int(fraction) if fraction.isdigit() else 0)


def lowest(cursors: dict[str, int]) -> int:
    """Return up to where all streams have been taken."""
    return min(cursors.get(name.decode(), 0) for name in STREAMS)


def _shown(pieces: list[bytes]) -> list[str]:
    """Return text; what is no UTF-8 is shown as such."""
    return [piece.decode("utf-8", "replace") for piece in pieces]


def split(data: bytes) -> list[bytes]:
    """Return a line in pieces of at most 8 KiB, none of which cuts a character in two."""
    if len(data) <= LINE_BYTES_MAX:
        return [data]
    pieces = []
    start = 0
    while len(data) - start > LINE_BYTES_MAX:
        end = start + LINE_BYTES_MAX
        # A continuation byte is 10xxxxxx; a character has at most three of them.
        back = next((n for n in range(4) if data[end - n] & 0xC0 != 0x80), 0)
        pieces.append(data[start : end - back])
        start = end - back
    pieces.append(data[start:])
    return pieces


def masked(
    entries: list[assignments.LogEntry], masker: masking.Masker
) -> list[assignments.LogEntry]:
    """Return lines masked and split."""
    found = []
    for entry in entries:
        for piece in split(masker.mask(entry.msg.encode("utf-8", "replace"))):
            text = piece.decode("utf-8", "replace")
            found.append(assignments.LogEntry(entry.timestamp, entry.source, entry.level, text))
    return found
