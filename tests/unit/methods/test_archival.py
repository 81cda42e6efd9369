"""archive and unarchive: which copies get which state, and what is refused then (contract C.9)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import archival
from plasmid.domain.access import Actor, Level
from tests.worlds import ALICE, BOB, World


async def state(world: World, file: str, project: str) -> str:
    described = await world.describe(file, project=project)
    assert described["project"] == project
    return str(described["archivalState"])


@pytest.fixture
async def project(world: World) -> str:
    return await world.a_project()


@pytest.fixture
async def other(world: World) -> str:
    return await world.a_project()


async def clone(world: World, file: str, source: str, destination: str) -> None:
    await world.call(f"/{source}/clone", {"objects": [file], "project": destination})


async def test_the_last_copy_whose_archival_is_asked_for_is_archived_at_once(
    world: World, project: str
) -> None:
    file, another = await world.a_closed_file(project), await world.a_closed_file(project)
    assert await state(world, file, project) == "live"
    answer = await world.call(f"/{project}/archive", {"files": [file]})
    assert answer == {"id": project, "count": 1}
    assert await state(world, file, project) == "archived"
    assert await state(world, another, project) == "live"
    again = await world.call(f"/{project}/archive", {"files": [file, another]})
    assert again["count"] == 1, "what is archived is not archived again"


async def test_a_copy_waits_in_archival_while_another_of_the_same_payer_is_live(
    world: World, project: str, other: str
) -> None:
    file = await world.a_closed_file(project)
    await clone(world, file, project, other)
    await world.call(f"/{project}/archive", {"files": [file]})
    assert await state(world, file, project) == "archival"
    assert await state(world, file, other) == "live"
    await world.call(f"/{other}/archive", {"files": [file]})
    assert await state(world, file, project) == "archived"
    assert await state(world, file, other) == "archived"


async def test_copies_that_others_pay_for_do_not_matter(world: World, project: str) -> None:
    file = await world.a_closed_file(project)
    await world.a_member(project, "VIEW")
    of_bob = await world.a_project(as_=BOB)
    await world.call(f"/{project}/clone", {"objects": [file], "project": of_bob}, as_=BOB)
    await world.call(f"/{project}/archive", {"files": [file]})
    assert await state(world, file, project) == "archived"
    assert (await world.describe(file, as_=BOB, project=of_bob))["archivalState"] == "live"


async def test_all_copies_are_archived_at_once_by_who_pays(
    world: World, project: str, other: str
) -> None:
    file = await world.a_closed_file(project)
    await clone(world, file, project, other)
    await world.call(f"/{project}/archive", {"files": [file], "allCopies": True})
    assert await state(world, file, project) == "archived"
    assert await state(world, file, other) == "archived"


async def test_only_who_pays_may_archive_all_copies(world: World, project: str) -> None:
    file = await world.a_closed_file(project)
    await world.a_member(project, "ADMINISTER")
    body = {"files": [file], "allCopies": True}
    refusal = await world.refused(f"/{project}/archive", body, as_=BOB)
    assert refusal.type == "PermissionDenied"
    assert "Must be an admin of user-alice to archive all copies" in refusal.message
    assert await state(world, file, project) == "live"


async def test_a_token_for_one_project_archives_no_copies_in_others(
    world: World, project: str, other: str
) -> None:
    file = await world.a_closed_file(project)
    await clone(world, file, project, other)
    narrow = await world.add_token(
        "narrow", Actor(user="user-alice", scope={project: Level.ADMINISTER})
    )
    applet = await world.an_applet(project, access={"project": "CONTRIBUTE"})
    job = await world.a_job(applet)
    await world.lease(job)
    body = {"files": [file], "allCopies": True}
    for token in (narrow, world.token_of(job)):
        refusal = await world.refused(f"/{project}/archive", body, as_=token)
        assert "Must be an admin of user-alice" in refusal.message
        assert await state(world, file, other) == "live"
        await world.call(f"/{project}/archive", {"files": [file]}, as_=token)


async def test_what_is_unarchived_is_on_its_way_for_a_while(world: World, project: str) -> None:
    file = await world.a_closed_file(project, b"x" * 1000)
    await world.call(f"/{project}/archive", {"files": [file]})
    dry = await world.call(f"/{project}/unarchive", {"files": [file], "dryRun": True})
    assert dry == {"id": project, "files": 1, "size": round(1000 / 2**30, 6), "cost": 0}
    assert await state(world, file, project) == "archived"
    answer = await world.call(f"/{project}/unarchive", {"files": [file], "rate": "Expedited"})
    assert answer == dry
    world.clock.advance(25_000)
    assert await state(world, file, project) == "unarchiving"
    assert (await world.call(f"/{project}/unarchive", {"files": [file]}))["files"] == 0
    assert (await world.call(f"/{project}/archive", {"files": [file]}))["count"] == 0
    world.clock.advance(archival.UNARCHIVING_MS)
    assert await state(world, file, project) == "live"
    assert await world.read(file) == b"x" * 1000
    assert (await world.call(f"/{project}/archive", {"files": [file]}))["count"] == 1
    assert await state(world, file, project) == "archived"


async def test_unarchiving_one_copy_leaves_the_others_asked_for(
    world: World, project: str, other: str
) -> None:
    file = await world.a_closed_file(project)
    await clone(world, file, project, other)
    await world.call(f"/{project}/archive", {"files": [file], "allCopies": True})
    await world.call(f"/{project}/unarchive", {"files": [file]})
    assert await state(world, file, project) == "unarchiving"
    assert await state(world, file, other) == "archival"


async def test_what_was_only_asked_for_is_live_again_at_once(
    world: World, project: str, other: str
) -> None:
    file = await world.a_closed_file(project)
    await clone(world, file, project, other)
    await world.call(f"/{project}/archive", {"files": [file]})
    await world.call(f"/{project}/unarchive", {"files": [file]})
    assert await state(world, file, project) == "live"


async def test_a_folder_is_archived_with_or_without_those_below(world: World, project: str) -> None:
    root = await world.a_closed_file(project)
    below = await world.a_closed_file(project, folder="/a/b", parents=True)
    await world.a_record(project, close=True)
    open_file = await world.an_open_file(project)
    answer = await world.call(f"/{project}/archive", {"folder": "/", "recurse": False})
    assert answer["count"] == 1
    assert await state(world, root, project) == "archived"
    assert await state(world, below, project) == "live"
    assert await state(world, open_file, project) == "live"
    assert (await world.call(f"/{project}/archive", {"folder": "/a/"}))["count"] == 1
    assert await state(world, below, project) == "archived"
    assert (await world.call(f"/{project}/unarchive", {"folder": "/"}))["files"] == 2


@pytest.mark.parametrize("verb", ["archive", "unarchive"])
async def test_what_is_wrong_is_refused(world: World, project: str, verb: str) -> None:
    record, open_file = await world.a_record(project, close=True), await world.an_open_file(project)
    elsewhere = await world.a_closed_file(await world.a_project())
    unknown = "file-B00000000000000000000000"
    bodies: list[dict[str, Any]] = [
        {}, {"files": [elsewhere], "folder": "/"}, {"files": "x"}, {"folder": "a"},
        *({"files": [item]} for item in (record, open_file, elsewhere, unknown)),
    ]  # fmt: skip
    for body in bodies:
        assert (await world.refused(f"/{project}/{verb}", body)).type == "InvalidInput", body
    missing = await world.refused(f"/{project}/{verb}", {"folder": "/no"})
    assert missing.type == "ResourceNotFound"
    gone = await world.refused(f"/project-B00000000000000000000000/{verb}", {"files": [unknown]})
    assert gone.type == "ResourceNotFound"
    if verb == "unarchive":
        slow = await world.refused(f"/{project}/unarchive", {"folder": "/", "rate": "slow"})
        assert 'key "rate"' in slow.message


async def test_an_archived_file_is_neither_downloaded_nor_run_with(
    world: World, project: str, other: str
) -> None:
    file = await world.a_closed_file(project)
    applet = await world.an_applet(project, inputSpec=[{"name": "f", "class": "file"}])
    await world.call(f"/{project}/archive", {"files": [file]})
    link = {"$dnanexus_link": file}
    run = {"project": project, "input": {"f": link}}
    for route, body in ((f"/{file}/download", {"project": project}), (f"/{applet}/run", run)):
        refusal = await world.refused(route, body)
        assert (refusal.type, "archived" in refusal.message) == ("InvalidState", True)
    await clone(world, file, project, other)
    assert await state(world, file, other) == "archived", "a copy of what is archived is, too"
    await world.call(f"/{other}/unarchive", {"files": [file]})
    world.clock.advance(archival.UNARCHIVING_MS)
    assert await world.read(file, project=other) == b"hello"
    assert (await world.refused(f"/{file}/download", {"project": project})).type == "InvalidState"
    in_other = {"$dnanexus_link": {"project": other, "id": file}}
    await world.a_job(applet, {"f": in_other}, project=project)


async def test_an_archived_file_is_not_cloned_where_somebody_else_pays(
    world: World, project: str
) -> None:
    file = await world.a_closed_file(project, folder="/f", parents=True)
    await world.a_member(project, "VIEW")
    of_bob = await world.a_project(as_=BOB)
    await world.call(f"/{project}/archive", {"files": [file]})
    for what in ({"objects": [file]}, {"folders": ["/f"]}):
        refusal = await world.refused(f"/{project}/clone", {**what, "project": of_bob}, as_=BOB)
        assert refusal.type == "InvalidState"
    assert (await world.call(f"/{of_bob}/listFolder", as_=BOB))["folders"] == []


async def test_an_archived_file_is_not_cloned_into_a_workspace(world: World, project: str) -> None:
    file = await world.a_closed_file(project)
    job = await world.a_job(await world.an_applet(project))
    await world.lease(job)
    workspace = (await world.job_row(job)).workspace
    await world.call(f"/{project}/archive", {"files": [file]})
    token, body = world.token_of(job), {"objects": [file], "project": workspace}
    refusal = await world.refused(f"/{project}/clone", body, as_=token)
    assert (refusal.type, "unarchive it first" in refusal.message) == ("InvalidState", True)


async def test_files_are_found_by_their_state(world: World, project: str) -> None:
    files = {name: await world.a_closed_file(project, name=name) for name in ("a", "b", "c")}
    await world.call(f"/{project}/archive", {"files": [files["a"], files["b"]]})
    await world.call(f"/{project}/unarchive", {"files": [files["b"]]})

    async def found(wanted: str) -> set[str]:
        body = {"class": "file", "scope": {"project": project}, "archivalState": wanted}
        answer = await world.call("/system/findDataObjects", {**body, "describe": True})
        assert {entry["describe"]["archivalState"] for entry in answer["results"]} <= {wanted}
        return {entry["describe"]["name"] for entry in answer["results"]}

    assert await found("archived") == {"a"}
    assert await found("unarchiving") == {"b"}
    assert await found("live") == {"c"}
    assert await found("archival") == set()
    world.clock.advance(archival.UNARCHIVING_MS)
    assert await found("unarchiving") == set()
    assert await found("live") == {"b", "c"}


async def test_a_contributor_archives_and_an_uploader_does_not(world: World, project: str) -> None:
    file = await world.a_closed_file(project)
    await world.a_member(project, "UPLOAD")
    refusal = await world.refused(f"/{project}/archive", {"files": [file]}, as_=BOB)
    assert refusal.type == "PermissionDenied"
    await world.a_member(project, "CONTRIBUTE")
    assert (await world.call(f"/{project}/archive", {"files": [file]}, as_=BOB))["count"] == 1
    assert (await world.call(f"/{project}/unarchive", {"folder": "/"}, as_=ALICE))["files"] == 1
