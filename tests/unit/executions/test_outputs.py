"""What happens to a job's output when its process has ended well (contract F.7, C.8)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.executions import cloning
from plasmid.metadata import objects
from tests.worlds import ALICE, BOB, EVE, World


def link(object_id: str) -> dict[str, Any]:
    return {"$dnanexus_link": object_id}


def ref(job: str, field: str = "x", **more: Any) -> dict[str, Any]:
    return {"$dnanexus_link": {"job": job, "field": field, **more}}


async def running(world: World, **applet: Any) -> tuple[str, str, str]:
    """Return a project, a running job in it, and the job's workspace."""
    project = await world.a_project()
    job = await world.a_job(await world.an_applet(project, **applet), folder="/out")
    await world.lease(job)
    return project, job, (await world.job_row(job)).workspace


async def end_of(world: World, job: str) -> tuple[str, str | None, str]:
    row = await world.job_row(job)
    return row.state, row.failure_reason, row.failure_message or ""


async def places(world: World, object_id: str) -> dict[str, str]:
    found = await objects.find_placements(world.database.reader, object_id)
    return {place.container: place.folder for place in found}


INT = [{"name": "n", "class": "int"}, {"name": "maybe", "class": "array:file", "optional": True}]


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ({}, '"n"'),
        ({"n": None}, '"n"'),
        ({"n": "text"}, '"n"'),
        ({"n": 1.5}, '"n"'),
        ({"n": 1, "other": 1}, '"other"'),
        ({"n": 1, "maybe": ["text"]}, '"maybe'),
        ({"n": 1, "maybe": [link("record-" + "B" * 24)]}, '"maybe'),
    ],
)
async def test_an_output_that_does_not_fit_the_spec_fails_the_job(
    world: World, output: dict[str, Any], words: str
) -> None:
    _, job, _ = await running(world, outputSpec=INT)
    await world.finish(job, output)
    state, reason, message = await end_of(world, job)
    assert (state, reason) == ("failed", "OutputError")
    assert words in message


@pytest.mark.parametrize(
    ("output", "kept"),
    [
        ({"n": 1}, {"n": 1}),
        ({"n": 1.0, "maybe": None}, {"n": 1}),
        ({"n": -(2**40), "maybe": []}, {"n": -(2**40), "maybe": []}),
    ],
)
async def test_an_output_that_fits_is_kept_as_the_spec_wants_it(
    world: World, output: dict[str, Any], kept: dict[str, Any]
) -> None:
    _, job, _ = await running(world, outputSpec=INT)
    assert await world.finish(job, output) == "done"
    assert (await world.describe(job))["output"] == kept


async def test_without_a_spec_any_output_is_kept(world: World) -> None:
    _, job, _ = await running(world)
    output = {"a": None, "b": {"c": [1, "ü", {"d": True}]}, "e": [[1], [2]]}
    assert await world.finish(job, output) == "done"
    assert (await world.describe(job))["output"] == output


async def test_only_main_of_a_master_job_is_held_against_the_spec(world: World) -> None:
    _, parent, _ = await running(world, outputSpec=INT)
    children = [await world.a_subjob(parent, "work"), await world.a_subjob(parent, "main")]
    for child in children:
        assert await world.finish(child, {"anything": "goes"}) == "done"
    assert await world.finish(parent, {"n": 1}) == "done"


async def test_a_value_that_a_reference_brings_is_held_against_the_spec(world: World) -> None:
    _, good, _ = await running(world, outputSpec=INT)
    child = await world.a_subjob(good)
    await world.finish(good, {"n": ref(child)})
    await world.finish(child, {"x": 3})
    assert await world.state(good) == "done"
    assert (await world.describe(good))["output"] == {"n": 3}
    _, wrong, _ = await running(world, outputSpec=INT)
    child = await world.a_subjob(wrong)
    await world.finish(wrong, {"n": ref(child)})
    await world.finish(child, {"x": "text"})
    state, reason, message = await end_of(world, wrong)
    assert (state, reason) == ("failed", "OutputError")
    assert '"n"' in message


