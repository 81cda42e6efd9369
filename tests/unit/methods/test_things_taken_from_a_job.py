"""What is taken from a job while it runs: clear refusals for it, and never a bug (F35)."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.worlds import ALICE, BOB, World


async def a_running_job(world: World, *, as_: str = ALICE, **body: Any) -> tuple[str, str, str]:
    """Return a project of alice's, a running job in it and an input file that it was given."""
    project = await world.a_project()
    await world.a_member(project, "CONTRIBUTE")
    file = await world.a_closed_file(project, b"input", name="in", folder="/a", parents=True)
    access = {"project": "CONTRIBUTE", "allProjects": "VIEW"}
    spec = [{"name": "x", "class": "file"}]
    out = [{"name": "y", "class": "file", "optional": True}]
    applet = await world.an_applet(project, access=access, inputSpec=spec, outputSpec=out)
    link = {"x": {"$dnanexus_link": file}}
    job = await world.a_job(applet, link, as_=as_, project=project, **body)
    await world.lease(job)
    return project, job, file


def calls(project: str, job: str, file: str) -> list[tuple[str, dict[str, Any]]]:
    """Return what a job's client does, by turns, all its life."""
    return [
        ("/system/whoami", {}),
        (f"/{job}/describe", {}),
        (f"/{file}/describe", {}),
        (f"/{file}/download", {}),
        (f"/{project}/describe", {}),
        (f"/{project}/listFolder", {"folder": "/"}),
        ("/file/new", {"project": project}),
        ("/record/new", {"project": project, "close": True}),
        ("/system/findDataObjects", {"scope": {"project": project}}),
        ("/system/findJobs", {"project": project}),
        ("/system/resolveDataObjects", {"objects": [{"name": "in"}], "project": project}),
        (f"/{project}/newFolder", {"folder": "/n", "parents": True}),
        ("/job/new", {"function": "f", "input": {"x": {"$dnanexus_link": file}}}),
        (f"/{job}/addTags", {"tags": ["t"]}),
    ]


async def answers(world: World, project: str, job: str, file: str) -> dict[str, str]:
    """Return {route: "yes" or the type of the refusal} for a job's calls; none is a bug."""
    found = {}
    for route, body in calls(project, job, file):
        response = await world.answer(route, body, as_=world.token_of(job))
        assert response.status_code < 500, f"{route}: {response.text}"
        shown = route.replace(project, "P").replace(job, "J").replace(file, "F")
        found[shown] = "yes" if response.status_code == 200 else response.json()["error"]["type"]
    return found


async def test_a_job_whose_user_was_removed_keeps_its_workspace_and_nothing_else(
    world: World,
) -> None:
    project, job, file = await a_running_job(world, as_=BOB)
    assert set((await answers(world, project, job, file)).values()) == {"yes"}
    await world.call(f"/{project}/decreasePermissions", {"user-bob": None})
    found = await answers(world, project, job, file)
    kept = {"/system/whoami", "/F/describe", "/F/download"}
    kept |= {"/J/describe", "/J/addTags", "/system/findJobs"}  # of its own tree
    assert {route for route, answer in found.items() if answer == "yes"} == kept
    assert set(found.values()) == {"yes", "PermissionDenied"}
    other = await world.a_job(await world.an_applet(project))
    seen = await world.call("/system/findJobs", {"project": project}, as_=world.token_of(job))
    assert other not in [result["id"] for result in seen["results"]]
    workspace = (await world.job_row(job)).workspace
    await world.a_closed_file(workspace, b"x", as_=world.token_of(job))


@pytest.mark.parametrize("what", ["removed", "moved", "renamed"])
async def test_an_input_file_that_is_removed_or_moved_stays_in_the_workspace(
    world: World, what: str
) -> None:
    project, job, file = await a_running_job(world)
    await world.call(f"/{project}/newFolder", {"folder": "/b"})
    route, body = {
        "removed": ("removeObjects", {"objects": [file]}),
        "moved": ("move", {"objects": [file], "destination": "/b"}),
        "renamed": ("renameFolder", {"folder": "/a", "newpath": "/c"}),
    }[what]
    await world.call(f"/{project}/{route}", body)
    assert set((await answers(world, project, job, file)).values()) == {"yes"}
    assert await world.read(file, as_=world.token_of(job)) == b"input"
    children = await world.call("/system/findExecutions", {"parentJob": job})
    for child in children["results"]:
        await world.finish(child["id"])
    assert await world.finish(job) == "done"


async def test_a_project_with_running_jobs_is_not_destroyed_unasked(world: World) -> None:
    project, job, file = await a_running_job(world)
    refusal = await world.refused(f"/{project}/destroy")
    assert refusal.type == "InvalidState"
    assert "terminate" in refusal.message
    assert set((await answers(world, project, job, file)).values()) == {"yes"}


async def test_the_jobs_of_a_destroyed_project_are_stopped_and_told_clearly(world: World) -> None:
    project, job, file = await a_running_job(world)
    await world.call(f"/{project}/destroy", {"terminateJobs": True})
    assert await world.state(job) == "terminating"
    found = await answers(world, project, job, file)
    assert found["/J/describe"] == "yes"
    refused = {"ResourceNotFound", "PermissionDenied", "InvalidState"}
    about = {route for route in found if route.startswith("/P/") or route.endswith("/new")}
    assert {found[route] for route in about} <= refused
    await world.report(job)
    assert await world.state(job) == "terminated"
    assert (await world.refused("/system/whoami", as_=world.token_of(job))).status == 401


async def test_a_job_whose_launching_token_was_revoked_ends_with_auth_error(world: World) -> None:
    token = (await world.call("/system/newAuthToken", {}))["access_token"]
    project, job, file = await a_running_job(world, as_=token)
    signature = hashlib.sha256(token.encode()).hexdigest()
    await world.call("/system/destroyAuthToken", {"tokenSignature": signature})
    await answers(world, project, job, file)
    await world.sync()
    await world.report(job)
    row = await world.job_row(job)
    assert (row.state, row.failure_reason) == ("failed", "AuthError")
    assert (await world.refused("/system/whoami", as_=world.token_of(job))).type == (
        "InvalidAuthentication"
    )
