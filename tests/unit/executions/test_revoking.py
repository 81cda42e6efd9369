"""The end of a token is the end of the trees that it has launched, and of no others (F.9)."""

from __future__ import annotations

import hashlib

import pytest

from plasmid.executions import revoking
from plasmid.metadata import users
from tests.worlds import ALICE, START_MS, World


async def a_token(world: World) -> str:
    body = {"expires": START_MS + 1000}
    return str((await world.call("/system/newAuthToken", body))["access_token"])


async def end(world: World, token: str, how: str) -> None:
    if how == "revoked":
        signature = hashlib.sha256(token.encode()).hexdigest()
        await world.call("/system/destroyAuthToken", {"tokenSignature": signature})
    else:
        world.clock.advance(1000)
        assert await world.revoke() == 1
        assert await world.revoke() == 0


async def test_a_token_is_forgotten_with_the_number_of_jobs_that_it_takes_along(
    world: World,
) -> None:
    token = await a_token(world)
    await world.a_job(await world.an_applet(await world.a_project()), as_=token)
    async with world.dispatcher.moment(world.clock.now_ms) as moment:
        row = await users.find_token(moment.tx, hashlib.sha256(token.encode()).hexdigest())
        assert row is not None
        assert await revoking.revoke(moment, row, "was lost") == 1
    assert (await world.refused("/system/whoami", as_=token)).type == "InvalidAuthentication"


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_the_jobs_of_a_token_that_ends_fail_with_auth_error(world: World, how: str) -> None:
    token = await a_token(world)
    project = await world.a_project()
    applet = await world.an_applet(project, access={"project": "CONTRIBUTE"})
    file = await world.an_open_file(project)
    link = {"x": {"$dnanexus_link": file}}
    done = await world.a_job(applet, as_=token)
    await world.finish(done)
    root = await world.a_job(applet, as_=token)
    await world.lease(root)
    child = await world.a_subjob(root)
    await world.lease(child)
    own = world.token_of(root)
    pending = await world.new("/job/new", {"function": "f", "input": link}, as_=own)
    apart = await world.new(
        f"/{applet}/run", {"input": {}, "detach": True, "project": project}, as_=own
    )
    queued = await world.a_job(applet, as_=token)
    other = await world.a_job(applet, as_=ALICE)
    await end(world, token, how)
    await world.sync()
    for job in (root, child):
        assert await world.state(job) == "terminating"
        await world.report(job)
    for job in (root, child, pending, queued, apart):
        row = await world.job_row(job)
        assert (row.state, row.failure_reason) == ("failed", "AuthError"), job
        assert how in (row.failure_message or "")
    assert await world.state(done) == "done"
    assert await world.finish(other) == "done"


async def test_the_tokens_that_never_end_keep_their_jobs(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    world.clock.advance(40 * 24 * 3600 * 1000)
    assert await world.revoke() == 0
    assert await world.state(job) == "running"


async def test_a_job_that_was_restarted_ends_with_its_token_too(world: World) -> None:
    token = await a_token(world)
    job = await world.a_job(await world.an_applet(await world.a_project()), as_=token)
    assert await world.fail(job, "ExecutionError") == "runnable"
    await end(world, token, "revoked")
    row = await world.job_row(job)
    assert (row.state, row.failure_reason, row.attempt) == ("failed", "AuthError", 1)