async def test_a_link_to_nothing_fails_the_job(world: World) -> None:
    _, job, _ = await running(world)
    nothing = "file-" + "B" * 24
    await world.finish(job, {"x": {"deep": [link(nothing)]}})
    state, reason, message = await end_of(world, job)
    assert (state, reason) == ("failed", "OutputError")
    assert nothing in message


@pytest.mark.parametrize("spec", [None, [{"name": "x", "class": "file"}]])
async def test_a_link_to_what_the_launcher_cannot_see_fails_the_job(
    world: World, spec: list[dict[str, Any]] | None
) -> None:
    secret = await world.a_closed_file(await world.a_project(as_=EVE), b"secret", as_=EVE)
    _, job, _ = await running(world, outputSpec=spec)
    await world.finish(job, {"x": link(secret)})
    state, reason, message = await end_of(world, job)
    assert (state, reason) == ("failed", "OutputError")
    assert secret in message
    assert "does not exist" in message


async def test_a_link_to_what_the_launcher_can_see_is_kept_and_not_cloned(world: World) -> None:
    other = await world.a_project()
    seen = await world.a_closed_file(other, b"seen")
    shared = await world.a_project(as_=BOB)
    await world.call(f"/{shared}/invite", {"invitee": "user-alice", "level": "VIEW"}, as_=BOB)
    given = await world.a_closed_file(shared, b"given", as_=BOB)
    _, job, _ = await running(world, access={"allProjects": "VIEW"})
    assert await world.finish(job, {"x": [link(seen), link(given)]}) == "done"
    assert await places(world, seen) == {other: "/"}
    assert await places(world, given) == {shared: "/"}


async def test_a_link_to_what_only_the_launcher_can_see_fails_the_job(world: World) -> None:
    """Else the job that takes this output would get what its own access leaves out."""
    private = await world.a_closed_file(await world.a_project(), b"private")
    _, job, _ = await running(world)
    await world.finish(job, {"x": link(private)})
    state, reason, message = await end_of(world, job)
    assert (state, reason) == ("failed", "OutputError")
    assert private in message


@pytest.mark.parametrize(
    "related", ["itself", "its parent", "a sibling", "another tree", "nothing"]
)
async def test_an_output_may_refer_to_descendants_only(world: World, related: str) -> None:
    project, parent, _ = await running(world)
    job = await world.a_subjob(parent)
    await world.lease(job)
    sibling = await world.a_subjob(parent)
    stranger = await world.a_job(await world.an_applet(project))
    target = {
        "itself": job,
        "its parent": parent,
        "a sibling": sibling,
        "another tree": stranger,
        "nothing": "job-" + "B" * 24,
    }[related]
    await world.finish(job, {"y": ref(target)})
    state, reason, message = await end_of(world, job)
    assert (state, reason) == ("failed", "OutputError")
    assert target in message


async def test_an_output_may_refer_to_a_grandchild(world: World) -> None:
    _, parent, _ = await running(world)
    child = await world.a_subjob(parent)
    await world.lease(child)
    grandchild = await world.a_subjob(child)
    await world.finish(parent, {"y": [ref(grandchild), ref(child, index=1), {"z": ref(child)}]})
    await world.finish(child, {"x": [ref(grandchild), ref(grandchild)]})
    assert await world.state(child) == "waiting_on_output"
    assert (await world.describe(child))["output"] == {"x": [ref(grandchild), ref(grandchild)]}
    await world.finish(grandchild, {"x": 5})
    assert (await world.describe(child))["output"] == {"x": [5, 5]}
    assert (await world.describe(parent))["output"] == {"y": [5, 5, {"z": [5, 5]}]}
    assert await world.state(parent) == "done"


