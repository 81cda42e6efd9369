"""What keeps a job from running, and what it finds in its workspace (contract F.2, F.5, F.8)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.executions import inputs
from tests.worlds import BOB, World


def link(object_id: str) -> dict[str, Any]:
    return {"$dnanexus_link": object_id}


def ref(job: str, field: str = "x") -> dict[str, Any]:
    return {"$dnanexus_link": {"job": job, "field": field}}


async def content_of(world: World, container: str, folder: str = "/") -> list[str]:
    listed = await world.call(f"/{container}/listFolder", {"folder": folder, "includeHidden": True})
    return sorted(entry["id"] for entry in listed["objects"])


async def test_a_job_without_input_is_runnable_at_once(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    described = await world.describe(job)
    assert [move["newState"] for move in described["stateTransitions"]] == ["runnable"]
    assert described["dependsOn"] == []


async def test_an_open_file_keeps_its_job_waiting_until_it_is_closed(world: World) -> None:
    project = await world.a_project()
    file = await world.an_open_file(project)
    job = await world.a_job(await world.an_applet(project), {"reads": [link(file)]})
    assert await world.state(job) == "waiting_on_input"
    await world.put_part(file, b"ACGT")
    assert await world.state(job) == "waiting_on_input"
    await world.call(f"/{file}/close")
    assert await world.state(job) == "runnable"
    workspace = (await world.describe(job))["workspace"]
    assert await content_of(world, workspace) == [file]


async def test_an_open_output_of_a_done_source_is_waited_for_by_nobody_twice(world: World) -> None:
    project = await world.a_project()
    files = [await world.an_open_file(project) for _ in range(2)]
    applet = await world.an_applet(project)
    job = await world.a_job(applet, {"in": [link(file) for file in files]})
    for file in files:
        assert await world.state(job) == "waiting_on_input"
        await world.put_part(file, b"x")
        await world.call(f"/{file}/close")
    assert await world.state(job) == "runnable"


async def test_a_hidden_object_that_an_input_links_to_must_be_closed_too(world: World) -> None:
    project = await world.a_project()
    below = await world.a_record(project, hidden=True)
    hidden = await world.a_record(project, hidden=True, details=link(below), close=True)
    record = await world.a_record(project, details=link(hidden), close=True)
    job = await world.a_job(await world.an_applet(project), {"in": link(record)})
    assert await world.state(job) == "waiting_on_input"
    await world.call(f"/{below}/close")
    assert await world.state(job) == "runnable"
    workspace = (await world.describe(job))["workspace"]
    assert await content_of(world, workspace) == sorted([record, hidden, below])


async def test_a_visible_object_that_an_input_links_to_is_nobodys_business(world: World) -> None:
    project = await world.a_project()
    visible = await world.a_record(project)
    record = await world.a_record(project, details=link(visible), close=True)
    job = await world.a_job(await world.an_applet(project), {"in": link(record)})
    assert await world.state(job) == "runnable"
    assert await content_of(world, (await world.describe(job))["workspace"]) == [record]


@pytest.mark.parametrize("what", ["job", "open record", "open file", "job and record"])
async def test_depends_on_holds_a_job_until_all_of_it_is_done(world: World, what: str) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project)
    awaited: list[str] = []
    if "job" in what:
        awaited.append(await world.a_job(applet))
    if "record" in what:
        awaited.append(await world.a_record(project))
    if "file" in what:
        awaited.append(await world.an_open_file(project))
    job = await world.a_job(applet, dependsOn=awaited)
    assert (await world.describe(job))["dependsOn"] == awaited
    for entity in awaited:
        assert await world.state(job) == "waiting_on_input"
        if entity.startswith("job"):
            await world.finish(entity)
        elif entity.startswith("file"):
            await world.put_part(entity, b"x")
            await world.call(f"/{entity}/close")
        else:
            await world.call(f"/{entity}/close")
    described = await world.describe(job)
    assert (described["state"], described["input"]) == ("runnable", {})
    later = await world.a_job(applet, dependsOn=awaited)
    assert await world.state(later) == "runnable"


@pytest.mark.parametrize("how", ["removed", "folder removed", "project destroyed"])
@pytest.mark.parametrize("by", ["input", "dependsOn"])
async def test_an_object_that_is_removed_while_awaited_is_an_input_error(
    world: World, by: str, how: str
) -> None:
    project, elsewhere = await world.a_project(), await world.a_project()
    file = await world.an_open_file(elsewhere, folder="/f", parents=True)
    applet = await world.an_applet(project)
    given = {"in": link(file)} if by == "input" else {}
    job = await world.a_job(applet, given, dependsOn=[file] if by == "dependsOn" else [])
    assert await world.state(job) == "waiting_on_input"
    if how == "removed":
        await world.call(f"/{elsewhere}/removeObjects", {"objects": [file]})
    elif how == "folder removed":
        await world.call(f"/{elsewhere}/removeFolder", {"folder": "/f", "recurse": True})
    else:
        await world.call(f"/{elsewhere}/destroy")
    described = await world.describe(job)
    assert (described["state"], described["failureReason"]) == ("failed", "InputError")
    assert file in described["failureMessage"]


async def test_a_reference_that_brings_an_open_file_is_waited_for(world: World) -> None:
    """A source's output is closed when it is done, but not what lies beside it."""
    project = await world.a_project()
    applet = await world.an_applet(project)
    source = await world.a_job(applet)
    awaited = await world.an_open_file(project)
    job = await world.a_job(applet, {"a": ref(source), "b": link(awaited)})
    await world.finish(source, {"x": 1})
    described = await world.describe(job)
    assert (described["state"], described["input"]["a"]) == ("waiting_on_input", 1)
    await world.put_part(awaited, b"x")
    await world.call(f"/{awaited}/close")
    assert await world.state(job) == "runnable"


