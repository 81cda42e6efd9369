"""`plasmid logs` prints each line once, whatever happens to the server meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from plasmid.bootstrap import Keys
from plasmid.cli import log_choice, logs
from plasmid.cli.logs import Door
from plasmid.cli.serve import SERVER_FILE, ServerFile
from plasmid.cli.trouble import CommandError
from tests.worlds import ALICE, EVE, World

DOOR = Door("http://platform.test", ALICE)


class Flaky(httpx2.AsyncBaseTransport):
    """Leads to the world; `cuts` are after how many bytes streams break off, `is_down` all."""

    def __init__(self, world: World) -> None:
        self._inner = httpx2.ASGITransport(app=world.app)
        self.cuts: list[int] = []
        self.is_down = False
        self.calls: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.calls.append(f"{request.method} {request.url.raw_path.decode()}")
        if self.is_down:
            raise httpx2.ConnectError("refused")
        response = await self._inner.handle_async_request(request)
        if request.method == "GET" and self.cuts:
            content = await response.aread()
            return httpx2.Response(200, stream=_Cut(content[: self.cuts.pop(0)]))
        return response


class _Cut(httpx2.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._content), 7):
            yield self._content[start : start + 7]
        raise httpx2.ReadError("cut off")


@pytest.fixture
async def job(world: World) -> str:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    return job


async def shown(
    world: World, job: str, *, door: Door = DOOR, transport: Any = None, **options: Any
) -> int:
    filters = {name: options.pop(name, None) for name in ("since", "grep", "levels", "tail")}
    request = logs.Request(job=job, wanted=log_choice.wanted(**filters), **options)
    transport = transport or httpx2.ASGITransport(app=world.app)
    return await logs.show(request, lambda: door, transport=transport, pause_seconds=0.001)


async def test_the_whole_log_is_printed(
    world: World, job: str, capfd: pytest.CaptureFixture[str]
) -> None:
    await world.log(job, "a", "b")
    assert await shown(world, job) == 0
    assert capfd.readouterr().out == "STDOUT a\nSTDOUT b\n"


async def test_tries_are_told_apart(
    world: World, job: str, capfd: pytest.CaptureFixture[str]
) -> None:
    await world.log(job, "a")
    await world.fail(job, "ExecutionError")
    await world.lease(job)
    await world.log(job, "b", "c")
    await shown(world, job)
    assert capfd.readouterr().out.splitlines() == [
        f"==> an applet ({job}) try 0 <==", "STDOUT a",
        f"==> an applet ({job}) try 1 <==", "STDOUT b", "STDOUT c",
    ]  # fmt: skip
    await shown(world, job, attempt=0)
    await shown(world, job, tail=1, attempt=1)
    assert capfd.readouterr().out == "STDOUT a\nSTDOUT c\n"
    await shown(world, job, as_json=True)
    lines = [msgspec.json.decode(line) for line in capfd.readouterr().out.splitlines()]
    assert [(line["jobTry"], line["line"]) for line in lines] == [(0, 0), (1, 0), (1, 1)]


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"tail": 2}, ["3", "4"]),
        ({"tail": 0}, []),
        ({"tail": 9}, ["0", "1", "2", "3", "4"]),
        ({"tail": 2, "levels": ["STDERR"]}, ["1", "3"]),
        ({"tail": 1, "grep": "[012]"}, ["2"]),
        ({"grep": "[13]"}, ["1", "3"]),
    ],
)
async def test_lines_can_be_chosen(
    world: World,
    job: str,
    capfd: pytest.CaptureFixture[str],
    *,
    options: dict[str, Any],
    expected: list[str],
) -> None:
    for number in range(5):
        await world.log(job, str(number), level="STDERR" if number % 2 else "STDOUT", cursor=number)
    await shown(world, job, **options)
    assert [line.split()[1] for line in capfd.readouterr().out.splitlines()] == expected


@pytest.mark.parametrize(
    "tail, expected",
    [
        (0, []),
        (1, ["sub", "d"]),
        (2, ["sub", "c", "d"]),
        (3, ["job", "b", "sub", "c", "d"]),
        (9, ["job", "a", "b", "sub", "c", "d"]),
    ],
)
async def test_titles_do_not_count_as_last_lines(
    world: World, job: str, capfd: pytest.CaptureFixture[str], *, tail: int, expected: list[str]
) -> None:
    sub = await world.a_subjob(job)
    await world.lease(sub)
    await world.log(job, "a", "b")
    await world.log(sub, "c", "d")
    await shown(world, job, tree=True, tail=tail)
    told = [line.removeprefix("STDOUT ") for line in capfd.readouterr().out.splitlines()]
    names = {job: "job", sub: "sub"}
    assert [
        names[line.split("(")[1].split(")")[0]] if line.startswith("==>") else line for line in told
    ] == expected


async def test_a_tree_has_the_logs_of_all_below_and_of_no_others(
    world: World, job: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sub = await world.a_subjob(job)
    await world.lease(sub)
    below = await world.a_subjob(sub)
    await world.lease(below)
    for member in (job, sub, below):
        await world.log(member, f"from {member}")
    await shown(world, sub, tree=True)
    told = [line for line in capfd.readouterr().out.splitlines() if line.startswith("STDOUT")]
    assert told == [f"STDOUT from {sub}", f"STDOUT from {below}"]


@pytest.mark.parametrize("how, code", [("finish", 0), ("fail", 3)])
async def test_to_follow_goes_on_to_the_end_over_cuts_and_restarts(
    world: World, job: str, capfd: pytest.CaptureFixture[str], how: str, code: int
) -> None:
    transport = Flaky(world)
    transport.cuts = [0, 30, 80, 150, 400]
    await world.log(job, *(str(number) for number in range(10)))
    asked = 0
    inner = transport.handle_async_request

    async def watched(request: httpx2.Request) -> httpx2.Response:
        nonlocal asked
        asked += 1
        if asked == 15:
            transport.is_down = True
        if asked == 20:
            transport.is_down = False
            await world.log(job, "10", "11", cursor=1)
        if asked == 25:
            await getattr(world, how)(job)
        return await inner(request)

    transport.handle_async_request = watched  # type: ignore[method-assign]
    assert await shown(world, job, transport=transport, follows=True) == code
    assert capfd.readouterr().out.splitlines() == [f"STDOUT {number}" for number in range(12)]


async def test_a_cut_is_mended_also_without_following(
    world: World, job: str, capfd: pytest.CaptureFixture[str]
) -> None:
    transport = Flaky(world)
    transport.cuts = [150]
    await world.log(job, *(str(number) for number in range(5)))
    assert await shown(world, job, transport=transport) == 0
    assert capfd.readouterr().out.splitlines() == [f"STDOUT {number}" for number in range(5)]


async def test_a_server_that_is_away_too_long_is_given_up(
    world: World, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "AWAY_SECONDS_MAX", 0.005)
    transport = Flaky(world)
    transport.cuts = [150] + [0] * 100
    await world.log(job, *(str(number) for number in range(5)))
    with pytest.raises(CommandError, match="does not answer any more") as raised:
        await shown(world, job, transport=transport, follows=True)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    "job_id, token, said",
    [
        ("job-" + "0" * 24, ALICE, "ResourceNotFound: The entity"),
        ("job-x", ALICE, "is no id of a job"),
        (None, EVE, "PermissionDenied: "),
        (None, "x", "InvalidAuthentication: "),
    ],
)
async def test_why_nothing_is_printed_is_said_in_one_line(
    world: World, job: str, job_id: str | None, token: str, said: str
) -> None:
    with pytest.raises(CommandError, match=said) as raised:
        await shown(world, job_id or job, door=Door(DOOR.url, token))
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


async def test_a_try_that_there_is_not_is_said(world: World, job: str) -> None:
    with pytest.raises(CommandError, match="has no try 5"):
        await shown(world, job, attempt=5)


@pytest.mark.parametrize("follows", [False, True])
async def test_no_server_is_said_at_once(world: World, job: str, follows: bool) -> None:
    transport = Flaky(world)
    transport.is_down = True
    with pytest.raises(CommandError, match="is it running"):
        await shown(world, job, transport=transport, follows=follows)


# --------------------------------------------------------------------------- which server it is


def test_the_server_is_that_of_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DX_SECURITY_CONTEXT", raising=False)
    with pytest.raises(CommandError, match="no server runs") as raised:
        logs.find_door(None, tmp_path)
    assert raised.value.exit_code == 2
    fields = dict.fromkeys(Keys.__struct_fields__, "x") | {"user_token": "t"}
    (tmp_path / "keys.json").write_bytes(msgspec.json.encode(fields))
    (tmp_path / SERVER_FILE).write_bytes(msgspec.json.encode(ServerFile("http://h:1", 1)))
    assert logs.find_door(None, tmp_path) == Door("http://h:1", "t")
    monkeypatch.setenv("DX_SECURITY_CONTEXT", '{"auth_token": "other"}')
    monkeypatch.setenv("DX_APISERVER_HOST", "far")
    monkeypatch.setenv("DX_APISERVER_PORT", "2")
    monkeypatch.setenv("DX_APISERVER_PROTOCOL", "http")
    assert logs.find_door(None, tmp_path) == Door("http://far:2", "other")
    assert logs.find_door(tmp_path, Path("/nowhere")) == Door("http://h:1", "t")
    monkeypatch.setenv("DX_SECURITY_CONTEXT", "{}")
    with pytest.raises(CommandError, match="DX_SECURITY_CONTEXT"):
        logs.find_door(None, tmp_path)
