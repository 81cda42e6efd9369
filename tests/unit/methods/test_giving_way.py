"""A call about a great many objects lets the calls of others through while it is under way."""

from __future__ import annotations

from typing import Any, Final

import pytest

from plasmid.metadata import objects
from plasmid.methods import find, folders
from tests import turns
from tests.worlds import World

COUNT: Final = 400
SOME: Final = 10
CALLS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "move": ("/{project}/move", {"destination": "/there"}),
    "clone": ("/{project}/clone", {"project": "{other}", "destination": "/"}),
    "removeObjects": ("/{project}/removeObjects", {}),
    "listFolder": ("/{project}/listFolder", {"describe": True}),
}


async def turns_beside(world: World, route: str, body: dict[str, Any]) -> int:
    """Make a call that must succeed, and return how often somebody else had a turn meanwhile."""
    with turns.counted() as beside:
        await world.call(route, body)
    return beside.count


@pytest.mark.parametrize("name", CALLS)
async def test_others_have_their_turn_between_some_objects_and_the_next(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "SOME", SOME)
    monkeypatch.setattr(folders, "YIELD_EVERY", SOME)
    project, other = await world.a_project(), await world.a_project()
    await world.call(f"/{project}/newFolder", {"folder": "/there"})
    records = await world.many_records(project, COUNT)
    route, asked = CALLS[name]
    body = {key: other if value == "{other}" else value for key, value in asked.items()}
    few = await turns_beside(world, "/system/whoami", {})
    if name != "listFolder":
        body["objects"] = records
    many = await turns_beside(world, route.format(project=project), body)
    assert many - few >= COUNT // SOME


@pytest.mark.parametrize("name", ["archive", "unarchive"])
async def test_archival_gives_way_too(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "SOME", 1)
    project = await world.a_project()
    files = [await world.a_closed_file(project, name=f"f{number}") for number in range(12)]
    if name == "unarchive":
        await world.call(f"/{project}/archive", {"files": files})
    few = await turns_beside(world, "/system/whoami", {})
    many = await turns_beside(world, f"/{project}/{name}", {"files": files})
    assert many - few >= len(files)


async def test_a_clone_of_many_folders_gives_way_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "YIELD_EVERY", SOME)
    project, other = await world.a_project(), await world.a_project()
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)"
    await world.rows(f"INSERT INTO folders {numbers} SELECT '{project}', '/' || i FROM n")
    few = await turns_beside(world, "/system/whoami", {})
    body = {"project": other, "destination": "/", "folders": ["/"]}
    many = await turns_beside(world, f"/{project}/clone", body)
    assert many - few >= COUNT // SOME
    folder = {"folder": "/", "only": "folders"}
    assert len((await world.call(f"/{other}/listFolder", folder))["folders"]) == COUNT


async def test_a_page_that_would_take_too_long_ends_early_and_nothing_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "NAMES_MAX", 20)
    monkeypatch.setattr(find, "BATCH_MAX", 10)
    project = await world.a_project()
    await world.many_records(project, 100)
    wanted = {await world.a_record(project, name=f"needle {number}") for number in range(3)}
    body = {"scope": {"project": project}, "name": {"regexp": "^ne+dle"}, "limit": 2}
    found: list[str] = []
    pages = 0
    while True:
        page = await world.call("/system/findDataObjects", body)
        found += [entry["id"] for entry in page["results"]]
        pages += 1
        if page["next"] is None:
            break
        body["starting"] = page["next"]
    assert sorted(found) == sorted(wanted)
    assert 3 < pages < 10