@pytest.mark.parametrize("wrong", [{"field": "y"}, {"field": "x", "index": 3}])
async def test_an_output_that_refers_to_what_a_sub_job_lacks_fails(
    world: World, wrong: dict[str, Any]
) -> None:
    _, parent, _ = await running(world)
    child = await world.a_subjob(parent)
    await world.finish(parent, {"y": {"$dnanexus_link": {"job": child, **wrong}}})
    await world.finish(child, {"x": [1]})
    assert (await end_of(world, parent))[:2] == ("failed", "OutputError")


async def test_a_job_waits_for_its_children_with_its_output(world: World) -> None:
    project, parent, workspace = await running(world)
    token = world.token_of(parent)
    file = await world.a_closed_file(workspace, b"result", as_=token)
    children = [await world.a_subjob(parent) for _ in range(3)]
    assert await world.finish(parent, {"x": link(file)}) == "waiting_on_output"
    assert await places(world, file) == {workspace: "/"}
    described = await world.describe(parent)
    assert described["output"] == {"x": link(file)}
    assert described["stoppedRunning"] == world.clock.now_ms
    for child in children:
        assert await world.state(parent) == "waiting_on_output"
        await world.finish(child)
    assert await world.state(parent) == "done"
    assert await places(world, file) == {project: "/out"}


async def test_an_open_output_is_waited_for(world: World) -> None:
    project, job, workspace = await running(world)
    file = await world.an_open_file(workspace, as_=world.token_of(job))
    child = await world.a_subjob(job)
    await world.lease(child)
    token = world.token_of(child)
    assert await world.finish(job, {"x": link(file)}) == "waiting_on_output"
    await world.put_part(file, b"late", as_=token)
    await world.call(f"/{file}/close", as_=token)
    assert await world.state(job) == "waiting_on_output"
    await world.finish(child)
    assert await world.state(job) == "done"
    assert await places(world, file) == {project: "/out"}


async def test_an_open_output_that_nobody_can_close_fails_the_job(world: World) -> None:
    _, job, workspace = await running(world)
    file = await world.an_open_file(workspace, as_=world.token_of(job))
    await world.finish(job, {"x": link(file)})
    state, reason, message = await end_of(world, job)
    assert (state, reason) == ("failed", "OutputError")
    assert f"{file}, which was left open" in message


@pytest.mark.parametrize("last", ["parent", "sibling"])
async def test_an_open_output_fails_its_job_once_nobody_is_left_to_close_it(
    world: World, last: str
) -> None:
    _, parent, workspace = await running(world)
    child, sibling = await world.a_subjob(parent), await world.a_subjob(parent)
    await world.lease(child)
    file = await world.an_open_file(workspace, as_=world.token_of(child))
    assert await world.finish(child, {"x": link(file)}) == "waiting_on_output"
    for job in (sibling, parent) if last == "parent" else (parent, sibling):
        assert await world.state(child) == "waiting_on_output"
        await world.finish(job)
    assert (await end_of(world, child))[:2] == ("failed", "OutputError")
    assert (await end_of(world, parent))[:2] == ("failed", "JobTreeFailure")


async def test_an_open_output_of_a_project_may_be_closed_by_its_people(world: World) -> None:
    project, job, _ = await running(world)
    file = await world.an_open_file(project)
    assert await world.finish(job, {"x": link(file)}) == "waiting_on_output"
    await world.put_part(file, b"1")
    await world.call(f"/{file}/close")
    assert await world.state(job) == "done"


async def test_an_open_output_that_is_removed_fails_the_job(world: World) -> None:
    project, job, _ = await running(world)
    file = await world.an_open_file(project)
    await world.finish(job, {"x": link(file)})
    await world.call(f"/{project}/removeObjects", {"objects": [file]})
    assert (await end_of(world, job))[:2] == ("failed", "OutputError")


