"""A job never gets more than what launched it had, along any chain (contract E.3, I.9)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain.access import Level
from plasmid.methods import granting
from tests.worlds import ALICE, BOB, OPERATOR, World, level_names

ALL = {
    "project": "ADMINISTER",
    "allProjects": "ADMINISTER",
    "developer": True,
    "projectCreation": True,
}
EVERYTHING = ("ADMINISTER", "ADMINISTER", True)


async def may(world: World, token: str, project: str, other: str) -> tuple[str, str, bool]:
    """Return what a token may on a project and on another one, and whether it makes projects."""
    levels = []
    for container in (project, other):
        answer = await world.answer(
            f"/{container}/describe", {"fields": {"level": True}}, as_=token
        )
        found = answer.json()
        levels.append(found["level"] if answer.status_code == 200 else "NONE")
    made = await world.answer("/project/new", {"name": "new"}, as_=token)
    return levels[0], levels[1], made.status_code == 200


async def launched(world: World, applet: str, *, as_: str, **body: Any) -> str:
    """Run an applet and return the token of its job, which runs."""
    job = await world.new(f"/{applet}/run", {"input": {}, **body}, as_=as_)
    await world.lease(job)
    return world.token_of(job)


async def two_projects(world: World) -> tuple[str, str]:
    return await world.a_project(), await world.a_project()


async def test_a_job_that_asks_for_everything_gets_what_its_user_has(world: World) -> None:
    project, other = await two_projects(world)
    applet = await world.an_applet(project, access=ALL)
    token = await launched(world, applet, as_=ALICE, project=project)
    assert await may(world, token, project, other) == EVERYTHING
    await world.a_member(project, "CONTRIBUTE")
    token = await launched(world, applet, as_=BOB, project=project)
    assert await may(world, token, project, other) == ("CONTRIBUTE", "NONE", True)


@pytest.mark.parametrize("level", level_names())
@pytest.mark.parametrize("through", [0, 1, 2])
async def test_a_chain_of_jobs_has_what_its_weakest_member_asks_for(
    world: World, level: str, through: int
) -> None:
    """The last of them asks for everything; those between, too."""
    project, other = await two_projects(world)
    applet = await world.an_applet(project, access=ALL)
    weak = await world.an_applet(project, access={"project": level})
    token = await launched(world, weak, as_=ALICE, project=project)
    assert await may(world, token, project, other) == (level, "NONE", False)
    for _ in range(through + 1):
        token = await launched(world, applet, as_=token)
    assert await may(world, token, project, other) == (level, "NONE", False)
    if Level[level] >= Level.CONTRIBUTE:
        body = {"detach": True, "project": project}
        token = await launched(world, applet, as_=token, **body)
        assert await may(world, token, project, other) == (level, "NONE", False)


async def test_a_sub_job_has_what_its_parent_has(world: World) -> None:
    project, other = await two_projects(world)
    access = {"project": "UPLOAD", "allProjects": "VIEW", "projectCreation": True}
    parent = await world.a_job(await world.an_applet(project, access=access))
    await world.lease(parent)
    child = await world.a_subjob(parent)
    await world.lease(child)
    for job in (parent, child):
        row = await world.job_row(job)
        assert (granting.GRANT in row.settings) == (job == child)  # alice can hand on everything
        assert await may(world, world.token_of(job), project, other) == ("UPLOAD", "VIEW", True)


async def test_a_narrow_token_may_not_give_up_its_users_membership(world: World) -> None:
    project = await world.a_project(as_=BOB)
    await world.call(f"/{project}/invite", {"invitee": "user-alice", "level": "VIEW"}, as_=BOB)
    scope = {"projects": {project: "VIEW"}}
    narrow = (await world.call("/system/newAuthToken", {"scope": scope}))["access_token"]
    lower = {"user-alice": None}
    for route, body in (("leave", {}), ("decreasePermissions", lower)):
        refused = await world.refused(f"/{project}/{route}", body, as_=narrow)
        assert refused.type == "PermissionDenied"
    await world.call(f"/{project}/leave")


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_a_narrow_token_launches_stays_within_its_scope(
    world: World, restarted: bool
) -> None:
    project, other = await two_projects(world)
    hidden = await world.a_project()
    scope = {"projects": {project: "CONTRIBUTE", other: "VIEW"}}
    narrow = (await world.call("/system/newAuthToken", {"scope": scope}))["access_token"]
    applet = await world.an_applet(project, access=ALL)
    job = await world.new(f"/{applet}/run", {"input": {}, "project": project}, as_=narrow)
    await world.lease(job)
    if restarted:
        await world.fail(job, "ExecutionError")
        await world.lease(job)
    token = world.token_of(job)
    assert await may(world, token, project, other) == ("CONTRIBUTE", "VIEW", False)
    assert await may(world, token, project, hidden) == ("CONTRIBUTE", "NONE", False)
    below = await launched(world, applet, as_=token)
    assert await may(world, below, project, other) == ("CONTRIBUTE", "VIEW", False)


async def test_a_job_of_the_operator_is_no_operator(world: World) -> None:
    project, _ = await two_projects(world)
    applet = await world.an_applet(project, access=ALL)
    token = await launched(world, applet, as_=OPERATOR, project=project)
    body = {"id": "project-" + "J" * 24, "name": "n", "region": "aws:us-east-1"}
    assert (await world.refused("/internal/project/adopt", body, as_=token)).type == (
        "PermissionDenied"
    )


async def test_what_the_user_loses_the_job_loses_at_once(world: World) -> None:
    project, other = await two_projects(world)
    for container in (project, other):
        await world.a_member(container, "CONTRIBUTE")
    applet = await world.an_applet(project, access=ALL)
    token = await launched(world, applet, as_=BOB, project=project)
    assert await may(world, token, project, other) == ("CONTRIBUTE", "CONTRIBUTE", True)
    await world.call(f"/{other}/decreasePermissions", {"user-bob": "VIEW"})
    await world.call(f"/{project}/decreasePermissions", {"user-bob": None})
    assert await may(world, token, project, other) == ("NONE", "VIEW", True)
    for route in ("/job/new", f"/{applet}/run"):
        body = {"function": "work", "input": {}}
        refusal = await world.refused(route, body, as_=token)
        assert refusal.type == "PermissionDenied"
        assert project in refusal.message


async def test_the_workspace_stays_a_jobs_own_whatever_it_may_elsewhere(world: World) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project, access={"project": None})
    scope = {"projects": {project: "CONTRIBUTE"}}
    narrow = (await world.call("/system/newAuthToken", {"scope": scope}))["access_token"]
    job = await world.new(f"/{applet}/run", {"input": {}, "project": project}, as_=narrow)
    await world.lease(job)
    workspace = (await world.job_row(job)).workspace
    file = await world.a_closed_file(workspace, b"x", as_=world.token_of(job))
    assert await world.read(file, as_=world.token_of(job)) == b"x"
