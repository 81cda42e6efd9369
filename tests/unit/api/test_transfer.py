"""The bytes of files: PUT of parts, GET of ranges (contract D.3, D.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import httpx2
import pytest

from plasmid.blobs.store import NoSpaceError, TooLargeError, Written
from plasmid.methods import signing
from tests.worlds import START_MS, World

HELLO_MD5 = "5d41402abc4b2a76b9719d911017c592"


@pytest.fixture
async def opened(world: World) -> str:
    return await world.an_open_file(await world.a_project())


@pytest.fixture
async def url(world: World, opened: str) -> str:
    """Where the five bytes of part 1 are to be put."""
    body = {"index": 1, "size": 5, "md5": HELLO_MD5}
    answer = await world.call(f"/{opened}/upload", body)
    return str(answer["url"])


def error_of(response: httpx2.Response) -> str:
    """Return the type of an error, which is JSON everywhere."""
    assert response.headers["content-type"].startswith("application/json")
    return str(response.json()["error"]["type"])


# -------------------------------------------------------------------------------------- PUT


@pytest.mark.parametrize("content", [b"", b"hell", b"hello!", b"HELLO", b"x" * 100_000])
async def test_bytes_that_were_not_announced_are_refused_and_not_kept(
    world: World, opened: str, url: str, content: bytes
) -> None:
    response = await world.http.put(url, content=content)
    assert (response.status_code, error_of(response)) == (400, "InvalidInput")
    assert "upload it again" in response.text or "more than the 5 bytes" in response.text
    assert world.blobs._blobs == {}
    assert (await world.describe(opened, parts=True))["parts"]["1"]["state"] == "pending"
    assert (await world.http.put(url, content=b"hello")).status_code == 200


async def test_a_put_needs_no_token_and_may_be_repeated(
    world: World, opened: str, url: str
) -> None:
    for _ in range(3):
        assert (await world.http.put(url, content=b"hello")).status_code == 200
    assert list(world.blobs._blobs.values()) == [b"hello"]
    await world.call(f"/{opened}/close")
    assert await world.read(opened) == b"hello"


async def test_a_put_to_a_file_that_has_closed_is_refused_and_changes_nothing(
    world: World, opened: str, url: str
) -> None:
    await world.http.put(url, content=b"hello")
    await world.call(f"/{opened}/close")
    response = await world.http.put(url, content=b"hello")
    assert (response.status_code, error_of(response)) == (422, "InvalidState")
    assert "is not in the open state" in response.text


async def test_a_put_to_a_file_that_is_gone_is_refused(world: World, opened: str, url: str) -> None:
    project = (await world.describe(opened))["project"]
    await world.call(f"/{project}/removeObjects", {"objects": [opened]})
    response = await world.http.put(url, content=b"hello")
    assert (response.status_code, error_of(response)) == (404, "ResourceNotFound")
    assert world.blobs._blobs == {}


async def test_a_file_that_closes_while_a_part_is_on_its_way_does_not_take_it(
    world: World, opened: str
) -> None:
    first = await world.call(f"/{opened}/upload", {"index": 1, "size": 5})
    await world.http.put(first["url"], content=b"hello")

    async def slowly() -> AsyncIterator[bytes]:
        yield b"wor"
        await world.call(f"/{opened}/close")
        yield b"ld"

    response = await world.http.put(first["url"], content=slowly())
    assert (response.status_code, error_of(response)) == (422, "InvalidState")
    assert await world.read(opened) == b"hello"


async def test_a_url_expires(world: World, url: str) -> None:
    world.clock.advance(24 * 3600 * 1000)
    response = await world.http.put(url, content=b"hello")
    assert (response.status_code, error_of(response)) == (401, "PermissionDenied")
    assert "expired" in response.text


@pytest.mark.parametrize("damage", ["cut", "other file", "a letter", "not base64", "a download"])
async def test_a_url_that_was_tampered_with_is_refused(
    world: World, opened: str, url: str, damage: str
) -> None:
    head, _, claim = url.rpartition("/")
    other = await world.an_open_file((await world.describe(opened))["project"])
    key = world.platform.signing_key
    damaged = {
        "cut": f"{head}/{claim[:-6]}",
        "other file": url.replace(opened, other),
        "a letter": f"{head}/{'A' if claim[0] != 'A' else 'B'}{claim[1:]}",
        "not base64": f"{head}/%C3%BC",
        "a download": signing.download_path(
            key, signing.DownloadClaim(opened, "user-alice", 1, START_MS * 2)
        ).replace("/F/", "/U/"),
    }[damage]
    response = await world.http.put(damaged, content=b"hello")
    assert (response.status_code, error_of(response)) == (401, "PermissionDenied")
    assert world.blobs._blobs == {}


async def test_a_full_disk_says_so_and_loses_nothing(world: World, opened: str, url: str) -> None:
    await world.http.put(url, content=b"hello")
    world.blobs.is_full = True
    response = await world.http.put(url, content=b"hello")
    assert (response.status_code, error_of(response)) == (503, "ServiceUnavailable")
    world.blobs.is_full = False
    await world.call(f"/{opened}/close")
    assert await world.read(opened) == b"hello"


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing(
    world: World, opened: str, url: str
) -> None:
    sent: list[MutableMapping[str, Any]] = []
    frames: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": b"he", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> MutableMapping[str, Any]:
        return frames.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    path = httpx2.URL(url).path
    scope = {
        "type": "http", "method": "PUT", "path": path, "raw_path": path.encode(), "scheme": "http",
        "headers": [], "query_string": b"", "root_path": "", "http_version": "1.1",
    }  # fmt: skip
    await world.app(scope, receive, send)
    assert world.blobs._blobs == {}
    assert (await world.describe(opened, parts=True))["parts"]["1"]["state"] == "pending"


async def test_a_part_is_written_as_it_comes_and_never_held_whole(
    world: World, opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    async def write(name: str, content: AsyncIterator[bytes], _: int) -> Written:
        seen.extend([len(piece) async for piece in content])
        return Written(name, 6, "md5")

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"ab", b"cd", b"ef"):
            yield piece

    monkeypatch.setattr(world.blobs, "write", write)
    place = await world.call(f"/{opened}/upload", {"index": 1, "size": 6})
    assert (await world.http.put(place["url"], content=pieces())).status_code == 200
    assert [size for size in seen if size] == [2, 2, 2]
    await world.rows("UPDATE parts SET blob = NULL")


async def test_the_store_is_told_how_much_was_announced(
    world: World, opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []

    async def write(_: str, __: AsyncIterator[bytes], bytes_max: int) -> Written:
        limits.append(bytes_max)
        raise (TooLargeError if bytes_max == 5 else NoSpaceError)("no")

    monkeypatch.setattr(world.blobs, "write", write)
    for body, status in (({"index": 1, "size": 5}, 400), ({"index": 1}, 503)):
        place = await world.call(f"/{opened}/upload", body)
        assert (await world.http.put(place["url"], content=b"hello")).status_code == status
    assert limits == [5, 5120 * (1 << 20)]


# -------------------------------------------------------------------------------------- GET

CONTENT = bytes(range(10))


@pytest.fixture
async def source(world: World) -> str:
    """The URL of a file of ten bytes in three parts."""
    opened = await world.an_open_file(await world.a_project(region="azure:westus"), media="a/b")
    for index, content in ((1, CONTENT[:4]), (2, CONTENT[4:5]), (3, CONTENT[5:])):
        await world.put_part(opened, content, index=index)
    await world.call(f"/{opened}/close")
    return str((await world.call(f"/{opened}/download"))["url"])


@pytest.mark.parametrize(
    "asked, start, end",
    [
        ("bytes=0-9", 0, 10),
        ("bytes=0-0", 0, 1),
        ("bytes=3-4", 3, 5),
        ("bytes=3-5", 3, 6),
        ("bytes=4-4", 4, 5),
        ("bytes=9-9", 9, 10),
        ("bytes=5-", 5, 10),
        ("bytes=0-", 0, 10),
        ("bytes=2-100", 2, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-10", 0, 10),
        ("bytes=-100", 0, 10),
        ("Bytes=1-2", 1, 3),
    ],
)
async def test_a_range_is_answered_exactly(
    world: World, source: str, asked: str, start: int, end: int
) -> None:
    response = await world.http.get(source, headers={"range": asked})
    assert (response.status_code, response.content) == (206, CONTENT[start:end])
    assert response.headers["content-length"] == str(end - start)
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/10"


@pytest.mark.parametrize(
    "asked", [None, "bytes=-", "bytes=x-y", "bytes=5-2", "items=0-1", "bytes=0-1,4-5", "bytes"]
)
async def test_what_is_no_range_gives_the_whole_file(
    world: World, source: str, asked: str | None
) -> None:
    headers = {} if asked is None else {"range": asked}
    response = await world.http.get(source, headers=headers)
    assert (response.status_code, response.content) == (200, CONTENT)
    assert response.headers["content-length"] == "10"
    assert "content-range" not in response.headers


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-12", "bytes=-0"])
async def test_a_range_beyond_the_end_is_416(world: World, source: str, asked: str) -> None:
    response = await world.http.get(source, headers={"range": asked})
    assert response.status_code == 416
    assert response.headers["content-range"] == "bytes */10"


async def test_an_empty_file_is_read_whole(world: World) -> None:
    empty = await world.a_closed_file(await world.a_project(), b"")
    url = (await world.call(f"/{empty}/download"))["url"]
    response = await world.http.get(url)
    assert (response.status_code, response.content) == (200, b"")
    ranged = await world.http.get(url, headers={"range": "bytes=0-0"})
    assert ranged.status_code == 416


async def test_bytes_go_out_as_they_are_and_as_a_download(world: World, source: str) -> None:
    response = await world.http.get(source, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in response.headers
    assert response.headers["content-type"] == "a/b"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["content-disposition"] == "attachment"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_head_tells_the_size(world: World, source: str) -> None:
    response = await world.http.head(source)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "10"


async def test_a_file_that_is_gone_is_not_found(world: World, source: str) -> None:
    file = httpx2.URL(source).path.split("/")[2]
    project = (await world.describe(file))["project"]
    await world.call(f"/{project}/removeObjects", {"objects": [file]})
    response = await world.http.get(source)
    assert (response.status_code, error_of(response)) == (404, "ResourceNotFound")


async def test_a_download_that_was_tampered_with_is_refused(world: World, source: str) -> None:
    for damaged in (source.replace("/F/file-", "/F/file-x"), source[: source.rindex("/") - 3]):
        response = await world.http.get(damaged)
        assert (response.status_code, error_of(response)) == (401, "PermissionDenied")


async def test_an_upload_url_downloads_nothing(world: World, url: str) -> None:
    await world.http.put(url, content=b"hello")
    response = await world.http.get(url.replace("/U/", "/F/"))
    assert (response.status_code, error_of(response)) == (401, "PermissionDenied")


async def test_a_media_type_cannot_smuggle_headers(world: World) -> None:
    project = await world.a_project()
    body = {"project": project, "media": "text/html\r\nset-cookie: a=b"}
    refusal = await world.refused("/file/new", body)
    assert refusal.type == "InvalidInput"
