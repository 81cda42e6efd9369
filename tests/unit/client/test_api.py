"""The client repeats what may be repeated, and says what the platform said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from plasmid.client import api
from plasmid.domain import errors

QUICK = api.Retry(tries_max=4, first_pause_ms=1, pause_ms_max=2)
Answer = httpx2.Response | Exception


class Script(httpx2.AsyncBaseTransport):
    """Answers each request with the next of a list, the last one for ever."""

    def __init__(self, *answers: Answer | Callable[[httpx2.Request], httpx2.Response]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


def client(transport: Script, url: str = "http://server:1") -> api.ApiClient:
    return api.ApiClient(url, "worker-token", transport=transport, retry=QUICK)


def ok(content: Any) -> httpx2.Response:
    return httpx2.Response(200, json=content)


def failed(status: int, kind: str = "InternalError", **headers: str) -> httpx2.Response:
    body = {"error": {"type": kind, "message": f"message of {kind}", "details": [1]}}
    return httpx2.Response(status, json=body, headers=headers)


async def test_a_call_posts_json_with_the_token() -> None:
    script = Script(ok({"id": "x"}))
    assert await client(script).call("/job-x/describe", {"a": 1}) == {"id": "x"}
    sent = script.requests[0]
    assert (sent.method, sent.url.path, sent.content) == ("POST", "/job-x/describe", b'{"a":1}')
    assert sent.headers["authorization"] == "Bearer worker-token"
    assert sent.headers["content-type"] == "application/json"


async def test_another_token_may_be_used_for_one_call() -> None:
    script = Script(ok({}))
    await client(script).call("/x/y", {}, token="job-token")
    assert script.requests[0].headers["authorization"] == "Bearer job-token"


@pytest.mark.parametrize(
    ("kind", "status"),
    [("InvalidState", 422), ("ResourceNotFound", 404), ("InvalidAuthentication", 401)],
)
async def test_the_platforms_error_is_raised_as_its_type_and_not_repeated(
    kind: str, status: int
) -> None:
    script = Script(failed(status, kind))
    with pytest.raises(errors.ApiError, match=f"message of {kind}") as caught:
        await client(script).call("/x/y", {})
    assert (caught.value.type, caught.value.details, len(script.requests)) == (kind, [1], 1)


async def test_an_unknown_error_type_is_a_plain_api_error() -> None:
    with pytest.raises(errors.ApiError):
        await client(Script(failed(422, "SomethingNew"))).call("/x/y", {})


async def test_a_broken_connection_is_tried_again() -> None:
    script = Script(httpx2.ConnectError("refused"), httpx2.ReadError("cut"), ok({"id": "x"}))
    assert await client(script).call("/x/y", {}) == {"id": "x"}


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_server_in_trouble_is_asked_again(status: int) -> None:
    script = Script(failed(status), ok({"id": "x"}))
    assert await client(script).call("/x/y", {}) == {"id": "x"}


async def test_tries_are_bounded() -> None:
    script = Script(httpx2.ConnectError("refused"))
    with pytest.raises(api.Unreachable, match="http://server:1 does not answer: refused"):
        await client(script).call("/x/y", {})
    assert len(script.requests) == QUICK.tries_max


async def test_the_last_answer_of_a_server_in_trouble_is_raised() -> None:
    script = Script(failed(503, "ServiceUnavailable"))
    with pytest.raises(errors.ServiceUnavailable):
        await client(script).call("/x/y", {})
    assert len(script.requests) == QUICK.tries_max


async def test_an_answer_of_another_shape_is_no_answer() -> None:
    with pytest.raises(api.Unreachable, match="something else"):
        await client(Script(httpx2.Response(200, text="<html>"))).call("/x/y", {})


def test_pauses_double_up_to_a_limit_and_jitter_by_half() -> None:
    retry = api.Retry(first_pause_ms=100, pause_ms_max=1000)
    for failed_tries, top in [(1, 0.1), (2, 0.2), (4, 0.8), (5, 1.0), (1000, 1.0)]:
        pause = retry.pause_seconds(failed_tries)
        assert top / 2 <= pause <= top


class Bytes(httpx2.AsyncByteStream):
    """Bytes that may break off."""

    def __init__(self, content: bytes, *, breaks: bool) -> None:
        self.content = content
        self.breaks = breaks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content
        if self.breaks:
            raise httpx2.ReadError("cut")


def part(content: bytes, status: int = 200, *, breaks: bool = False) -> httpx2.Response:
    return httpx2.Response(status, stream=Bytes(content, breaks=breaks))


def place(url: str = "http://127.0.0.1:8124/F/x?sig=1") -> httpx2.Response:
    return ok({"url": url, "headers": {"X-Key": "k"}})


async def test_a_file_is_written_with_the_token_that_may_read_it(tmp_path: Path) -> None:
    script = Script(place(), part(b"content"))
    target = tmp_path / "f"
    size = await client(script).download("file-x", target, token="job", project="container-x")
    assert (target.read_bytes(), size) == (b"content", 7)
    asked, fetched = script.requests
    assert asked.content == b'{"preauthenticated":false,"project":"container-x"}'
    assert asked.headers["authorization"] == fetched.headers["authorization"] == "Bearer job"
    assert fetched.headers["x-key"] == "k"


async def test_a_url_on_loopback_is_that_of_the_server_itself(tmp_path: Path) -> None:
    script = Script(place(), part(b""))
    await client(script).download("file-x", tmp_path / "f", token="job")
    assert str(script.requests[1].url) == "http://server:1/F/x?sig=1"


async def test_a_url_elsewhere_is_used_as_it_is(tmp_path: Path) -> None:
    script = Script(place("https://store/F/x"), part(b""))
    await client(script).download("file-x", tmp_path / "f", token="job")
    assert str(script.requests[1].url) == "https://store/F/x"


async def test_a_cut_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    script = Script(place(), part(b"abc", breaks=True), part(b"def", 206))
    size = await client(script).download("file-x", tmp_path / "f", token="job")
    assert ((tmp_path / "f").read_bytes(), size) == (b"abcdef", 6)
    assert script.requests[2].headers["range"] == "bytes=3-"


async def test_a_server_without_ranges_starts_again(tmp_path: Path) -> None:
    script = Script(place(), part(b"abc", breaks=True), part(b"abcdef"))
    assert await client(script).download("file-x", tmp_path / "f", token="job") == 6
    assert (tmp_path / "f").read_bytes() == b"abcdef"


async def test_a_download_without_progress_ends(tmp_path: Path) -> None:
    script = Script(place(), lambda _: part(b"", breaks=True))
    with pytest.raises(api.Unreachable, match="file-x failed"):
        await client(script).download("file-x", tmp_path / "f", token="job")
    assert len(script.requests) == 1 + QUICK.tries_max


async def test_progress_renews_the_tries_of_a_download(tmp_path: Path) -> None:
    parts = [part(b"a", 206, breaks=True) for _ in range(QUICK.tries_max * 2)]
    script = Script(place(), *parts, part(b"a", 206))
    assert await client(script).download("file-x", tmp_path / "f", token="job") == len(parts) + 1


async def test_a_file_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    script = Script(failed(404, "ResourceNotFound"))
    with pytest.raises(errors.ResourceNotFound):
        await client(script).download("file-x", tmp_path / "f", token="job")
    assert len(script.requests) == 1
