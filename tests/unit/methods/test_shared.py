"""What data objects of every class share: make, describe, change, close (contract D.1, D.6)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.worlds import BOB, EVE, START_MS, World

COMMON = {
    "id", "project", "class", "types", "created", "state", "hidden", "links", "name", "folder",
    "sponsored", "tags", "modified", "createdBy",
}  # fmt: skip
CLASSES = ("file", "record", "applet")


async def make(world: World, kind: str, project: str, **body: Any) -> str:
    """Make an object of a class; files and records stay open."""
    if kind == "file":
        return await world.an_open_file(project, **body)
    if kind == "record":
        return await world.a_record(project, **body)
    return await world.an_applet(project, **body)


@pytest.fixture
async def project(world: World) -> str:
    return await world.a_project()


# ------------------------------------------------------------------------------------ D.1.1


@pytest.mark.parametrize("kind", CLASSES)
async def test_a_new_object_has_the_defaults(world: World, project: str, kind: str) -> None:
    body = {"name": None} if kind == "applet" else {}
    entity = await make(world, kind, project, **body)
    described = await world.describe(entity)
    extra = {
        "file": {"archivalState", "cloudAccount"},
        "record": {"size"},
        "applet": {
            "dxapi", "title", "summary", "description", "developerNotes", "access", "runSpec",
            "ignoreReuse", "httpsApp",
        },
    }  # fmt: skip
    assert set(described) == COMMON | extra[kind]
    expected = {
        "id": entity, "project": project, "class": kind, "types": [], "created": START_MS,
        "state": "closed" if kind == "applet" else "open", "hidden": False, "links": [],
        "name": entity, "folder": "/", "sponsored": False, "tags": [], "modified": START_MS,
        "createdBy": {"user": "user-alice"},
    }  # fmt: skip
    assert {key: described[key] for key in expected} == expected


@pytest.mark.parametrize("kind", CLASSES)
async def test_what_is_given_is_kept(world: World, project: str, kind: str) -> None:
    given: dict[str, Any] = {
        "name": "a/b ü\t*?[", "folder": "/x/y", "types": ["T", "_a.b-c"], "tags": ["b", "a", "b"],
        "properties": {"k": "v", "$dnanexus.link": ""}, "details": {"a": [1, None, {"b": 1.5}]},
        "hidden": True,
    }  # fmt: skip
    entity = await make(world, kind, project, parents=True, **given)
    described = await world.describe(entity, properties=True, details=True)
    given["tags"] = ["b", "a"]
    assert {key: described[key] for key in given} == given


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(
    "body, error, text",
    [
        ({"project": None}, "InvalidInput", '"project"'),
        ({"project": "nonsense"}, "InvalidInput", '"project"'),
        ({"project": "project-" + "0" * 24}, "ResourceNotFound", "could not be found"),
        ({"folder": "/none"}, "ResourceNotFound", "/none"),
        ({"folder": "none"}, "InvalidInput", '"folder"'),
        ({"name": ""}, "InvalidInput", '"name"'),
        ({"name": 5}, "InvalidInput", '"name"'),
        ({"types": ["a b"]}, "InvalidInput", "be an array of valid strings for a type name"),
        ({"types": ["é"]}, "InvalidInput", "be an array of valid strings for a type name"),
        ({"tags": [""]}, "InvalidInput", '"tags"'),
        ({"properties": {"": "x"}}, "InvalidInput", "nonempty strings"),
        ({"properties": {"k": 1}}, "InvalidInput", '"k"'),
        ({"details": "text"}, "InvalidInput", "details"),
        ({"hidden": "yes"}, "InvalidInput", '"hidden"'),
        ({"parents": "yes", "folder": "/x"}, "InvalidInput", '"parents"'),
    ],
)
async def test_a_wrong_new_object_is_refused(
    world: World, project: str, kind: str, *, body: dict[str, Any], error: str, text: str
) -> None:
    given = {"project": project, "runSpec": {"interpreter": "bash", "code": ""}, **body}
    refusal = await world.refused(f"/{kind}/new", given)
    assert (refusal.type, text in refusal.message) == (error, True), refusal.message
    assert (await world.call(f"/{project}/listFolder"))["objects"] == []


async def test_details_that_are_nested_too_deep_are_refused(world: World, project: str) -> None:
    details: Any = {}
    for _ in range(500):
        details = {"a": details}
    body = {"project": project, "details": details}
    assert (await world.refused("/record/new", body)).type == "InvalidInput"


async def test_a_missing_folder_is_made_with_parents_only(world: World, project: str) -> None:
    record = await world.a_record(project, folder="/a/b/", parents=True)
    assert (await world.describe(record))["folder"] == "/a/b"
    listed = await world.call(f"/{project}/listFolder")
    assert listed["folders"] == ["/a"]


@pytest.mark.parametrize("kind", ["record", "applet"])
async def test_an_object_can_be_initialised_from_another(
    world: World, project: str, kind: str
) -> None:
    other = await world.a_project()
    given = {
        "name": "n", "tags": ["t"], "properties": {"k": "v"}, "types": ["T"],
        "details": {"a": 1}, "hidden": True,
    }  # fmt: skip
    source = await make(world, kind, project, **given)
    body: dict[str, Any] = {
        "project": other,
        "initializeFrom": {"id": source, "project": project},
        "tags": ["mine"],
    }
    made = await world.new(f"/{kind}/new", body)
    described = await world.describe(made, properties=True, details=True)
    assert {key: described[key] for key in given} == {**given, "tags": ["mine"]}
    assert described["project"] == other
    if kind == "applet":
        code = (await world.call(f"/{made}/get"))["runSpec"]["code"]
        assert code == (await world.call(f"/{source}/get"))["runSpec"]["code"]


async def test_nothing_is_initialised_from_what_is_hidden_from_the_caller(
    world: World, project: str
) -> None:
    source = await world.a_record(await world.a_project(as_=BOB), as_=BOB)
    for wanted, error in (
        ({"id": source}, "ResourceNotFound"),
        ({"id": "file-" + "0" * 24}, "InvalidInput"),
        ("x", "InvalidInput"),
    ):
        body = {"project": project, "initializeFrom": wanted}
        assert (await world.refused("/record/new", body)).type == error


async def test_a_job_is_named_as_the_maker_of_what_it_makes(world: World, project: str) -> None:
    applet = await world.an_applet(project)
    job = await world.a_job(applet)
    token = (await world.lease(job))["token"]
    workspace = (await world.describe(job))["workspace"]
    record = await world.a_record(workspace, as_=token)
    described = await world.describe(record, as_=token)
    assert described["createdBy"] == {"user": "user-alice", "job": job, "executable": applet}


# ------------------------------------------------------------------------------------ D.1.2


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"fields": {"name": True}}, {"id", "name"}),
        ({"fields": {}}, {"id"}),
        ({"fields": {"name": False}}, {"id"}),
        ({"fields": {"details": True, "properties": True}}, {"id", "details", "properties"}),
        ({"fields": {"nonsense": True, "md5": True, "drive": True, "length": True}}, {"id"}),
        ({"defaultFields": True, "fields": {"details": True}}, COMMON | {"size", "details"}),
        ({"defaultFields": True, "fields": {"tags": False}}, (COMMON | {"size"}) - {"tags"}),
        ({"defaultFields": False, "fields": {"tags": True}}, {"id", "tags"}),
        ({"properties": True}, COMMON | {"size", "properties"}),
        ({"details": True, "properties": True}, COMMON | {"size", "properties", "details"}),
        ({"details": False}, COMMON | {"size"}),
        ({"defaultFields": True}, COMMON | {"size"}),
        ({"io": False, "try": 0}, COMMON | {"size"}),
    ],
)
async def test_fields_choose_what_comes(
    world: World, project: str, options: dict[str, Any], expected: set[str]
) -> None:
    record = await world.a_record(project)
    assert set(await world.describe(record, **options)) == expected


@pytest.mark.parametrize("options", [{"fields": "name"}, {"fields": ["name"]}, {"project": "x"}])
async def test_wrong_options_are_refused(
    world: World, project: str, options: dict[str, Any]
) -> None:
    record = await world.a_record(project)
    assert (await world.refused(f"/{record}/describe", options)).type == "InvalidInput"


async def test_the_project_is_a_hint_only(world: World, project: str) -> None:
    other = await world.a_project()
    record = await world.a_record(project)
    for hint in (other, "project-" + "0" * 24, "container-" + "0" * 24):
        assert (await world.describe(record, project=hint))["project"] == project


async def test_a_hint_to_a_place_the_caller_may_not_see_tells_nothing(
    world: World, project: str
) -> None:
    secret = await world.a_project(as_=BOB)
    file = await world.a_closed_file(project, name="mine")
    await world.a_member(project, "VIEW")
    await world.call(f"/{project}/clone", {"objects": [file], "project": secret}, as_=BOB)
    await world.call(f"/{file}/rename", {"project": secret, "name": "secret"}, as_=BOB)
    described = await world.describe(file, project=secret)
    assert (described["project"], described["name"]) == (project, "mine")
    assert await world.call(f"/{file}/listProjects") == {project: "ADMINISTER"}


async def test_without_a_hint_a_jobs_workspace_comes_first(world: World, project: str) -> None:
    file = await world.a_closed_file(project)
    job = await world.a_job(await world.an_applet(project), {"f": {"$dnanexus_link": file}})
    token = (await world.lease(job))["token"]
    workspace = (await world.describe(job))["workspace"]
    assert (await world.describe(file, as_=token))["project"] == workspace
    assert (await world.describe(file, as_=token, project=project))["project"] == project


async def test_without_a_hint_the_answer_is_always_the_same(world: World, project: str) -> None:
    file = await world.a_closed_file(project)
    for _ in range(4):
        other = await world.a_project()
        await world.call(f"/{project}/clone", {"objects": [file], "project": other})
    assert len({(await world.describe(file))["project"] for _ in range(5)}) == 1


# ---------------------------------------------------------------------------- D.1.3, D.1.5


@pytest.mark.parametrize("kind", CLASSES)
async def test_names_tags_and_properties_change_in_any_state(
    world: World, project: str, kind: str
) -> None:
    entity = await make(world, kind, project, tags=["a"], properties={"k": "1", "l": "2"})
    world.clock.advance(5)
    changes: dict[str, dict[str, Any]] = {
        "rename": {"name": "ü"},
        "addTags": {"tags": ["c", "b", "a"]},
        "removeTags": {"tags": ["a", "none"]},
        "setProperties": {"properties": {"k": None, "l": "", "$my.prop": "x", "мама": "y"}},
    }
    for verb, body in changes.items():
        for _ in range(2):  # safe to repeat
            answer = await world.call(f"/{entity}/{verb}", {"project": project, **body})
            assert answer == {"id": entity}
    described = await world.describe(entity, properties=True)
    assert described["name"] == "ü"
    assert described["tags"] == ["c", "b"]
    assert described["properties"] == {"l": "", "$my.prop": "x", "мама": "y"}
    assert (described["created"], described["modified"]) == (START_MS, START_MS + 5)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(
    "verb, body, text",
    [
        ("rename", {"name": ""}, '"name"'),
        ("rename", {}, '"name"'),
        ("rename", {"name": 1}, '"name"'),
        ("addTags", {"tags": [""]}, '"tags"'),
        ("addTags", {"tags": "x"}, '"tags"'),
        ("removeTags", {"tags": [1]}, '"tags"'),
        ("setProperties", {"properties": {"": "x"}}, "nonempty strings"),
        ("setProperties", {"properties": {"k": 1}}, '"k"'),
        ("setProperties", {"properties": ["k"]}, '"properties"'),
    ],
)
async def test_a_wrong_change_is_refused(
    world: World, project: str, kind: str, *, verb: str, body: dict[str, Any], text: str
) -> None:
    entity = await make(world, kind, project)
    refusal = await world.refused(f"/{entity}/{verb}", {"project": project, **body})
    assert (refusal.type, text in refusal.message) == ("InvalidInput", True), refusal.message


async def test_a_change_needs_to_say_in_which_project(world: World, project: str) -> None:
    record, other = await world.a_record(project), await world.a_project()
    for body, error in (
        ({}, "InvalidInput"),
        ({"project": "x"}, "InvalidInput"),
        ({"project": other}, "ResourceNotFound"),
        ({"project": "project-" + "0" * 24}, "ResourceNotFound"),
    ):
        refusal = await world.refused(f"/{record}/rename", {"name": "n", **body})
        assert refusal.type == error


OPEN_ONLY: dict[str, Any] = {
    "addTypes": {"types": ["U"]},
    "removeTypes": {"types": ["T"]},
    "setVisibility": {"hidden": True},
    "setDetails": {"new": 1},
}


@pytest.mark.parametrize("kind", ["file", "record"])
async def test_types_details_and_visibility_change_while_open(
    world: World, project: str, kind: str
) -> None:
    entity = await make(world, kind, project, types=["T"], details={"old": 1})
    world.clock.advance(5)
    for verb, body in OPEN_ONLY.items():
        assert await world.call(f"/{entity}/{verb}", body) == {"id": entity}
    described = await world.describe(entity, details=True)
    assert described["types"] == ["U"]
    assert described["details"] == {"new": 1} == await world.call(f"/{entity}/getDetails")
    assert described["hidden"] is True
    assert described["modified"] == START_MS + 5


@pytest.mark.parametrize("verb", OPEN_ONLY)
@pytest.mark.parametrize("kind", ["file", "record"])
async def test_closing_fixes_types_details_and_visibility(
    world: World, project: str, kind: str, verb: str
) -> None:
    if kind == "file":
        entity = await world.a_closed_file(project)
    else:
        entity = await world.a_record(project, close=True)
    refusal = await world.refused(f"/{entity}/{verb}", OPEN_ONLY[verb])
    assert (refusal.type, "is not in the open state" in refusal.message) == ("InvalidState", True)


@pytest.mark.parametrize("verb", OPEN_ONLY)
async def test_an_applet_is_born_closed(world: World, project: str, verb: str) -> None:
    applet = await world.an_applet(project)
    assert (await world.refused(f"/{applet}/{verb}", OPEN_ONLY[verb])).status == 422


@pytest.mark.parametrize(
    "verb, body, text",
    [
        ("addTypes", {"types": ["a b"]}, "be an array of valid strings for a type name"),
        ("addTypes", {"types": "T"}, "be an array of valid strings for a type name"),
        ("removeTypes", {"types": [1]}, "be an array of valid strings for a type name"),
        ("setVisibility", {}, '"hidden"'),
        ("setVisibility", {"hidden": "no"}, '"hidden"'),
        ("setDetails", "text", "details"),
        ("setDetails", 5, "details"),
        ("setDetails", None, "details"),
    ],
)
async def test_a_wrong_change_of_an_open_object_is_refused(
    world: World, project: str, verb: str, body: Any, text: str
) -> None:
    record = await world.a_record(project)
    response = await world.answer(f"/{record}/{verb}", content=msgspec.json.encode(body))
    error = response.json()["error"]
    assert (error["type"], text in error["message"]) == ("InvalidInput", True), error


async def test_closing_again_is_no_error(world: World, project: str) -> None:
    record = await world.a_record(project)
    for _ in range(2):
        assert await world.call(f"/{record}/close") == {"id": record}
    assert (await world.describe(record))["state"] == "closed"


async def test_a_record_may_be_born_closed(world: World, project: str) -> None:
    record = await world.a_record(project, close=True)
    assert (await world.describe(record))["state"] == "closed"


# ------------------------------------------------------------------------------------ D.1.4


async def test_links_are_the_distinct_ids_in_the_order_seen(world: World, project: str) -> None:
    ids = [f"record-{letter * 24}" for letter in "BFGJ"]
    details: Any = {
        "z": [{"$dnanexus_link": ids[2]}, {"deep": {"$dnanexus_link": ids[0]}}],
        "a": {"$dnanexus_link": {"project": project, "id": ids[1]}},
        "again": {"$dnanexus_link": ids[2]},
        "no link": {"$dnanexus_link": "nonsense"},
    }
    record = await world.a_record(project, details=details)
    assert (await world.describe(record))["links"] == [ids[2], ids[0], ids[1]]
    await world.call(f"/{record}/setDetails", [{"$dnanexus_link": ids[3]}])
    assert (await world.describe(record))["links"] == [ids[3]]
    await world.call(f"/{record}/setDetails", {"$dnanexus_link": ids[0]})
    assert (await world.describe(record))["links"] == [ids[0]]
    assert await world.call(f"/{record}/getDetails") == {"$dnanexus_link": ids[0]}
    await world.call(f"/{record}/setDetails", [])
    assert await world.call(f"/{record}/getDetails") == []


# ------------------------------------------------------------------------------- permissions


@pytest.mark.parametrize("is_closed", [False, True])
async def test_changes_take_upload_while_open_and_contribute_when_closed(
    world: World, project: str, is_closed: bool
) -> None:
    record = await world.a_record(project, close=is_closed)
    body = {"project": project, "tags": ["t"]}
    route = f"/{record}/addTags"
    for level in ("VIEW", "UPLOAD"):
        await world.a_member(project, level)
        if level == "VIEW" or is_closed:
            assert (await world.refused(route, body, as_=BOB)).type == "PermissionDenied"
        else:
            await world.call(route, body, as_=BOB)
    await world.a_member(project, "CONTRIBUTE")
    await world.call(route, body, as_=BOB)
    assert (await world.refused(route, body, as_=EVE)).type == "ResourceNotFound"


async def test_the_level_that_counts_is_the_one_in_the_named_project(
    world: World, project: str
) -> None:
    other = await world.a_project(as_=BOB)
    file = await world.a_closed_file(project)
    await world.a_member(project, "VIEW")
    await world.call(f"/{project}/clone", {"objects": [file], "project": other}, as_=BOB)
    await world.call(f"/{file}/rename", {"project": other, "name": "bobs"}, as_=BOB)
    refusal = await world.refused(f"/{file}/rename", {"project": project, "name": "x"}, as_=BOB)
    assert refusal.type == "PermissionDenied"
