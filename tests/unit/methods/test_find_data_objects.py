"""findDataObjects, resolveDataObjects (contract A.10, B.2, B.3)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain.access import Actor, Level
from plasmid.metadata import objects
from plasmid.metadata.rows import PlacementRow
from plasmid.methods import find
from tests.worlds import BOB, START_MS, World


async def found(world: World, body: dict[str, Any], **how: Any) -> list[str]:
    """Return the ids that a question finds, page after page."""
    ids: list[str] = []
    starting = None
    while True:
        answer = await world.call("/system/findDataObjects", {**body, "starting": starting}, **how)
        assert set(answer) == {"results", "next"}
        ids += [entry["id"] for entry in answer["results"]]
        starting = answer["next"]
        if starting is None:
            return ids


class Shelf:
    """A project with one object for each thing to look for."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.ids: dict[str, str] = {}

    def names(self, ids: list[str]) -> set[str]:
        """Return what the test calls the objects of these ids."""
        by_id = {entity: name for name, entity in self.ids.items()}
        return {by_id[entity] for entity in ids}


@pytest.fixture
async def shelf(world: World) -> Shelf:
    project = await world.a_project()
    made = Shelf(project)
    ids = made.ids
    ids["file"] = await world.a_closed_file(project, name="reads.fq.gz")
    world.clock.advance(1000)
    ids["open file"] = await world.an_open_file(project, name="Reads.fq.gz")
    ids["record"] = await world.a_record(
        project,
        name="a*b[1]",
        types=["T", "U"],
        tags=["red", "big"],
        properties={"k": "v", "n": ""},
        folder="/deep/er",
        parents=True,
        details={"to": {"$dnanexus_link": ids["file"]}},
        close=True,
    )
    world.clock.advance(1000)
    ids["hidden"] = await world.a_record(project, name="ghost", hidden=True, tags=["red"])
    ids["applet"] = await world.an_applet(project, name="aXb[1]", folder="/deep")
    return made


@pytest.mark.parametrize(
    "question, expected",
    [
        ({}, {"file", "open file", "record", "applet"}),
        ({"class": "file"}, {"file", "open file"}),
        ({"class": "applet"}, {"applet"}),
        ({"class": "database"}, set()),
        ({"class": "workflow"}, set()),
        ({"state": "open"}, {"open file"}),
        ({"state": "closed"}, {"file", "record", "applet"}),
        ({"state": "closing"}, set()),
        ({"state": "any", "visibility": "hidden"}, {"hidden"}),
        ({"visibility": "either", "tags": "red"}, {"record", "hidden"}),
        ({"name": "reads.fq.gz"}, {"file"}),
        ({"name": "Reads.fq.gz"}, {"open file"}),
        ({"name": {"glob": "reads*"}}, {"file"}),
        ({"name": {"glob": "*.fq.gz"}}, {"file", "open file"}),
        ({"name": {"glob": "?eads.fq.??"}}, {"file", "open file"}),
        ({"name": {"glob": "a*b[1]"}}, {"record", "applet"}),
        ({"name": {"glob": "a\\*b[1]"}}, {"record"}),
        ({"name": {"glob": "a\\*b\\[1\\]"}}, {"record"}),
        ({"name": {"glob": "reads%"}}, set()),
        ({"name": {"glob": "reads_fq_gz"}}, set()),
        ({"name": {"regexp": "fq"}}, {"file", "open file"}),
        ({"name": {"regexp": "^reads"}}, {"file"}),
        ({"name": {"regexp": "^READS", "flags": "i"}}, {"file", "open file"}),
        ({"name": {"regexp": "b\\[1\\]$"}}, {"record", "applet"}),
        ({"type": "T"}, {"record"}),
        ({"type": {"$or": ["X", "U"]}}, {"record"}),
        ({"type": {"$and": ["X", "U"]}}, set()),
        ({"tag": "red"}, {"record"}),
        ({"tags": {"$and": ["red", "big"]}}, {"record"}),
        ({"tags": {"$and": ["red", {"$or": ["x", "big"]}]}}, {"record"}),
        ({"tags": {"$and": ["red", "small"]}}, set()),
        ({"tags": {"$and": []}}, {"file", "open file", "record", "applet"}),
        ({"properties": {"k": "v"}}, {"record"}),
        ({"properties": {"k": "w"}}, set()),
        ({"properties": {"k": True}}, {"record"}),
        ({"properties": {"n": ""}}, {"record"}),
        ({"properties": {"k": False}, "class": "file"}, {"file", "open file"}),
        ({"properties": {"$and": [{"k": "v"}, {"n": True}]}}, {"record"}),
        ({"properties": {"$or": [{"k": "w"}, {"k": "v"}]}}, {"record"}),
        ({"modified": {"after": START_MS + 1, "before": START_MS + 1000}}, {"open file", "record"}),
        ({"created": {"before": START_MS}}, {"file"}),
        ({"created": {"after": START_MS + 2000}}, {"applet"}),
        ({"region": "aws:us-east-1"}, {"file", "open file", "record", "applet"}),
        ({"region": ["azure:westus"]}, set()),
        ({"archivalState": "any"}, {"file", "open file", "record", "applet"}),
        ({"level": "ADMINISTER"}, {"file", "open file", "record", "applet"}),
    ],
)
async def test_each_condition_finds_just_what_it_means(
    world: World, shelf: Shelf, question: dict[str, Any], expected: set[str]
) -> None:
    assert shelf.names(await found(world, question)) == expected


