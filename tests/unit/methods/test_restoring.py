"""A captured try in another platform: the same ids, the same inputs, and no more than it had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from plasmid.cli.logs import Door
from plasmid.cli.replay_source import Source
from plasmid.client.api import ApiClient
from plasmid.domain import errors
from plasmid.domain.replays import Capture, Limits, Manner
from plasmid.methods import restoring
from tests.worlds import ALICE, BOB, GIB, URL, World

READS = [{"name": "reads", "class": "file"}, {"name": "more", "class": "array:file"}]


@pytest.fixture
async def other() -> AsyncIterator[World]:
    """Another platform, empty but for its users."""
    world = World(seed=2)
    await world.set_up()
    yield world
    await world.http.aclose()
    world.database.close()


async def captured(
    world: World, job: str, folder: Path, *, token: str = ALICE, attempt: int | None = None
) -> tuple[Capture, dict[str, Path]]:
    """What `plasmid replay` learns of a job, with the bytes of its files."""
    transport = httpx2.ASGITransport(app=world.app)
    async with ApiClient(URL, token, transport=transport) as client:
        source = Source(Door(URL, token), client)
        capture = await source.capture(job, attempt, needs_code=True)
        contents, found = {}, []
        for item in capture.objects:
            if item.has_bytes:
                contents[item.id] = folder / item.id
                item = await source.fetch(item, contents[item.id])  # noqa: PLW2901
            found.append(item)
        return msgspec.structs.replace(capture, objects=found), contents


async def started(
    other: World, capture: Capture, contents: dict[str, Path], manner: Manner | None = None
) -> dict[str, Any]:
    """Restore and start it; return the assignment of its worker."""
    assert capture.code is not None
    await restoring.restore(other.platform, capture, contents, user="user-alice")
    job = await restoring.start(other.platform, capture.run, capture.code, manner or Manner())
    assert job == capture.run.job
    return await other.lease(job)


async def a_failed_job(world: World, **body: Any) -> tuple[str, dict[str, Any], str]:
    """A job of bob's that read files of two projects, and failed; with its assignment."""
    project = await world.a_project(name="mine", as_=BOB)
    far = await world.a_project(name="far", as_=BOB)
    await world.call(f"/{far}/newFolder", {"folder": "/deep"}, as_=BOB)
    one = await world.a_closed_file(project, b"reads", name="a b.fq", as_=BOB)
    two = await world.a_closed_file(far, b"", name="two.fq", folder="/deep", as_=BOB)
    applet = await world.an_applet(project, inputSpec=READS, as_=BOB, details={"k": 1})
    given = {"reads": _link(one), "more": [_link(two)]}
    job = await world.a_job(applet, given, as_=BOB, folder="/out", tags=["t"], **body)
    then = await world.lease(job)
    await world.fail(job, "AppInternalError", "bad reads")
    return job, then, one


def _link(file: str) -> dict[str, str]:
    return {"$dnanexus_link": file}


async def test_a_replay_is_given_what_the_original_was(
    world: World, other: World, tmp_path: Path
) -> None:
    job, then, one = await a_failed_job(world)
    capture, contents = await captured(world, job, tmp_path, token=BOB)
    now = await started(other, capture, contents)
    same = (
        "job", "attempt", "function", "interpreter", "code", "release", "version", "environment",
        "input", "input_files", "bundled_depends", "exec_depends", "network", "resources",
        "timeout_ms", "lock",
    )  # fmt: skip
    assert {name: now[name] for name in same} == {name: then[name] for name in same}
    kept = ("id", "name", "project", "workspace", "folder", "function", "executable", "launchedBy")
    for name in (*kept, "billTo", "region", "instanceType", "tags", "input", "try"):
        assert now["job_description"][name] == then["job_description"][name], name
    described = then["executable_description"]
    for name in ("id", "name", "details", "inputSpec", "access", "runSpec"):
        assert now["executable_description"][name] == described[name], name
    token = other.token_of(job)
    assert await other.read(one, as_=token) == b"reads"
    told = await other.describe(one, as_=token, project=capture.run.project)
    assert (told["name"], told["folder"]) == ("a b.fq", "/")
    project = await other.describe(capture.run.project, as_=token)
    assert project["name"] == "mine"


async def test_a_replay_may_do_no_more_in_its_project_than_the_original(
    world: World, other: World, tmp_path: Path
) -> None:
    job, _, _ = await a_failed_job(world)
    capture, contents = await captured(world, job, tmp_path, token=BOB)
    await started(other, capture, contents)
    body = {"project": capture.run.project, "name": "r"}
    refused = await other.refused("/record/new", body, as_=other.token_of(job))
    assert refused.type == "PermissionDenied"
    own = {"project": capture.run.workspace, "name": "r"}
    await other.call("/record/new", own, as_=other.token_of(job))


async def test_a_replay_ends_with_its_first_failure(
    world: World, other: World, tmp_path: Path
) -> None:
    policy = {"restartOn": {"AppInternalError": 2}}
    job, _, _ = await a_failed_job(world, executionPolicy=policy)
    assert await world.state(job) == "runnable"
    await world.lease(job)
    assert await world.finish(job, {}) == "done"
    capture, contents = await captured(world, job, tmp_path, token=BOB, attempt=0)
    assert (capture.run.attempt, capture.outcome.message) == (0, "bad reads")
    await started(other, capture, contents)
    assert await other.fail(job, "AppInternalError", "bad reads") == "failed"
    last, _ = await captured(world, job, tmp_path, token=BOB)
    assert (last.run.attempt, last.outcome.state) == (1, "done")


