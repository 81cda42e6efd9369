"""`/job-xxxx/getLog`: pages of messages, each once and in order, of all tries."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.methods import job_log
from tests.worlds import BOB, EVE, World


@pytest.fixture
async def job(world: World) -> str:
    """A running job."""
    project = await world.a_project()
    await world.a_member(project, "VIEW")
    job = await world.a_job(await world.an_applet(project))
    await world.lease(job)
    return job


async def pages(world: World, job: str, **asked: Any) -> list[list[Any]]:
    """Return the messages of all pages; ends with the page that says so, or is empty."""
    found: list[list[Any]] = []
    starting = None
    while True:
        body = {**asked, "starting": starting} if starting else asked
        page = await world.call(f"/{job}/getLog", body)
        found.append(page["results"])
        starting = page["next"]
        if starting is None or not page["results"]:
            return found


def texts(found: list[list[Any]]) -> list[list[str]]:
    return [[message["msg"] for message in page] for page in found]


async def test_a_message_is_as_the_job_wrote_it(world: World, job: str) -> None:
    await world.log(job, "\x1b[2J\x00")
    (message,) = (await world.call(f"/{job}/getLog"))["results"]
    assert message == {
        "timestamp": world.clock.now_ms, "source": "DX_APP_STREAM", "level": "STDOUT",
        "msg": "\x1b[2J\x00", "job": job, "jobTry": 0, "line": 0,
    }  # fmt: skip


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 1000])
async def test_pages_tell_each_line_once_over_all_tries(world: World, job: str, limit: int) -> None:
    await world.log(job, "a", "b", cursor=1)
    await world.log(job, "c", cursor=2)
    await world.fail(job, "ExecutionError")
    await world.lease(job)
    await world.log(job, "d", "e")
    await world.finish(job)
    found = texts(await pages(world, job, limit=limit))
    assert [msg for page in found for msg in page] == ["a", "b", "c", "d", "e"]
    assert all(len(page) <= limit for page in found)
    assert texts(await pages(world, job, **{"try": 0})) == [["a", "b", "c"]]
    (page,) = await pages(world, job, **{"try": 1})
    assert [(each["jobTry"], each["line"]) for each in page] == [(1, 0), (1, 1)]


async def test_of_a_running_job_the_next_page_has_what_is_new(world: World, job: str) -> None:
    first = await world.call(f"/{job}/getLog")
    assert (first["results"], first["next"]) == ([], "0.0")
    await world.log(job, "a")
    second = await world.call(f"/{job}/getLog", {"starting": first["next"]})
    assert texts([second["results"]]) == [["a"]]
    await world.finish(job)
    last = await world.call(f"/{job}/getLog", {"starting": second["next"]})
    assert last == {"results": [], "next": None}


async def test_levels_and_last_messages_can_be_asked_for(world: World, job: str) -> None:
    for number in range(6):
        await world.log(job, str(number), level="STDERR" if number % 2 else "STDOUT", cursor=number)
    await world.finish(job)
    assert texts(await pages(world, job, numRecentMessages=2)) == [["4", "5"]]
    assert texts(await pages(world, job, numRecentMessages=0)) == [[]]
    asked = {"levels": ["STDERR"], "numRecentMessages": 2}
    assert texts(await pages(world, job, **asked)) == [["3", "5"]]
    assert texts(await pages(world, job, levels=["STDERR"], limit=2)) == [["1", "3"], ["5"]]


async def test_a_page_ends_also_if_hardly_a_line_is_wanted(
    world: World, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_log, "PAGE_BYTES_MAX", 100)
    monkeypatch.setattr(job_log, "_PIECE_BYTES", 100)
    await world.log(job, *(str(number) for number in range(10)))
    await world.log(job, "found", level="ERROR", cursor=1)
    await world.finish(job)
    starting, found, calls = "0.0", [], 0
    while starting is not None:
        page = await world.call(f"/{job}/getLog", {"levels": ["ERROR"], "starting": starting})
        starting, calls = page["next"], calls + 1
        found += page["results"]
    assert [message["msg"] for message in found] == ["found"]
    assert calls > 5


@pytest.mark.parametrize(
    "body, kind",
    [
        ({"limit": 0}, "InvalidInput"),
        ({"limit": 1001}, "InvalidInput"),
        ({"limit": "x"}, "InvalidInput"),
        ({"starting": "1.0"}, "InvalidInput"),
        ({"starting": "0.-1"}, "InvalidInput"),
        ({"starting": "٣.0"}, "InvalidInput"),
        ({"starting": "0." + "9" * 30}, "InvalidInput"),
        ({"starting": 5}, "InvalidInput"),
        ({"levels": "STDOUT"}, "InvalidInput"),
        ({"try": 1}, "ResourceNotFound"),
        ({"try": -1}, "ResourceNotFound"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    world: World, job: str, body: dict[str, Any], kind: str
) -> None:
    assert (await world.refused(f"/{job}/getLog", body)).type == kind


# ------------------------------------------------------------------------------- as one stream


async def stream(world: World, path: str, token: str | None = "token-of-alice") -> Any:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return await world.http.get(path, headers=headers)


async def test_a_stream_has_all_lines_of_all_tries_as_they_are_kept(world: World, job: str) -> None:
    await world.log(job, "a", "\x00", cursor=1)
    await world.fail(job, "ExecutionError")
    await world.lease(job)
    await world.log(job, "b")
    response = await stream(world, f"/{job}/getLog")
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["x-plasmid-next"] == "1.1"
    lines = [msgspec.json.decode(line) for line in response.content.splitlines()]
    assert [line.get("msg") for line in lines] == [None, "a", "\x00", None, "b"]
    assert lines[0] == {"job": job, "try": 0, "line": 0}
    assert lines[3] == {"job": job, "try": 1, "line": 0}
    assert set(lines[1]) == {"timestamp", "source", "level", "msg"}


@pytest.mark.parametrize(
    "query, heads, told",
    [
        ("try=0", [(0, 0)], ["a", "b", "c"]),
        ("try=1", [(1, 0)], ["d"]),
        ("starting=0.2", [(0, 2), (1, 0)], ["c", "d"]),
        ("starting=0.3", [(0, 3), (1, 0)], ["d"]),
        ("starting=1.1", [(1, 1)], []),
        ("try=0&starting=0.1", [(0, 1)], ["b", "c"]),
        ("numRecentMessages=2&try=0", [(0, 1)], ["b", "c"]),
        ("numRecentMessages=2", [(1, 0)], ["d"]),
    ],
)
async def test_a_stream_begins_where_it_is_told(
    world: World, job: str, query: str, heads: list[tuple[int, int]], told: list[str]
) -> None:
    await world.log(job, "a", "b", "c")
    await world.fail(job, "ExecutionError")
    await world.lease(job)
    await world.log(job, "d")
    response = await stream(world, f"/{job}/getLog?{query}")
    lines = [msgspec.json.decode(line) for line in response.content.splitlines()]
    assert [(line["try"], line["line"]) for line in lines if "try" in line] == heads
    assert [line["msg"] for line in lines if "msg" in line] == told


@pytest.mark.parametrize(
    "query, kind",
    [
        ("try=x", "InvalidInput"), ("try=-1", "InvalidInput"), ("try=1", "ResourceNotFound"),
        ("starting=2", "InvalidInput"), ("starting=9.9", "InvalidInput"),
        ("numRecentMessages=1e9", "InvalidInput"), ("try=" + "9" * 5000, "InvalidInput"),
    ],
)  # fmt: skip
async def test_a_stream_that_makes_no_sense_is_refused(
    world: World, job: str, query: str, kind: str
) -> None:
    response = await stream(world, f"/{job}/getLog?{query}")
    assert response.json()["error"]["type"] == kind
    assert response.status_code >= 400


@pytest.mark.parametrize(
    "token, kind",
    [(BOB, None), (EVE, "PermissionDenied"), (None, "PermissionDenied"),
     ("x", "InvalidAuthentication")],
)  # fmt: skip
async def test_who_may_not_see_the_job_gets_no_stream(
    world: World, job: str, token: str | None, kind: str | None
) -> None:
    response = await stream(world, f"/{job}/getLog", token)
    said = None if response.status_code == 200 else response.json()["error"]["type"]
    assert said == kind


async def test_no_stream_of_what_is_no_job(world: World) -> None:
    for name in ("job-" + "0" * 24, "project-x", "%00"):
        assert (await stream(world, f"/{name}/getLog")).status_code == 404


async def test_a_page_of_a_log_that_is_removed_meanwhile_ends(
    world: World, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.log(job, "a")
    await world.finish(job)
    original, reads = world.logs.end, 0

    async def removed_after(*given: Any) -> Any:
        found = await original(*given)
        await world.logs.remove(job)
        return found

    async def counted(*given: Any, **named: Any) -> Any:
        nonlocal reads
        reads += 1
        assert reads < 10, "it is read for ever"
        return await read(*given, **named)

    read = world.logs.read
    monkeypatch.setattr(world.logs, "end", removed_after)
    monkeypatch.setattr(world.logs, "read", counted)
    assert await world.call(f"/{job}/getLog") == {"results": [], "next": None}