@pytest.mark.parametrize(
    "scope, expected",
    [
        ({}, {"file", "open file", "record", "applet"}),
        ({"folder": "/"}, {"file", "open file", "record", "applet"}),
        ({"folder": "/", "recurse": False}, {"file", "open file"}),
        ({"folder": "/deep"}, {"record", "applet"}),
        ({"folder": "/deep/"}, {"record", "applet"}),
        ({"folder": "/deep", "recurse": False}, {"applet"}),
        ({"folder": "/dee"}, set()),
        ({"folder": "/no/such"}, set()),
    ],
)
async def test_a_scope_is_a_folder_with_or_without_what_is_below(
    world: World, shelf: Shelf, scope: dict[str, Any], expected: set[str]
) -> None:
    question = {"scope": {"project": shelf.project, **scope}}
    assert shelf.names(await found(world, question)) == expected


@pytest.mark.parametrize(("region", "count"), [("aws:us-east-1", 4), ("azure:westus", 0)])
async def test_a_scope_in_another_region_holds_nothing(
    world: World, shelf: Shelf, region: str, count: int
) -> None:
    question = {"scope": {"project": shelf.project}, "region": region}
    assert len(await found(world, question)) == count


async def test_ids_and_links_are_conditions(world: World, shelf: Shelf) -> None:
    ids = shelf.ids
    assert await found(world, {"id": [ids["file"], ids["hidden"]]}) == [ids["file"]]
    assert await found(world, {"link": ids["file"]}) == [ids["record"]]
    assert await found(world, {"link": ids["record"]}) == []


async def test_an_entry_has_project_and_id_only_unless_a_describe_is_asked_for(
    world: World, shelf: Shelf
) -> None:
    plain = {"project": shelf.project, "id": shelf.ids["file"]}
    question = {"name": "reads.fq.gz"}
    for describe, expected in (
        (None, plain),
        (False, plain),
        (True, {**plain, "describe": await world.describe(shelf.ids["file"])}),
        ({}, {**plain, "describe": await world.describe(shelf.ids["file"])}),
        (
            {"fields": {"name": True}},
            {**plain, "describe": {"id": shelf.ids["file"], "name": "reads.fq.gz"}},
        ),
    ):
        answer = await world.call("/system/findDataObjects", {**question, "describe": describe})
        assert answer == {"results": [expected], "next": None}


@pytest.mark.parametrize(
    "question, key",
    [
        ({"state": "ajar"}, "state"),
        ({"class": "job"}, "class"),
        ({"visibility": "some"}, "visibility"),
        ({"level": "OWNER"}, "level"),
        ({"archivalState": "cold"}, "archivalState"),
        ({"archivalState": "live"}, "archivalState"),
        ({"archivalState": "live", "class": "file"}, "archivalState"),
        ({"limit": 0}, "limit"),
        ({"limit": -5}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"name": {"regexp": "("}}, "regexp"),
        ({"name": {}}, "name"),
        ({"name": {"glob": "a", "regexp": "b"}}, "name"),
        ({"created": {"after": "x"}}, "after"),
        ({"scope": {}}, "project"),
        ({"scope": {"project": "nonsense"}}, "project"),
        ({"scope": "/"}, "scope"),
        ({"sortBy": {"field": "size"}}, "field"),
        ({"id": ["x"]}, "id"),
        ({"id": ["file-" + "0" * 24] * 1001}, "id"),
        ({"link": "job-" + "0" * 24}, "link"),
        ({"tags": {"$not": ["x"]}}, "tags"),
        ({"properties": {"": "x"}}, "properties"),
        ({"describe": "x"}, "describe"),
        ({"starting": "x"}, ""),
        ({"starting": {"project": "p", "id": "i"}}, ""),
    ],
)
async def test_a_wrong_condition_is_named(world: World, question: dict[str, Any], key: str) -> None:
    refusal = await world.refused("/system/findDataObjects", question)
    assert refusal.type == "InvalidInput"
    assert f'"{key}"' in refusal.message or not key


