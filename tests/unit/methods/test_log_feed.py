"""What readers of logs cost: little is read and looked up for each, however much there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plasmid.domain.assignments import LogEntry
from plasmid.logs import topics
from plasmid.logs.folder import FolderLogs
from plasmid.metadata import members
from plasmid.methods import log_feed
from plasmid.methods.log_feed import Question
from tests.unit.methods.test_log_messages import SAMPLE, line
from tests.worlds import World


@pytest.fixture
async def job(world: World) -> str:
    """A running job."""
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    return job


async def feed_of(world: World, job: str, **asked: Any) -> AsyncIterator[list[bytes]]:
    row = await world.job_row(job)
    return log_feed.messages(world.platform, row, Question(**asked))


def texts(messages: list[bytes]) -> list[str]:
    return [msgspec.json.decode(message)["msg"] for message in messages]


async def told(feed: AsyncIterator[list[bytes]]) -> list[str]:
    found = [msgspec.json.decode(message) async for messages in feed for message in messages]
    return [message["msg"] for message in found]


async def a_turn() -> None:
    """Let the others go on until they wait."""
    for _ in range(5):
        turned = asyncio.Event()
        asyncio.get_running_loop().call_soon(turned.set)
        await turned.wait()


async def test_the_last_messages_of_a_large_log_are_found_without_reading_all_of_it(
    world: World, job: str, tmp_path: Path
) -> None:
    logs = FolderLogs(tmp_path)
    world.platform.logs = logs
    lines = [LogEntry(1, "s", "STDOUT", f"{n} " + "x" * 100) for n in range(20_000)]
    await logs.append(job, 0, entries=lines, cursors={})
    size, read = 0, logs.read

    async def counted(*given: Any, **named: Any) -> Any:
        nonlocal size
        piece = await read(*given, **named)
        size += len(piece.data)
        return piece

    logs.read = counted  # type: ignore[method-assign]
    feed = await feed_of(world, job, tail=False, recent_max=3)
    assert [msg.split()[0] for msg in await told(feed)] == ["19997", "19998", "19999"]
    assert size < 1000


async def test_the_last_messages_of_a_tree_are_those_of_its_last_jobs(
    world: World, job: str
) -> None:
    sub = await world.a_subjob(job)
    await world.lease(sub)
    await world.log(job, "a", "b", "c")
    await world.log(sub, "d", "e")
    for count, expected in ((0, ""), (1, "e"), (3, "c d e"), (5, "a b c d e"), (9, "a b c d e")):
        feed = await feed_of(world, job, tail=False, recent_max=count, recurses=True)
        assert await told(feed) == expected.split()


async def test_lines_wake_a_reader_without_a_look_at_the_database(
    world: World, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    original = members.find_members

    async def counted(*given: Any, **named: Any) -> Any:
        nonlocal looks
        looks += 1
        return await original(*given, **named)

    monkeypatch.setattr(members, "find_members", counted)
    feed = await feed_of(world, job)
    await world.log(job, "0")
    for number in range(20):
        assert [msgspec.json.decode(one)["msg"] for one in await anext(feed)] == [str(number)]
        await world.log(job, str(number + 1), cursor=number)
    assert looks == 1
    await world.finish(job)
    assert await told(feed) == ["20"]
    assert looks == 2


async def test_a_tree_that_ended_between_two_looks_is_over_at_once(
    world: World, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end came too soon after a look; when the next look is due, nothing more will come."""
    monkeypatch.setattr(log_feed, "LOOK_SECONDS", 1000.0)
    feed: Any = await feed_of(world, job, recurses=True)
    await world.log(job, "a")
    assert texts(await anext(feed)) == ["a"]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        reading = group.create_task(anext(feed))
        await a_turn()
        await world.finish(job)
        await a_turn()
        await world.platform.logs.append(
            job, 0, entries=[LogEntry(1, "s", "STDOUT", "b")], cursors={"stdout": 2}
        )
        world.platform.changes.publish(topics.log(job))
    assert texts(reading.result()) == ["b"]
    feed.ag_frame.f_locals["feed"]._look_at = 0.0
    async with asyncio.timeout(60):
        assert await told(feed) == []


async def test_another_job_does_not_wake_a_reader(world: World, job: str) -> None:
    feed = await feed_of(world, job)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        reading = group.create_task(told(feed))
        await a_turn()
        other = await world.a_job(await world.an_applet(await world.a_project()))
        await world.lease(other)
        (subscription,) = world.platform.changes._subscriptions[f"log:{job}"]
        assert not subscription._event.is_set()
        await world.finish(other)
        assert not subscription._event.is_set()
        await world.finish(job)
    assert reading.result() == []


async def test_of_a_tree_only_the_jobs_that_said_something_are_read(
    world: World, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subs = [await world.a_subjob(job) for _ in range(6)]
    for sub in subs:
        await world.lease(sub)
        await world.log(sub, f"first of {sub}")
    for sub in subs[:3]:
        await world.finish(sub)
    monkeypatch.setattr(log_feed, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(log_feed, "LOOK_SECONDS_A_JOB", 0.0)
    feed = await feed_of(world, job, recurses=True)
    assert {msg.split()[-1] for _ in subs for msg in texts(await anext(feed))} == set(subs)
    asked: set[str] = set()
    read, end = world.logs.read, world.logs.end

    async def noted(name: str, *given: Any, **named: Any) -> Any:
        asked.add(name)
        return await read(name, *given, **named)

    async def noted_end(name: str, *given: Any) -> Any:
        asked.add(name)
        return await end(name, *given)

    monkeypatch.setattr(world.logs, "read", noted)
    monkeypatch.setattr(world.logs, "end", noted_end)
    for number, sub in enumerate((subs[3], subs[4], subs[3]), 1):
        asked.clear()
        await world.log(sub, str(number), cursor=number)
        assert texts(await anext(feed)) == [str(number)]
        # besides, to its end, the one that was read before
        assert sub in asked
        assert len(asked) <= 2
    late = await world.a_subjob(job)
    await world.lease(late)
    await world.log(late, "late")
    assert texts(await anext(feed)) == ["late"]
    await world.log(subs[5], "last", cursor=9)
    for sub in (late, *subs[3:], job):
        await world.finish(sub)
    assert await told(feed) == ["last"]
    assert not asked & set(subs[:3])


@pytest.mark.parametrize("asked, expected", [
    ({}, ["a"]),
    ({"levels": ["METRICS"]}, ["** CPU"]),
    ({"levels": ["METRICS"], "without_metrics": True}, []),
    ({"levels": ["STDOUT"]}, ["a"]),
])  # fmt: skip
async def test_measurements_are_told_to_who_asks_for_them(
    world: World, job: str, asked: dict[str, Any], expected: list[str]
) -> None:
    await add_sample(world, job)
    assert [msg[:6] for msg in await told(await feed_of(world, job, tail=False, **asked))] == (
        expected
    )


async def test_a_run_that_asked_for_measurements_shows_them(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    job = await world.a_job(applet, detailedJobMetrics=True)
    await world.lease(job)
    await add_sample(world, job)
    assert len(await told(await feed_of(world, job, tail=False))) == 2
    feed = await feed_of(world, job, tail=False, without_metrics=True)
    assert await told(feed) == ["a"]


async def add_sample(world: World, job: str) -> None:
    await world.logs.append(job, 0, entries=[line("a"), SAMPLE], cursors={})
