"""Bytes go when nothing refers to them any more, and not before."""

from __future__ import annotations

import pytest

from plasmid.dispatcher import expire
from plasmid.dispatcher.collect import BATCH_MAX, NONCE_KEPT_MS
from plasmid.metadata import objects
from plasmid.metadata.rows import PartRow
from tests.worlds import OPERATOR, World


async def all_of(world: World) -> int:
    count = 0
    while found := await world.collect():
        count += found
    return count


async def test_the_bytes_of_a_removed_file_go(world: World) -> None:
    project = await world.a_project()
    file = await world.an_open_file(project)
    for index in (1, 2):
        size = 5 * 1024 * 1024 if index == 1 else 3
        assert (await world.put_part(file, b"x" * size, index=index)).status_code == 200
    await world.call(f"/{file}/close")
    assert await all_of(world) == 0
    await world.call(f"/{project}/removeObjects", {"objects": [file]})
    assert len(world.blobs._blobs) == 2
    assert await all_of(world) == 2
    assert world.blobs._blobs == {}
    assert await all_of(world) == 0


async def test_the_bytes_of_a_file_that_lies_elsewhere_too_stay(world: World) -> None:
    project, other = await world.a_project(), await world.a_project()
    file = await world.a_closed_file(project, b"kept")
    await world.call(f"/{project}/clone", {"objects": [file], "project": other})
    await world.call(f"/{project}/removeObjects", {"objects": [file]})
    assert await all_of(world) == 0
    assert await world.read(file) == b"kept"
    await world.call(f"/{other}/destroy")
    assert await all_of(world) == 1


async def test_the_bytes_of_a_file_that_is_being_uploaded_stay(world: World) -> None:
    file = await world.an_open_file(await world.a_project())
    await world.put_part(file, b"part")
    await world.call(f"/{file}/upload", {"index": 2, "size": 5})
    world.clock.advance(30 * 24 * 3600 * 1000)
    assert await all_of(world) == 0
    await world.put_part(file, b"final", index=1)
    assert len(world.blobs._blobs) == 1


async def test_an_output_outlives_its_workspace_and_the_rest_does_not(world: World) -> None:
    project = await world.a_project()
    job = await world.a_job(await world.an_applet(project))
    await world.lease(job)
    workspace, token = (await world.job_row(job)).workspace, world.token_of(job)
    kept = await world.a_closed_file(workspace, b"kept", as_=token)
    await world.a_closed_file(workspace, b"scratch", as_=token)
    await world.finish(job, {"x": {"$dnanexus_link": kept}})
    assert await all_of(world) == 1
    assert await world.read(kept) == b"kept"


async def test_a_part_that_arrives_after_its_file_is_gone_leaves_nothing(world: World) -> None:
    project = await world.a_project()
    file = await world.an_open_file(project)
    place = await world.call(f"/{file}/upload", {"index": 1, "size": 4})
    await world.call(f"/{project}/removeObjects", {"objects": [file]})
    response = await world.http.put(place["url"], content=b"late", headers=place["headers"])
    assert response.status_code == 404
    assert world.blobs._blobs == {}
    assert await all_of(world) == 1


async def test_more_than_a_batch_goes_in_several(world: World) -> None:
    async with world.database.transaction() as tx:
        for number in range(BATCH_MAX + 1):
            gone = PartRow(f"file-{number:024d}", 1, "orphan", 1, "", None)
            await objects.put_part(tx, gone)
    assert [await world.collect() for _ in range(3)] == [BATCH_MAX, 1, 0]


async def test_a_crash_between_bytes_and_rows_only_repeats_the_work(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await world.a_project()
    file = await world.a_closed_file(project)
    await world.call(f"/{project}/removeObjects", {"objects": [file]})

    class CrashError(Exception):
        pass

    async def crash(*_: object) -> None:
        raise CrashError

    with monkeypatch.context() as patched:
        patched.setattr(objects, "remove_orphan_part", crash)
        with pytest.raises(CrashError):
            await world.collect()
    assert world.blobs._blobs == {}
    assert await world.collect() == 1


async def test_a_part_that_comes_in_the_place_of_a_collected_one_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator can give a file the id of one that is gone; nothing of it may go with that."""
    project = await world.a_project()
    file = await world.an_open_file(project)
    await world.put_part(file, b"x" * 5 * 1024 * 1024, index=1)
    await world.put_part(file, b"old", index=2)
    await world.call(f"/{file}/close")
    await world.call(f"/{project}/removeObjects", {"objects": [file]})
    local = await world.a_closed_file(project, b"new")
    remove = world.blobs.remove

    async def made_anew(name: str) -> None:
        twin = {"id": file, "of": local, "project": project}
        await world.call("/internal/object/twin", twin, as_=OPERATOR)
        parts = await objects.find_parts(world.platform.database.reader, file)
        assert [part.part for part in parts] == [1]
        await remove(name)

    with monkeypatch.context() as patched:
        patched.setattr(world.blobs, "remove", made_anew)
        await world.collect()
    assert await all_of(world) == 0
    assert await world.read(file) == b"new"
    assert len(world.blobs._blobs) == 2


async def test_old_nonces_go_and_young_ones_are_still_answered(world: World) -> None:
    body = {"project": await world.a_project(), "name": "r", "nonce": "n"}
    first = await world.call("/record/new", body)
    world.clock.advance(NONCE_KEPT_MS)
    await world.collect()
    assert await world.call("/record/new", body) == first
    world.clock.advance(1)
    await world.collect()
    assert await world.call("/record/new", body) != first


async def test_a_clock_that_is_moved_by_a_day_makes_no_nonce_old(world: World) -> None:
    body = {"project": await world.a_project(), "name": "r", "nonce": "n"}
    first = await world.call("/record/new", body)
    await expire.look(world.clock.now_ms, world.dispatcher)
    world.clock.advance(2 * NONCE_KEPT_MS)
    await world.collect()
    await expire.look(world.clock.now_ms, world.dispatcher)
    await world.collect()
    assert await world.call("/record/new", body) == first
