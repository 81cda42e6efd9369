"""Cloning objects and folders into another container (contract C.8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import BOB, START_MS, World


def link(entity: str) -> dict[str, str]:
    return {"$dnanexus_link": entity}


class Two:
    """Two projects: where things come from and where they go."""

    def __init__(self, world: World, source: str, into: str) -> None:
        self.world = world
        self.source = source
        self.into = into

    async def clone(self, **body: Any) -> Any:
        """Clone into the second project."""
        return await self.world.call(f"/{self.source}/clone", {"project": self.into, **body})

    async def refused(self, **body: Any) -> str:
        """Fail to clone into the second project; return the error's type."""
        body = {"project": self.into, **body}
        return (await self.world.refused(f"/{self.source}/clone", body)).type

    async def place(self, entity: str) -> str | None:
        """Return the folder of an object in the second project, None if it is not there."""
        described = await self.world.describe(entity, project=self.into)
        return described["folder"] if described["project"] == self.into else None


@pytest.fixture
async def two(world: World) -> Two:
    return Two(world, await world.a_project(name="source"), await world.a_project(name="into"))


async def test_a_clone_is_the_same_object_in_two_places(world: World, two: Two) -> None:
    file = await world.a_closed_file(two.source, name="f", tags=["t"], properties={"k": "v"})
    world.clock.advance(7)
    answer = await two.clone(objects=[file], destination="/d", parents=True)
    assert answer == {"id": two.source, "project": two.into, "exists": []}
    described = await world.describe(file, project=two.into, properties=True)
    assert described["folder"] == "/d"
    assert (described["name"], described["tags"], described["properties"]) == (
        "f",
        ["t"],
        {"k": "v"},
    )
    assert (described["created"], described["modified"]) == (START_MS, START_MS + 7)
    assert await world.call(f"/{file}/listProjects") == {
        two.source: "ADMINISTER", two.into: "ADMINISTER"
    }  # fmt: skip
    assert await world.read(file, project=two.into) == b"hello"


async def test_each_place_has_its_own_name_tags_and_properties(world: World, two: Two) -> None:
    file = await world.a_closed_file(two.source, name="f", tags=["t"])
    await two.clone(objects=[file])
    changes: dict[str, dict[str, Any]] = {
        "rename": {"name": "g"},
        "addTags": {"tags": ["u"]},
        "removeTags": {"tags": ["t"]},
        "setProperties": {"properties": {"k": "v"}},
    }
    for verb, body in changes.items():
        await world.call(f"/{file}/{verb}", {"project": two.into, **body})
    seen = [
        await world.describe(file, project=project, properties=True)
        for project in (two.source, two.into)
    ]
    assert [(one["name"], one["tags"], one["properties"]) for one in seen] == [
        ("f", ["t"], {}), ("g", ["u"], {"k": "v"})
    ]  # fmt: skip


async def test_what_is_there_already_stays_as_it_is_and_is_reported(world: World, two: Two) -> None:
    old, new = await world.a_closed_file(two.source), await world.a_closed_file(two.source)
    await two.clone(objects=[old], destination="/a", parents=True)
    answer = await two.clone(objects=[old, new], destination="/b", parents=True)
    assert answer["exists"] == [old]
    assert (await two.place(old), await two.place(new)) == ("/a", "/b")


@pytest.mark.parametrize("kind", ["file", "record"])
async def test_only_closed_objects_are_cloned(world: World, two: Two, kind: str) -> None:
    make = world.an_open_file if kind == "file" else world.a_record
    entity = await make(two.source)
    closed = await world.a_closed_file(two.source)
    assert await two.refused(objects=[closed, entity]) == "InvalidState"
    assert await two.place(closed) is None


async def test_hidden_objects_that_a_clone_links_to_come_along_also_through_others(
    world: World, two: Two
) -> None:
    deep = await world.a_record(two.source, hidden=True, close=True)
    middle = await world.a_record(two.source, hidden=True, details=[link(deep)], close=True)
    shown = await world.a_record(two.source, close=True)
    other = await world.a_record(two.source, hidden=True, close=True)
    top = await world.a_record(two.source, details=[link(middle), link(shown)], close=True)
    answer = await two.clone(objects=[top], destination="/d", parents=True)
    assert answer["exists"] == []
    for entity, folder in ((top, "/d"), (middle, "/d"), (deep, "/d"), (shown, None), (other, None)):
        assert await two.place(entity) == folder


async def test_an_applet_brings_all_of_its_bundled_objects(world: World, two: Two) -> None:
    """Hidden or not: without them it does not run."""
    shown = await world.a_closed_file(two.source, name="shown.tar.gz")
    hidden = await world.a_closed_file(two.source, name="hidden.tar.gz", hidden=True)
    bundles = [{"name": "a", "id": link(shown)}, {"name": "b", "id": link(hidden)}]
    applet = await world.an_applet(two.source, runSpec={"bundledDepends": bundles})
    await two.clone(objects=[applet])
    for entity in (applet, shown, hidden):
        assert await two.place(entity) == "/"