async def test_an_unknown_scope_is_not_found_and_a_forbidden_one_denied(world: World) -> None:
    unknown = {"scope": {"project": "project-" + "0" * 24}}
    assert (await world.refused("/system/findDataObjects", unknown)).type == "ResourceNotFound"
    forbidden = {"scope": {"project": await world.a_project(as_=BOB)}}
    assert (await world.refused("/system/findDataObjects", forbidden)).type == "PermissionDenied"


async def test_only_what_is_shared_is_found_and_public_projects_only_by_scope(
    world: World,
) -> None:
    mine, shared, public = [await world.a_project(name=name) for name in ("m", "s", "p")]
    for project in (mine, shared, public):
        await world.a_record(project, name=project)
    await world.a_member(shared, "VIEW")
    await world.a_member(public, "VIEW", user="PUBLIC")
    seen = {
        entry["project"]
        for entry in (await world.call("/system/findDataObjects", as_=BOB))["results"]
    }
    assert seen == {shared}
    assert await found(world, {"level": "CONTRIBUTE"}, as_=BOB) == []
    assert len(await found(world, {"scope": {"project": public}}, as_=BOB)) == 1


async def test_a_scoped_token_finds_only_within_its_scope(world: World) -> None:
    inside, outside = await world.a_project(), await world.a_project()
    record = await world.a_record(inside)
    await world.a_record(outside)
    actor = Actor(user="user-alice", scope={inside: Level.VIEW})
    token = await world.add_token("scoped", actor)
    assert await found(world, {}, as_=token) == [record]


async def test_a_job_finds_in_its_workspace_and_its_project_only(world: World) -> None:
    project, other = await world.a_project(), await world.a_project()
    await world.a_record(other)
    applet = await world.an_applet(project)
    job = await world.a_job(applet)
    await world.lease(job)
    token, workspace = world.token_of(job), (await world.describe(job))["workspace"]
    record = await world.a_record(workspace, as_=token)
    assert set(await found(world, {}, as_=token)) == {record, applet}
    scope = {"scope": {"project": workspace, "folder": "/", "recurse": False}}
    assert await found(world, scope, as_=token) == [record]


# --------------------------------------------------------------------------- A.10 pages, order


async def test_results_are_by_project_newest_modified_first_then_by_id(world: World) -> None:
    projects = sorted([await world.a_project(), await world.a_project()])
    expected = []
    for project in projects:
        old = sorted([await world.a_record(project) for _ in range(3)])
        world.clock.advance(1)
        new = sorted([await world.a_record(project) for _ in range(3)])
        world.clock.advance(1)
        expected += new + old
    assert await found(world, {}) == expected
    for limit in (1, 2, 5, 11, 12, 13):
        assert await found(world, {"limit": limit}) == expected


@pytest.mark.parametrize("field", ["created", "name"])
@pytest.mark.parametrize("ordering", ["ascending", "descending", None])
async def test_results_can_be_sorted(world: World, field: str, ordering: str | None) -> None:
    project = await world.a_project()
    made = []
    for name in ("b", "c", "a"):
        made.append((name, await world.a_record(project, name=name)))
        world.clock.advance(1)
    if field == "name":
        made.sort()
    if ordering == "descending":
        made.reverse()
    sort = {"sortBy": {"field": field, "ordering": ordering}, "limit": 2}
    assert await found(world, sort) == [entity for _, entity in made]


async def test_the_last_page_has_null_for_next(world: World) -> None:
    project = await world.a_project()
    for _ in range(2):
        await world.a_record(project)
    whole = await world.call("/system/findDataObjects", {"limit": 2})
    assert whole["next"] is None
    first = await world.call("/system/findDataObjects", {"limit": 1})
    assert set(first["next"]) >= {"project", "id"}


async def test_pages_neither_skip_nor_repeat_what_stays_while_others_come_and_go(
    world: World,
) -> None:
    project = await world.a_project()
    made = []
    for _ in range(6):
        made.append(await world.a_record(project))
        world.clock.advance(1)
    newest_first = made[::-1]
    first = await world.call("/system/findDataObjects", {"limit": 3})
    await world.a_record(project)
    await world.call(f"/{project}/removeObjects", {"objects": [newest_first[2], newest_first[4]]})
    second = await world.call("/system/findDataObjects", {"limit": 3, "starting": first["next"]})
    assert [entry["id"] for entry in first["results"]] == newest_first[:3]
    assert [entry["id"] for entry in second["results"]] == [newest_first[3], newest_first[5]]


async def test_a_limit_over_a_thousand_means_a_thousand(world: World) -> None:
    await world.many_records(await world.a_project(), 1001)
    for limit in (5000, None):
        answer = await world.call("/system/findDataObjects", {"limit": limit})
        assert (len(answer["results"]), answer["next"] is None) == (1000, False)


