"""Every store of logs keeps the promises of logs/store.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plasmid.domain.assignments import LogEntry
from plasmid.logs.folder import FolderLogs
from plasmid.logs.memory import MemoryLogs
from plasmid.logs.store import (
    Choice,
    Lines,
    LogStore,
    MalformedLinesError,
    NoLogSpaceError,
    OutOfPlaceError,
    Place,
)
from tests.small_disk import small_disk

JOB = "job-" + "B" * 24
OTHER = "job-" + "F" * 24
MAKERS: dict[str, Callable[[Path], LogStore]] = {
    "folder": FolderLogs,
    "memory": lambda _: MemoryLogs(),
}


@pytest.fixture(params=MAKERS)
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> LogStore:
    return MAKERS[request.param](tmp_path / "logs")


def entry(text: str, level: str = "STDOUT") -> LogEntry:
    return LogEntry(timestamp=1_800_000_000_000, source="DX_APP_STREAM", level=level, msg=text)


async def add(
    logs: LogStore, *lines: str, cursor: int = 0, job: str = JOB, attempt: int = 0
) -> None:
    entries = [entry(line) for line in lines]
    await logs.append(job, attempt, entries=entries, cursors={"stdout": cursor})


async def lines_of(logs: LogStore, job: str = JOB, attempt: int = 0, offset: int = 0) -> list[str]:
    """Read on until the end, as a reader does."""
    found: list[str] = []
    while True:
        piece = await logs.read(job, attempt, offset=offset, first_line=len(found))
        assert piece.first_line == len(found)
        if piece.next_offset == offset:
            assert piece.entries == []
            return found
        offset = piece.next_offset
        found += [line.msg for line in piece.entries]


ODD = [
    "",
    " ",
    "#",
    '#{"stdout": 9}',
    "a\nb",
    "a\r\nb\rc",
    "\u2028 and \u2029 and \x85 and \x1c",
    "\x00\x1b[31mred\x1b[0m",
    "ünïcödé \U0001f9ec",
    '{"timestamp": 1}',
    "\\n",
    '"',
    "x" * 200_000,
]


@pytest.mark.parametrize("line", ODD, ids=range(len(ODD)))
async def test_a_line_comes_back_as_it_was(logs: LogStore, line: str) -> None:
    await add(logs, "before", line, "after")
    await add(logs, line)
    assert await lines_of(logs) == ["before", line, "after", line]


async def test_all_of_an_entry_comes_back(logs: LogStore) -> None:
    given = LogEntry(timestamp=-5, source="MONITOR", level="INFO", msg="m")
    await logs.append(JOB, 0, entries=[given], cursors={})
    assert (await logs.read(JOB, 0, offset=0, first_line=0)).entries == [given]


async def test_lines_that_are_json_already_are_kept_like_entries(logs: LogStore) -> None:
    await add(logs, "before", cursor=1)
    made = Lines.of([entry(line) for line in ODD])
    await logs.append_lines(JOB, 0, lines=made, cursors={"stdout": 2}, since={"stdout": 1})
    with pytest.raises(OutOfPlaceError):
        await logs.append_lines(JOB, 0, lines=made, cursors={"stdout": 2}, since={"stdout": 1})
    await add(logs, "after", cursor=3)
    assert await lines_of(logs) == ["before", *ODD, "after"]
    assert (await logs.end(JOB, 0)).line == len(ODD) + 2


ENTRY = b'{"timestamp":1,"source":"DX_APP","level":"INFO","msg":"said"}'


def test_what_is_an_entry_a_line_is_taken() -> None:
    assert Lines.read((ENTRY + b"\n") * 2) == Lines((ENTRY + b"\n") * 2, 2)


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"\n",
        b"#\n",
        ENTRY,
        ENTRY + b"\n#{} 7\n",
        ENTRY + b"\n\n",
        ENTRY[:-1] + b"\n",
        ENTRY[:-9] + b"\n" + ENTRY + b"\n",
        ENTRY[:-2] + b'\xff"}\n',
        ENTRY[:-2] + b'\xed\xa0\x80"}\n',
    ],
)
def test_what_is_no_entry_a_line_is_not_taken(data: bytes) -> None:
    with pytest.raises(MalformedLinesError):
        Lines.read(data)


async def test_a_log_that_nobody_wrote_is_empty(logs: LogStore) -> None:
    assert await lines_of(logs) == []
    assert await logs.cursors(JOB, 0) == {}


async def test_batches_of_no_lines_only_move_the_cursors(logs: LogStore) -> None:
    await add(logs, cursor=1)
    assert await lines_of(logs) == []
    await add(logs, "a", cursor=2)
    await add(logs, cursor=3)
    assert await lines_of(logs) == ["a"]
    assert await logs.cursors(JOB, 0) == {"stdout": 3}


async def test_the_cursors_are_those_of_the_last_batch(logs: LogStore) -> None:
    await logs.append(JOB, 0, entries=[entry("a")], cursors={"stdout": 5, "dgram": 7})
    await logs.append(JOB, 0, entries=[entry("b")], cursors={"stdout": 9})
    assert await logs.cursors(JOB, 0) == {"stdout": 9}


async def test_tries_and_jobs_do_not_mix(logs: LogStore) -> None:
    await add(logs, "first try", cursor=1)
    await add(logs, "second try", cursor=2, attempt=1)
    await add(logs, "other job", cursor=3, job=OTHER)
    assert await lines_of(logs) == ["first try"]
    assert await lines_of(logs, attempt=1) == ["second try"]
    assert await lines_of(logs, OTHER) == ["other job"]
    assert [await logs.cursors(JOB, 0), await logs.cursors(JOB, 1)] == [
        {"stdout": 1},
        {"stdout": 2},
    ]


async def test_a_removed_log_is_gone_with_all_its_tries_and_others_stay(logs: LogStore) -> None:
    for attempt in (0, 1, 11):
        await add(logs, "x", cursor=1, attempt=attempt)
    await add(logs, "kept", job=OTHER)
    await logs.remove(JOB)
    for attempt in (0, 1, 11):
        assert await lines_of(logs, attempt=attempt) == []
        assert await logs.cursors(JOB, attempt) == {}
    assert await lines_of(logs, OTHER) == ["kept"]
    await logs.remove(JOB)
    await add(logs, "anew")
    assert await lines_of(logs) == ["anew"]


async def test_a_reader_goes_on_from_where_it_was(logs: LogStore) -> None:
    offset = 0
    seen: list[LogEntry] = []
    for number in range(5):
        await add(logs, f"{number}a", f"{number}b", cursor=number)
        piece = await logs.read(JOB, 0, offset=offset, first_line=len(seen))
        assert [line.msg for line in piece.entries] == [f"{number}a", f"{number}b"]
        seen += piece.entries
        assert piece.next_offset > offset
        offset = piece.next_offset
    assert (await logs.read(JOB, 0, offset=offset, first_line=10)).entries == []


async def test_100000_lines_come_back_in_order_in_bounded_pieces(logs: LogStore) -> None:
    for start in range(0, 100_000, 5000):
        await add(logs, *(f"line {start + n}" for n in range(5000)), cursor=start + 5000)
    assert await lines_of(logs) == [f"line {number}" for number in range(100_000)]
    if isinstance(logs, FolderLogs):
        first = await logs.read(JOB, 0, offset=0, first_line=0)
        assert 0 < len(first.entries) < 20_000
    assert await logs.cursors(JOB, 0) == {"stdout": 100_000}


async def test_writers_at_once_keep_their_batches_whole(logs: LogStore) -> None:
    async with asyncio.TaskGroup() as group:
        for writer in range(20):
            group.create_task(add(logs, *(f"{writer} {n}" for n in range(50)), cursor=writer))
    found = await lines_of(logs)
    assert len(found) == 1000
    for start in range(0, 1000, 50):
        who = found[start].split()[0]
        assert found[start : start + 50] == [f"{who} {n}" for n in range(50)]


async def rest_of(logs: LogStore, place: Place) -> list[str]:
    """Return the lines from a place on, which is that of the next line."""
    found = await lines_of(logs, offset=place.offset)
    assert place.line + len(found) == (await logs.end(JOB, 0)).line
    return found


async def test_a_piece_is_about_as_large_as_was_asked_for(logs: LogStore) -> None:
    await add(logs, *("x" * 100 for _ in range(1000)))
    piece = await logs.read(JOB, 0, offset=0, first_line=0, bytes_max=2000)
    assert 2000 <= len(piece.data) < 2400
    assert len(piece.entries) == piece.data.count(b"\n")


async def test_the_end_and_each_line_are_found(logs: LogStore) -> None:
    assert await logs.end(JOB, 0) == Place(0, 0)
    assert await logs.find_line(JOB, 0, 3) == Place(0, 0)
    for number in range(10):
        await add(logs, f"{number}a", f"{number}b", cursor=number)
    every = await lines_of(logs)
    assert (await logs.end(JOB, 0)).line == 20
    for line in (0, 1, 2, 11, 19):
        place = await logs.find_line(JOB, 0, line)
        assert (place.line, await rest_of(logs, place)) == (line, every[line:])
    for line in (20, 21, 10**9):
        assert await logs.find_line(JOB, 0, line) == await logs.end(JOB, 0)


async def test_the_last_lines_are_found_also_those_of_a_level(logs: LogStore) -> None:
    assert await logs.find_last(JOB, 0, count=5) == (Place(0, 0), 0)
    entries = [entry(str(n), "STDERR" if n % 5 == 0 else "STDOUT") for n in range(20)]
    await logs.append(JOB, 0, entries=entries[:7], cursors={"s": 1})
    await logs.append(JOB, 0, entries=entries[7:], cursors={"s": 2})
    place, found = await logs.find_last(JOB, 0, count=3)
    assert (found, await rest_of(logs, place)) == (3, ["17", "18", "19"])
    place, found = await logs.find_last(JOB, 0, count=2, choice=Choice(["STDERR"]))
    assert (found, (await rest_of(logs, place))[0]) == (2, "10")
    place, found = await logs.find_last(JOB, 0, count=100, choice=Choice(["STDERR"]))
    assert found == 4
    assert {"0", "5", "10", "15"} <= set(await rest_of(logs, place))
    assert await logs.find_last(JOB, 0, count=0) == (await logs.end(JOB, 0), 0)
    _, found = await logs.find_last(JOB, 0, count=5, choice=Choice(["INFO"]))
    assert found == 0


# ------------------------------------------------------------------------------------- no space


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", size_bytes=2 << 20) as mounted:
        yield mounted


@pytest.fixture(params=MAKERS)
def full(request: pytest.FixtureRequest, disk: Path) -> LogStore:
    return MAKERS[request.param](disk / "logs")


async def test_a_batch_that_finds_no_space_is_not_kept_at_all(full: LogStore, disk: Path) -> None:
    await add(full, "before", cursor=1)
    filler = disk / "filler"
    filler.write_bytes(b"x" * (1 << 20))
    if isinstance(full, MemoryLogs):
        full.is_full = True
    for _ in range(3):
        with pytest.raises(NoLogSpaceError, match="full"):
            await add(full, *("y" * 100_000 for _ in range(20)), cursor=2)
        assert await lines_of(full) == ["before"]
        assert await full.cursors(JOB, 0) == {"stdout": 1}
    if isinstance(full, MemoryLogs):
        full.is_full = False
    filler.unlink()
    await add(full, "after", cursor=2)
    assert await lines_of(full) == ["before", "after"]
    if isinstance(full, FolderLogs):
        reopened = FolderLogs(disk / "logs")
        assert await lines_of(reopened) == ["before", "after"]
        assert await reopened.cursors(JOB, 0) == {"stdout": 2}


async def test_a_batch_that_comes_late_or_twice_is_refused(logs: LogStore) -> None:
    async def append(line: str, *, since: int, until: int) -> None:
        cursors = {"stdout": until}
        await logs.append(JOB, 0, entries=[entry(line)], cursors=cursors, since={"stdout": since})

    await append("a", since=0, until=1)
    for since, until in ((0, 1), (0, 2), (2, 3)):
        with pytest.raises(OutOfPlaceError, match="go on from there"):
            await append("again", since=since, until=until)
    await append("b", since=1, until=2)
    assert await lines_of(logs) == ["a", "b"]
    assert await logs.cursors(JOB, 0) == {"stdout": 2}


async def test_all_logs_can_be_listed_and_are_sound(logs: LogStore) -> None:
    await add(logs, "a", cursor=1)
    await add(logs, "b", "c", cursor=2, attempt=1)
    await add(logs, "d", cursor=1, job=OTHER)
    every = [log async for log in logs.every()]
    assert sorted((log.job, log.attempt) for log in every) == [(JOB, 0), (JOB, 1), (OTHER, 0)]
    for log in every:
        assert await logs.damage(log, is_deep=True) is None