async def test_a_folder_comes_with_its_name_and_all_below(world: World, two: Two) -> None:
    inside = await world.a_closed_file(two.source, folder="/x/a/b", parents=True)
    await world.call(f"/{two.source}/newFolder", {"folder": "/x/a/empty"})
    outside = await world.a_closed_file(two.source, folder="/x")
    await two.clone(folders=["/x/a"], destination="/d", parents=True)
    described = await world.describe(two.into, fields={"folders": True})
    assert described["folders"] == ["/", "/d", "/d/a", "/d/a/b", "/d/a/empty"]
    assert await two.place(inside) == "/d/a/b"
    assert await two.place(outside) is None


async def test_the_root_comes_as_its_content(world: World, two: Two) -> None:
    top = await world.a_closed_file(two.source)
    deep = await world.a_closed_file(two.source, folder="/a", parents=True)
    await two.clone(folders=["/"], destination="/d", parents=True)
    assert (await two.place(top), await two.place(deep)) == ("/d", "/d/a")
    await two.clone(folders=["/"], destination="/e", parents=True)
    assert (await two.place(top), await two.place(deep)) == ("/d", "/d/a")


async def test_hidden_objects_of_a_cloned_folder_keep_their_place_in_it(
    world: World, two: Two
) -> None:
    inside = await world.a_record(
        two.source, hidden=True, folder="/a/store", parents=True, close=True
    )
    outside = await world.a_record(two.source, hidden=True, close=True)
    unlinked = await world.a_record(two.source, hidden=True, folder="/a", close=True)
    details = [link(inside), link(outside)]
    shown = await world.a_record(two.source, folder="/a", details=details, close=True)
    await two.clone(folders=["/a"])
    assert await two.place(shown) == "/a"
    assert await two.place(inside) == "/a/store"
    assert await two.place(outside) == "/"
    assert await two.place(unlinked) is None


@pytest.mark.parametrize("content", [True, False])
async def test_a_folder_that_is_there_already_conflicts(
    world: World, two: Two, content: bool
) -> None:
    await world.call(f"/{two.source}/newFolder", {"folder": "/a"})
    if content:
        await world.a_closed_file(two.source, folder="/a")
    await world.call(f"/{two.into}/newFolder", {"folder": "/a"})
    body = {"project": two.into, "folders": ["/a"]}
    refusal = await world.refused(f"/{two.source}/clone", body)
    assert "If cloned, a folder would conflict" in refusal.message
    assert refusal.status == 422


async def test_two_folders_of_one_name_conflict_with_each_other(world: World, two: Two) -> None:
    for folder in ("/a/x", "/b/x"):
        await world.call(f"/{two.source}/newFolder", {"folder": folder, "parents": True})
    body = {"project": two.into, "folders": ["/a/x", "/b/x"]}
    refusal = await world.refused(f"/{two.source}/clone", body)
    assert "If cloned, a folder would conflict" in refusal.message
    described = await world.describe(two.into, fields={"folders": True})
    assert described["folders"] == ["/"], "a refused clone leaves nothing"


@pytest.mark.parametrize(
    "body, kind",
    [
        ({"objects": ["file-" + "0" * 24]}, "ResourceNotFound"),
        ({"folders": ["/none"]}, "ResourceNotFound"),
        ({"destination": "/none"}, "ResourceNotFound"),
        ({"project": "project-" + "0" * 24}, "ResourceNotFound"),
        ({"project": None}, "InvalidInput"),
        ({"project": "nonsense"}, "InvalidInput"),
        ({"objects": ["job-" + "0" * 24]}, "InvalidInput"),
        ({"objects": {}}, "InvalidInput"),
        ({"folders": "/a"}, "InvalidInput"),
        ({"destination": "d"}, "InvalidInput"),
    ],
)
async def test_a_wrong_clone_is_refused(two: Two, body: dict[str, Any], kind: str) -> None:
    assert await two.refused(**body) == kind


async def test_nothing_is_cloned_within_one_container_or_across_regions(
    world: World, two: Two
) -> None:
    file = await world.a_closed_file(two.source)
    azure = await world.a_project(region="azure:westus")
    for project in (two.source, azure):
        assert await two.refused(objects=[file], project=project) == "InvalidInput"


async def test_nothing_is_cloned_out_of_a_restricted_project(world: World, two: Two) -> None:
    file = await world.a_closed_file(two.source)
    await world.call(f"/{two.source}/update", {"restricted": True})
    assert await two.refused(objects=[file]) == "PermissionDenied"


async def test_cloning_takes_view_here_and_upload_there(world: World, two: Two) -> None:
    file = await world.a_closed_file(two.source)
    body = {"objects": [file], "project": two.into}
    route = f"/{two.source}/clone"
    for source, into in (("VIEW", "VIEW"), (None, "UPLOAD")):
        await world.call(f"/{two.source}/decreasePermissions", {"user-bob": None})
        if source:
            await world.a_member(two.source, source)
        await world.a_member(two.into, into)
        assert (await world.refused(route, body, as_=BOB)).type == "PermissionDenied"
    await world.a_member(two.source, "VIEW")
    await world.call(route, body, as_=BOB)
    assert await two.place(file) == "/"
