"""The outputs of all jobs of a tree are kept in its project if it asks for that (F.2)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.executions import preserving
from plasmid.metadata import objects
from tests.worlds import World


def link(object_id: str) -> dict[str, Any]:
    return {"$dnanexus_link": object_id}


def ref(job: str, field: str = "x") -> dict[str, Any]:
    return {"$dnanexus_link": {"job": job, "field": field}}


async def places(world: World, object_id: str) -> dict[str, str]:
    found = await objects.find_placements(world.database.reader, object_id)
    return {place.container: place.folder for place in found}


async def a_root(world: World, kept: Any, **more: Any) -> tuple[str, str]:
    """Return a project and a running job in it whose folder is /out."""
    project = await world.a_project()
    applet = await world.an_applet(project)
    root = await world.a_job(applet, folder="/out", preserveJobOutputs=kept, **more)
    await world.lease(root)
    return project, root


async def made_by(world: World, job: str, folder: str = "/") -> str:
    """Return a file that a running job has made in its workspace."""
    workspace, as_ = (await world.job_row(job)).workspace, world.token_of(job)
    return await world.a_closed_file(workspace, as_=as_, folder=folder, parents=True)


@pytest.mark.parametrize(
    ("kept", "folder"),
    [
        ({}, "/out/intermediateJobOutputs"),
        ({"folder": None}, "/out/intermediateJobOutputs"),
        ({"folder": "mine/deep"}, "/out/mine/deep"),
        ({"folder": "/kept"}, "/kept"),
        ({"folder": "/"}, ""),
        (None, None),
    ],
)
async def test_what_a_sub_job_puts_out_is_kept_also_if_its_tree_fails(
    world: World, kept: Any, folder: str | None
) -> None:
    project, root = await a_root(world, kept)
    sub = await world.a_subjob(root)
    await world.lease(sub)
    index = await world.a_closed_file(
        (await world.job_row(sub)).workspace, as_=world.token_of(sub), hidden=True
    )
    file = await made_by(world, sub, "/a/b")
    with_index = await world.a_record(
        (await world.job_row(sub)).workspace,
        as_=world.token_of(sub),
        details=link(index),
        close=True,
    )
    unnamed = await made_by(world, sub)
    await world.finish(sub, {"x": [link(file)], "y": {"z": link(with_index)}})
    await world.fail(root)
    expected = {} if folder is None else {project: f"{folder}/a/b"}
    assert await places(world, file) == expected
    assert await places(world, index) == dict.fromkeys(expected, folder or "/")
    assert await places(world, unnamed) == {}


async def test_what_the_root_puts_out_is_moved_to_its_folder(world: World) -> None:
    project, root = await a_root(world, {})
    applet = await world.an_applet(project)
    child = await world.new(
        f"/{applet}/run", {"input": {}, "folder": "/c"}, as_=world.token_of(root)
    )
    await world.lease(child)
    wanted, other = await made_by(world, child, "/deep"), await made_by(world, child)
    own = await made_by(world, root)
    await world.finish(child, {"x": link(wanted), "y": link(other)})
    kept = "/out/intermediateJobOutputs"
    assert (await places(world, wanted))[project] == f"{kept}/deep"
    assert (await places(world, other))[project] == kept
    await world.finish(root, {"x": ref(child), "o": link(own)})
    assert await places(world, wanted) == {project: "/out/deep"}
    assert await places(world, other) == {project: kept}
    assert await places(world, own) == {project: "/out"}


async def test_what_people_have_put_elsewhere_and_what_was_there_before_stays(
    world: World,
) -> None:
    project = await world.a_project()
    before = await world.a_closed_file(project, folder="/mine", parents=True)
    applet = await world.an_applet(project)
    root = await world.a_job(
        applet, {"in": link(before)}, folder="/out", preserveJobOutputs={"folder": "/"}
    )
    await world.lease(root)
    sub = await world.a_subjob(root)
    await world.lease(sub)
    file = await made_by(world, sub)
    await world.finish(sub, {"x": link(file), "before": link(before)})
    await world.finish(root, {"x": link(file), "before": link(before)})
    assert await places(world, before) == {project: "/mine"}
    assert await places(world, file) == {project: "/out"}


async def test_what_somebody_has_moved_away_stays_there(world: World) -> None:
    project, root = await a_root(world, {})
    sub = await world.a_subjob(root)
    await world.lease(sub)
    file = await made_by(world, sub)
    await world.finish(sub, {"x": link(file)})
    await world.call(f"/{project}/newFolder", {"folder": "/safe"})
    await world.call(f"/{project}/move", {"objects": [file], "destination": "/safe"})
    await world.finish(root, {"x": link(file)})
    assert await places(world, file) == {project: "/safe"}


async def test_it_is_said_of_the_whole_tree_by_its_root(world: World) -> None:
    project, root = await a_root(world, {"folder": "k"})
    applet = await world.an_applet(project)
    as_ = world.token_of(root)
    child = await world.new(f"/{applet}/run", {"input": {}}, as_=as_)
    for job in (child, await world.a_subjob(root)):
        assert (await world.describe(job))["preserveJobOutputs"] == {"folder": "k"}
    body: dict[str, Any] = {"input": {}, "preserveJobOutputs": {}}
    refusal = await world.refused(f"/{applet}/run", body, as_=as_)
    assert (refusal.type, "preserveJobOutputs" in refusal.message) == ("InvalidInput", True)


async def test_a_project_that_is_gone_keeps_nothing(world: World) -> None:
    project, root = await a_root(world, {})
    row = await world.job_row(root)
    assert preserving.folder_of(row) == "/out/intermediateJobOutputs"
    await world.call(f"/{project}/destroy", {"terminateJobs": True})
    await world.report(root, output={})
    assert await world.state(root) == "terminated"
