"""What nobody should send, through the door: the contract's error each, and nothing half-done."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from plasmid.domain import folders
from plasmid.methods.nonces import BYTES_MAX, REUSED
from tests.worlds import ALICE, World

ZEROS = "0" * 24


async def send(world: World, route: str, content: bytes) -> httpx2.Response:
    """Post bytes as alice."""
    return await world.answer(route, content=content)


# ------------------------------------------------------------------------------------------ nonces


async def test_a_nonce_with_another_body_is_refused_and_nothing_is_made(world: World) -> None:
    project = await world.a_project()
    body = {"project": project, "name": "one", "nonce": "n"}
    made = await world.call("/record/new", body)
    assert await world.call("/record/new", dict(reversed(body.items()))) == made
    others: list[dict[str, Any]] = [{"name": "two"}, {"tags": ["t"]}, {"details": {}}]
    for other in [*others, {"name": None}]:
        refusal = await world.refused("/record/new", {**body, **other})
        assert (refusal.type, refusal.message) == ("InvalidInput", REUSED)
    found = await world.call("/system/findDataObjects", {"scope": {"project": project}})
    assert [entry["id"] for entry in found["results"]] == [made["id"]]


@pytest.mark.parametrize(
    "nonce", ["n" * (BYTES_MAX + 1), "é" * (BYTES_MAX // 2 + 1), 1, True, [], {}, 1.5]
)
async def test_a_nonce_of_another_form_is_refused(world: World, nonce: Any) -> None:
    body = {"project": await world.a_project(), "nonce": nonce}
    refusal = await world.refused("/record/new", body)
    assert refusal.message.startswith('Expected key "nonce" of input to be ')


async def test_the_last_of_keys_that_are_twice_there_counts(world: World) -> None:
    project = await world.a_project()
    content = b'{"project": "%s", "name": "a", "name": "b", "nonce": "x", "nonce": "y"}'
    made = (await send(world, "/record/new", content % project.encode())).json()
    assert (await world.call(f"/{made['id']}/describe"))["name"] == "b"
    again = await world.call("/record/new", {"project": project, "name": "b", "nonce": "y"})
    assert again == made


# --------------------------------------------------------------------------------------------- ids


@pytest.mark.parametrize(
    "subject",
    [
        "file-", "file-0", f"file-{ZEROS}0", f"FILE-{ZEROS}", f"file_{ZEROS}", "file-" + "é" * 24,
        "file-" + "\u0660" * 24, f"file-{ZEROS}%00", f"file-{ZEROS}%0A", f"%20file-{ZEROS}", "..",
        "%2e%2e", "user-", "org-é", "app-", "app-x/%2e%2e", "app-x/1/2", "internal", "system",
        "x" * 10_000, "null", "undefined", "-", "%ff", "job-" + "z" * 25,
    ],
)  # fmt: skip
async def test_an_id_of_a_wrong_form_is_not_found(world: World, subject: str) -> None:
    assert (await world.refused(f"/{subject}/describe")).type == "ResourceNotFound"


@pytest.mark.parametrize("wrong", ["", "x", "project-", f"file-{ZEROS}", 1, [], {}, True, "é"])
async def test_a_project_of_a_wrong_form_in_a_body_is_named(world: World, wrong: Any) -> None:
    refusal = await world.refused("/record/new", {"project": wrong})
    assert refusal.type == "InvalidInput"
    assert 'key "project" of input' in refusal.message


# ----------------------------------------------------------------------------------- names, folders


@pytest.mark.parametrize(
    "name", ["é", "\U0001d4b3", "a/b", "..", "\u202e", "\x1b[31m", "a\nb", " ", "x" * 9999]
)
async def test_a_name_is_kept_as_it_was_given(world: World, name: str) -> None:
    project = await world.a_project()
    record = await world.a_record(project, name=name, tags=[name], properties={name: name})
    described = await world.call(f"/{record}/describe", {"properties": True})
    assert (described["name"], described["tags"]) == (name, [name])
    assert described["properties"] == {name: name}
    found = await world.call("/system/findDataObjects", {"name": name})
    assert [entry["id"] for entry in found["results"]] == [record]


async def test_no_name_has_a_nul_in_it(world: World) -> None:
    record = await world.a_record(project := await world.a_project())
    for route, body in {
        "/project/new": {"name": "a\0b"},
        "/record/new": {"project": project, "name": "\0"},
        f"/{record}/rename": {"project": project, "name": "a\0"},
        f"/{project}/update": {"name": "\0a"},
    }.items():
        refusal = await world.refused(route, body)
        assert refusal.message == (
            'Expected key "name" of input to be a string without NUL characters'
        )
    assert (await world.call(f"/{project}/describe"))["name"] == "a project"


@pytest.mark.parametrize("text", [b'"\\ud800"', b'"\\udc00\\ud800"', b'"a\xff"', b'"\xed\xa0\x80"'])
async def test_what_is_no_text_is_no_json(world: World, text: bytes) -> None:
    project = await world.a_project()
    content = b'{"project": "%s", "name": %s}' % (project.encode(), text)
    response = await send(world, "/record/new", content)
    assert response.json()["error"]["type"] == "MalformedJSON"
    assert (await world.call("/system/findDataObjects"))["results"] == []


@pytest.mark.parametrize(
    "folder",
    ["", "a", "..", "/..", "/a/../b", "/./a", "/a/..", "/a\0b", "/a\nb", "/a" * 2049, 1, [], True],
)
async def test_a_folder_of_a_wrong_form_is_refused_and_not_made(world: World, folder: Any) -> None:
    project = await world.a_project()
    refusal = await world.refused(f"/{project}/newFolder", {"folder": folder, "parents": True})
    assert refusal.message.startswith('Expected key "folder" of input to be ')
    assert (await world.call(f"/{project}/listFolder"))["folders"] == []


async def test_the_longest_folder_may_be_made(world: World) -> None:
    project = await world.a_project()
    longest = "/a" * (folders.PATH_MAX // 2)
    await world.call(f"/{project}/newFolder", {"folder": longest, "parents": True})
    await world.call(f"/{project}/listFolder", {"folder": longest})


# ------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    "number, kind",
    [
        (b"1e999", "InvalidInput"), (b"-1e999", "InvalidInput"), (b"NaN", "MalformedJSON"),
        (b"Infinity", "MalformedJSON"), (b"-Infinity", "MalformedJSON"), (b"-0", "InvalidInput"),
        (b"0.5", "InvalidInput"), (b"01", "MalformedJSON"), (b"+1", "MalformedJSON"),
        (b"1.", "MalformedJSON"), (b"0x1", "MalformedJSON"), (b'"1"', "InvalidInput"),
        (b"true", "InvalidInput"), (b"1" * 5000, "InvalidInput"),
    ],
)  # fmt: skip
async def test_a_limit_that_is_no_number_of_results_is_refused(
    world: World, number: bytes, kind: str
) -> None:
    response = await send(world, "/system/findDataObjects", b'{"limit": %s}' % number)
    assert response.json()["error"]["type"] == kind


@pytest.mark.parametrize("number", [b"1", b"1.0", b"1e0", b"1180591620717411303424"])
async def test_a_number_may_be_written_in_any_way(world: World, number: bytes) -> None:
    response = await send(world, "/system/findDataObjects", b'{"limit": %s}' % number)
    assert response.status_code == 200


@pytest.mark.parametrize("moment", [2**63, -(2**63) - 1, 2**70, 1e300])
async def test_a_time_beyond_all_times_is_refused(world: World, moment: float) -> None:
    await world.a_record(await world.a_project())
    for key in ("created", "modified"):
        body = {key: {"after": moment}}
        assert (await world.refused("/system/findDataObjects", body)).type == "InvalidInput"


@pytest.mark.parametrize("number", ["1180591620717411303424", "1e308", "-0.0", "5e-324", "0"])
async def test_details_keep_every_number_that_json_has(world: World, number: str) -> None:
    record = await world.a_record(await world.a_project())
    await send(world, f"/{record}/setDetails", b'{"a": [%s]}' % number.encode())
    kept = (await world.call(f"/{record}/getDetails"))["a"][0]
    assert repr(kept) == repr(json.loads(number))


# -------------------------------------------------------------------------------- what is no call


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT", "DELETE", "PATCH", "TRACE", "FLY"])
async def test_a_route_of_methods_answers_no_other_verb(world: World, method: str) -> None:
    for path in ("/system/whoami", f"/project-{ZEROS}/describe", "/record/new", "/"):
        response = await world.http.request(
            method, path, headers={"authorization": f"Bearer {ALICE}"}
        )
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "x-request-id" in response.headers
        if method != "HEAD":
            assert response.json()["error"]["type"] == "ResourceNotFound"


@pytest.mark.parametrize("body", [[], "x", 1, True, None, [{}], ""])
async def test_a_body_that_is_no_hash_is_refused_in_the_words_of_the_contract(
    world: World, body: Any
) -> None:
    content = json.dumps(body).encode()
    for route in ("/system/whoami", "/record/new", "/system/findDataObjects"):
        error = (await send(world, route, content)).json()["error"]
        assert error == {"type": "InvalidInput", "message": "input is not a hash"}
