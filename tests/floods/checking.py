"""Checks what was kept of a flood: every line once, whole, and in the order of its writer."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from plasmid.domain.assignments import LogEntry
from plasmid.logs.folder import FolderLogs


def stored(data: Path, job: str, attempt: int = 0) -> Iterator[LogEntry]:
    """Give the lines of a try that are in the platform's folder."""
    logs = FolderLogs(data / "logs")
    offset = line = 0
    with asyncio.Runner() as runner:
        while True:
            piece = runner.run(logs.read(job, attempt, offset=offset, first_line=line))
            assert piece.first_line == line, "lines are numbered without a gap"
            if piece.next_offset == offset:
                return
            offset, line = piece.next_offset, line + len(piece.entries)
            yield from piece.entries


LEVELS: Final = {"out": "STDOUT", "err": "STDERR"}


class Numbered:
    """Follows the numbered lines of a log; raises AssertionError at the first that is wrong."""

    def __init__(self, *, may_lack: bool = False) -> None:
        """With `may_lack` lines may be missing, but none comes twice or late."""
        self.may_lack = may_lack
        self.count = 0
        self.next: dict[tuple[str, str], int] = {}
        self.others: list[LogEntry] = []
        self.seconds = 0.0

    def take(self, entries: Iterable[LogEntry]) -> Numbered:
        """Take all lines of a log."""
        for entry in entries:
            if entry.msg.startswith(("out ", "err ")):
                self._take_numbered(entry)
            elif entry.msg.startswith("ENDED "):
                _, code, seconds = entry.msg.split()
                assert code == "0", "a writer has failed"
                self.seconds = float(seconds)
            elif entry.msg or entry.level != "STDOUT":
                self.others.append(entry)
        return self

    def _take_numbered(self, entry: LogEntry) -> None:
        text = entry.msg
        stream, writer, number, _ = text.split(" ", 3)
        place = (stream, writer)
        wanted = self.next.get(place, 0)
        is_right = int(number) == wanted or (self.may_lack and int(number) > wanted)
        assert is_right, f"line {wanted} of {place} is missing or late: {text[:80]!r}"
        assert text[-8:] == f"{zlib.crc32(text[:-8].encode()):08x}", f"changed: {text[:80]!r}"
        assert entry.level == LEVELS[stream], entry
        self.next[place] = int(number) + 1
        self.count += 1

    def assert_whole(self, count: int, *, writers: int = 1) -> None:
        """Check that each writer's lines are all there."""
        wanted = {("out", str(writer)): count for writer in range(writers)}
        wanted |= {("err", str(writer)): (count + 9) // 10 for writer in range(writers)}
        assert self.next == wanted


def line_digest(entries: Iterable[LogEntry], pieces: list[int]) -> tuple[str, str]:
    """Return the digest of a long line's pieces put together, and that which the job has told.

    The number of pieces goes to `pieces`.
    """
    digest = hashlib.md5(usedforsecurity=False)
    for entry in entries:
        if entry.level != "STDOUT":
            continue
        if entry.msg.startswith("ENDED "):
            return digest.hexdigest(), entry.msg.removeprefix("ENDED ")
        if pieces[0] or entry.msg.startswith("0000000 "):
            digest.update(entry.msg.encode())
            pieces[0] += 1
    raise AssertionError("the job has not told its digest")
