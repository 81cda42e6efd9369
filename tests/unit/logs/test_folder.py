"""What a crash leaves of a log in a folder, and what the next process makes of it."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from plasmid.domain.assignments import LogEntry
from plasmid.logs import batches, folder, seeking
from plasmid.logs.folder import FolderLogs
from plasmid.logs.store import READ_BYTES, Choice

JOB = "job-" + "B" * 24


def entries(*lines: str) -> list[LogEntry]:
    return [LogEntry(timestamp=1, source="s", level="STDOUT", msg=line) for line in lines]


async def lines_of(logs: FolderLogs, *, bytes_max: int = READ_BYTES) -> list[str]:
    found: list[str] = []
    offset = 0
    while True:
        piece = await logs.read(JOB, 0, offset=offset, first_line=len(found), bytes_max=bytes_max)
        if piece.next_offset == offset:
            return found
        found += [entry.msg for entry in piece.entries]
        offset = piece.next_offset


def file_of(tmp_path: Path) -> Path:
    return next(tmp_path.rglob("*.log"))


async def two_batches(tmp_path: Path) -> None:
    logs = FolderLogs(tmp_path)
    await logs.append(JOB, 0, entries=entries("a", "b"), cursors={"stdout": 2})
    await logs.append(JOB, 0, entries=entries("c"), cursors={"stdout": 3})


async def test_lines_and_cursors_survive_a_new_process(tmp_path: Path) -> None:
    await two_batches(tmp_path)
    logs = FolderLogs(tmp_path)
    assert await logs.cursors(JOB, 0) == {"stdout": 3}
    assert await lines_of(logs) == ["a", "b", "c"]
    await logs.append(JOB, 0, entries=entries("d"), cursors={"stdout": 4})
    assert await lines_of(FolderLogs(tmp_path)) == ["a", "b", "c", "d"]


async def test_every_cut_of_the_last_batch_leaves_the_batches_before_it(tmp_path: Path) -> None:
    await two_batches(tmp_path)
    path = file_of(tmp_path)
    whole = path.read_bytes()
    first_end = whole.index(b"\n#") + 1
    first_end = whole.index(b"\n", first_end) + 1
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        logs = FolderLogs(tmp_path)
        kept = ["a", "b"] if cut >= first_end else []
        assert await lines_of(logs) == kept, cut
        assert await logs.cursors(JOB, 0) == ({"stdout": 2} if kept else {}), cut
        await logs.append(JOB, 0, entries=entries("again"), cursors={"stdout": 9})
        assert await lines_of(FolderLogs(tmp_path)) == [*kept, "again"], cut


async def test_a_last_batch_of_no_lines_is_found_too(tmp_path: Path) -> None:
    logs = FolderLogs(tmp_path)
    await logs.append(JOB, 0, entries=[], cursors={"stdout": 1})
    assert await FolderLogs(tmp_path).cursors(JOB, 0) == {"stdout": 1}
    await logs.append(JOB, 0, entries=[], cursors={"stdout": 2})
    assert await FolderLogs(tmp_path).cursors(JOB, 0) == {"stdout": 2}


@pytest.mark.parametrize("tail_bytes", [1, 7, 64])
async def test_the_end_is_found_however_long_the_torn_tail_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail_bytes: int
) -> None:
    monkeypatch.setattr(batches, "TAIL_BYTES", tail_bytes)
    await two_batches(tmp_path)
    path = file_of(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"timestamp":1}\n' * 10 + b'{"tor')
    logs = FolderLogs(tmp_path)
    assert await logs.cursors(JOB, 0) == {"stdout": 3}
    assert await lines_of(logs) == ["a", "b", "c"]


@pytest.mark.parametrize("read_bytes", [1, 10, 50, 51, 52, 53, 54, 55])
async def test_pieces_end_between_lines_wherever_the_limit_falls(
    tmp_path: Path, read_bytes: int
) -> None:
    logs = FolderLogs(tmp_path)
    for number in range(20):
        await logs.append(JOB, 0, entries=entries("x" * number), cursors={"stdout": number})
    expected = ["x" * number for number in range(20)]
    assert await lines_of(logs, bytes_max=read_bytes) == expected


async def test_a_batch_is_on_disk_when_it_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    original = os.fdatasync

    def note(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        original(descriptor)

    monkeypatch.setattr(os, "fdatasync", note)
    await two_batches(tmp_path)
    assert synced[-1] == file_of(tmp_path).stat().st_size
    assert len(synced) == 2


async def test_a_new_log_file_has_a_name_that_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch of a try makes the file: its folder has to be synced as well."""
    synced: list[str] = []
    original = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        original(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    logs = FolderLogs(tmp_path / "logs")
    await logs.append(JOB, 0, entries=entries("a"), cursors={"stdout": 1})
    assert synced == ["logs", "BB"]
    await logs.append(JOB, 0, entries=entries("b"), cursors={"stdout": 2})
    await logs.append(JOB, 1, entries=entries("a"), cursors={"stdout": 1})
    assert synced == ["logs", "BB", "BB"]


async def test_what_is_remembered_of_logs_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "STATES_MAX", 4)
    logs = FolderLogs(tmp_path)
    for attempt in range(20):
        await logs.append(JOB, attempt, entries=entries(f"{attempt}"), cursors={"s": attempt})
        assert len(logs._ends) <= 5
        assert len(logs._locks) <= 5
    for attempt in range(20):
        assert await logs.cursors(JOB, attempt) == {"s": attempt}


