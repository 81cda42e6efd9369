"""The form of a log's file: today's, and that of earlier versions."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plasmid.domain.assignments import LogEntry
from plasmid.logs import batches
from plasmid.logs.batches import End
from plasmid.logs.folder import FolderLogs
from plasmid.logs.store import Lines

JOB = "job-" + "B" * 24


def entries(*lines: str) -> list[LogEntry]:
    return [LogEntry(1, "s", "STDOUT", line) for line in lines]


def old_batch(*lines: str, **cursors: int) -> bytes:
    """Return a batch as versions before the counts wrote it."""
    encoded = [msgspec.json.encode(entry) for entry in entries(*lines)]
    return b"\n".join([*encoded, b"#" + msgspec.json.encode(cursors)]) + b"\n"


def test_a_batch_is_its_lines_and_a_mark_with_the_count() -> None:
    data = batches.encode(Lines.of(entries("a", "b")), {"out": 7}, lines_before=40)
    *lines, mark = data.splitlines()
    assert [msgspec.json.decode(line)["msg"] for line in lines] == ["a", "b"]
    assert mark == b'#{"out":7} 42'
    assert batches.parse_mark(mark + b"\n") == ({"out": 7}, 42)
    assert batches.parse_mark(b'#{"out":7}\n') == ({"out": 7}, None)
    assert batches.count_entries(data) == 2
    assert batches.without_marks(data) == b"".join(line + b"\n" for line in lines)


@pytest.mark.parametrize(
    "data, kept",
    [
        (b"", b""),
        (b"#{}\n", b""),
        (b"#{}\n#{}\n", b""),
        (b"a\n#{} 1\nb\n", b"a\nb\n"),
        (b"#{} 0\na\n#{} 1\n#{} 1\n", b"a\n"),
        (b"a#\n", b"a#\n"),
    ],
)
def test_marks_are_taken_out_wherever_they_stand(data: bytes, kept: bytes) -> None:
    assert batches.without_marks(data) == kept
    assert batches.count_entries(data) == kept.count(b"\n")


async def test_a_file_of_an_earlier_version_is_read_and_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "BB" / f"{JOB}.0.log"
    path.parent.mkdir()
    path.write_bytes(old_batch("a", "b", out=2) + old_batch(out=3) + old_batch("c", out=4))
    assert batches.find_end(path) == End(path.stat().st_size, 3, {"out": 4})
    logs = FolderLogs(tmp_path)
    await logs.append(JOB, 0, entries=entries("d"), cursors={"out": 5}, since={"out": 4})
    assert path.read_bytes().endswith(b'#{"out":5} 4\n')
    again = FolderLogs(tmp_path)
    piece = await again.read(JOB, 0, offset=0, first_line=0)
    assert [entry.msg for entry in piece.entries] == ["a", "b", "c", "d"]
    assert (await again.end(JOB, 0)).line == 4
    assert batches.damage(path, is_deep=True) is None


@pytest.mark.parametrize("block_bytes", [1, 3, 50, 1000])
def test_lines_of_old_files_are_counted_wherever_blocks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(batches, "BLOCK_BYTES", block_bytes)
    path = tmp_path / "log"
    path.write_bytes(old_batch("a", "#", "c", out=1) + old_batch(out=2) + b'{"torn')
    assert batches.find_end(path).lines == 3


def test_a_count_that_is_wrong_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "log"
    whole = batches.encode(Lines.of(entries("a", "b")), {"out": 1}, lines_before=0)
    whole += batches.encode(Lines.of(entries("c")), {"out": 2}, lines_before=2)
    path.write_bytes(whole)
    assert batches.damage(path, is_deep=True) is None
    lost = whole.replace(
        batches.encode(Lines.of(entries("b")), {}, lines_before=0).splitlines()[0] + b"\n", b""
    )
    path.write_bytes(lost)
    assert batches.damage(path, is_deep=True) == (
        f"it has 1 lines, not 2, before byte {lost.index(b'#') + len(b'#') + 12}"
    )


def test_of_a_large_file_the_end_alone_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LARGE_BYTES", 200)
    path = tmp_path / "log"
    parts = [
        batches.encode(Lines.of(entries(str(n))), {"out": n}, lines_before=n) for n in range(20)
    ]
    path.write_bytes(b"".join(parts))
    assert batches.damage(path, is_deep=False) is None
    path.write_bytes(b"".join([*parts[:-1], parts[5]]))
    assert "lines, not 6" in (batches.damage(path, is_deep=False) or "")