async def test_resolved_values_are_held_against_the_input_spec(world: World) -> None:
    project = await world.a_project()
    source = await world.a_job(await world.an_applet(project))
    picky = await world.an_applet(
        project,
        inputSpec=[{"name": "n", "class": "int"}, {"name": "many", "class": "array:int"}],
    )
    good = await world.a_job(picky, {"n": ref(source), "many": [ref(source, "y"), 3]})
    wrong = await world.a_job(picky, {"n": ref(source, "y"), "many": [1]})
    await world.finish(source, {"x": 1, "y": [1, 2]})
    assert (await world.describe(good))["input"] == {"n": 1, "many": [1, 2, 3]}
    described = await world.describe(wrong)
    assert (described["state"], described["failureReason"]) == ("failed", "InputError")
    assert '"n"' in described["failureMessage"]


async def test_inputs_and_bundled_objects_lie_in_the_workspace(world: World) -> None:
    elsewhere, project = await world.a_project(), await world.a_project()
    bundle = await world.a_closed_file(elsewhere, b"bundle", hidden=True, name="bundle.tar.gz")
    file = await world.a_closed_file(elsewhere, b"input", folder="/deep/down", parents=True)
    applet = await world.an_applet(
        elsewhere, runSpec={"bundledDepends": [{"name": "bundle.tar.gz", "id": link(bundle)}]}
    )
    job = await world.a_job(applet, {"in": {"deep": [link(file)]}}, project=project)
    workspace = (await world.describe(job))["workspace"]
    assert await content_of(world, workspace) == sorted([bundle, file])
    assignment = await world.lease(job)
    assert assignment["input_files"][file] == file
    token = assignment["token"]
    assert await world.read(file, as_=token, project=workspace) == b"input"
    assert await world.read(bundle, as_=token, project=workspace) == b"bundle"


async def test_a_hidden_object_of_somebody_else_does_not_come_along(world: World) -> None:
    secret = await world.a_closed_file(
        await world.a_project(as_=BOB), b"secret", as_=BOB, hidden=True
    )
    project = await world.a_project()
    record = await world.a_record(project, details={"x": {"$dnanexus_link": secret}}, close=True)
    job = await world.a_job(await world.an_applet(project), {"x": {"$dnanexus_link": record}})
    workspace = (await world.describe(job))["workspace"]
    assert await content_of(world, workspace) == [record]


async def test_hidden_objects_that_an_input_links_to_come_along(world: World) -> None:
    """An index that lies beside its file is in the workspace, too, whatever the job's access."""
    project = await world.a_project()
    other = await world.a_project()
    deepest = await world.a_record(other, hidden=True, close=True)
    index = await world.a_record(other, hidden=True, details=link(deepest), close=True)
    seen = await world.a_record(other, close=True)
    details = {"index": link(index), "seen": [link(seen)]}
    bam = await world.a_closed_file(other, name="s.bam", details=details)
    applet = await world.an_applet(project, access={"project": None})
    given = {"$dnanexus_link": {"project": other, "id": bam}}
    job = await world.a_job(applet, {"bam": given})
    workspace = (await world.describe(job))["workspace"]
    assert await content_of(world, workspace) == sorted([bam, index, deepest])
    token = (await world.lease(job))["token"]
    assert (await world.describe(deepest, as_=token))["id"] == deepest
    assert (await world.refused(f"/{seen}/describe", as_=token)).type == "ResourceNotFound"