async def test_outputs_are_cloned_with_sub_folders_and_hidden_linked_objects(world: World) -> None:
    project, job, workspace = await running(world)
    as_ = world.token_of(job)
    hidden = await world.a_record(
        workspace, as_=as_, hidden=True, folder="/h", parents=True, close=True
    )
    index = await world.a_record(
        workspace,
        as_=as_,
        name="index",
        folder="/a/b",
        parents=True,
        details=link(hidden),
        close=True,
    )
    file = await world.a_closed_file(
        workspace, b"1", as_=as_, name="f", tags=["t"], properties={"k": "v"}
    )
    left = await world.a_closed_file(workspace, b"2", as_=as_)
    assert (
        await world.finish(job, {"x": [link(index), link(file)], "y": {"z": link(file)}}) == "done"
    )
    assert await places(world, index) == {project: "/out/a/b"}
    assert await places(world, hidden) == {project: "/out/h"}
    assert await places(world, file) == {project: "/out"}
    assert await places(world, left) == {}
    described = await world.describe(
        file, project=project, fields={"tags": True, "properties": True}
    )
    assert (described["tags"], described["properties"]) == (["t"], {"k": "v"})
    assert await world.read(file, project=project) == b"1"
    assert (await world.describe(job))["output"]["x"] == [link(index), link(file)]


@pytest.mark.parametrize(("types", "ends"), [(["A"], "done"), (["B"], "failed")])
@pytest.mark.parametrize("is_open", [False, True])
async def test_an_output_is_of_the_type_that_the_spec_wants(
    world: World, types: list[str], ends: str, is_open: bool
) -> None:
    spec = [{"name": "r", "class": "array:record", "type": {"$or": ["A", "C"]}}]
    _, job, workspace = await running(world, outputSpec=spec)
    as_ = world.token_of(job)
    sub = await world.a_subjob(job)  # so that an open object can still be closed
    await world.lease(sub)
    record = await world.a_record(workspace, as_=as_, types=types, close=not is_open)
    state = await world.finish(job, {"r": [link(record)]})
    if is_open:
        assert state == "waiting_on_output"
        await world.call(f"/{record}/close", as_=world.token_of(sub))
    if await world.state(sub) == "running":
        await world.finish(sub)
    state, reason, message = await end_of(world, job)
    assert state == ends, message
    if ends == "failed":
        assert reason == "OutputError"
        assert '"r" of output' in message
        assert record in message


async def test_a_bam_and_its_hidden_index_go_to_the_project_together(world: World) -> None:
    """Also those that the launched job's output brings along, through two workspaces."""
    project, parent, workspace = await running(world)
    token = world.token_of(parent)
    applet = await world.an_applet(project)
    child = await world.new(f"/{applet}/run", {"input": {}}, as_=token)
    await world.lease(child)
    own, as_ = (await world.job_row(child)).workspace, world.token_of(child)
    index = await world.a_closed_file(own, as_=as_, name="s.bam.bai", hidden=True)
    bam = await world.a_closed_file(
        own, as_=as_, name="s.bam", details={"index": link(index)}, folder="/b", parents=True
    )
    await world.finish(child, {"bam": link(bam)})
    assert (await places(world, index))[workspace] == "/"
    assert await world.finish(parent, {"bam": ref(child, "bam")}) == "done"
    assert await places(world, bam) == {project: "/out/b"}
    assert await places(world, index) == {project: "/out"}


async def test_an_output_that_is_in_the_project_already_stays_where_it_is(world: World) -> None:
    project = await world.a_project()
    file = await world.a_closed_file(project, b"1", folder="/mine", parents=True, name="mine")
    applet = await world.an_applet(project)
    job = await world.a_job(applet, {"in": link(file)}, folder="/out")
    await world.lease(job)
    workspace = (await world.job_row(job)).workspace
    given = {"$dnanexus_link": {"project": workspace, "id": file}}
    assert await world.finish(job, {"x": given}) == "done"
    assert await places(world, file) == {project: "/mine"}
    assert (await world.describe(job))["output"] == {"x": link(file)}


