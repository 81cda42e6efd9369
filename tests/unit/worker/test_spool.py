"""Lines that wait on disk survive, whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from plasmid.domain import assignments
from plasmid.worker import spool


def line(text: str) -> assignments.LogEntry:
    return assignments.LogEntry(1, "SYSTEM", "INFO", text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "system.jsonl"


def test_lines_come_back_in_order_from_any_offset(path: Path) -> None:
    kept = spool.Spool(path)
    kept.add(line("a\nb"))
    _, after_first = kept.read(0, 1 << 20)
    kept.add_all([line("ü"), line("c")])
    assert [e.msg for e in kept.read(0, 1 << 20)[0]] == ["a\nb", "ü", "c"]
    entries, end = kept.read(after_first, 1 << 20)
    assert ([e.msg for e in entries], end) == (["ü", "c"], path.stat().st_size)
    assert kept.read(end, 1 << 20) == ([], end)


def test_a_read_returns_whole_lines_only(path: Path) -> None:
    kept = spool.Spool(path)
    kept.add_all([line("a" * 50), line("b")])
    entries, offset = kept.read(0, 130)
    assert [e.msg for e in entries] == ["a" * 50]
    assert [e.msg for e in kept.read(offset, 130)[0]] == ["b"]


def test_half_a_line_of_a_killed_process_is_cut_off(path: Path) -> None:
    kept = spool.Spool(path)
    kept.add(line("whole"))
    kept.close()
    with path.open("ab") as half:
        half.write(b'{"timestamp":1,"sour')
    kept = spool.Spool(path)
    kept.add(line("next"))
    assert [e.msg for e in kept.read(0, 1 << 20)[0]] == ["whole", "next"]


class FullDisk:
    """Lets `room` more bytes be written, then none until there is room again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write = os.write
        monkeypatch.setattr("plasmid.worker.spool.os.write", self.write)

    def write(self, file: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._write(file, data[: self.room])
        self.room -= written
        return written


def test_lines_that_a_full_disk_does_not_take_are_read_from_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = spool.Spool(path)
    disk = FullDisk(monkeypatch, room=100)
    kept.add_all([line("a"), line("b"), line("c")])
    entries, end = kept.read(0, 1 << 20)
    assert [e.msg for e in entries] == ["a", "b", "c"]
    assert kept.read(end, 1 << 20) == ([], end)
    disk.room = 1 << 20
    kept.add(line("d"))
    entries, end = kept.read(end, 1 << 20)
    assert ([e.msg for e in entries], end) == (["d"], path.stat().st_size)
    assert [e.msg for e in kept.read(0, 1 << 20)[0]] == ["a", "b", "c", "d"]


def test_memory_stays_flat_while_the_disk_is_full(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = spool.Spool(path)
    FullDisk(monkeypatch, room=0)
    for _ in range(40):
        kept.add(line("x" * 100_000))
    entries, offset = kept.read(0, 1 << 30)
    assert 0 < len(entries) < 40
    assert offset <= spool.WAITING_BYTES_MAX


def test_a_reader_that_was_ahead_of_the_file_goes_on_at_its_end(path: Path) -> None:
    kept = spool.Spool(path)
    kept.add(line("a"))
    assert kept.read(10_000, 1 << 20) == ([], path.stat().st_size)
