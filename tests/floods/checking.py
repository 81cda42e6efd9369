"""Checks what was kept of a flood: every line once, whole, and in the order of its writer."""

from __future__ import annotations

import hashlib
import json
import urllib.request
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from plasmid.domain.assignments import LogEntry

_NO_PROXY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def stored(url: str, token: str, job: str, attempt: int = 0) -> Iterator[LogEntry]:
    """Give the lines of a try, all of them, as the platform gives them in one answer."""
    asked = urllib.request.Request(
        f"{url}/{job}/getLog?try={attempt}", headers={"Authorization": f"Bearer {token}"}
    )
    decode = msgspec.json.Decoder(LogEntry).decode
    with _NO_PROXY.open(asked, timeout=60) as answer:
        assert json.loads(answer.readline()) == {"job": job, "try": attempt, "line": 0}
        for line in answer:
            yield decode(line)


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
