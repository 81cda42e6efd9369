"""A tree has a limit, which counts all its jobs and no others, and a refusal that names it."""

from __future__ import annotations

import msgspec
import pytest

from plasmid.domain import errors
from plasmid.domain.access import Actor
from plasmid.methods import tree_limits
from plasmid.methods.call import Call, Request
from tests.worlds import World


async def test_a_tree_that_is_full_is_refused_another_job(world: World) -> None:
    limits = msgspec.structs.replace(world.platform.limits, tree_jobs_max=4)
    world.platform.limits = limits
    project = await world.a_project()
    applet = await world.an_applet(project, access={"project": "CONTRIBUTE"})
    root, other = await world.a_job(applet), await world.a_job(applet)
    await world.lease(root)
    child = await world.a_subjob(root)
    assert await world.finish(child) == "done"
    second = await world.a_subjob(root)
    await world.lease(second)
    token = world.token_of(second)
    await world.new(f"/{applet}/run", {"input": {}}, as_=token)
    for route, body in (
        ("/job/new", {"function": "work", "input": {}}),
        (f"/{applet}/run", {"input": {}}),
    ):
        refusal = await world.refused(route, body, as_=token)
        assert (refusal.type, refusal.status) == ("InvalidState", 422)
        assert "4 jobs" in refusal.message
        assert "tree_jobs_max" in refusal.message
        assert root in refusal.message
    await world.new(f"/{applet}/run", {"input": {}, "detach": True, "project": project}, as_=token)
    await world.lease(other)
    await world.a_subjob(other)
    await world.a_job(applet)


async def test_who_is_no_job_has_no_tree_to_fill(world: World) -> None:
    limits = msgspec.structs.replace(world.platform.limits, tree_jobs_max=1)
    world.platform.limits = limits
    call = Call(world.platform, Actor(user="user-alice"), Request(), now_ms=0)
    await tree_limits.require_room(call, None)
    root = await world.a_job(await world.an_applet(await world.a_project()))
    with pytest.raises(errors.InvalidState, match="1 jobs"):
        await tree_limits.require_room(call, await world.job_row(root))
