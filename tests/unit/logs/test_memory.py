"""Logs in memory can be told to be full; topics have names."""

from __future__ import annotations

import pytest

from plasmid.domain.assignments import LogEntry
from plasmid.logs import topics
from plasmid.logs.memory import MemoryLogs
from plasmid.logs.store import NoLogSpaceError


async def test_a_full_store_refuses_until_it_is_not() -> None:
    logs = MemoryLogs()
    given = [LogEntry(timestamp=1, source="s", level="INFO", msg="m")]
    logs.is_full = True
    with pytest.raises(NoLogSpaceError):
        await logs.append("job-x", 0, entries=given, cursors={"a": 1})
    assert await logs.cursors("job-x", 0) == {}
    logs.is_full = False
    await logs.append("job-x", 0, entries=given, cursors={"a": 1})
    assert await logs.cursors("job-x", 0) == {"a": 1}


def test_each_job_has_a_topic_of_its_own() -> None:
    assert len({topics.log("a"), topics.log("b"), "a", "b"}) == 4