async def test_what_is_filtered_late_still_fills_pages(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "BATCH_MAX", 3)
    project = await world.a_project()
    wanted = []
    for number in range(30):
        name = "wanted" if number % 7 == 0 else "other"
        record = await world.a_record(project, name=name, properties={"k": "v" * (number % 2)})
        wanted += [record] if name == "wanted" else []
        world.clock.advance(1)
    body: dict[str, Any] = {"name": {"regexp": "^w.*d$"}, "limit": 2}
    assert await found(world, body) == wanted[::-1]
    # more conditions than the database is asked
    body["properties"] = {"$or": [*({"k": str(number)} for number in range(99)), {"k": "v"}]}
    assert await found(world, body) == wanted[::-1][1::2]


async def test_an_object_is_found_in_every_project_that_holds_it(world: World) -> None:
    first, second = await world.a_project(), await world.a_project()
    file = await world.a_closed_file(first, name="one")
    await world.call(f"/{first}/clone", {"objects": [file], "project": second})
    await world.call(f"/{file}/rename", {"project": second, "name": "two"})
    answer = await world.call("/system/findDataObjects", {"id": [file], "describe": True})
    assert {(entry["project"], entry["describe"]["name"]) for entry in answer["results"]} == {
        (first, "one"),
        (second, "two"),
    }
    assert await found(world, {"name": "two"}) == [file]


# ---------------------------------------------------------------------------------- B.3 resolve


async def test_names_are_resolved_in_order_exactly_and_not_below(world: World) -> None:
    project, other = await world.a_project(), await world.a_project()
    top = await world.a_record(project, name="x")
    twin = await world.a_record(project, name="x")
    deep = await world.a_record(project, name="x", folder="/d", parents=True)
    elsewhere = await world.a_record(other, name="x")
    await world.a_record(project, name="ghost", hidden=True)
    body = {
        "project": project,
        "objects": [
            {"name": "x"},
            {"name": "nothing"},
            {"name": "x", "folder": "/d"},
            {"name": "x", "project": other},
            {"name": "X"},
            {"name": "ghost"},
            {"name": "x", "folder": "/none"},
        ],
    }
    results = (await world.call("/system/resolveDataObjects", body))["results"]
    assert [[entry["id"] for entry in result] for result in results] == [
        sorted([top, twin]), [], [deep], [elsewhere], [], [], []
    ]  # fmt: skip
    assert results[2] == [{"project": project, "id": deep}]


async def test_the_default_folder_can_be_given_for_all(world: World) -> None:
    project = await world.a_project()
    deep = await world.a_record(project, name="x", folder="/d", parents=True)
    body = {"project": project, "folder": "/d", "objects": [{"name": "x"}], "describe": True}
    results = (await world.call("/system/resolveDataObjects", body))["results"]
    described = await world.describe(deep)
    assert results == [[{"project": project, "id": deep, "describe": described}]]


@pytest.mark.parametrize(
    "body, kind",
    [
        ({}, "InvalidInput"),
        ({"objects": [{}]}, "InvalidInput"),
        ({"objects": ["x"]}, "InvalidInput"),
        ({"objects": [{"name": "x"}]}, "InvalidInput"),
        ({"objects": [{"name": "x", "project": "nonsense"}]}, "InvalidInput"),
        ({"objects": [{"name": "x", "project": "project-" + "0" * 24}]}, "ResourceNotFound"),
        ({"objects": [{"name": "x"}] * 1001, "project": "project-" + "0" * 24}, "InvalidInput"),
    ],
)
async def test_a_wrong_list_of_names_is_refused(
    world: World, body: dict[str, Any], kind: str
) -> None:
    assert (await world.refused("/system/resolveDataObjects", body)).type == kind


async def test_a_thousand_names_are_resolved_at_once(world: World) -> None:
    project = await world.a_project()
    record = await world.a_record(project, name="x")
    body = {"project": project, "objects": [{"name": "x"}] * 1000}
    results = (await world.call("/system/resolveDataObjects", body))["results"]
    assert results == [[{"project": project, "id": record}]] * 1000


async def test_resolving_in_a_forbidden_project_is_denied(world: World) -> None:
    body = {"project": await world.a_project(as_=BOB), "objects": [{"name": "x"}]}
    assert (await world.refused("/system/resolveDataObjects", body)).type == "PermissionDenied"


async def test_what_is_removed_while_names_are_resolved_is_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await world.a_project()
    gone, stays = [await world.a_record(project, name="x") for _ in range(2)]
    find_named = objects.find_named

    async def find_and_remove(*asked: Any) -> list[PlacementRow]:
        places = await find_named(*asked)
        await world.call(f"/{project}/removeObjects", {"objects": [gone]})
        return places

    monkeypatch.setattr(objects, "find_named", find_and_remove)
    body = {"project": project, "objects": [{"name": "x"}]}
    results = (await world.call("/system/resolveDataObjects", body))["results"]
    assert results == [[{"project": project, "id": stays}]]
