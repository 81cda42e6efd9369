"""The HTTP door: headers, bodies, statuses and errors of every call (contract A.1-A.7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import httpx2
import pytest

from plasmid.api import answers, asgi
from plasmid.domain import errors
from plasmid.domain.access import Actor
from plasmid.methods import registry
from tests.worlds import ALICE, BOB, START_MS, URL, WORKER, World

NOWHERE = "project-000000000000000000000000"


# --------------------------------------------------------------------------------- A.1 transport


@pytest.mark.parametrize(
    "path",
    [
        "/None/describe",
        "/project-%D1%8D%D0%BA%D1%81%D0%BF%D0%B5%D1%80%D0%B8%D0%BC%D0%B5%D0%BD%D1%82/describe",
        "/file-InvalidFileID/describe",
        "/app-hello/describe",
        "/globalworkflow-hello/1.0.0/describe",
        "/system/noSuchMethod",
        "/nothing",
        "/",
        "/a/b/c/d",
        "/workflow-000000000000000000000000/describe",
        "/analysis-000000000000000000000000/describe",
        "/database-000000000000000000000000/listFolder",
        "/org-nobody/describe",
        "/user-nobody/describe",
    ],
)
async def test_what_is_nothing_answers_resource_not_found_as_json(world: World, path: str) -> None:
    assert (await world.refused(path)).type == "ResourceNotFound"


async def test_an_unknown_entity_is_named_in_the_words_the_client_looks_for(world: World) -> None:
    for entity in ("record-012345678901234567890123", NOWHERE, "workflow-" + "0" * 24):
        refusal = await world.refused(f"/{entity}/describe")
        assert refusal.message.startswith(f"The entity {entity} could not be found")


async def test_an_unknown_route_is_named(world: World) -> None:
    refusal = await world.refused("/system/noSuchMethod")
    assert refusal.message == "There is no route /system/noSuchMethod"


async def test_a_method_of_another_class_is_an_invalid_type(world: World) -> None:
    record = await world.a_record(await world.a_project())
    for verb in ("upload", "run", "newFolder"):
        assert (await world.refused(f"/{record}/{verb}")).type == "InvalidType"
    assert (await world.refused(f"/{record}/fly")).type == "ResourceNotFound"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_only_post_reaches_a_method_and_the_refusal_is_json(
    world: World, method: str
) -> None:
    response = await world.http.request(method, "/system/whoami")
    assert response.status_code in (404, 405)
    assert response.json()["error"]["type"] == "ResourceNotFound"


async def test_a_wrong_verb_on_file_bytes_is_refused_as_json(world: World) -> None:
    response = await world.http.delete("/F/file-x/claim")
    assert response.status_code in (404, 405)
    assert response.headers["content-type"].startswith("application/json")


async def test_the_query_string_is_ignored(world: World) -> None:
    assert (await world.call("/system/whoami?x=1&y=2"))["id"] == "user-alice"


async def test_percent_encoded_paths_are_decoded_once(world: World) -> None:
    assert (await world.call("/system/%77hoami"))["id"] == "user-alice"
    assert (await world.refused("/system/%2577hoami")).type == "ResourceNotFound"


async def test_a_preflight_echoes_the_origin_and_the_headers(world: World) -> None:
    response = await world.http.request(
        "OPTIONS",
        "/system/whoami",
        headers={"origin": "http://x.test", "access-control-request-headers": "a, b"},
    )
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "http://x.test"
    assert response.headers["access-control-allow-headers"] == "a, b"


async def test_the_origin_of_a_call_is_echoed_in_its_answer(world: World) -> None:
    response = await world.answer("/system/greet", headers={"origin": "http://x.test"})
    assert response.headers["access-control-allow-origin"] == "http://x.test"
    assert "access-control-allow-origin" not in (await world.answer("/system/greet")).headers


# ------------------------------------------------------------------------------------ A.2, A.3


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"]
)
async def test_another_content_type_is_malformed(world: World, content_type: str) -> None:
    response = await world.answer("/system/whoami", headers={"content-type": content_type})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "MalformedJSON")


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
async def test_json_with_any_parameters_is_taken(world: World, content_type: str) -> None:
    response = await world.answer("/system/whoami", headers={"content-type": content_type})
    assert response.status_code == 200


async def test_an_absent_content_type_is_taken(world: World) -> None:
    response = await world.http.post(
        "/system/whoami", content=b"{}", headers={"authorization": f"Bearer {ALICE}"}
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"nonsense", b"{'a': 1}", b'{"a": NaN}', b'{"a": "\xff"}', b'{"a": "\\ud800"}'],
)
async def test_what_is_not_json_is_malformed(world: World, content: bytes) -> None:
    response = await world.answer("/system/whoami", content=content)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "MalformedJSON")


@pytest.mark.parametrize("content", [b"[]", b'"text"', b"1", b"null", b"true"])
async def test_json_that_is_no_object_is_not_a_hash(world: World, content: bytes) -> None:
    response = await world.answer("/system/whoami", content=content)
    error = response.json()["error"]
    assert (response.status_code, error) == (
        422,
        {"type": "InvalidInput", "message": "input is not a hash"},
    )


@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
async def test_json_that_is_nested_without_end_is_refused(world: World, bracket: bytes) -> None:
    response = await world.answer("/system/whoami", content=bracket * 100_000)
    assert response.status_code in (400, 422)


async def test_a_body_that_is_too_large_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "BODY_BYTES_MAX", 1000)
    assert (await world.answer("/system/greet", {"x": "y" * 900})).status_code == 200
    refusal = await world.refused("/system/greet", {"x": "y" * 1000})
    assert refusal.type == "InvalidInput"


async def test_a_body_may_come_in_pieces(world: World) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"fields": {"cli', b"", b'entIp": true}}'):
            yield piece

    response = await world.http.post(
        "/system/whoami", content=pieces(), headers={"authorization": f"Bearer {ALICE}"}
    )
    assert response.json() == {"id": "user-alice", "clientIp": "192.0.2.7"}


@pytest.mark.parametrize(
    "route", ["/system/whoami", "/system/findProjects", "/project/new", "/record/new"]
)
async def test_unknown_keys_are_tolerated(world: World, route: str) -> None:
    project = await world.a_project()
    body = {"name": "x", "project": project, "dxapi": "1.0", "io": False, "try": 0, "what": [1]}
    if route == "/system/findProjects":
        body.pop("name")
    await world.call(route, body)


async def test_mutators_answer_with_the_id_and_constructors_with_nothing_else(
    world: World,
) -> None:
    project = await world.a_project()
    record = await world.a_record(project)
    assert await world.call(f"/{project}/addTags", {"tags": ["x"]}) == {"id": project}
    assert await world.call(f"/{record}/close") == {"id": record}
    assert await world.call(f"/{record}/rename", {"project": project, "name": "n"}) == {
        "id": record
    }


# -------------------------------------------------------------------------------- A.4 headers


async def test_every_answer_has_a_request_id_of_its_own(world: World) -> None:
    seen = {(await world.answer("/system/greet")).headers["x-request-id"] for _ in range(20)}
    assert len(seen) == 20
    assert all(request_id.startswith(f"{START_MS}-") for request_id in seen)


async def test_request_numbers_never_grow_past_six_digits(world: World) -> None:
    api = asgi.Api(world.platform)
    assert max(next(api._numbers) for _ in range(1_000_005)) == 999_999


@pytest.mark.parametrize("route", ["/system/whoami", "/nothing/here", "/None/describe"])
async def test_errors_carry_the_same_headers_as_successes(world: World, route: str) -> None:
    await world.answer(route, as_=None)  # `answer` checks them


async def test_the_api_version_is_echoed(world: World) -> None:
    response = await world.answer("/system/greet", headers={"dnanexus-api": "1.0.0"})
    assert response.headers["dnanexus-api"] == "1.0.0"
    assert "dnanexus-api" not in (await world.answer("/system/greet")).headers


async def test_answers_are_never_compressed(world: World) -> None:
    response = await world.answer("/system/greet", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in response.headers


async def test_retry_after_comes_with_503_only_and_as_whole_seconds(world: World) -> None:
    later = {"waitUntil": START_MS + 5, "setRetryAfter": True}
    refusal = await world.refused("/system/comeBackLater", later, as_=None)
    assert (refusal.status, refusal.headers["retry-after"]) == (503, "2")
    quiet = await world.refused("/system/comeBackLater", {"waitUntil": START_MS + 5})
    assert (quiet.status, "retry-after" in quiet.headers) == (503, False)
    world.clock.advance(5)
    assert await world.call("/system/comeBackLater", later) == {"currentTime": START_MS + 5}


# ------------------------------------------------------------------------- A.5 authentication


@pytest.mark.parametrize(
    "route",
    [
        "/system/whoami",
        "/system/findDataObjects",
        "/system/findProjects",
        "/system/findExecutions",
        "/system/resolveDataObjects",
        "/system/describeDataObjects",
        "/project/new",
        "/file/new",
        "/record/new",
        "/applet/new",
        "/job/new",
        "/user-alice/describe",
    ],
)
async def test_routes_that_need_a_login_say_so(world: World, route: str) -> None:
    refusal = await world.refused(route, as_=None)
    assert (refusal.type, refusal.status) == ("InvalidAuthentication", 401)
    assert "logged in" in refusal.message


async def test_an_unknown_token_could_not_be_found(world: World) -> None:
    refusal = await world.refused("/system/whoami", as_="nonsense")
    assert refusal.type == "InvalidAuthentication"
    assert "The token could not be found" in refusal.message


async def test_an_expired_token_is_refused_from_its_time_on(world: World) -> None:
    await world.add_token("short", Actor(user="user-alice"), expires_ms=START_MS + 10)
    await world.call("/system/whoami", as_="short")
    world.clock.advance(10)
    refusal = await world.refused("/system/whoami", as_="short")
    assert refusal.type == "InvalidAuthentication"
    assert "token" in refusal.message


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer ", "token-of-alice"])
async def test_another_form_of_authorization_is_refused(world: World, value: str) -> None:
    response = await world.answer("/system/whoami", headers={"authorization": value}, as_=None)
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "InvalidAuthentication"


async def test_the_word_bearer_may_be_written_in_any_case(world: World) -> None:
    headers = {"authorization": f"bearer {ALICE}"}
    assert (await world.answer("/system/whoami", headers=headers, as_=None)).status_code == 200


async def test_greetings_need_no_token(world: World) -> None:
    assert await world.call("/system/greet", as_=None) == {"messages": []}


async def test_a_known_caller_without_rights_gets_401_and_permission_denied(
    world: World,
) -> None:
    project = await world.a_project()
    refusal = await world.refused(f"/{project}/describe", as_=BOB)
    assert (refusal.type, refusal.status) == ("PermissionDenied", 401)


async def test_nobody_in_particular_is_denied_entities_that_exist(world: World) -> None:
    project = await world.a_project()
    job = await world.a_job(await world.an_applet(project))
    assert (await world.refused(f"/{job}/describe", as_=None)).type == "PermissionDenied"
    assert (await world.refused(f"/{project}/describe", as_=None)).type == "PermissionDenied"


async def test_hidden_things_are_told_apart_as_the_client_expects(world: World) -> None:
    project = await world.a_project()
    file = await world.a_closed_file(project)
    job = await world.a_job(await world.an_applet(project))
    assert (await world.refused(f"/{file}/describe", as_=BOB)).type == "ResourceNotFound"
    assert (await world.refused(f"/{job}/describe", as_=BOB)).type == "PermissionDenied"
    missing = "job-" + "0" * 24
    assert (await world.refused(f"/{missing}/describe", as_=BOB)).type == "ResourceNotFound"


async def test_a_workers_token_is_no_user(world: World) -> None:
    for route in ("/system/whoami", "/system/findProjects", "/project/new", "/record/new"):
        assert (await world.refused(route, {"name": "x"}, as_=WORKER)).type == "PermissionDenied"


async def test_a_users_token_is_no_worker(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    holder = {"worker": "local", "attempt": 0}
    for route, body in {
        "/internal/worker/sync": {"worker": "local", "holding": [], "wait_ms": 0},
        f"/internal/{job}/logCursors": holder,
        f"/internal/{job}/log": {**holder, "entries": [], "cursors": {}},
        f"/internal/{job}/finished": holder,
    }.items():
        assert (await world.refused(route, body)).type == "PermissionDenied"
        assert (await world.refused(route, body, as_=None)).type == "InvalidAuthentication"


# ------------------------------------------------------------------------- A.6, A.7 the errors


@pytest.mark.parametrize(
    "kind, status",
    [
        (errors.MalformedJSON, 400),
        (errors.InvalidAuthentication, 401),
        (errors.PermissionDenied, 401),
        (errors.ResourceNotFound, 404),
        (errors.InvalidInput, 422),
        (errors.InvalidState, 422),
        (errors.InvalidType, 422),
        (errors.RateLimitConditional, 429),
        (errors.InternalError, 500),
        (errors.ServiceUnavailable, 503),
    ],
)
def test_every_error_has_the_status_of_the_contract(
    kind: type[errors.ApiError], status: int
) -> None:
    assert kind.status == status
    assert answers.encode_error(kind("why")) == (
        b'{"error":{"type":"%s","message":"why"}}' % kind.__name__.encode()
    )


def test_the_details_of_an_error_are_shown_if_there_are_any() -> None:
    content = answers.encode_error(errors.InvalidInput("why", {"at": 1}))
    assert content == b'{"error":{"type":"InvalidInput","message":"why","details":{"at":1}}}'


@pytest.mark.parametrize(
    "route, body, message",
    [
        ("/project/new", {}, "name"),
        ("/system/findDataObjects", {"state": "ajar"}, 'key "state"'),
        ("/system/findDataObjects", {"limit": 0}, 'key "limit"'),
        ("/system/findDataObjects", {"visibility": 1}, 'key "visibility"'),
        ("/system/findProjects", {"level": "OWNER"}, 'key "level"'),
        ("/system/findExecutions", {"class": "file"}, 'key "class"'),
        ("/internal/worker/sync", {"worker": 1}, 'key "worker" of input to be a string'),
        ("/internal/worker/sync", {}, 'Expected input to have property "worker"'),
    ],
)
async def test_a_wrong_field_is_named(
    world: World, route: str, body: dict[str, Any], message: str
) -> None:
    as_ = WORKER if route.startswith("/internal") else ALICE
    refusal = await world.refused(route, body, as_=as_)
    assert refusal.type == "InvalidInput"
    assert message in refusal.message


async def test_a_bug_answers_internal_error_and_does_not_tell_its_story(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("the secret cause")

    monkeypatch.setattr(registry, "answer", broken)
    response = await world.answer("/system/whoami")
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (500, "InternalError")
    assert "secret" not in error["message"]
    assert response.headers["x-request-id"] in error["message"]


async def test_a_caller_who_goes_away_in_the_middle_of_a_body_leaves_no_bug(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[MutableMapping[str, Any]] = []
    frames: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> MutableMapping[str, Any]:
        return frames.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/system/greet", "scheme": "http", "headers": []
    }  # fmt: skip
    await world.app(scope, receive, send)
    assert [message.get("status") for message in sent] == [400, None]
    assert "call_broke" not in capsys.readouterr().out


async def test_headers_show_what_was_sent_but_never_the_token(world: World) -> None:
    response = await world.answer("/system/headers", headers={"User-Agent": "dxpy/0 test"})
    shown = response.json()
    assert shown["user-agent"] == "dxpy/0 test"
    assert ALICE not in str(shown)


async def test_calls_at_the_same_time_do_not_mix(world: World) -> None:
    async with asyncio.TaskGroup() as group:
        made = [group.create_task(world.a_project(name=f"p{number}")) for number in range(20)]
    names = [(await world.describe(task.result()))["name"] for task in made]
    assert names == [f"p{number}" for number in range(20)]


async def test_urls_that_are_handed_out_name_the_host_that_was_called(world: World) -> None:
    file = await world.a_closed_file(await world.a_project())
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=world.app), base_url="https://other.test:8443"
    ) as http:
        answer = await http.post(
            f"/{file}/download", json={}, headers={"authorization": f"Bearer {ALICE}"}
        )
    assert answer.json()["url"].startswith("https://other.test:8443/F/")
    assert (await world.call(f"/{file}/download"))["url"].startswith(URL)
