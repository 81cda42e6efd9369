"""The websocket of a job's log (contract G.1)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import msgspec
import pytest

from plasmid.api import websocket
from plasmid.auth.rates import Rates
from plasmid.domain.rates import BURST_SECONDS
from plasmid.methods import log_feed
from tests.worlds import ALICE, EVE, START_MS, World

END = {"source": "SYSTEM", "msg": "END_LOG"}
Frame = MutableMapping[str, Any]


class Socket:
    """A reader of a log, as the server sees it."""

    def __init__(self, frames_max: int = 0) -> None:
        self.to_server: asyncio.Queue[Frame] = asyncio.Queue()
        self.from_server: asyncio.Queue[Frame] = asyncio.Queue(frames_max)

    def ask(self, **question: Any) -> None:
        """Send the first frame."""
        text = msgspec.json.encode({"access_token": ALICE, "token_type": "Bearer", **question})
        self.to_server.put_nowait({"type": "websocket.receive", "text": text.decode()})

    async def message(self) -> Any:
        """Return the next message of the log."""
        async with asyncio.timeout(60):
            frame = await self.from_server.get()
        assert frame["type"] == "websocket.send", frame
        return msgspec.json.decode(frame["text"])

    async def rest(self) -> tuple[list[Any], int, str]:
        """Return all messages up to the close, its code and its reason."""
        messages: list[Any] = []
        while True:
            async with asyncio.timeout(60):
                frame = await self.from_server.get()
            if frame["type"] == "websocket.close":
                return messages, frame["code"], frame.get("reason") or ""
            messages.append(msgspec.json.decode(frame["text"]))


@contextlib.asynccontextmanager
async def a_socket(world: World, job: str, *, frames_max: int = 0) -> AsyncIterator[Socket]:
    """Give a connected reader; it goes away at the end of the block, and the feed with it.

    No more than `frames_max` frames wait for it, if that is not 0.
    """
    socket = Socket(frames_max)
    path = f"/{job}/getLog/websocket"
    scope = {
        "type": "websocket", "path": path, "raw_path": path.encode(), "scheme": "ws",
        "headers": [(b"origin", b"http://platform.test")], "query_string": b"", "root_path": "",
        "subprotocols": [], "client": ("192.0.2.7", 1),
    }  # fmt: skip
    socket.to_server.put_nowait({"type": "websocket.connect"})
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(_serve(world, scope, socket))
        accepted = await socket.from_server.get()
        assert accepted["type"] == "websocket.accept"
        yield socket
        socket.to_server.put_nowait({"type": "websocket.disconnect", "code": 1000})


async def _serve(world: World, scope: Frame, socket: Socket) -> None:
    await world.app(scope, socket.to_server.get, socket.from_server.put)


async def said(world: World, job: str, **question: Any) -> list[str]:
    """Return the texts that a reader is sent, whose end is as it should be."""
    async with a_socket(world, job) as socket:
        socket.ask(**question)
        messages, code, _ = await socket.rest()
    assert (messages[-1], code) == (END, 1000)
    return [message["msg"] for message in messages[:-1]]


@pytest.fixture
async def applet(world: World) -> str:
    return await world.an_applet(await world.a_project())


@pytest.fixture
async def job(world: World, applet: str) -> str:
    """A running job."""
    job = await world.a_job(applet)
    await world.lease(job)
    return job


# ------------------------------------------------------------------------------- the messages


async def test_a_finished_log_is_sent_whole_and_ended(world: World, job: str) -> None:
    await world.log(job, "hello", cursor=1)
    world.clock.advance(5)
    await world.log(job, "wörld \x1b[0m", level="STDERR", cursor=2)
    await world.finish(job)
    async with a_socket(world, job) as socket:
        socket.ask()
        messages, code, reason = await socket.rest()
    assert messages == [
        {
            "timestamp": START_MS, "source": "DX_APP_STREAM", "level": "STDOUT", "job": job,
            "line": 0, "msg": "hello",
        },
        {
            "timestamp": START_MS + 5, "source": "DX_APP_STREAM", "level": "STDERR", "job": job,
            "line": 1, "msg": "wörld \x1b[0m",
        },
        END,
    ]  # fmt: skip
    assert (code, reason) == (1000, "")


async def test_nothing_is_sent_before_the_first_frame(world: World, job: str) -> None:
    await world.log(job, "hello")
    async with a_socket(world, job) as socket:
        await world.call("/system/greet")
        assert socket.from_server.empty()


@pytest.mark.parametrize(
    "question, expected",
    [
        ({}, "0 1 2 3 4"),
        ({"numRecentMessages": 262_144}, "0 1 2 3 4"),
        ({"numRecentMessages": 10**12}, "0 1 2 3 4"),
        ({"numRecentMessages": 5}, "0 1 2 3 4"),
        ({"numRecentMessages": 2}, "3 4"),
        ({"numRecentMessages": 0}, ""),
        ({"numRecentMessages": -1}, ""),
        ({"levels": ["STDOUT"]}, "0 2 4"),
        ({"levels": ["STDERR", "INFO"]}, "1 3"),
        ({"levels": []}, ""),
        ({"levels": ["STDOUT"], "numRecentMessages": 2}, "2 4"),
        ({"tail": False}, "0 1 2 3 4"),
        ({"recurseJobs": True}, "0 1 2 3 4"),
        ({"excludeMetrics": True, "metricsFormat": "csv", "unknown": {}}, "0 1 2 3 4"),
        ({"levels": None, "try": None}, "0 1 2 3 4"),
    ],
)
async def test_a_reader_gets_what_it_asks_for(
    world: World, job: str, question: dict[str, Any], expected: str
) -> None:
    for line in range(5):
        await world.log(job, str(line), level="STDERR" if line % 2 else "STDOUT", cursor=line)
    await world.finish(job)
    assert await said(world, job, **question) == expected.split()


async def test_lines_keep_their_numbers_whatever_is_left_out(world: World, job: str) -> None:
    for line in range(4):
        await world.log(job, str(line), level="STDERR" if line % 2 else "STDOUT", cursor=line)
    await world.finish(job)
    async with a_socket(world, job) as socket:
        socket.ask(levels=["STDERR"], numRecentMessages=1)
        message = await socket.message()
    assert (message["line"], message["msg"]) == (3, "3")


async def test_without_tail_the_past_is_all(world: World, job: str) -> None:
    await world.log(job, "so far")
    assert await said(world, job, tail=False) == ["so far"]
    assert await world.state(job) == "running"


async def test_with_tail_lines_come_as_they_are_kept_until_the_job_is_over(
    world: World, job: str
) -> None:
    await world.log(job, "past", cursor=1)
    async with a_socket(world, job) as socket:
        socket.ask()
        assert (await socket.message())["msg"] == "past"
        for line in ("one", "two"):
            await world.log(job, line, cursor=2)
            assert (await socket.message())["msg"] == line
        await world.log(job, "three", "four", cursor=3)
        await world.finish(job)
        messages, code, _ = await socket.rest()
    assert [message["msg"] for message in messages] == ["three", "four", "END_LOG"]
    assert code == 1000


async def test_a_job_that_has_not_started_is_waited_for(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    async with a_socket(world, job) as socket:
        socket.ask()
        await world.lease(job)
        await world.log(job, "at last")
        assert (await socket.message())["msg"] == "at last"
        await world.finish(job)
        assert (await socket.rest())[:2] == ([END], 1000)


async def test_a_job_that_ends_without_a_word_ends_the_log(world: World, applet: str) -> None:
    job = await world.a_job(applet)
    async with a_socket(world, job) as socket:
        socket.ask()
        await world.call(f"/{job}/terminate")
        assert (await socket.rest())[:2] == ([END], 1000)


async def test_two_readers_get_the_same(world: World, job: str) -> None:
    async with a_socket(world, job) as first, a_socket(world, job) as second:
        first.ask()
        second.ask()
        await world.log(job, "for both")
        assert await first.message() == await second.message()


# ----------------------------------------------------------------------------- trees and tries


async def test_the_log_of_a_tree_holds_all_jobs_below_and_no_others(
    world: World, applet: str
) -> None:
    root = await world.a_job(applet)
    await world.lease(root)
    sub = await world.a_subjob(root)
    await world.lease(sub)
    child = await world.new(f"/{applet}/run", {"input": {}}, as_=world.token_of(sub))
    await world.lease(child)
    other = await world.a_job(applet)
    await world.lease(other)
    for name, member in (("root", root), ("sub", sub), ("child", child), ("other", other)):
        await world.log(member, f"from {name}")
    for member in (child, sub, root, other):
        await world.finish(member)
    assert await said(world, root) == ["from root"]
    assert await said(world, root, recurseJobs=True) == ["from root", "from sub", "from child"]
    assert await said(world, sub, recurseJobs=True) == ["from sub", "from child"]
    async with a_socket(world, root) as socket:
        socket.ask(recurseJobs=True)
        messages, _, _ = await socket.rest()
    assert [message["job"] for message in messages[:-1]] == [root, sub, child]


async def test_a_job_that_starts_while_its_tree_is_watched_is_heard(world: World, job: str) -> None:
    async with a_socket(world, job) as socket:
        socket.ask(recurseJobs=True)
        sub = await world.a_subjob(job)
        await world.lease(sub)
        await world.log(sub, "new here")
        message = await socket.message()
        assert (message["job"], message["msg"]) == (sub, "new here")
        await world.finish(sub)
        await world.finish(job)
        assert (await socket.rest())[:2] == ([END], 1000)


async def test_a_reader_follows_a_job_from_try_to_try(world: World, job: str) -> None:
    await world.log(job, "first try")
    async with a_socket(world, job) as socket:
        socket.ask()
        assert (await socket.message())["msg"] == "first try"
        await world.fail(job, "ExecutionError")
        await world.lease(job)
        await world.log(job, "second try")
        message = await socket.message()
        assert (message["msg"], message["line"], message["jobTry"]) == ("second try", 0, 1)
        await world.finish(job)
        await socket.rest()
    assert await said(world, job) == ["second try"]
    assert await said(world, job, **{"try": 0}) == ["first try"]


@pytest.mark.parametrize("attempt, expected", [(0, ["first"]), (1, ["second"])])
async def test_one_try_can_be_asked_for(
    world: World, job: str, attempt: int, expected: list[str]
) -> None:
    await world.log(job, "first")
    await world.fail(job, "ExecutionError")
    await world.lease(job)
    await world.log(job, "second")
    await world.finish(job)
    async with a_socket(world, job) as socket:
        socket.ask(**{"try": attempt})
        messages, code, _ = await socket.rest()
    assert [(message["msg"], message["jobTry"]) for message in messages[:-1]] == [
        (line, attempt) for line in expected
    ]
    assert (messages[-1], code) == (END, 1000)


@pytest.mark.parametrize("attempt", [1, -1, 10**30])
async def test_a_try_that_there_is_not_is_told_by_the_close(
    world: World, job: str, attempt: int
) -> None:
    question = msgspec.json.encode({"access_token": ALICE, "try": attempt}).decode()
    assert await refusal(world, job, question) == "ResourceNotFound"


# ------------------------------------------------------------------------------ ends and errors


async def refusal(world: World, job: str, text: str | bytes) -> str:
    """Return the type of the error with which a reader is sent away."""
    async with a_socket(world, job) as socket:
        kind = "bytes" if isinstance(text, bytes) else "text"
        socket.to_server.put_nowait({"type": "websocket.receive", kind: text})
        messages, code, reason = await socket.rest()
    assert messages == []
    assert code != 1000
    assert len(reason.encode()) <= 123
    error = msgspec.json.decode(reason)
    assert set(error) == {"type", "message"}
    return str(error["type"])


@pytest.mark.parametrize(
    "token, kind",
    [
        (EVE, "PermissionDenied"),
        (None, "PermissionDenied"),
        ("nonsense", "InvalidAuthentication"),
    ],
)
async def test_who_may_not_read_is_told_by_the_close(
    world: World, job: str, token: str | None, kind: str
) -> None:
    question = msgspec.json.encode({"access_token": token}).decode()
    assert await refusal(world, job, question) == kind


@pytest.mark.parametrize("name", ["job-" + "0" * 24, "project-x", "ü" * 200])
async def test_a_job_that_is_not_there_is_told_by_the_close(world: World, name: str) -> None:
    question = msgspec.json.encode({"access_token": ALICE}).decode()
    assert await refusal(world, name, question) == "ResourceNotFound"


@pytest.mark.parametrize(
    "text",
    [
        "", "nonsense", "[]", "1", "null", '{"numRecentMessages": "many"}', '{"levels": "STDOUT"}',
        '{"try": "0"}', '{"access_token": 5}', '{"a":' * 100_000, b"\x00\xff",
    ],
)  # fmt: skip
async def test_a_first_frame_that_makes_no_sense_is_refused(
    world: World, job: str, text: str | bytes
) -> None:
    assert await refusal(world, job, text) in ("InvalidInput", "MalformedJSON")


async def test_a_reader_is_asked_to_come_back_when_the_server_stops(world: World, job: str) -> None:
    await world.log(job, "so far")
    async with a_socket(world, job) as socket:
        socket.ask()
        await socket.message()
        world.platform.stop()
        assert await socket.rest() == ([], 1001, "Server restart, please reconnect later")
    assert websocket.RESTART == "Server restart, please reconnect later"


async def test_a_reader_of_a_long_past_is_asked_to_come_back_too(world: World, job: str) -> None:
    await world.log(job, *("x" * 1000 for _ in range(100)))
    async with a_socket(world, job, frames_max=2) as socket:
        socket.ask()
        await socket.message()
        world.platform.stop()
        messages, code, _ = await socket.rest()
    assert (code, len(messages) < 99) == (1001, True)


@pytest.mark.parametrize("when", ["before a word", "in the middle"])
async def test_a_reader_that_goes_away_leaves_nothing_behind(
    world: World, job: str, when: str
) -> None:
    await world.log(job, "so far")
    async with a_socket(world, job) as socket:
        if when == "in the middle":
            socket.ask()
            await socket.message()
    assert world.platform.changes._subscriptions == {}


async def test_a_long_log_is_not_held_in_memory_to_be_sent(world: World, job: str) -> None:
    """Each few messages are read when the reader asks for them."""
    await world.log(job, *("x" * 1000 for _ in range(1000)))
    asked: list[int] = []
    original = world.logs.read

    async def counted(*given: Any, **named: Any) -> Any:
        asked.append(named["bytes_max"])
        return await original(*given, **named)

    world.logs.read = counted  # type: ignore[method-assign]
    row = await world.job_row(job)
    feed = log_feed.messages(world.platform, row, log_feed.Question())
    first = await anext(feed)
    assert asked == [log_feed.PIECE_BYTES]
    assert sum(map(len, first)) < 2 * log_feed.PIECE_BYTES <= 64 << 10
    await feed.aclose()


async def test_who_calls_too_often_is_refused_as_a_reader_too(world: World, job: str) -> None:
    world.platform.rates = Rates(users=1, pause_seconds=0)
    told = []
    for _ in range(BURST_SECONDS + 1):
        async with a_socket(world, job) as socket:
            socket.ask(tail=False)
            told.append(await socket.rest())
    assert [code for _, code, _ in told[:-1]] == [1000] * BURST_SECONDS
    assert told[-1][1] == 4000
    assert "RateLimitConditional" in told[-1][2]
