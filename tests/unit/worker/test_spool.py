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


def test_a_message_of_a_killed_process_is_there_whole_or_not_at_all(path: Path) -> None:
    kept = spool.Spool(path)
    kept.add_messages(
        [spool.Message(7, [line("a")]), spool.Message(8, [line("b"), line("c"), line("d")])]
    )
    kept.close()
    whole = path.read_bytes()
    starts = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for cut in (starts[1], starts[1] + 5, starts[2], len(whole) - 1):
        path.write_bytes(whole[:cut])
        kept = spool.Spool(path)
        assert [entry.msg for entry in kept.read(0, 1 << 20)[0]] == ["a"]
        assert kept.stamps == {7}
        kept.close()
    path.write_bytes(whole)
    kept = spool.Spool(path)
    assert [entry.msg for entry in kept.read(0, 1 << 20)[0]] == ["a", "b", "c", "d"]
    assert kept.stamps == {7, 8}
    kept.close()


def test_a_file_longer_than_what_is_looked_at_keeps_its_lines(path: Path) -> None:
    kept = spool.Spool(path)
    kept.add_messages([spool.Message(n, [line("x" * 4000)]) for n in range(1, 1500)])
    kept.close()
    size = path.stat().st_size
    kept = spool.Spool(path)
    assert path.stat().st_size == size
    assert len(kept.stamps) > 500
    assert kept.stamps == set(range(1500 - len(kept.stamps), 1500))
    kept.close()


def test_a_line_that_is_longer_than_a_read_blocks_no_other(path: Path) -> None:
    kept = spool.Spool(path)
    kept.add_all([line("x" * 5_000), line("after")])
    entries, offset = kept.read(0, 100)
    assert [len(e.msg) for e in entries][:1] == [5_000]
    entries += kept.read(offset, 100)[0]
    assert [e.msg for e in entries][1:] == ["after"]
    assert kept.read(offset, 0)[0] == []


def test_messages_are_not_dropped_while_the_disk_is_full_and_say_that_they_wait(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = spool.Spool(path)
    disk = FullDisk(monkeypatch, room=0)
    for number in range(1, 40):
        kept.add_messages([spool.Message(number, [line("x" * 50_000)])])
    assert kept.is_stuck
    disk.room = 1 << 30
    kept.flush()
    assert not kept.is_stuck
    assert kept.waiting_bytes == 0
    assert len(kept.read(0, 1 << 30)[0]) == 39
