"""What is told of the routes is what they do: every key that a method reads from a body is
described, every described key is read, and every answer is of the form that is described.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from plasmid.methods import openapi
from plasmid.methods.described import components, tables, values
from plasmid.methods.registry import Mode
from tests import prepared
from tests.recording import EACH, Path, Recorder
from tests.worlds import a_world

COMPONENTS = components.schemas()
# Stands in a path for a key that is the caller's own.
ANY = "*"


def more(ready: prepared.Prepared, *, unlike: str) -> dict[str, list[dict[str, Any]]]:
    """Return what is read only beside other values than the prepared ones.

    `unlike` is an applet that takes something else than the prepared one.
    """
    one_region = {
        "regionalOptions": None, "applet": ready.applet, "resources": [ready.closed_file],
        "httpsApp": {"ports": [443], "dns": {"hostname": "h"}},
    }  # fmt: skip
    run_spec = {
        "interpreter": "bash", "code": "x", "bundledDependsByRegion": {},
        "execDepends": [{"name": "x", "package_manager": "git", "url": "u"}],
        "systemRequirements": {
            "*": {"instanceTypeSelector": {"allowedInstanceTypes": ["mem1_ssd1_x2"]}},
            "main": {"clusterSpec": {"initialInstanceCount": 1}},
        },
    }  # fmt: skip
    placed = {"folder": "/", "parents": False, "hidden": False, "tags": [], "types": []}
    marked = {**placed, "details": {}, "properties": {}}
    times = {"created": {"after": 1}, "modified": {"after": 1}}
    named = [{"name": {"regexp": "x", "flags": "i"}}, {"name": {"glob": "*"}}]
    finders = ["DataObjects", "Executions", "Jobs", "Analyses", "Projects", "Apps"]
    return {
        "/applet/new": [
            {"runSpec": run_spec},
            {"inputSpec": [{"name": "x", "class": "file", "type": "T"}]},
            {"outputSpec": [{"name": "x", "class": "int"}]},
        ],
        "/app/new": [one_region],
        "/app-xxxx/update": [one_region],
        "/analysis-xxxx/describe": [{"fields": None, "io": False}],
        "/system/comeBackLater": [{"waitUntil": 2**50}],
        "/workflow/new": [marked, {**marked, "initializeFrom": None, "temporary": False}],
        "/workflow-xxxx/updateStageExecutable": [{"executable": unlike}],
        **{f"/system/find{what}": [times, *named] for what in (*finders, "GlobalWorkflows")},
        **{f"/org-xxxx/find{what}": [times, *named] for what in ("Projects", "Apps")},
        **{
            f"/{name}-xxxx/{verb}": [{"folder": "/nowhere"}, {"describe": True, "folder": "/"}]
            for name in ("project", "container")
            for verb in ("removeFolder", "listFolder")
        },
    }


def branches(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give what a value may be: the schema itself, or each that it refers to or chooses from."""
    if "$ref" in schema:
        yield from branches(COMPONENTS[schema["$ref"].rpartition("/")[2]])
    elif "anyOf" in schema:
        for branch in schema["anyOf"]:
            yield from branches(branch)
    else:
        yield schema


def describes(schema: dict[str, Any], path: Path) -> bool:
    """Say whether a schema has a key, or leaves the keys to the caller."""
    if not path:
        return True
    for branch in branches(schema):
        inner = branch.get("items") if path[0] == EACH else _key(branch, path[0])
        if inner is not None and describes(inner, path[1:]):
            return True
        is_free = not branch.keys() & {"properties", "additionalProperties", "items"}
        if is_free and ("object" in kinds(branch) or "array" in kinds(branch)):
            return True
    return False


def kinds(schema: dict[str, Any]) -> Any:
    """Return the types of a schema without others; one without any is of all."""
    return schema.get("type", ("object", "array"))


def _key(schema: dict[str, Any], key: str) -> dict[str, Any] | None:
    found = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
    return found if isinstance(found, dict) else None


def described_keys(schema: dict[str, Any], at: Path = (), name: str = "") -> Iterator[Key]:
    """Give every key that a schema describes; what stands once for all is named after that."""
    name = schema["$ref"].rpartition("/")[2] if "$ref" in schema else name
    for branch in branches(schema):
        for key, inner in branch.get("properties", {}).items():
            yield Key((*at, key), f"{name}.{key}")
            yield from described_keys(inner, (*at, key), f"{name}.{key}")
        for step, into in ((EACH, "items"), (ANY, "additionalProperties")):
            inner = branch.get(into)
            if isinstance(inner, dict):
                yield from described_keys(inner, (*at, step), f"{name}.{step}")