async def test_a_job_launched_by_a_job_puts_its_outputs_into_its_parents_workspace(
    world: World,
) -> None:
    project, parent, workspace = await running(world)
    applet = await world.an_applet(project)
    token = world.token_of(parent)
    child = await world.new(f"/{applet}/run", {"input": {}, "folder": "/x"}, as_=token)
    own = (await world.job_row(child)).workspace
    assert own != workspace
    await world.lease(child)
    file = await world.a_closed_file(
        own, b"1", as_=world.token_of(child), folder="/deep", parents=True
    )
    assert await world.finish(child, {"x": link(file)}) == "done"
    assert await places(world, file) == {workspace: "/x/deep", own: "/deep"}
    assert await world.read(file, as_=token) == b"1"
    listed = await world.call(f"/{workspace}/listFolder", {"folder": "/x"}, as_=token)
    assert listed["folders"] == ["/x/deep"]
    assert await world.finish(parent, {"y": link(file)}) == "done"
    assert await places(world, file) == {project: "/out/x/deep"}


async def test_a_detached_job_puts_its_outputs_into_the_project_it_names(world: World) -> None:
    project, launcher, _ = await running(world, access={"project": "CONTRIBUTE"})
    applet = await world.an_applet(project)
    body = {"input": {}, "project": project, "folder": "/d", "detach": True}
    job = await world.new(f"/{applet}/run", body, as_=world.token_of(launcher))
    await world.lease(job)
    own = (await world.job_row(job)).workspace
    file = await world.a_closed_file(own, b"1", as_=world.token_of(job))
    assert await world.finish(job, {"x": link(file)}) == "done"
    assert await places(world, file) == {project: "/d"}
    assert await world.finish(launcher) == "done"


async def test_outputs_of_a_sub_job_stay_in_the_shared_workspace(world: World) -> None:
    project, parent, workspace = await running(world)
    child = await world.a_subjob(parent)
    await world.lease(child)
    file = await world.a_closed_file(workspace, b"1", as_=world.token_of(child))
    assert await world.finish(child, {"x": link(file)}) == "done"
    assert await places(world, file) == {workspace: "/"}
    assert await world.finish(parent, {"y": ref(child)}) == "done"
    assert await places(world, file) == {project: "/out"}
    assert (await world.describe(parent))["output"] == {"y": link(file)}


async def test_a_report_that_is_repeated_changes_nothing(world: World) -> None:
    _, job, _ = await running(world)
    await world.report(job, output={"x": 1})
    before = await world.describe(job)
    world.clock.advance(1000)
    await world.report(job, output={"x": 2})
    await world.report(job, failure_reason="AppError", failure_message="no")
    assert await world.describe(job) == before


async def test_a_project_that_is_gone_takes_its_jobs_with_it(world: World) -> None:
    project, job, workspace = await running(world)
    file = await world.a_closed_file(workspace, b"1", as_=world.token_of(job))
    refusal = await world.refused(f"/{project}/destroy")
    assert refusal.type == "InvalidState"
    await world.call(f"/{project}/destroy", {"terminateJobs": True})
    assert await world.finish(job, {"x": link(file)}) == "terminated"
    assert await places(world, file) == {}


async def test_cloning_reports_what_was_there(world: World) -> None:
    source, destination = await world.a_project(), await world.a_project()
    first = await world.a_record(source, close=True)
    second = await world.a_record(source, close=True, details=[link(first)])
    async with world.dispatcher.moment(world.clock.now_ms) as moment:
        for expected in ([], [first]):
            existing = await cloning.clone_objects(
                moment, [first, first], source=source, destination=destination, below="/a"
            )
            assert existing == expected
        # a visible object is not taken along, only a hidden one
        await cloning.clone_objects(moment, [second], source=None, destination=destination)
    assert await places(world, first) == {source: "/", destination: "/a"}
    assert await places(world, second) == {source: "/", destination: "/"}
    assert (await world.describe(first, as_=ALICE))["id"] == first
