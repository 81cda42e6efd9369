"""I6: a log that is damaged, or of no try, is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.domain.assignments import LogEntry
from plasmid.integrity import lines
from plasmid.integrity.finding import Finding
from plasmid.logs.folder import FolderLogs
from plasmid.metadata.inspection import JobFacts
from tests.unit.integrity.conftest import Damaged

JOB = "job-000000000000000000000000"
ENTRY = LogEntry(1, "app", "STDOUT", "a line")


async def kept(folder: Path) -> FolderLogs:
    logs = FolderLogs(folder)
    for end in (1, 2, 3):
        await logs.append(JOB, 0, entries=[ENTRY], cursors={"stdout": end})
    return logs


async def found(logs: FolderLogs, attempt: int = 0, *, is_deep: bool = False) -> list[Finding]:
    known = {JOB: JobFacts(JOB, "done", attempt, None, JOB, "container-x")}
    every = [log async for log in logs.every()]
    return [one async for one in lines.check(logs, every, known, is_deep=is_deep)]


async def test_a_whole_log_is_sound_also_with_a_torn_end(tmp_path: Path) -> None:
    logs = await kept(tmp_path)
    assert await found(logs) == []
    with next(tmp_path.rglob("*.log")).open("ab") as file:
        file.write(b'{"timestamp":1,"sou')  # never acknowledged: the next batch overwrites it
    assert await found(logs) == []


@pytest.mark.parametrize(
    "old, new, detail",
    [
        (b"a line", b'a l"ne', "is no entry"),
        (b'#{"stdout":2}', b'#{"stdout":9}', "goes back"),
        (b'#{"stdout":2}', b'#{"stdout":"}', "cannot be read"),
    ],
)
async def test_a_damaged_log_is_found(tmp_path: Path, old: bytes, new: bytes, detail: str) -> None:
    logs = await kept(tmp_path)
    path = next(tmp_path.rglob("*.log"))
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    [finding] = await found(logs)
    assert (finding.invariant, finding.subject) == ("I6", JOB)
    assert detail in finding.detail


async def test_the_log_of_a_try_that_never_was_is_found(tmp_path: Path) -> None:
    logs = await kept(tmp_path)
    await logs.append(JOB, 2, entries=[ENTRY], cursors={})
    assert [finding.detail for finding in await found(logs, 1)] == [
        "has a log of try 2, but is in try 1"
    ]


async def test_the_log_of_no_job_is_found_and_removed(damaged: Damaged) -> None:
    await damaged.world.logs.append(JOB, 0, entries=[ENTRY], cursors={})
    assert await damaged.found() == [("I6", JOB)]
    assert await damaged.repair() == 0
    assert [log async for log in damaged.world.logs.every()] == []


async def test_a_writer_that_lost_what_it_had_sent_in_a_power_cut_may_go_back(
    tmp_path: Path,
) -> None:
    logs = await kept(tmp_path)
    another = LogEntry(2, "app", "STDOUT", "another line")
    await logs.append(JOB, 0, entries=[another], cursors={"stdout": 1})
    assert await found(logs) == []
    await logs.append(JOB, 0, entries=[another], cursors={"stdout": 0})
    [finding] = await found(logs)
    assert "goes back" in finding.detail
