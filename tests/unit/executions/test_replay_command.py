"""The message of a failed try ends with the command that replays it, and no other message does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import World

ONCE = {"restartOn": {"AppInternalError": 1}}
MARK = "; replay it: "


async def message(world: World, job: str, attempt: int | None = None) -> str:
    options: dict[str, Any] = {} if attempt is None else {"try": attempt}
    return str((await world.describe(job, **options)).get("failureMessage"))


async def test_each_try_names_itself(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()), executionPolicy=ONCE)
    for number in range(2):
        await world.lease(job)
        await world.fail(job, "AppInternalError", f"fault {number}")
    first = await message(world, job, 0)
    assert first == f"fault 0; replay it: plasmid replay {job} --try 0"
    assert await message(world, job) == f"fault 1; replay it: plasmid replay {job} --try 1"


async def test_a_master_that_is_tried_again_names_the_sub_job_that_failed(world: World) -> None:
    root = await world.a_job(await world.an_applet(await world.a_project()), executionPolicy=ONCE)
    await world.lease(root)
    sub = await world.a_subjob(root)
    await world.lease(sub)
    await world.fail(sub, "AppInternalError", "odd")
    told = f"odd; replay it: plasmid replay {sub}"
    assert await message(world, sub) == told
    assert (await message(world, root, 0)).endswith(f" failed first: {told}")


async def test_a_bad_output_can_be_replayed(world: World) -> None:
    spec = [{"name": "o", "class": "int"}]
    job = await world.a_job(await world.an_applet(await world.a_project(), outputSpec=spec))
    await world.lease(job)
    assert await world.finish(job, {}) == "failed"
    assert (await message(world, job)).endswith(f"{MARK}plasmid replay {job}")


async def test_what_never_ran_cannot_be_replayed(world: World) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project)
    first = await world.a_job(applet)
    second = await world.a_job(applet, dependsOn=[first])
    await world.call(f"/{first}/terminate")
    assert await world.state(second) == "failed"
    assert MARK not in await message(world, second)


@pytest.mark.parametrize("is_leased", [True, False])
async def test_a_job_whose_code_was_removed_before_it_began_cannot_be_replayed(
    world: World, is_leased: bool
) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project)
    job = await world.a_job(applet)
    await world.sync()
    for removes in (not is_leased, is_leased):
        if removes:
            await world.call(f"/{project}/removeObjects", {"objects": [applet]})
        else:
            await world.place()
    await world.sync()
    await world.place()
    assert await world.state(job) == "failed"
    assert "was removed before" in await message(world, job)
    assert MARK not in await message(world, job)


@pytest.mark.parametrize("reason", ["InputError", "AuthError"])
async def test_what_is_not_the_doing_of_the_code_is_not_to_be_replayed(
    world: World, reason: str
) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    await world.lease(job)
    await world.fail(job, reason, "no name")
    assert await message(world, job) == "no name"


async def test_on_what_a_try_ran_is_told_to_those_who_ask(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()), executionPolicy=ONCE)
    await world.lease(job)
    ran = {"image": "ubuntu-24.04", "imageDigest": "abc", "layers": ["k"], "exitCode": 3}
    await world.report(job, failure_reason="AppInternalError", failure_message="odd", ran=ran)
    wanted: dict[str, Any] = {"fields": {"ran": True}}
    first: dict[str, Any] = {**wanted, "try": 0}
    assert (await world.describe(job, **first))["ran"] == ran
    assert (await world.describe(job, **wanted))["ran"] is None
    assert "ran" not in await world.describe(job)
    await world.lease(job)
    assert await world.finish(job, {}) == "done"
