"""Lines that wait on disk survive, whole."""

from __future__ import annotations

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