def same(described: Path, read: Path) -> bool:
    """Say whether a key that was read is one that is described."""
    return len(described) == len(read) and all(
        wanted in (ANY, found) for wanted, found in zip(described, read, strict=True)
    )


def bodies(body: dict[str, Any], extras: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bodies with which a route is called: whole, empty, and without each key."""
    fewer = [{key: value for key, value in body.items() if key != left} for left in body]
    beside = [{**body, **extra} for extra in extras]
    without_source = [
        {key: value for key, value in extra.items() if key != "initializeFrom"} for extra in beside
    ]
    return [body, {}, *fewer, *beside, *without_source]


def none(found: Iterable[str], what: str) -> None:
    """Fail with all that was found, a line each."""
    lines = sorted(found)
    assert not lines, "\n".join([what, *lines])


class Key(msgspec.Struct, frozen=True):
    """A key of a body, and what it is known by: in its route, or in what stands once for all."""

    path: Path
    name: str


class Seen(msgspec.Struct):
    """What calls of every route have read, the answers to those that are right, and what broke."""

    read: dict[str, set[Path]] = {}
    answers: dict[str, Any] = {}
    broken: list[str] = []


@pytest.fixture(scope="module")
def seen() -> Seen:
    """Call every route, several times."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        return asyncio.run(_call_all(Recorder(monkeypatch)))


async def _call_all(recorder: Recorder) -> Seen:
    found = Seen()
    async with a_world() as world:
        ready = await prepared.prepare(world)
        await world.a_record(ready.project, hidden=True)
        await world.a_record(ready.workspace, as_=world.token_of(ready.job), hidden=True)
        wants = [{"name": "z", "class": "int"}]
        unlike = await world.an_applet(ready.project, inputSpec=wants, outputSpec=[])
        recorder.by_route.clear()
        extras = more(ready, unlike=unlike)
        snapshot = prepared.Snapshot(world)
        for method in openapi.public_methods():
            try:
                route, body = ready.call_of(method)
            except KeyError:
                found.broken.append(f"{method.route}: no call in tests/prepared.py")
                continue
            for index, variant in enumerate(bodies(body, extras.get(method.route, []))):
                response = await world.answer(route, variant, as_=ready.caller_of(method))
                if response.status_code == 500 or (index == 0 and response.status_code != 200):
                    found.broken.append(f"{method.route}: {variant} gives {response.text}")
                elif index == 0:
                    found.answers[method.route] = response.json()
                if method.mode is not Mode.READ:
                    snapshot.restore()
    found.read = recorder.by_route
    return found


def test_every_route_is_described_and_nothing_else() -> None:
    offered = {method.route for method in openapi.public_methods()}
    none(offered - set(tables.TOLD), "describe these in methods/described")
    none(set(tables.TOLD) - offered, "these routes are gone")


def test_every_route_can_be_called(seen: Seen) -> None:
    none(seen.broken, "calls that should have been right")


def test_every_key_that_a_method_reads_is_described(seen: Seen) -> None:
    unknown = [
        f"{route}: {'.'.join(path)}"
        for route, read in seen.read.items()
        for path in sorted(read)
        if route in tables.TOLD and not describes(openapi.body_schema(tables.TOLD[route]), path)
    ]
    none(unknown, "add these keys to what is told of their routes")


def test_every_key_that_is_described_is_read(seen: Seen) -> None:
    never: set[str] = set()
    read: set[str] = set()
    for route, paths in seen.read.items():
        if route in tables.TOLD:
            for key in described_keys(openapi.body_schema(tables.TOLD[route]), name=route):
                is_read = any(same(key.path, path) for path in paths)
                (read if is_read else never).add(key.name)
    none(never - read, "nobody reads these: do not describe them, or prepare a body")


def test_every_answer_is_as_described(seen: Seen) -> None:
    wrong = []
    for route, answer in seen.answers.items():
        if route in tables.TOLD:
            schema = {**tables.TOLD[route].gives.schema, "components": {"schemas": COMPONENTS}}
            found = OAS31Validator(schema).iter_errors(answer)
            wrong += [f"{route}: {error.message}" for error in found]
    none(wrong, "answers that are described otherwise")


def test_a_key_that_nobody_described_is_found() -> None:
    told = values.hash_of("", {"a": values.hash_of("", {"b": values.text("")})}).schema
    assert describes(told, ("a", "b"))
    assert not describes(told, ("a", "c"))
    assert not describes(told, ("b",))
    assert [key.path for key in described_keys(told)] == [("a",), ("a", "b")]


def test_every_key_has_a_sentence() -> None:
    mute = [
        (route, key)
        for route, told in tables.TOLD.items()
        for key, value in told.takes.items()
        if not value.says
    ]
    assert mute == []


def test_the_document_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(openapi.document("1.0", "http://platform.test")).validate()