async def test_a_sub_job_may_not_wait_for_who_waits_for_it(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    parent = await world.a_job(applet)
    await world.lease(parent)
    token = world.token_of(parent)
    first = await world.a_subjob(parent, "first")
    second = await world.a_subjob(parent, "second", {"in": ref(first)})
    await world.lease(first)
    cases: list[tuple[str, dict[str, Any]]] = [
        (token, {"input": {"in": ref(parent)}}),
        (token, {"input": {}, "dependsOn": [parent]}),
        (world.token_of(first), {"input": {"in": ref(parent)}}),
        (world.token_of(first), {"input": {}, "dependsOn": [first]}),
        # second waits for first, which would wait for its child, which would wait for second
        (world.token_of(first), {"input": {"in": ref(second)}}),
        (world.token_of(first), {"input": {}, "dependsOn": [second]}),
    ]
    for as_, body in cases:
        refusal = await world.refused("/job/new", {"function": "f", **body}, as_=as_)
        assert refusal.type == "InvalidInput"
        assert "wait for each other" in refusal.message
    refusal = await world.refused(f"/{applet}/run", {"input": {"in": ref(parent)}}, as_=token)
    assert refusal.type == "InvalidInput"
    fine = await world.a_subjob(parent, "third", {"in": [ref(first), ref(second)]})
    assert await world.state(fine) == "waiting_on_input"


async def test_a_detached_job_may_wait_for_its_launcher(world: World) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project, access={"project": "CONTRIBUTE"})
    launcher = await world.a_job(applet)
    await world.lease(launcher)
    body = {"input": {"in": ref(launcher)}, "project": project, "detach": True}
    job = await world.new(f"/{applet}/run", body, as_=world.token_of(launcher))
    described = await world.describe(job)
    assert (described["rootExecution"], described["detachedFrom"]) == (job, launcher)
    await world.finish(launcher, {"x": 1})
    assert await world.state(job) == "runnable"


async def test_a_job_that_is_being_stopped_starts_nothing_more(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    parent = await world.a_job(applet)
    await world.lease(parent)
    await world.call(f"/{parent}/terminate")
    for route in ("/job/new", f"/{applet}/run"):
        refusal = await world.refused(
            route, {"function": "f", "input": {}}, as_=world.token_of(parent)
        )
        assert refusal.type == "InvalidState"
        assert "terminating" in refusal.message
    await world.report(parent)
    assert await world.state(parent) == "terminated"


async def test_what_somebody_else_may_not_see_cannot_be_waited_for(world: World) -> None:
    hidden_project, project = await world.a_project(), await world.a_project(as_=BOB)
    applet = await world.an_applet(project, as_=BOB)
    source = await world.a_job(await world.an_applet(hidden_project))
    record = await world.a_record(hidden_project)
    for body, kind in (
        ({"input": {"in": ref(source)}}, "PermissionDenied"),
        ({"input": {}, "dependsOn": [source]}, "PermissionDenied"),
        ({"input": {"in": link(record)}}, "ResourceNotFound"),
        ({"input": {}, "dependsOn": [record]}, "ResourceNotFound"),
        ({"input": {"in": ref("job-" + "B" * 24)}}, "ResourceNotFound"),
    ):
        refusal = await world.refused(f"/{applet}/run", {"project": project, **body}, as_=BOB)
        assert refusal.type == kind


async def test_settling_a_ready_job_twice_is_refused_by_the_table(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    row = await world.job_row(job)
    async with world.dispatcher.moment(world.clock.now_ms) as moment:
        with pytest.raises(Exception, match="inputs_ready cannot happen to a job that is runnable"):
            await inputs.settle_input(moment, row)


async def test_one_of_many_sources_that_waits_for_the_launcher_is_found(world: World) -> None:
    applet = await world.an_applet(await world.a_project())
    parent = await world.a_job(applet)
    await world.lease(parent)
    sources = [await world.a_subjob(parent) for _ in range(4)]
    job = await world.a_subjob(parent, "gather", {"in": [ref(source) for source in sources]})
    assert await world.state(job) == "waiting_on_input"
    refusal = await world.refused(
        "/job/new",
        {"function": "f", "input": {"in": [ref(source) for source in [*sources, parent]]}},
        as_=world.token_of(parent),
    )
    assert refusal.type == "InvalidInput"


async def test_one_of_many_awaited_objects_that_is_removed_fails_the_job_at_once(
    world: World,
) -> None:
    project = await world.a_project()
    first, second = await world.an_open_file(project), await world.an_open_file(project)
    job = await world.a_job(await world.an_applet(project), {"in": [link(first), link(second)]})
    await world.call(f"/{project}/removeObjects", {"objects": [first]})
    assert (await world.job_row(job)).failure_reason == "InputError"