async def test_only_the_owner_reads_logs(tmp_path: Path) -> None:
    await two_batches(tmp_path)
    assert file_of(tmp_path).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("error", [OSError(5, "I/O error"), OSError(30, "read-only")])
async def test_other_troubles_of_the_disk_are_not_called_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def fail(*_: object) -> None:
        raise error

    logs = FolderLogs(tmp_path)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match=error.strerror):
        await logs.append(JOB, 0, entries=entries("x"), cursors={})
    assert await lines_of(logs) == []


async def test_a_reader_that_comes_while_a_batch_is_kept_does_not_undo_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw the file as it was before; what it remembers must not be where the next is written."""
    await two_batches(tmp_path)
    logs = FolderLogs(tmp_path)
    original = batches.find_end
    has_seen, may_go_on = threading.Event(), threading.Event()

    def slow(path: Path) -> batches.End:
        found = original(path)
        if not has_seen.is_set():
            has_seen.set()
            may_go_on.wait(60)
        return found

    monkeypatch.setattr(batches, "find_end", slow)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(logs.read(JOB, 0, offset=0, first_line=0))
        await asyncio.to_thread(has_seen.wait, 5)
        await logs.append(JOB, 0, entries=entries("d"), cursors={"stdout": 4})
        may_go_on.set()
    assert [entry.msg for entry in reading.result().entries][:3] == ["a", "b", "c"]
    await logs.append(JOB, 0, entries=entries("e"), cursors={"stdout": 5})
    assert await lines_of(FolderLogs(tmp_path)) == ["a", "b", "c", "d", "e"]


async def test_searches_that_take_long_keep_no_writer_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default threads of a process are few, and every append needs one."""
    logs = FolderLogs(tmp_path)
    await logs.append(JOB, 0, entries=entries("a"), cursors={"stdout": 1})
    may_go_on, searching = threading.Event(), 0
    original = seeking.LastLines.go_on

    def slow(search: seeking.LastLines) -> object:
        nonlocal searching
        searching += 1
        may_go_on.wait(60)
        return original(search)

    monkeypatch.setattr(seeking.LastLines, "go_on", slow)
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(logs.find_last(JOB, 0, count=1, choice=Choice(["ERROR"])))
        async with asyncio.timeout(60):
            for attempt in range(1, 4):
                await logs.append(JOB, attempt, entries=entries("b"), cursors={"stdout": 1})
        assert searching <= folder.SEEKERS_MAX
        may_go_on.set()


async def test_a_search_ends_when_its_reader_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeking, "STEP_BYTES", 1)
    monkeypatch.setattr(seeking, "BLOCK_BYTES", 100)
    logs = FolderLogs(tmp_path)
    await logs.append(JOB, 0, entries=entries(*("x" * 50 for _ in range(100))), cursors={})
    steps, has_begun, may_go_on = 0, threading.Event(), threading.Event()
    original = seeking.LastLines.go_on

    def counted(search: seeking.LastLines) -> object:
        nonlocal steps
        steps += 1
        has_begun.set()
        may_go_on.wait(60)
        return original(search)

    monkeypatch.setattr(seeking.LastLines, "go_on", counted)
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(logs.find_last(JOB, 0, count=1, choice=Choice(["ERROR"])))
        await asyncio.to_thread(has_begun.wait, 5)
        leaving.cancel()
    may_go_on.set()
    await logs.find_line(JOB, 0, 1)
    logs._seekers.shutdown()
    assert steps == 1


async def test_of_many_logs_those_used_longest_ago_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "STATES_MAX", 4)
    logs = FolderLogs(tmp_path)
    for attempt in range(20):
        await logs.append(JOB, attempt, entries=entries("x"), cursors={})
        await logs.read(JOB, 0, offset=0, first_line=0)
        assert (JOB, 0) in logs._ends
