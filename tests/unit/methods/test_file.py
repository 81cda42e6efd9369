"""Files: new, upload, close, download as methods (contract D.2-D.5)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from plasmid.domain.access import Actor, Level
from plasmid.methods import file
from tests.worlds import ALICE, BOB, START_MS, URL, World

MIB = 1 << 20


@pytest.fixture
async def project(world: World) -> str:
    return await world.a_project()


# ------------------------------------------------------------------------------ D.2 and D.3


async def test_media_is_kept_if_given(world: World, project: str) -> None:
    typed = await world.an_open_file(project, media="text/plain")
    assert (await world.describe(typed))["media"] == "text/plain"
    assert "media" not in await world.describe(await world.an_open_file(project))
    wrong = {"project": project, "media": 5}
    assert (await world.refused("/file/new", wrong)).type == "InvalidInput"


async def test_a_project_may_take_files_from_jobs_only(world: World, project: str) -> None:
    await world.call(f"/{project}/update", {"externalUploadRestricted": True})
    refusal = await world.refused("/file/new", {"project": project})
    assert refusal.type == "PermissionDenied"
    applet = await world.an_applet(project, access={"project": "UPLOAD"})
    job = await world.a_job(applet)
    await world.lease(job)
    await world.an_open_file(project, as_=world.token_of(job))


async def test_an_upload_names_url_headers_and_expiry(world: World, project: str) -> None:
    opened = await world.an_open_file(project)
    body = {"index": 1, "size": 5, "md5": "5d41402abc4b2a76b9719d911017c592"}
    answer = await world.call(f"/{opened}/upload", body)
    assert set(answer) == {"url", "headers", "expires"}
    assert answer["url"].startswith(f"{URL}/")
    assert answer["headers"] == {"content-md5": "XUFAKrxLKna5cZ2REBfFkg=="}
    assert answer["expires"] == START_MS + file.UPLOAD_MS


async def test_an_upload_by_an_old_client_says_nothing(world: World, project: str) -> None:
    opened = await world.an_open_file(project)
    place = await world.call(f"/{opened}/upload", {})
    response = await world.http.put(place["url"], content=b"old", headers=place["headers"])
    assert response.status_code == 200
    await world.call(f"/{opened}/close")
    assert await world.read(opened) == b"old"


@pytest.mark.parametrize(
    "region, body, is_taken",
    [
        ("aws:us-east-1", {"index": 0, "size": 5}, False),
        ("aws:us-east-1", {"index": 10_000, "size": 5}, True),
        ("aws:us-east-1", {"index": 10_001, "size": 5}, False),
        ("aws:us-east-1", {"index": 1, "size": 0}, True),
        ("aws:us-east-1", {"index": 1, "size": -1}, False),
        ("aws:us-east-1", {"index": 1, "size": 5120 * MIB}, True),
        ("aws:us-east-1", {"index": 1, "size": 5120 * MIB + 1}, False),
        ("aws:us-east-1", {"index": "1", "size": 5}, False),
        ("aws:us-east-1", {"index": 1.5, "size": 5}, False),
        ("aws:us-east-1", {"index": True, "size": 5}, False),
        ("aws:us-east-1", {"index": 1, "size": "5"}, False),
        ("aws:us-east-1", {"index": 1, "size": 5, "md5": "xyz"}, False),
        ("aws:us-east-1", {"index": 1, "size": 5, "md5": "A" * 32}, True),
        ("azure:westus", {"index": 1, "size": 4 * MIB}, True),
        ("azure:westus", {"index": 1, "size": 4 * MIB + 1}, False),
        ("azure:westus", {"index": 1, "size": 0}, False),
        ("azure:westus", {"index": 50_000, "size": 5}, True),
    ],
)
async def test_a_part_keeps_within_the_limits_of_its_region(
    world: World, region: str, body: dict[str, Any], *, is_taken: bool
) -> None:
    opened = await world.an_open_file(await world.a_project(region=region))
    if is_taken:
        await world.call(f"/{opened}/upload", body)
    else:
        refusal = await world.refused(f"/{opened}/upload", body)
        assert refusal.type == "InvalidInput"


async def test_a_closed_file_takes_no_more_parts(world: World, project: str) -> None:
    closed = await world.a_closed_file(project)
    refusal = await world.refused(f"/{closed}/upload", {"index": 1, "size": 5})
    assert (refusal.type, "is not in the open state" in refusal.message) == ("InvalidState", True)


# ------------------------------------------------------------------------------------- D.4


async def test_the_life_of_a_file(world: World, project: str) -> None:
    opened = await world.an_open_file(project, name="in.txt")
    assert "size" not in await world.describe(opened)
    assert (await world.describe(opened, fields={"parts": True}))["parts"] == {}
    md5 = "5d41402abc4b2a76b9719d911017c592"
    place = await world.call(f"/{opened}/upload", {"index": 1, "size": 5, "md5": md5})
    parts = (await world.describe(opened, parts=True))["parts"]
    assert parts == {"1": {"state": "pending", "size": 5, "md5": md5}}
    await world.http.put(place["url"], content=b"hello", headers=place["headers"])
    parts = (await world.describe(opened, parts=True))["parts"]
    assert parts == {"1": {"state": "complete", "size": 5, "md5": md5}}
    world.clock.advance(5)
    assert await world.call(f"/{opened}/close") == {"id": opened}
    described = await world.describe(opened)
    assert (described["state"], described["size"]) == ("closed", 5)
    assert described["modified"] == START_MS + 5
    assert await world.read(opened) == b"hello"


async def test_a_file_of_many_parts_is_their_bytes_in_the_order_of_index(
    world: World, project: str
) -> None:
    opened = await world.an_open_file(project)
    first, last = b"a" * (5 * MIB), b"b" * 10
    for index, content in ((7, last), (2, first)):
        assert (await world.put_part(opened, content, index=index)).status_code == 200
    await world.call(f"/{opened}/close")
    described = await world.describe(opened, parts=True)
    assert described["size"] == 5 * MIB + 10
    assert {index: part["size"] for index, part in described["parts"].items()} == {
        "2": 5 * MIB, "7": 10
    }  # fmt: skip
    assert await world.read(opened) == first + last


async def test_an_empty_file_is_one_empty_part(world: World, project: str) -> None:
    empty = await world.a_closed_file(project, b"")
    assert (await world.describe(empty))["size"] == 0
    assert await world.read(empty) == b""


async def test_a_part_that_is_put_again_replaces_the_old_one(world: World, project: str) -> None:
    opened = await world.an_open_file(project)
    for content in (b"first try", b"second"):
        await world.put_part(opened, content)
    await world.call(f"/{opened}/close")
    assert await world.read(opened) == b"second"


async def test_the_last_put_wins_whichever_url_came_first(world: World, project: str) -> None:
    opened = await world.an_open_file(project)
    first = await world.call(f"/{opened}/upload", {"index": 1, "size": 3})
    second = await world.call(f"/{opened}/upload", {"index": 1, "size": 4})
    await world.http.put(second["url"], content=b"late")
    await world.http.put(first["url"], content=b"abc")
    await world.call(f"/{opened}/close")
    assert await world.read(opened) == b"abc"


@pytest.mark.parametrize(
    "parts, text",
    [
        ({}, "no parts"),
        ({1: None}, "Part 1"),
        ({1: b"x" * (5 * MIB), 2: None}, "Part 2"),
        ({1: b"small", 2: b"x"}, "Part 1"),
    ],
)
async def test_a_file_whose_parts_are_not_all_there_does_not_close(
    world: World, project: str, parts: dict[int, bytes | None], text: str
) -> None:
    opened = await world.an_open_file(project)
    for index, content in parts.items():
        if content is None:
            await world.call(f"/{opened}/upload", {"index": index, "size": 5})
        else:
            await world.put_part(opened, content, index=index)
    refusal = await world.refused(f"/{opened}/close")
    assert (refusal.type, text in refusal.message) == ("InvalidState", True), refusal.message
    assert (await world.describe(opened))["state"] == "open"


async def test_an_azure_file_may_close_without_parts(world: World) -> None:
    opened = await world.an_open_file(await world.a_project(region="azure:westus"))
    await world.call(f"/{opened}/close")
    assert (await world.describe(opened))["size"] == 0
    assert await world.read(opened) == b""


async def test_closing_again_is_no_error(world: World, project: str) -> None:
    closed = await world.a_closed_file(project)
    assert await world.call(f"/{closed}/close") == {"id": closed}


# ------------------------------------------------------------------------------------- D.5


@pytest.mark.parametrize("body", [{}, {"preauthenticated": True}, {"duration": 10}])
async def test_the_same_question_gives_the_same_url_for_a_while(
    world: World, project: str, body: dict[str, Any]
) -> None:
    closed = await world.a_closed_file(project)
    first = await world.call(f"/{closed}/download", body)
    world.clock.advance(50)
    assert await world.call(f"/{closed}/download", body) == first
    assert closed in first["url"]
    assert project not in first["url"]


async def test_different_questions_give_different_urls(world: World, project: str) -> None:
    closed = await world.a_closed_file(project)
    await world.a_member(project, "VIEW")
    urls = [
        (await world.call(f"/{closed}/download", body, as_=as_))["url"]
        for body, as_ in (
            ({}, ALICE), ({}, BOB), ({"duration": 10}, ALICE), ({"duration": 20}, ALICE),
            ({"filename": "other"}, ALICE),
        )
    ]  # fmt: skip
    assert len(set(urls)) == 5


@pytest.mark.parametrize("seconds", [1, 10, 86_400, 3600.5])
async def test_a_url_is_good_for_the_whole_duration_and_not_much_longer(
    world: World, project: str, seconds: float
) -> None:
    closed = await world.a_closed_file(project)
    place = await world.call(f"/{closed}/download", {"preauthenticated": True, "duration": seconds})
    duration_ms = int(seconds * 1000)
    assert duration_ms < place["expires"] - START_MS <= duration_ms + max(1000, duration_ms // 10)
    world.clock.advance(duration_ms)
    assert (await world.http.get(place["url"])).status_code == 200
    world.clock.now_ms = place["expires"]
    assert (await world.http.get(place["url"])).status_code == 401


@pytest.mark.parametrize(
    "name", ["in.txt", "a b.gz", "ü.txt", "100%.txt", "a/b", "?#&.txt", "-rf", "x" * 200]
)
async def test_the_last_part_of_a_url_is_the_name_of_the_file(
    world: World, project: str, name: str
) -> None:
    closed = await world.a_closed_file(project, name=name)
    for body, expected in (({}, name), ({"filename": "my name"}, "my name")):
        url = (await world.call(f"/{closed}/download", body))["url"]
        assert urlsplit(url).path.rpartition("/")[2] == quote(expected, safe="")
        assert (await world.http.get(url)).content == b"hello"


async def test_without_preauthentication_url_and_headers_are_good_together(
    world: World, project: str
) -> None:
    closed = await world.a_closed_file(project)
    place = await world.call(f"/{closed}/download", {"preauthenticated": False})
    assert (await world.http.get(place["url"], headers=place["headers"])).content == b"hello"


@pytest.mark.parametrize(
    "body, kind",
    [
        ({"duration": 0}, "InvalidInput"),
        ({"duration": -5}, "InvalidInput"),
        ({"duration": "1d"}, "InvalidInput"),
        ({"duration": True}, "InvalidInput"),
        ({"duration": 1e300}, "InvalidInput"),
        ({"filename": ""}, "InvalidInput"),
        ({"filename": 5}, "InvalidInput"),
        ({"project": "nonsense"}, "InvalidInput"),
        ({"project": "project-" + "0" * 24}, "ResourceNotFound"),
    ],
)
async def test_a_wrong_download_is_refused(
    world: World, project: str, body: dict[str, Any], kind: str
) -> None:
    closed = await world.a_closed_file(project)
    assert (await world.refused(f"/{closed}/download", body)).type == kind


async def test_a_file_is_downloaded_only_from_a_project_that_holds_it(
    world: World, project: str
) -> None:
    closed, other = await world.a_closed_file(project), await world.a_project()
    refusal = await world.refused(f"/{closed}/download", {"project": other})
    assert refusal.type == "ResourceNotFound"
    assert await world.read(closed, project=project) == b"hello"


async def test_an_open_file_is_not_readable(world: World, project: str) -> None:
    opened = await world.an_open_file(project)
    await world.put_part(opened, b"secret")
    assert (await world.refused(f"/{opened}/download")).type == "InvalidState"


async def test_a_project_may_forbid_downloads_outside_of_jobs(world: World, project: str) -> None:
    closed = await world.a_closed_file(project)
    job = await world.a_job(await world.an_applet(project))
    await world.lease(job)
    await world.call(f"/{project}/update", {"downloadRestricted": True})
    assert (await world.refused(f"/{closed}/download")).type == "PermissionDenied"
    assert await world.read(closed, as_=world.token_of(job)) == b"hello"
    other = await world.a_project()
    await world.call(f"/{project}/clone", {"objects": [closed], "project": other})
    assert await world.read(closed, project=other) == b"hello"
    refusal = await world.refused(f"/{closed}/download", {"project": project})
    assert refusal.type == "PermissionDenied"


async def test_reading_takes_view(world: World, project: str) -> None:
    closed = await world.a_closed_file(project)
    assert (await world.refused(f"/{closed}/download", as_=BOB)).type == "ResourceNotFound"
    await world.a_member(project, "VIEW")
    assert await world.read(closed, as_=BOB) == b"hello"
    await world.a_member(project, "VIEW", user="PUBLIC")
    assert (await world.refused(f"/{closed}/download", as_=None)).status == 401


async def test_a_token_for_uploads_uploads_and_closes(world: World, project: str) -> None:
    actor = Actor(user="user-alice", scope={"*": Level.UPLOAD})
    token = await world.add_token("uploader", actor)
    made = await world.a_closed_file(project, as_=token, name="n")
    assert (await world.describe(made, as_=token))["name"] == "n"
    refusal = await world.refused(f"/{made}/rename", {"project": project, "name": "m"}, as_=token)
    assert refusal.type == "PermissionDenied"


async def test_the_bytes_of_a_removed_file_are_collected_and_those_of_others_stay(
    world: World, project: str
) -> None:
    kept, lost = await world.a_closed_file(project, b"kept"), await world.a_closed_file(project)
    world.clock.advance(1)
    await world.call(f"/{project}/removeObjects", {"objects": [lost]})
    assert len(world.blobs._blobs) == 2
    assert await world.collect() == 1
    assert await world.collect() == 0
    assert list(world.blobs._blobs.values()) == [b"kept"]
    assert await world.read(kept) == b"kept"
