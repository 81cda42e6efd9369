"""Folders: make, list, move, remove (contract C.7)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.methods import folders
from tests.worlds import BOB, START_MS, World


@pytest.fixture
async def project(world: World) -> str:
    return await world.a_project()


async def tree(world: World, project: str) -> list[str]:
    """Return all folders of a project."""
    described = await world.describe(project, fields={"folders": True})
    found: list[str] = described["folders"]
    return found


# -------------------------------------------------------------------------------- newFolder


@pytest.mark.parametrize(
    "folder, made",
    [
        ("/a", ["/", "/a"]),
        ("/a/", ["/", "/a"]),
        ("//a", ["/", "/a"]),
        ("/a//b////c/", ["/", "/a", "/a/b", "/a/b/c"]),
        ("/ü/…", ["/", "/ü", "/ü/…"]),
        ("/a b/c'd\"e", ["/", "/a b", "/a b/c'd\"e"]),
        ("/...", ["/", "/..."]),
        ("/%/_", ["/", "/%", "/%/_"]),
        ("/", ["/"]),
    ],
)
async def test_a_path_is_made_in_its_normal_form(
    world: World, project: str, folder: str, made: list[str]
) -> None:
    await world.call(f"/{project}/newFolder", {"folder": folder, "parents": True})
    assert await tree(world, project) == made


@pytest.mark.parametrize(
    "folder", ["", "a", "a/b", "/a/../b", "/.", "/a/.", "/a\nb", "/\x1f", None, 5, ["/a"]]
)
async def test_a_wrong_path_is_refused_by_every_method(
    world: World, project: str, folder: object
) -> None:
    for verb, body in {
        "newFolder": {"folder": folder},
        "removeFolder": {"folder": folder},
        "renameFolder": {"folder": folder, "newpath": "/x"},
        "move": {"destination": folder},
    }.items():
        assert (await world.refused(f"/{project}/{verb}", body)).type == "InvalidInput"
    if folder is not None:
        for verb in ("listFolder",):
            assert (
                await world.refused(f"/{project}/{verb}", {"folder": folder})
            ).type == "InvalidInput"


async def test_a_missing_parent_is_made_only_if_asked_for(world: World, project: str) -> None:
    refusal = await world.refused(f"/{project}/newFolder", {"folder": "/a/b"})
    assert refusal.type == "ResourceNotFound"
    assert await tree(world, project) == ["/"]
    answer = await world.call(f"/{project}/newFolder", {"folder": "/a/b", "parents": True})
    assert answer == {"id": project}


async def test_an_existing_folder_is_refused_unless_parents_are_made(
    world: World, project: str
) -> None:
    await world.call(f"/{project}/newFolder", {"folder": "/a"})
    for folder in ("/a", "/"):
        refusal = await world.refused(f"/{project}/newFolder", {"folder": folder})
        assert refusal.type == "InvalidState"
        await world.call(f"/{project}/newFolder", {"folder": folder, "parents": True})


async def test_a_container_has_folders_too(world: World, project: str) -> None:
    job = await world.a_job(await world.an_applet(project))
    token = (await world.lease(job))["token"]
    workspace = (await world.describe(job))["workspace"]
    await world.call(f"/{workspace}/newFolder", {"folder": "/x"}, as_=token)
    await world.call(f"/{workspace}/renameFolder", {"folder": "/x", "newpath": "/y"}, as_=token)
    assert (await world.call(f"/{workspace}/listFolder", as_=token))["folders"] == ["/y"]
    await world.call(f"/{workspace}/removeFolder", {"folder": "/y"}, as_=token)
    assert (await world.call(f"/{workspace}/listFolder", as_=token))["folders"] == []


# ------------------------------------------------------------------------------- listFolder


@pytest.fixture
async def shelf(world: World, project: str) -> dict[str, str]:
    """A record in each of two folders, a hidden one, and a folder whose name begins alike."""
    for folder in ("/a/b/c", "/ab", "/a0"):
        await world.call(f"/{project}/newFolder", {"folder": folder, "parents": True})
    return {
        "top": await world.a_record(project, name="top"),
        "in a": await world.a_record(project, name="in a", folder="/a"),
        "in b": await world.a_record(project, name="in b", folder="/a/b"),
        "hidden": await world.a_record(project, name="hidden", folder="/a", hidden=True),
    }


@pytest.mark.parametrize(
    "options, objects, paths",
    [
        ({}, ["top"], ["/a", "/a0", "/ab"]),
        ({"folder": "/"}, ["top"], ["/a", "/a0", "/ab"]),
        ({"folder": "/a"}, ["in a"], ["/a/b"]),
        ({"folder": "/a/"}, ["in a"], ["/a/b"]),
        ({"folder": "/a/b"}, ["in b"], ["/a/b/c"]),
        ({"folder": "/a/b/c"}, [], []),
        ({"folder": "/ab"}, [], []),
        ({"folder": "/a", "only": "objects"}, ["in a"], []),
        ({"folder": "/a", "only": "folders"}, [], ["/a/b"]),
        ({"folder": "/a", "only": "all", "includeHidden": True}, ["hidden", "in a"], ["/a/b"]),
    ],
)
async def test_a_listing_holds_direct_children_with_full_paths(
    world: World,
    project: str,
    shelf: dict[str, str],
    *,
    options: dict[str, Any],
    objects: list[str],
    paths: list[str],
) -> None:
    listed = await world.call(f"/{project}/listFolder", options)
    assert listed == {"objects": [{"id": shelf[name]} for name in objects], "folders": paths}


@pytest.mark.usefixtures("shelf")
async def test_subfolder_flags_say_whether_there_is_more_below(world: World, project: str) -> None:
    listed = await world.call(f"/{project}/listFolder", {"hasSubfolderFlags": True})
    assert listed["folders"] == [["/a", True], ["/a0", False], ["/ab", False]]


@pytest.mark.parametrize("describe", [True, {}, {"fields": {"name": True, "class": True}}])
async def test_a_listing_describes_if_asked(
    world: World, project: str, shelf: dict[str, str], describe: Any
) -> None:
    listed = await world.call(f"/{project}/listFolder", {"describe": describe})
    options = describe if isinstance(describe, dict) else {}
    described = await world.describe(shelf["top"], project=project, **options)
    assert listed["objects"] == [{"id": shelf["top"], "describe": described}]


@pytest.mark.parametrize(
    "options, kind",
    [
        ({"folder": "/none"}, "ResourceNotFound"),
        ({"folder": "/A"}, "ResourceNotFound"),
        ({"only": "some"}, "InvalidInput"),
        ({"describe": 5}, "InvalidInput"),
    ],
)
@pytest.mark.usefixtures("shelf")
async def test_a_wrong_listing_is_refused(
    world: World, project: str, options: dict[str, Any], kind: str
) -> None:
    assert (await world.refused(f"/{project}/listFolder", options)).type == kind


# ----------------------------------------------------------------------------- removeFolder


async def test_only_an_empty_folder_goes_without_recurse(
    world: World, project: str, shelf: dict[str, str]
) -> None:
    for folder in ("/a", "/a/b"):
        refusal = await world.refused(f"/{project}/removeFolder", {"folder": folder})
        assert refusal.type == "InvalidState"
    answer = await world.call(f"/{project}/removeFolder", {"folder": "/a/b/c/"})
    assert answer == {"id": project, "completed": True}
    await world.call(f"/{project}/removeFolder", {"folder": "/a", "recurse": True})
    assert await tree(world, project) == ["/", "/a0", "/ab"]
    for name in ("in a", "in b", "hidden"):
        assert (await world.refused(f"/{shelf[name]}/describe")).type == "ResourceNotFound"
    await world.describe(shelf["top"])


async def test_one_object_or_one_folder_is_enough_not_to_be_empty(
    world: World, project: str
) -> None:
    await world.call(f"/{project}/newFolder", {"folder": "/a/b", "parents": True})
    await world.a_record(project, folder="/c", parents=True)
    for folder in ("/a", "/c"):
        refusal = await world.refused(f"/{project}/removeFolder", {"folder": folder})
        assert refusal.type == "InvalidState"


@pytest.mark.usefixtures("shelf")
async def test_the_root_stays_and_only_its_content_can_go(world: World, project: str) -> None:
    assert (await world.refused(f"/{project}/removeFolder", {"folder": "/"})).status == 422
    await world.call(f"/{project}/removeFolder", {"folder": "/", "recurse": True})
    assert await world.call(f"/{project}/listFolder") == {"objects": [], "folders": []}


async def test_a_missing_folder_is_not_found_unless_forced(world: World, project: str) -> None:
    for extra in ({}, {"recurse": True}):
        body = {"folder": "/x", **extra}
        assert (await world.refused(f"/{project}/removeFolder", body)).type == "ResourceNotFound"
        await world.call(f"/{project}/removeFolder", {**body, "force": True})


async def test_a_partial_removal_goes_on_until_it_is_completed(
    world: World, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "PARTIAL_OBJECTS_MAX", 4)
    await world.call(f"/{project}/newFolder", {"folder": "/a"})
    for number in range(10):
        await world.a_record(project, folder="/a" if number % 2 else "/a/b", parents=True)
    body = {"folder": "/a", "recurse": True, "force": True, "partial": True}
    answers = [await world.call(f"/{project}/removeFolder", body) for _ in range(3)]
    assert [answer["completed"] for answer in answers] == [False, False, True]
    assert await tree(world, project) == ["/"]


def test_a_partial_removal_takes_ten_thousand_objects_at_once() -> None:
    assert folders.PARTIAL_OBJECTS_MAX == 10_000


async def test_a_protected_project_lets_only_administrators_remove(
    world: World, project: str, shelf: dict[str, str]
) -> None:
    await world.a_member(project, "CONTRIBUTE")
    await world.call(f"/{project}/update", {"protected": True})
    remove_objects = (f"/{project}/removeObjects", {"objects": [shelf["top"]]})
    remove_folder = (f"/{project}/removeFolder", {"folder": "/ab"})
    for route, body in (remove_objects, remove_folder):
        assert (await world.refused(route, body, as_=BOB)).type == "PermissionDenied"
        await world.call(route, body)


# -------------------------------------------------------------------------- rename and move


async def test_a_renamed_folder_takes_everything_along(
    world: World, project: str, shelf: dict[str, str]
) -> None:
    body = {"folder": "/a", "newpath": "/ab/Ä%_"}
    assert await world.call(f"/{project}/renameFolder", body) == {"id": project}
    assert await tree(world, project) == [
        "/", "/a0", "/ab", "/ab/Ä%_", "/ab/Ä%_/b", "/ab/Ä%_/b/c"
    ]  # fmt: skip
    assert (await world.describe(shelf["in b"]))["folder"] == "/ab/Ä%_/b"
    assert (await world.describe(shelf["top"]))["folder"] == "/"


async def test_moved_folders_keep_their_last_name(
    world: World, project: str, shelf: dict[str, str]
) -> None:
    body = {"objects": [shelf["top"]], "folders": ["/a/b", "/a0"], "destination": "/ab"}
    world.clock.advance(5)
    assert await world.call(f"/{project}/move", body) == {"id": project}
    assert await tree(world, project) == ["/", "/a", "/ab", "/ab/a0", "/ab/b", "/ab/b/c"]
    assert (await world.describe(shelf["in b"]))["folder"] == "/ab/b"
    top = await world.describe(shelf["top"])
    assert (top["folder"], top["modified"], top["created"]) == ("/ab", START_MS + 5, START_MS)


@pytest.mark.parametrize(
    "verb, body, kind",
    [
        ("renameFolder", {"folder": "/a", "newpath": "/ab"}, "InvalidState"),
        ("renameFolder", {"folder": "/a", "newpath": "/a/b/x"}, "InvalidState"),
        ("renameFolder", {"folder": "/none", "newpath": "/x"}, "ResourceNotFound"),
        ("renameFolder", {"folder": "/a", "newpath": "/none/x"}, "ResourceNotFound"),
        ("renameFolder", {"folder": "/", "newpath": "/x"}, "InvalidInput"),
        ("renameFolder", {"folder": "/a", "newpath": "/"}, "InvalidState"),
        ("renameFolder", {"folder": "/a"}, "InvalidInput"),
        ("move", {"folders": ["/a"], "destination": "/none"}, "ResourceNotFound"),
        ("move", {"folders": ["/none"], "destination": "/ab"}, "ResourceNotFound"),
        ("move", {"objects": ["record-" + "0" * 24], "destination": "/"}, "ResourceNotFound"),
        ("move", {"objects": ["project-" + "0" * 24], "destination": "/"}, "InvalidInput"),
        ("move", {"folders": ["/a"], "destination": "/a/b"}, "InvalidState"),
        ("move", {"folders": ["/a"], "destination": "/a"}, "InvalidState"),
        ("move", {"folders": ["/"], "destination": "/a"}, "InvalidInput"),
        ("move", {"folders": ["/a"]}, "InvalidInput"),
        ("move", {"objects": "x", "destination": "/"}, "InvalidInput"),
    ],
)
@pytest.mark.usefixtures("shelf")
async def test_what_cannot_be_moved_is_refused_and_nothing_moves(
    world: World,
    project: str,
    *,
    verb: str,
    body: dict[str, Any],
    kind: str,
) -> None:
    before = await tree(world, project)
    assert (await world.refused(f"/{project}/{verb}", body)).type == kind
    assert await tree(world, project) == before


async def test_a_move_is_all_or_nothing(world: World, project: str, shelf: dict[str, str]) -> None:
    body = {"objects": [shelf["top"]], "folders": ["/a", "/none"], "destination": "/ab"}
    assert (await world.refused(f"/{project}/move", body)).type == "ResourceNotFound"
    assert (await world.describe(shelf["top"]))["folder"] == "/"
    assert "/a" in await tree(world, project)


@pytest.mark.usefixtures("shelf")
async def test_a_folder_of_a_name_that_is_taken_there_is_not_moved(
    world: World, project: str
) -> None:
    await world.call(f"/{project}/newFolder", {"folder": "/ab/a"})
    body = {"folders": ["/a"], "destination": "/ab"}
    assert (await world.refused(f"/{project}/move", body)).type == "InvalidState"


async def test_a_folder_moved_to_where_it_is_stays(
    world: World, project: str, shelf: dict[str, str]
) -> None:
    await world.call(f"/{project}/move", {"folders": ["/a"], "destination": "/"})
    await world.call(f"/{project}/renameFolder", {"folder": "/a", "newpath": "/a/"})
    assert (await world.describe(shelf["in b"]))["folder"] == "/a/b"


# --------------------------------------------------------------------------- removeObjects


async def test_removed_objects_are_gone_here_and_stay_elsewhere(world: World, project: str) -> None:
    other = await world.a_project()
    kept, lost = await world.a_closed_file(project), await world.a_closed_file(project)
    await world.call(f"/{project}/clone", {"objects": [kept], "project": other})
    answer = await world.call(f"/{project}/removeObjects", {"objects": [kept, lost]})
    assert answer == {"id": project}
    assert (await world.refused(f"/{lost}/describe")).type == "ResourceNotFound"
    assert (await world.describe(kept))["project"] == other


async def test_unknown_objects_are_refused_whole_unless_forced(world: World, project: str) -> None:
    record = await world.a_record(project)
    body = {"objects": [record, "record-" + "0" * 24]}
    assert (await world.refused(f"/{project}/removeObjects", body)).type == "ResourceNotFound"
    await world.describe(record)
    await world.call(f"/{project}/removeObjects", {**body, "force": True})
    assert (await world.refused(f"/{record}/describe")).type == "ResourceNotFound"


async def test_hidden_objects_go_with_the_last_visible_one_that_links_to_them(
    world: World, project: str
) -> None:
    def linking(*targets: str) -> dict[str, Any]:
        return {"links": [{"$dnanexus_link": target} for target in targets]}

    deep = await world.a_record(project, hidden=True)
    middle = await world.a_record(project, hidden=True, details=linking(deep))
    alone = await world.a_record(project, hidden=True)
    shown = await world.a_record(project)
    first = await world.a_record(project, details=linking(middle, shown))
    second = await world.a_record(project, details=linking(middle))
    await world.call(f"/{project}/removeObjects", {"objects": [first]})
    for record in (deep, middle, alone, shown, second):
        await world.describe(record)
    await world.call(f"/{project}/removeObjects", {"objects": [second]})
    for record in (deep, middle):
        assert (await world.refused(f"/{record}/describe")).type == "ResourceNotFound"
    for record in (alone, shown):
        await world.describe(record)


async def test_a_hidden_bundle_goes_with_its_applet(world: World, project: str) -> None:
    bundle = await world.a_closed_file(project, hidden=True)
    applet = await world.an_applet(
        project, runSpec={"bundledDepends": [{"name": "b", "id": {"$dnanexus_link": bundle}}]}
    )
    await world.call(f"/{project}/removeObjects", {"objects": [applet]})
    assert (await world.refused(f"/{bundle}/describe")).type == "ResourceNotFound"


async def test_hidden_objects_that_link_in_a_circle_go_too(world: World, project: str) -> None:
    first = await world.a_record(project, hidden=True)
    second = await world.a_record(project, hidden=True, details={"to": {"$dnanexus_link": first}})
    await world.call(f"/{first}/setDetails", {"to": {"$dnanexus_link": second}})
    shown = await world.a_record(project, details={"to": {"$dnanexus_link": first}})
    await world.call(f"/{project}/removeObjects", {"objects": [shown]})
    for record in (first, second):
        assert (await world.refused(f"/{record}/describe")).type == "ResourceNotFound"


async def test_many_objects_are_removed_at_once(world: World, project: str) -> None:
    """More than one statement names."""
    ids = await world.many_records(project, 2001)
    linking = await world.a_record(project, details=[{"$dnanexus_link": ids[0]}])
    body = {"objects": [*ids, linking]}
    await world.call(f"/{project}/removeObjects", body)
    assert await world.rows("SELECT * FROM objects WHERE class_name != 'app'") == []


async def test_what_one_of_a_long_chain_still_leads_to_stays(world: World) -> None:
    """Hidden objects of which each links to the next, and two that link to the first."""
    project, target, chain = await world.a_project(), None, []
    for _ in range(20):
        details: dict[str, Any] = {} if target is None else {"$dnanexus_link": target}
        target = await world.a_record(project, hidden=True, details=details)
        chain.append(target)
    ends = [await world.a_record(project, details={"$dnanexus_link": target}) for _ in range(2)]
    await world.call(f"/{project}/removeObjects", {"objects": ends[:1]})
    asked = {"scope": {"project": project}, "visibility": "hidden"}
    found = (await world.call("/system/findDataObjects", asked))["results"]
    assert {entry["id"] for entry in found} == set(chain)
    await world.call(f"/{project}/removeObjects", {"objects": ends[1:]})
    assert (await world.call("/system/findDataObjects", asked))["results"] == []
