"""Reasons of failures that the platform itself finds, and whom they do not concern (F.9)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import World


def of(job: str) -> dict[str, Any]:
    return {"in": {"$dnanexus_link": {"job": job, "field": "x"}}}


async def why(world: World, job: str) -> tuple[str, str | None, str | None]:
    row = await world.job_row(job)
    return row.state, row.failure_reason, row.failure_message


async def a_running_job(world: World, **fields: Any) -> str:
    job = await world.a_job(await world.an_applet(await world.a_project(), **fields))
    await world.lease(job)
    return job


@pytest.mark.parametrize(
    ("uploaded", "reason", "part"),
    [
        ([1], "IncompleteUploads", "part 2 was never uploaded"),
        ([1, 2], "OutputError", "left open; close it"),
    ],
)
async def test_an_output_whose_upload_was_cut_is_told_from_one_that_was_not_closed(
    world: World, uploaded: list[int], reason: str, part: str
) -> None:
    job = await a_running_job(world)
    token = world.token_of(job)
    file = await world.an_open_file((await world.job_row(job)).workspace, as_=token)
    content = b"x" * (5 << 20)
    for index in uploaded:
        assert (await world.put_part(file, content, index=index, as_=token)).status_code == 200
    if uploaded == [1]:
        asked = {"index": 2, "size": 9, "md5": "0" * 32}
        await world.call(f"/{file}/upload", asked, as_=token)
    await world.finish(job, {"f": {"$dnanexus_link": file}})
    state, found, message = await why(world, job)
    assert (state, found) == ("failed", reason)
    assert file in str(message)
    assert part in str(message)


async def test_a_failure_concerns_its_own_tree_only(world: World) -> None:
    """Detached jobs are trees of their own; who waits from another tree cannot be satisfied."""
    root = await a_running_job(world, access={"project": "CONTRIBUTE"})
    row = await world.job_row(root)
    given = {"input": {}, "detach": True, "project": row.project}
    detached = await world.new(f"/{row.executable}/run", given, as_=world.token_of(root))
    await world.lease(detached)
    elsewhere = await world.a_job(row.executable, of(root))
    below = await world.a_subjob(root, "late", of(await world.a_subjob(root)))
    await world.fail(root, "AppError", "mine")
    assert await world.state(detached) == "running"
    assert (await why(world, elsewhere))[:2] == ("failed", "DependencyUnsatisfiable")
    assert (await why(world, below))[:2] == ("failed", "JobTreeFailure")
    for job in (elsewhere, below):
        assert root in str((await why(world, job))[2])
    await world.call(f"/{root}/terminate")
    assert await world.finish(detached) == "done"


async def test_terminating_a_job_leaves_what_it_has_detached(world: World) -> None:
    root = await a_running_job(world, access={"project": "CONTRIBUTE"})
    row = await world.job_row(root)
    given = {"input": {}, "detach": True, "project": row.project}
    detached = await world.new(f"/{row.executable}/run", given, as_=world.token_of(root))
    await world.call(f"/{root}/terminate")
    await world.report(root)
    assert await world.finish(detached) == "done"


@pytest.mark.parametrize("end", ["failed", "terminated"])
async def test_a_source_that_has_ended_badly_before_fails_its_waiter_at_once(
    world: World, end: str
) -> None:
    source = await a_running_job(world)
    if end == "failed":
        await world.fail(source, "AppError", "mine")
    else:
        await world.call(f"/{source}/terminate")
        await world.report(source)
    job = await world.a_job((await world.job_row(source)).executable, of(source))
    state, reason, message = await why(world, job)
    assert (state, reason) == ("failed", "DependencyUnsatisfiable")
    assert source in str(message)
