"""What the registry does for all methods: resolve, decode, nonces (contract A.3, A.7, A.9)."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from plasmid.dispatcher import collect
from plasmid.domain import errors
from plasmid.domain.access import Actor
from plasmid.methods import (
    adopt,
    app,
    app_people,
    applet,
    decode,
    everything,
    file,
    find,
    find_apps,
    find_executions,
    find_projects,
    folders,
    identity,
    internal,
    job,
    job_log,
    project,
    record,
    registry,
    shared,
    system,
    tokens,
    user,
    web_apps,
)
from plasmid.methods.registry import METHODS, Mode
from plasmid.methods.targets import Access
from tests.worlds import ALICE, BOB, EVE, RUN_SPEC, World

MODULES = (
    adopt, app, app_people, applet, file, find, find_apps, find_executions, find_projects, folders,
    identity, internal, job, job_log, project, record, shared, system, tokens, user, web_apps,
)  # fmt: skip
NONCE = "0123456789abcdef" * 4 + "1700000000.5"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_module_of_methods_is_declared(module: ModuleType) -> None:
    assert any(found.handler.__module__ == module.__name__ for found in METHODS.values())
    assert module in everything.MODULES


def test_every_file_that_declares_a_method_is_among_the_modules() -> None:
    folder = Path(registry.__file__).parent
    declaring = {path.stem for path in folder.glob("*.py") if "\n@method(" in path.read_text()}
    assert declaring == {module.__name__.rpartition(".")[2] for module in everything.MODULES}
    assert everything.declare() == len(declaring)


def test_two_methods_for_one_route_are_refused() -> None:
    with pytest.raises(RuntimeError, match="two methods for /system/whoami"):
        registry.method("/system/whoami", access=Access.LOGIN)(system.whoami)


@pytest.mark.parametrize(
    "path, route, subject",
    [
        ("/system/whoami", "/system/whoami", "system"),
        ("/file/new", "/file/new", "file"),
        ("/file-" + "0" * 24 + "/describe", "/file-xxxx/describe", "file-" + "0" * 24),
        ("/internal/worker/sync", "/internal/worker/sync", "internal/worker"),
        (f"/internal/job-{'b' * 24}/log", "/internal/job-xxxx/log", f"job-{'b' * 24}"),
        ("/user-alice/describe", "/user-xxxx/describe", "user-alice"),
        ("/app-a_b/run", "/app-xxxx/run", "app-a_b"),
        ("/app-a_b/1.0.0/run", "/app-xxxx/run", "app-a_b/1.0.0"),
        ("/internal/project/adopt", "/internal/project/adopt", "internal/project"),
    ],
)
def test_a_path_resolves_to_its_method_and_subject(path: str, route: str, subject: str) -> None:
    found, named = registry.resolve(path)
    assert (found.route, named) == (route, subject)


@pytest.mark.parametrize(
    "path", [f"/job-{'b' * 24}/log", f"/internal/job-{'b' * 24}/describe", "/worker/sync"]
)
def test_the_workers_methods_and_the_others_have_different_prefixes(path: str) -> None:
    with pytest.raises(errors.ApiError):
        registry.resolve(path)


class _Inner(msgspec.Struct):
    count: int
    name: str | None = None


class _Body(msgspec.Struct):
    flag: bool
    items: list[_Inner] = []


@pytest.mark.parametrize(
    "body, message",
    [
        (b"{}", 'Expected input to have property "flag"'),
        (b'{"flag": 1}', 'Expected key "flag" of input to be a boolean'),
        (b'{"flag": true, "items": {}}', 'Expected key "items" of input to be an array'),
        (b'{"flag": true, "items": [1]}', 'Expected key "items[0]" of input to be a hash'),
        (
            b'{"flag": true, "items": [{}]}',
            'Expected key "items[0]" of input to have property "count"',
        ),
        (
            b'{"flag": true, "items": [{"count": "1"}]}',
            'Expected key "items[0].count" of input to be an integer',
        ),
        (
            b'{"flag": true, "items": [{"count": 1, "name": 2}]}',
            'Expected key "items[0].name" of input to be a string or null',
        ),
        (b"[]", "input is not a hash"),
    ],
)
def test_what_is_wrong_in_a_body_is_said_in_the_words_of_the_api(body: bytes, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        decode.decode(body, _Body)
    assert caught.value.message == message


def test_a_decoded_value_is_checked_like_a_body() -> None:
    assert decode.convert({"count": 1}, _Inner) == _Inner(1)
    with pytest.raises(errors.InvalidInput, match='"count"'):
        decode.convert({}, _Inner)


# -------------------------------------------------------------------------------- A.9 nonces


def _bodies(project: str, applet: str) -> dict[str, dict[str, Any]]:
    return {
        "/file/new": {"project": project, "name": "f"},
        "/record/new": {"project": project, "name": "r"},
        "/applet/new": {"project": project, "name": "a", "runSpec": RUN_SPEC},
        f"/{applet}/run": {"project": project, "input": {}},
    }


def test_the_routes_that_take_a_nonce_are_those_to_which_the_client_adds_one() -> None:
    offered = {found.route for found in METHODS.values() if found.has_nonce}
    assert offered == {
        "/file/new", "/record/new", "/applet/new", "/app/new", "/applet-xxxx/run",
        "/app-xxxx/run", "/job/new", "/workflow/new", "/workflow-xxxx/run", "/org/new",
        "/globalworkflow/new", "/globalworkflow-xxxx/run",
    }  # fmt: skip
    assert all(found.mode is Mode.WRITE for found in METHODS.values() if found.has_nonce)


async def test_the_same_nonce_and_input_give_the_same_answer(world: World) -> None:
    project = await world.a_project()
    for route, body in _bodies(project, await world.an_applet(project)).items():
        first = await world.call(route, {**body, "nonce": NONCE})
        world.clock.advance(3_600_000)
        assert await world.call(route, {**body, "nonce": NONCE}) == first
        assert await world.call(route, {**body, "nonce": "another"}) != first
        assert await world.call(route, body) != first


async def test_keys_in_another_order_are_the_same_input(world: World) -> None:
    project = await world.a_project()
    first = {"project": project, "name": "r", "properties": {"a": "1", "b": "2"}, "nonce": NONCE}
    second = {"nonce": NONCE, "properties": {"b": "2", "a": "1"}, "name": "r", "project": project}
    assert await world.call("/record/new", first) == await world.call("/record/new", second)


async def test_a_nonce_with_another_input_is_refused(world: World) -> None:
    project = await world.a_project()
    for route, body in _bodies(project, await world.an_applet(project)).items():
        await world.call(route, {**body, "nonce": NONCE})
        refusal = await world.refused(route, {**body, "tags": ["other"], "nonce": NONCE})
        assert refusal.type == "InvalidInput"
        assert refusal.message == (
            "Nonce was reused for an earlier API request that had a different input"
        )


async def test_a_nonce_belongs_to_one_user_and_one_route(world: World) -> None:
    project = await world.a_project()
    await world.a_member(project, "CONTRIBUTE")
    body = {"project": project, "name": "x", "nonce": NONCE}
    made = {
        (await world.call(route, body, as_=as_))["id"]
        for route in ("/file/new", "/record/new")
        for as_ in (ALICE, BOB)
    }
    assert len(made) == 4


async def test_a_refused_call_leaves_its_nonce_free(world: World) -> None:
    project = await world.a_project()
    body = {"project": project, "folder": "/later", "nonce": NONCE}
    assert (await world.refused("/record/new", body)).type == "ResourceNotFound"
    await world.call(f"/{project}/newFolder", {"folder": "/later"})
    await world.call("/record/new", body)


@pytest.mark.parametrize(
    "nonce, is_taken", [("n" * 128, True), ("n" * 129, False), ("é" * 64, True), ("é" * 65, False)]
)
async def test_a_nonce_has_at_most_128_bytes(world: World, nonce: str, *, is_taken: bool) -> None:
    project = await world.a_project()
    body = {"project": project, "nonce": nonce}
    if is_taken:
        await world.call("/record/new", body)
    else:
        assert (await world.refused("/record/new", body)).type == "InvalidInput"


@pytest.mark.parametrize("nonce", [1, True, [], {}])
async def test_a_nonce_is_a_string(world: World, nonce: object) -> None:
    body = {"project": await world.a_project(), "nonce": nonce}
    refusal = await world.refused("/record/new", body)
    assert (refusal.type, '"nonce"' in refusal.message) == ("InvalidInput", True)


async def test_a_nonce_is_kept_for_an_hour_at_least_and_not_for_ever(world: World) -> None:
    body = {"project": await world.a_project(), "nonce": NONCE}
    first = await world.call("/record/new", body)
    world.clock.advance(3_600_001)
    await world.collect()
    assert await world.call("/record/new", body) == first
    world.clock.advance(collect.NONCE_KEPT_MS)
    await world.collect()
    assert await world.call("/record/new", body) != first


async def test_a_nonce_of_nobody_is_refused_without_a_bug(world: World) -> None:
    project = await world.a_project()
    applet_id = await world.an_applet(project)
    await world.a_member(project, "VIEW", user="PUBLIC")
    body = {"project": project, "input": {}, "nonce": NONCE}
    refusal = await world.refused(f"/{applet_id}/run", body, as_=None)
    assert refusal.status == 401


async def test_a_replayed_answer_is_only_for_who_may_still_make_the_call(world: World) -> None:
    """A token that was narrowed since gets no answers of before."""
    project = await world.a_project()
    body = {"project": project, "name": "x", "nonce": NONCE}
    await world.call("/record/new", body)
    await world.add_token("narrow", Actor(user="user-alice", scope={}))
    refusal = await world.refused("/record/new", {**body, "nonce": "n2"}, as_="narrow")
    assert refusal.type == "PermissionDenied"
    assert (await world.refused("/record/new", body, as_=EVE)).type == "PermissionDenied"
