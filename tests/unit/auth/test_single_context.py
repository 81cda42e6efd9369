"""singleContext: the token of such a job is good in its own sandbox, and no other is good there."""

from __future__ import annotations

import pytest

from tests.worlds import ALICE, World


async def a_job_with_context(world: World) -> tuple[str, str, str]:
    """Return a running job of this kind, its token, and the token as its sandbox's relay sends it.

    The secret between them is only in what the worker is told.
    """
    applet = await world.an_applet(await world.a_project())
    job = await world.a_job(applet, singleContext=True)
    assignment = await world.lease(job)
    token, secret = assignment["token"], assignment["context_secret"]
    assert len(secret) == 64
    for table in ("tokens", "jobs"):
        assert secret not in repr(await world.rows(f"SELECT * FROM {table}"))
    for told in ("environment", "job_description", "executable_description", "input"):
        assert secret not in repr(assignment[told])
    return job, token, f"{token}.{secret}"


async def test_the_token_is_good_only_where_the_secret_is(world: World) -> None:
    job, token, proven = await a_job_with_context(world)
    assert (await world.call(f"/{job}/describe", as_=proven))["singleContext"] is True
    other = proven[:-1] + ("0" if proven[-1] != "0" else "1")
    for wrong in (token, f"{token}.", f"{token}.x", other, f"{proven}.x", f"{token}.{token}"):
        refusal = await world.refused("/system/whoami", as_=wrong)
        assert refusal.type == "InvalidAuthentication"
        assert "singleContext" in refusal.message


async def test_no_other_token_is_good_inside(world: World) -> None:
    _, token, proven = await a_job_with_context(world)
    secret = proven.removeprefix(f"{token}.")
    _, other, proven_other = await a_job_with_context(world)
    for foreign in (ALICE, other, proven_other):
        refusal = await world.refused("/system/whoami", as_=f"{foreign}.{secret}")
        assert (refusal.type, "token" in refusal.message) == ("InvalidAuthentication", True)


async def test_the_secret_dies_with_the_try(world: World) -> None:
    job, _, proven = await a_job_with_context(world)
    await world.call("/system/whoami", as_=proven)
    assert await world.fail(job, "ExecutionError") == "runnable"
    assert (await world.refused("/system/whoami", as_=proven)).type == "InvalidAuthentication"
    assignment = await world.lease(job)
    assert proven != f"{assignment['token']}.{assignment['context_secret']}"


@pytest.mark.parametrize("how", ["sub-job", "run", "detached"])
async def test_all_below_such_a_job_are_such_jobs(world: World, how: str) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project, access={"project": "CONTRIBUTE"})
    assignment = await world.lease(await world.a_job(applet, singleContext=True))
    proven = f"{assignment['token']}.{assignment['context_secret']}"
    body = {"function": "work", "input": {}, "singleContext": False}
    if how == "detached":
        body |= {"detach": True, "project": project}
    route = "/job/new" if how == "sub-job" else f"/{applet}/run"
    child = await world.new(route, body, as_=proven)
    below = await world.lease(child)
    assert (await world.describe(child))["singleContext"] is True
    assert (await world.refused("/system/whoami", as_=below["token"])).status == 401
    await world.call("/system/whoami", as_=f"{below['token']}.{below['context_secret']}")


async def test_any_other_job_has_no_secret(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    assert (await world.lease(job)).get("context_secret", "") == ""
    await world.call("/system/whoami", as_=world.token_of(job))
