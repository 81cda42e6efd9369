"""What is learnt of a job before it is replayed, and one clear line where that cannot be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from plasmid.cli import replay, replay_described
from plasmid.cli.logs import Door
from plasmid.cli.replay import Request
from plasmid.cli.replay_source import Source
from plasmid.cli.trouble import CommandError
from plasmid.client.api import NO_RETRY, ApiClient
from plasmid.domain.placement import Machine
from plasmid.domain.replays import Line
from tests.unit.domain.test_replays import a_capture
from tests.worlds import ALICE, BOB, EVE, GIB, URL, World

READS = [{"name": "reads", "class": "file"}]


@pytest.fixture
async def source(world: World) -> AsyncIterator[Source]:
    """The world's server, asked by alice."""
    async with client_of(world) as client:
        yield Source(Door(URL, ALICE), client)


def client_of(world: World, token: str = ALICE) -> ApiClient:
    return ApiClient(URL, token, transport=httpx2.ASGITransport(app=world.app), retry=NO_RETRY)


async def refused(
    source: Source, job: str, attempt: int | None = None, *, needs_code: bool = True
) -> str:
    with pytest.raises(CommandError) as caught:
        await source.capture(job, attempt, needs_code=needs_code)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def a_failed_job(world: World, project: str) -> tuple[str, str, str]:
    """A failed job with its input file and its applet."""
    file = await world.a_closed_file(project)
    applet = await world.an_applet(project, inputSpec=READS, name="align")
    job = await world.a_job(applet, {"reads": {"$dnanexus_link": file}})
    await world.lease(job)
    await world.fail(job)
    return job, file, applet


async def test_a_malformed_and_an_unknown_id_are_named(source: Source) -> None:
    assert await refused(source, "job-x") == (
        "'job-x' is no id of a job: that is job- and 24 letters or digits (dx find jobs)"
    )
    unknown = "job-" + "0" * 24
    assert f"{unknown} could not be found at {URL}" in await refused(source, unknown)


async def test_a_job_of_somebody_else_is_not_replayed(world: World) -> None:
    job, _, _ = await a_failed_job(world, await world.a_project())
    async with client_of(world, EVE) as client:
        message = await refused(Source(Door(URL, EVE), client), job)
    assert job in message or "permission" in message


async def test_who_may_not_read_an_input_cannot_replay_the_job(world: World) -> None:
    hidden, project = await world.a_project(), await world.a_project()
    file = await world.a_closed_file(hidden)
    applet = await world.an_applet(project, inputSpec=READS)
    job = await world.a_job(applet, {"reads": {"$dnanexus_link": file}})
    await world.lease(job)
    await world.fail(job)
    await world.a_member(project, "CONTRIBUTE")
    async with client_of(world, BOB) as client:
        message = await refused(Source(Door(URL, BOB), client), job)
    assert message.startswith(f"input {file} of field reads is gone")


async def test_an_input_that_is_gone_is_named_with_its_field(world: World, source: Source) -> None:
    project = await world.a_project()
    job, file, _ = await a_failed_job(world, project)
    await world.call(f"/{project}/removeObjects", {"objects": [file]})
    message = await refused(source, job)
    assert message.startswith(f"input {file} of field reads is gone: upload it again")


async def test_an_executable_that_is_gone_is_named_with_the_way_out(
    world: World, source: Source
) -> None:
    project = await world.a_project()
    job, _, applet = await a_failed_job(world, project)
    await world.call(f"/{project}/removeObjects", {"objects": [applet]})
    message = await refused(source, job)
    assert f"{applet} (align): is gone; if you have its source: --against FOLDER" in message
    capture = await source.capture(job, None, needs_code=False)
    assert capture.code is None


async def test_a_job_that_never_started_has_nothing_to_replay(world: World, source: Source) -> None:
    applet = await world.an_applet(await world.a_project())
    job = await world.a_job(applet)
    assert await refused(source, job) == f"{job} is runnable: wait for its end (dx wait {job})"
    await world.call(f"/{job}/terminate")
    message = await refused(source, job)
    assert message.startswith(f"{job} (try 0) never started, it is terminated")
    assert message.endswith(f"run it again: dx run --clone {job}")


async def test_a_job_with_reused_outputs_names_the_one_that_ran(
    world: World, source: Source
) -> None:
    applet = await world.an_applet(await world.a_project())
    ran = await world.a_job(applet)
    await world.finish(ran)
    job = await world.a_job(applet, properties={"plasmid.reuse": "true"})
    assert await refused(source, job) == (
        f"{job} never ran: its outputs are reused from {ran}; replay that: plasmid replay {ran}"
    )


async def test_a_job_that_runs_is_waited_for(world: World, source: Source) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    assert "is running: wait for its end" in await refused(source, job)
    await world.fail(job)
    assert "has no try 4" in await refused(source, job, 4)


async def test_the_last_lines_are_those_of_the_try(world: World, source: Source) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    await world.log(job, *[f"line {number}" for number in range(500)])
    await world.log(job, "on stderr", level="STDERR", cursor=500)
    await world.fail(job)
    capture = await source.capture(job, None, needs_code=True)
    assert len(capture.outcome.lines) == 400
    assert capture.outcome.lines[-2:] == [Line("STDOUT", "line 499"), Line("STDERR", "on stderr")]
    assert capture.outcome.message == "it broke"


async def test_learning_of_a_job_changes_nothing(world: World, source: Source) -> None:
    job, _, _ = await a_failed_job(world, await world.a_project())
    before = [await world.rows(f"SELECT * FROM {table}") for table in TABLES]
    await source.capture(job, None, needs_code=True)
    assert [await world.rows(f"SELECT * FROM {table}") for table in TABLES] == before


TABLES = ("objects", "placements", "containers", "members", "folders", "jobs", "parts", "tokens")


async def test_all_resources_of_an_app_come_along(world: World, source: Source) -> None:
    resources = await world.a_project(name="resources")
    count = 1_001  # more than one page
    records = await world.many_records(resources, count)
    project = await world.a_project()
    applet = await world.an_applet(project, inputSpec=[], outputSpec=[])
    app = await world.an_app(applet, resources=resources)
    job = await world.a_job(app, project=project)
    await world.fail(job)
    found = (await source.capture(job, None, needs_code=True)).objects
    assert {item.id for item in found if item.role == "resource"} == set(records)


async def test_no_server_is_told_with_the_way_out() -> None:
    async with ApiClient("http://127.0.0.1:1", ALICE, retry=NO_RETRY) as client:
        source = Source(Door("http://127.0.0.1:1", ALICE), client)
        message = await refused(source, "job-" + "0" * 24)
    assert "does not answer" in message
    assert "--bundle" in message


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(job=""), "name a job, or a bundle"),
        (Request(job="j", is_shell=True, export=Path("x")), "--export and --shell do not go"),
        (Request(job="j", is_shell=True, against=Path("x")), "--shell and --against do not go"),
        (Request(job="", bundle=Path("x"), export=Path("y")), "exported already"),
        (Request(job="j", entry=""), "--entry names a function"),
    ],
)
def test_options_that_do_not_go_together_are_refused(request_: Request, message: str) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        replay.check(request_)
    assert caught.value.exit_code == 2


def test_a_smaller_machine_is_told() -> None:
    run = a_capture().run
    small = Machine(GIB, 1, cores=1, disk_bytes=10**9)
    (line,) = replay_described.lacks(run, small)
    assert line.startswith("this machine is smaller: Instance type mem1_ssd1_v2_x2 has 2 cores")
    assert replay_described.lacks(run, Machine(64 * GIB, 1)) == []
