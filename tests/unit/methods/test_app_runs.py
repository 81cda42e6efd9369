"""The containers of jobs of apps: resources, cache, workspace (contract C.10, I.1, I.9)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.executions import settle
from tests.worlds import ALICE, BOB, EVE, World

DAY_MS = 24 * 3600 * 1000


class Ran(msgspec.Struct):
    """An app of alice's with resources, and a job of it that runs in a project of bob's."""

    app: str
    source: str
    file: str
    project: str
    job: str
    token: str
    resources: str
    cache: str
    workspace: str
    environment: dict[str, str]


async def ran(world: World, *, access: dict[str, Any] | None = None, **run: Any) -> Ran:
    source = await world.a_project(name="resources")
    for folder in ("/a", "/a/b"):
        await world.call(f"/{source}/newFolder", {"folder": folder})
    file = await world.a_closed_file(source, b"reference", name="ref.txt", folder="/a")
    home = await world.a_project()
    applet = await world.an_applet(home, inputSpec=[], outputSpec=[])
    app = await world.an_app(
        applet, resources=source, users=["user-bob"], publish=True, access=access or {}
    )
    project = await world.a_project(as_=BOB)
    job = await world.a_job(app, project=project, as_=BOB, **run)
    environment = (await world.lease(job))["environment"]
    described = await world.describe(job, as_=BOB)
    return Ran(
        app=app,
        source=source,
        file=file,
        project=project,
        job=job,
        token=world.token_of(job),
        resources=described["resources"],
        cache=described["projectCache"],
        workspace=described["workspace"],
        environment=environment,
    )


async def level(world: World, container: str, as_: str) -> str:
    """Return what a container's describe says of the caller's level, or that it is refused."""
    answer = await world.answer(f"/{container}/describe", {}, as_=as_)
    told = answer.json()
    return str(told["level"] if answer.status_code == 200 else told["error"]["type"])


async def test_an_apps_job_is_told_its_four_containers(world: World) -> None:
    made = await ran(world)
    assert made.environment == {
        **made.environment,
        "DX_WORKSPACE_ID": made.workspace,
        "DX_RESOURCES_ID": made.resources,
        "DX_PROJECT_CACHE_ID": made.cache,
        "DX_PROJECT_CONTEXT_ID": made.project,
    }
    four = {made.workspace, made.resources, made.cache, made.project}
    assert len(four) == 4


async def test_an_applets_job_has_neither_resources_nor_cache(world: World) -> None:
    job = await world.a_job(await world.an_applet(await world.a_project()))
    environment = (await world.lease(job))["environment"]
    assert not {"DX_RESOURCES_ID", "DX_PROJECT_CACHE_ID"} & set(environment)
    assert not {"resources", "projectCache"} & set(await world.describe(job))


async def test_each_container_has_the_levels_of_the_table(world: World) -> None:
    made = await ran(world)
    await world.call(f"/{made.project}/invite", {"invitee": "user-eve", "level": "VIEW"}, as_=BOB)
    table = {
        (made.workspace, made.token): "CONTRIBUTE",
        (made.cache, made.token): "CONTRIBUTE",
        (made.resources, made.token): "VIEW",
        (made.workspace, BOB): "VIEW",
        (made.cache, BOB): "CONTRIBUTE",
        (made.resources, BOB): "PermissionDenied",
        (made.workspace, EVE): "VIEW",
        (made.cache, EVE): "VIEW",
        (made.resources, EVE): "PermissionDenied",
        # a developer of the app who is no member of the project
        (made.workspace, ALICE): "PermissionDenied",
        (made.cache, ALICE): "PermissionDenied",
        (made.resources, ALICE): "VIEW",
    }
    found = {key: await level(world, *key) for key in table}
    assert found == table


async def test_who_is_a_member_no_more_has_no_jobs_that_fill_the_projects_cache(
    world: World,
) -> None:
    """Others are given what is in it; the job goes on in its own workspace."""
    made = await ran(world)
    eve = {"invitee": "user-eve", "level": "ADMINISTER"}
    await world.call(f"/{made.project}/invite", eve, as_=BOB)
    for left, seen in (("VIEW", "VIEW"), (None, "PermissionDenied")):
        await world.call(f"/{made.project}/decreasePermissions", {"user-bob": left}, as_=EVE)
        assert await level(world, made.cache, made.token) == seen
        refused = await world.refused("/file/new", {"project": made.cache}, as_=made.token)
        assert refused.type == "PermissionDenied"
    assert await level(world, made.resources, made.token) == "VIEW"
    await world.a_closed_file(made.workspace, b"x", as_=made.token)
    assert await world.finish(made.job) == "done"


async def test_an_apps_job_sees_nothing_of_the_project_but_what_access_grants(
    world: World,
) -> None:
    made = await ran(world)
    assert await level(world, made.project, made.token) == "PermissionDenied"
    allowed = await world.a_job(
        await an_app(world, name="allowed", access={"project": "UPLOAD"}),
        project=await world.a_project(),
    )
    await world.lease(allowed)
    project = (await world.describe(allowed))["project"]
    assert await level(world, project, world.token_of(allowed)) == "UPLOAD"


async def an_app(world: World, **body: Any) -> str:
    applet = await world.an_applet(await world.a_project(), inputSpec=[], outputSpec=[])
    return await world.an_app(applet, **body)


async def test_containers_say_what_they_are(world: World) -> None:
    made = await ran(world)
    resources = await world.describe(made.resources)
    assert (resources["type"], resources["project"]) == ("resources", None)
    assert (resources["app"], resources["appName"]) == (made.app, "an_app")
    assert resources["billTo"] == "user-alice"
    assert resources["dataUsage"] == pytest.approx(len(b"reference") / 2**30, abs=1e-6)
    cache = await world.describe(made.cache, as_=BOB)
    assert (cache["type"], cache["project"], cache["app"]) == ("cache", made.project, made.app)
    assert cache["billTo"] == "user-bob"
    workspace = await world.describe(made.workspace, as_=BOB)
    assert (workspace["type"], workspace["project"]) == ("temporary", made.project)
    assert not {"app", "appName", "destroyAt"} & set(workspace)
    only = await world.call(f"/{made.cache}/describe", {"fields": {"appName": True}}, as_=BOB)
    assert only == {"id": made.cache, "appName": "an_app"}
    described = await world.describe(made.project, appCaches=True, as_=BOB)
    assert described["appCaches"] == {made.app: made.cache}


async def test_resources_are_the_closed_objects_of_a_project_with_its_folders(
    world: World,
) -> None:
    made = await ran(world)
    whole = {"folder": "/a", "describe": {"fields": {"name": True}}}
    for token in (made.token, ALICE):
        listed = await world.call(f"/{made.resources}/listFolder", whole, as_=token)
        assert listed["objects"] == [
            {"id": made.file, "describe": {"id": made.file, "name": "ref.txt"}}
        ]
        assert listed["folders"] == ["/a/b"]
        scope = {"scope": {"project": made.resources}, "name": "ref.txt"}
        found = await world.call("/system/findDataObjects", scope, as_=token)
        assert found["results"] == [{"project": made.resources, "id": made.file}]
    await world.call(f"/{made.source}/destroy")
    assert await world.read(made.file, as_=made.token) == b"reference"
    refused = await world.refused(f"/{made.resources}/newFolder", {"folder": "/x"}, as_=made.token)
    assert refused.type == "PermissionDenied"
    assert (await world.refused(f"/{made.file}/describe", as_=BOB)).type == "ResourceNotFound"


async def test_what_one_job_caches_the_next_finds_and_no_other_project_does(world: World) -> None:
    made = await ran(world)
    kept = await world.a_closed_file(made.cache, b"index", name="index", as_=made.token)
    await world.finish(made.job)
    again = await world.a_job(made.app, project=made.project, as_=BOB)
    await world.lease(again)
    assert (await world.describe(again, as_=BOB))["projectCache"] == made.cache
    assert await world.read(kept, as_=world.token_of(again)) == b"index"
    other = await world.a_job(made.app, project=await world.a_project(as_=BOB), as_=BOB)
    await world.lease(other)
    assert (await world.describe(other, as_=BOB))["projectCache"] != made.cache
    refused = await world.refused(f"/{kept}/describe", as_=world.token_of(other))
    assert refused.type == "ResourceNotFound"
    # a member may tidy up
    await world.call(f"/{made.cache}/removeObjects", {"objects": [kept]}, as_=BOB)


async def test_each_version_has_a_cache_of_its_own(world: World) -> None:
    applet = await world.an_applet(await world.a_project(), inputSpec=[], outputSpec=[])
    project = await world.a_project()
    caches = set()
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        app = await world.an_app(applet, version=version)
        caches.add((await world.describe(await world.a_job(app, project=project)))["projectCache"])
    assert len(caches) == 3


async def test_a_cache_goes_with_its_project_and_resources_stay(world: World) -> None:
    made = await ran(world)
    await world.a_closed_file(made.cache, b"index", as_=made.token)
    await world.finish(made.job)
    await world.call(f"/{made.project}/destroy", as_=BOB)
    assert (await world.refused(f"/{made.cache}/describe")).type == "ResourceNotFound"
    await world.describe(made.resources)


async def test_a_workspace_goes_with_its_tree(world: World) -> None:
    made = await ran(world)
    child = await world.a_subjob(made.job)
    await world.report(made.job, output={})
    await world.describe(made.workspace, as_=BOB)
    await world.finish(child)
    assert await world.state(made.job) == "done"
    refused = await world.refused(f"/{made.workspace}/describe", as_=BOB)
    assert refused.type == "ResourceNotFound"


async def test_a_delayed_workspace_is_kept_for_three_days(world: World) -> None:
    made = await ran(world, delayWorkspaceDestruction=True)
    await world.a_closed_file(made.workspace, b"debug", as_=made.token)
    await world.fail(made.job)
    ended_ms = world.clock.now_ms
    described = await world.describe(made.workspace, as_=BOB)
    assert described["destroyAt"] == ended_ms + 3 * DAY_MS == ended_ms + settle.WORKSPACE_KEPT_MS
    world.clock.advance(3 * DAY_MS - 1)
    assert await world.remove_outlived() == 0
    world.clock.advance(1)
    assert await world.remove_outlived() == 1
    refused = await world.refused(f"/{made.workspace}/describe", as_=BOB)
    assert refused.type == "ResourceNotFound"


async def test_a_kept_workspace_goes_with_its_project(world: World) -> None:
    made = await ran(world, delayWorkspaceDestruction=True)
    await world.finish(made.job)
    await world.call(f"/{made.project}/destroy", as_=BOB)
    assert await world.rows(f"SELECT * FROM containers WHERE id = '{made.workspace}'") == []


async def test_sub_jobs_have_the_containers_of_their_app(world: World) -> None:
    made = await ran(world)
    child = await world.a_subjob(made.job)
    environment = (await world.lease(child))["environment"]
    for name in ("DX_RESOURCES_ID", "DX_PROJECT_CACHE_ID", "DX_WORKSPACE_ID"):
        assert environment[name] == made.environment[name]
    described = await world.describe(child, as_=BOB)
    assert (described["app"], described["resources"]) == (made.app, made.resources)
    assert await world.read(made.file, as_=world.token_of(child)) == b"reference"


async def test_another_apps_job_sees_the_resources_only_as_a_developer(world: World) -> None:
    made = await ran(world)
    for is_developer, seen in ((False, "PermissionDenied"), (True, "VIEW")):
        other = await an_app(world, name=f"o{is_developer}", access={"developer": is_developer})
        job = await world.a_job(other, project=await world.a_project())
        await world.lease(job)
        assert await level(world, made.resources, world.token_of(job)) == seen


async def test_an_output_may_be_one_of_the_resources(world: World) -> None:
    made = await ran(world)
    assert await world.finish(made.job, {}) == "done"
    spec = [{"name": "out", "class": "file"}]
    applet = await world.an_applet(await world.a_project(), inputSpec=[], outputSpec=spec)
    source = await world.a_project()
    file = await world.a_closed_file(source)
    app = await world.an_app(
        applet, name="giver", resources=[file], users=["user-bob"], publish=True
    )
    job = await world.a_job(app, project=await world.a_project(as_=BOB), as_=BOB)
    assert await world.finish(job, {"out": {"$dnanexus_link": file}}) == "done"


async def test_the_description_of_the_executable_has_the_apps_version(world: World) -> None:
    job = await world.a_job(await an_app(world, version="7.1.0"), project=await world.a_project())
    told = (await world.lease(job))["executable_description"]
    assert (told["name"], told["version"], told["class"]) == ("an_app", "7.1.0", "app")
