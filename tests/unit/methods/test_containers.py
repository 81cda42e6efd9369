"""container/destroy: caches only, and only unused ones (contract C.10)."""

from __future__ import annotations

from tests.worlds import BOB, World


async def test_a_cache_that_no_job_uses_is_destroyed_and_made_anew(world: World) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project, inputSpec=[], outputSpec=[])
    app = await world.an_app(applet)
    job = await world.a_job(app, project=project)
    cache = (await world.describe(job))["projectCache"]
    refusal = await world.refused(f"/{cache}/destroy")
    assert (refusal.type, job in refusal.message) == ("InvalidState", True)
    await world.finish(job)
    await world.a_member(project, "VIEW")
    assert (await world.refused(f"/{cache}/destroy", as_=BOB)).type == "PermissionDenied"
    assert await world.call(f"/{cache}/destroy") == {"id": cache}
    assert (await world.refused(f"/{cache}/describe")).type == "ResourceNotFound"
    again = await world.a_job(app, project=project)
    assert (await world.describe(again))["projectCache"] != cache


async def test_a_workspace_goes_with_its_tree_only(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    workspace = (await world.describe(job))["workspace"]
    await world.lease(job)
    refusal = await world.refused(f"/{workspace}/destroy", as_=world.token_of(job))
    assert (refusal.type, "in use" in refusal.message) == ("InvalidState", True)
    assert (await world.refused(f"/{workspace}/destroy")).type == "PermissionDenied"
