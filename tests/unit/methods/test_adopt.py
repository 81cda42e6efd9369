"""Ids of another platform get local objects, by the operator only (contract I.7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import ALICE, BOB, OPERATOR, WORKER, World

THEIRS = "J" + "0" * 22
PROJECT = f"project-{THEIRS}p"
RECORD = f"record-{THEIRS}r"
FILE = f"file-{THEIRS}f"


async def adopt_project(world: World, **changes: Any) -> None:
    body = {"id": PROJECT, "name": "theirs", "region": "aws:us-east-1", **changes}
    assert await world.call("/internal/project/adopt", body, as_=OPERATOR) == {"id": body["id"]}


async def adopt(world: World, object_id: str, **changes: Any) -> str:
    body = {"id": object_id, "project": PROJECT, "name": "n", "folder": "/a/b", **changes}
    answer = await world.call("/internal/object/adopt", body, as_=OPERATOR)
    return str(answer["state"])


async def test_a_project_of_their_id_is_the_operators_and_open_to_read(world: World) -> None:
    await adopt_project(world)
    assert (await world.describe(PROJECT))["level"] == "ADMINISTER"
    assert (await world.describe(PROJECT, as_=BOB))["level"] == "VIEW"
    await adopt_project(world, name="again")
    assert (await world.describe(PROJECT))["name"] == "theirs"


async def test_an_asset_of_their_ids_is_found_and_cloned_by_everybody(world: World) -> None:
    await adopt_project(world)
    assert await adopt(world, FILE, hidden=True, properties={"AssetBundle": RECORD}) == "open"
    await world.put_part(FILE, b"bytes")
    await world.call(f"/{FILE}/close")
    details = {"archiveFileId": {"$dnanexus_link": FILE}}
    given = {"types": ["AssetBundle"], "details": details, "properties": {"version": "1"}}
    assert await adopt(world, RECORD, **given) == "closed"
    asked = {
        "class": "record", "type": "AssetBundle", "name": "n", "state": "closed",
        "properties": {"version": "1"},
        "scope": {"project": PROJECT, "folder": "/a/b", "recurse": False},
    }  # fmt: skip
    found = await world.call("/system/findDataObjects", asked, as_=BOB)
    assert [entry["id"] for entry in found["results"]] == [RECORD]
    mine = await world.a_project(as_=BOB)
    await world.call(f"/{PROJECT}/clone", {"objects": [RECORD], "project": mine}, as_=BOB)
    assert (await world.describe(FILE, as_=BOB, project=mine))["project"] == mine
    assert await world.read(FILE, as_=BOB, project=mine) == b"bytes"


async def test_adopting_again_changes_nothing_and_says_the_state(world: World) -> None:
    await adopt_project(world)
    assert [await adopt(world, FILE) for _ in range(2)] == ["open", "open"]
    await world.put_part(FILE, b"x")
    await world.call(f"/{FILE}/close")
    assert await adopt(world, FILE, name="other") == "closed"
    assert (await world.describe(FILE))["name"] == "n"


async def test_a_twin_is_the_same_under_another_id_and_outlives_the_first(world: World) -> None:
    await adopt_project(world)
    project = await world.a_project()
    local = await world.a_closed_file(project, b"bytes", name="local", properties={"k": "v"})
    twin = {"id": FILE, "of": local, "project": PROJECT, "folder": "/t"}
    for _ in range(2):
        await world.call("/internal/object/twin", twin, as_=OPERATOR)
    described = await world.describe(FILE, as_=BOB, properties=True)
    assert [described[key] for key in ("name", "folder", "properties", "size")] == [
        "local", "/t", {"k": "v"}, 5,
    ]  # fmt: skip
    await world.call(f"/{project}/removeObjects", {"objects": [local]})
    while await world.collect():
        pass
    assert await world.read(FILE, as_=BOB) == b"bytes"


async def test_the_twins_of_records_and_applets_bring_what_they_need(world: World) -> None:
    await adopt_project(world)
    project = await world.a_project()
    hidden = await world.a_closed_file(project, name="hidden", hidden=True)
    seen = await world.a_closed_file(project, name="seen")
    links = [{"$dnanexus_link": hidden}, {"$dnanexus_link": seen}]
    record = await world.a_record(project, details=links, close=True)
    bundled = [{"name": "b", "id": {"$dnanexus_link": seen}}]
    applet = await world.an_applet(project, runSpec={"bundledDepends": bundled})
    for twin, of in ((RECORD, record), (f"applet-{THEIRS}a", applet)):
        body = {"id": twin, "of": of, "project": PROJECT}
        await world.call("/internal/object/twin", body, as_=OPERATOR)
        held = (await world.call(f"/{PROJECT}/listFolder", {"includeHidden": True}))["objects"]
        assert {entry["id"] for entry in held} == (
            {RECORD, hidden} if of == record else {RECORD, hidden, f"applet-{THEIRS}a", seen}
        )


async def test_what_is_unmapped_stays_where_a_build_has_copied_it(world: World) -> None:
    await adopt_project(world)
    await adopt(world, RECORD)
    mine = await world.a_project()
    await world.call(f"/{PROJECT}/clone", {"objects": [RECORD], "project": mine})
    unmap = "/internal/object/unmap"
    await world.call(unmap, {"id": RECORD, "project": PROJECT}, as_=OPERATOR)
    assert (await world.describe(RECORD))["project"] == mine
    body = {"id": RECORD, "project": PROJECT, "name": "n"}
    refused = await world.refused("/internal/object/adopt", body, as_=OPERATOR)
    assert refused.type == "InvalidState"
    assert f"plasmid asset unmap {RECORD} --everywhere" in refused.message
    await world.call(unmap, {"id": RECORD}, as_=OPERATOR)
    assert (await world.refused(f"/{RECORD}/describe")).type == "ResourceNotFound"
    await world.call(unmap, {"id": RECORD}, as_=OPERATOR)


@pytest.mark.parametrize(
    "verb, body, kind",
    [
        ("project/adopt", {"id": "project-x", "name": "n", "region": "aws:us-east-1"}, "Input"),
        ("project/adopt", {"id": PROJECT, "name": "", "region": "aws:us-east-1"}, "Input"),
        ("project/adopt", {"id": PROJECT, "name": "n", "region": "moon"}, "Input"),
        ("object/adopt", {"id": "applet-" + "0" * 24, "project": PROJECT, "name": "n"}, "Input"),
        ("object/twin", {"id": RECORD, "of": "file", "project": PROJECT}, "Input"),
        ("object/twin", {"id": FILE, "of": "open", "project": PROJECT}, "State"),
        ("object/twin", {"id": "job-" + "0" * 24, "of": "file", "project": PROJECT}, "Input"),
    ],
)
async def test_what_is_wrong_is_refused(
    world: World, verb: str, body: dict[str, Any], kind: str
) -> None:
    project = await world.a_project()
    local = {
        "file": await world.a_closed_file(project),
        "open": await world.an_open_file(project),
    }
    if "of" in body:
        body = {**body, "of": local[body["of"]]}
    refused = await world.refused(f"/internal/{verb}", body, as_=OPERATOR)
    assert refused.type == f"Invalid{kind}"


async def test_only_the_operator_may(world: World) -> None:
    body = {"id": PROJECT, "name": "n", "region": "aws:us-east-1"}
    for token in (ALICE, BOB, WORKER):
        refused = await world.refused("/internal/project/adopt", body, as_=token)
        assert refused.type == "PermissionDenied"
    assert (await world.refused("/internal/project/adopt", body, as_=None)).status == 401


async def test_an_id_that_is_not_mapped_is_refused_with_the_remedy(world: World) -> None:
    project = await world.a_project()
    said = (await world.refused(f"/{RECORD}/describe")).message
    assert f"plasmid asset import ARCHIVE --id {RECORD}" in said
    said = (await world.refused(f"/{PROJECT}/listFolder")).message
    assert f"plasmid asset import ARCHIVE --project {PROJECT}" in said
    spec = [{"name": "f", "class": "file", "default": {"$dnanexus_link": FILE}}]
    applet = await world.an_applet(project, inputSpec=spec)
    refused = await world.refused(f"/{applet}/run", {"project": project, "input": {}})
    assert refused.type == "ResourceNotFound"
    assert f"plasmid asset map {FILE}" in refused.message


async def test_a_twin_of_a_damaged_file_is_refused(world: World) -> None:
    await adopt_project(world)
    local = await world.a_closed_file(await world.a_project())
    kept = dict(world.blobs._blobs)
    world.blobs._blobs.clear()
    body = {"id": FILE, "of": local, "project": PROJECT}
    refused = await world.refused("/internal/object/twin", body, as_=OPERATOR)
    assert (refused.type, "damaged" in refused.message) == ("InvalidState", True)
    world.blobs._blobs.update(kept)