async def test_a_replay_gets_no_more_of_the_machine_than_the_original_had(
    world: World, other: World, tmp_path: Path
) -> None:
    job, then, _ = await a_failed_job(world)
    capture, contents = await captured(world, job, tmp_path, token=BOB)
    assert capture.run.given.memory_bytes == then["resources"]["memory_bytes"]
    less = Limits(cores=1, memory_bytes=GIB, disk_bytes=10**9)
    manner = Manner(mark=".r1", waits=True, given=less)
    now = await started(other, capture, contents, manner)
    assert now["resources"] == {
        "memory_bytes": GIB, "cores": 1, "disk_bytes": 10**9, "devices": [],
    }  # fmt: skip
    assert (now["mark"], now["waits"], then["mark"], then["waits"]) == (".r1", True, "", False)


async def test_a_replayed_app_finds_its_containers(
    world: World, other: World, tmp_path: Path
) -> None:
    source = await world.a_project(name="resources")
    reference = await world.a_closed_file(source, b"ACGT", name="ref.fa")
    project = await world.a_project()
    applet = await world.an_applet(project, inputSpec=[], outputSpec=[])
    app = await world.an_app(applet, resources=source, publish=True)
    job = await world.a_job(app, project=project)
    then = await world.lease(job)
    await world.fail(job)
    capture, contents = await captured(world, job, tmp_path)
    assert capture.notes == []
    now = await started(other, capture, contents)
    assert now["environment"] == then["environment"]
    assert now["executable_description"]["access"] == then["executable_description"]["access"]
    assert now["executable_description"]["version"] == "1.0.0"
    assert await other.read(reference, as_=other.token_of(job)) == b"ACGT"


async def test_the_input_of_a_sub_job_is_what_its_references_came_to(
    world: World, other: World, tmp_path: Path
) -> None:
    applet = await world.an_applet(await world.a_project())
    root = await world.a_job(applet)
    await world.lease(root)
    first = await world.a_subjob(root, "first")
    await world.lease(first)
    await world.finish(first, {"n": 7})
    reference = {"$dnanexus_link": {"job": first, "field": "n"}}
    second = await world.a_subjob(root, "second", {"n": reference})
    then = await world.lease(second)
    await world.fail(second)
    capture, contents = await captured(world, second, tmp_path)
    now = await started(other, capture, contents)
    assert (now["function"], now["input"]) == ("second", {"n": 7})
    assert now["environment"] == then["environment"]


async def test_an_applet_and_a_record_with_a_hidden_file_may_be_inputs(
    world: World, other: World, tmp_path: Path
) -> None:
    project = await world.a_project()
    tool = await world.an_applet(project, name="tool")
    hidden = await world.a_closed_file(project, b"secret", hidden=True)
    record = await world.a_record(project, details={"f": _link(hidden)}, close=True)
    spec = [{"name": "tool", "class": "applet"}, {"name": "r", "class": "record"}]
    applet = await world.an_applet(project, inputSpec=spec)
    job = await world.a_job(applet, {"tool": _link(tool), "r": _link(record)})
    await world.lease(job)
    await world.fail(job)
    capture, contents = await captured(world, job, tmp_path)
    await started(other, capture, contents)
    token = other.token_of(job)
    told = await other.call(f"/{tool}/get", as_=token)
    assert (told["name"], told["runSpec"]["code"]) == ("tool", "main() { true; }")
    described = await other.describe(record, as_=token, details=True)
    assert described["details"] == {"f": _link(hidden)}
    assert await other.read(hidden, as_=token) == b"secret"


async def test_a_file_of_another_size_is_refused(
    world: World, other: World, tmp_path: Path
) -> None:
    job, _, one = await a_failed_job(world)
    capture, contents = await captured(world, job, tmp_path, token=BOB)
    contents[one].write_bytes(b"re")
    with pytest.raises(restoring.UnlikeError, match=f"{one} has 2 bytes, not 5"):
        await restoring.restore(other.platform, capture, contents, user="user-alice")


async def test_code_for_another_executable_is_refused(
    world: World, other: World, tmp_path: Path
) -> None:
    job, _, _ = await a_failed_job(world)
    capture, contents = await captured(world, job, tmp_path, token=BOB)
    assert capture.code is not None
    await restoring.restore(other.platform, capture, contents, user="user-alice")
    code = msgspec.structs.replace(capture.code, id="applet-" + "0" * 24)
    with pytest.raises(errors.InvalidInput, match=r"code\.id is wrong"):
        await restoring.start(other.platform, capture.run, code, Manner())


async def test_an_applet_that_was_given_to_itself_is_there_once(
    world: World, other: World, tmp_path: Path
) -> None:
    project = await world.a_project(name="mine", as_=BOB)
    applet = await world.an_applet(
        project, inputSpec=[{"name": "tool", "class": "applet"}], as_=BOB
    )
    job = await world.a_job(applet, {"tool": _link(applet)}, as_=BOB)
    await world.lease(job)
    await world.fail(job, "AppInternalError", "bad tool")
    capture, contents = await captured(world, job, tmp_path, token=BOB)
    assert [item.id for item in capture.objects] == [applet]
    now = await started(other, capture, contents)
    assert now["input"] == {"tool": _link(applet)}
    found = await other.describe(applet, as_=other.token_of(job), project=project)
    assert (found["id"], found["project"]) == (applet, project)
