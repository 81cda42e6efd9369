"""Nothing that a restricted project keeps gets into a job of another project, by any way (C.1)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.executions import restricted
from tests.worlds import BOB, World


def link(object_id: str, project: str | None = None) -> dict[str, Any]:
    named = {"project": project, "id": object_id} if project else object_id
    return {"$dnanexus_link": named}


class Vault:
    """A project with a file, and another one in which everybody may run what they like."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def make(self) -> Vault:
        self.closed = await self.world.a_project(name="vault")
        self.elsewhere = await self.world.a_project(name="elsewhere")
        self.file = await self.world.a_closed_file(self.closed, b"secret")
        for project in (self.closed, self.elsewhere):
            await self.world.a_member(project, "CONTRIBUTE")
        self.applet = await self.world.an_applet(self.elsewhere)
        return self

    async def lock(self, *, restricted: bool = True) -> None:
        body = {"restricted": restricted, "downloadRestricted": restricted}
        await self.world.call(f"/{self.closed}/update", body)

    async def refused(self, route: str, body: dict[str, Any], *, as_: str = BOB) -> None:
        """Fail to run something; the answer names what is kept and by whom."""
        refusal = await self.world.refused(route, {"project": self.elsewhere, **body}, as_=as_)
        assert refusal.type == "PermissionDenied"
        assert refusal.message == restricted.told(self.file, self.closed)

    async def contents(self, job: str) -> list[str]:
        workspace = (await self.world.job_row(job)).workspace
        listed = await self.world.rows(
            f"SELECT object FROM placements WHERE container = '{workspace}'"
        )
        return [str(row[0]) for row in listed]


@pytest.fixture
async def vault(world: World) -> Vault:
    return await Vault(world).make()


async def test_a_job_elsewhere_takes_no_input_out_of_it(world: World, vault: Vault) -> None:
    await vault.lock()
    for given in (link(vault.file), link(vault.file, vault.closed), [link(vault.file)]):
        await vault.refused(f"/{vault.applet}/run", {"input": {"x": given}})
    inside = await world.a_job(vault.applet, {"x": link(vault.file)}, project=vault.closed)
    assert await vault.contents(inside) == [vault.file]
    await vault.lock(restricted=False)
    job = await world.a_job(vault.applet, {"x": link(vault.file)}, as_=BOB)
    assert await vault.contents(job) == [vault.file]


async def test_its_administrators_are_no_exception(world: World, vault: Vault) -> None:
    await vault.lock()
    body = {"input": {"x": link(vault.file)}, "project": vault.elsewhere}
    assert (await world.refused(f"/{vault.applet}/run", body)).type == "PermissionDenied"


async def test_a_copy_that_is_free_may_be_used_whatever_the_input_names(
    world: World, vault: Vault
) -> None:
    body = {"objects": [vault.file], "project": vault.elsewhere}
    await world.call(f"/{vault.closed}/clone", body)
    await vault.lock()
    for given in (link(vault.file), link(vault.file, vault.closed)):
        job = await world.a_job(vault.applet, {"x": given}, as_=BOB)
        assert await vault.contents(job) == [vault.file]


async def test_a_copy_that_the_caller_does_not_see_is_none(world: World, vault: Vault) -> None:
    hidden = await world.a_project()
    await world.call(f"/{vault.closed}/clone", {"objects": [vault.file], "project": hidden})
    await vault.lock()
    await vault.refused(f"/{vault.applet}/run", {"input": {"x": link(vault.file)}})


async def test_a_workflow_elsewhere_takes_none_either(world: World, vault: Vault) -> None:
    """Neither by the run nor bound to a stage."""
    bound = {"executable": vault.applet, "input": {"x": link(vault.file)}}
    with_bound = await world.a_workflow(vault.elsewhere, {**bound, "id": "stage-a"})
    stage = {"executable": vault.applet, "id": "stage-a"}
    plain = await world.a_workflow(vault.elsewhere, stage)
    await vault.lock()
    await vault.refused(f"/{with_bound}/run", {"input": {}})
    await vault.refused(f"/{plain}/run", {"input": {"stage-a.x": link(vault.file)}})


async def test_an_output_of_a_job_in_it_is_no_input_elsewhere(world: World, vault: Vault) -> None:
    """It is known only when the job is done."""
    inner = await world.an_applet(vault.closed)
    source = await world.a_job(inner)
    await vault.lock()
    given = {"x": {"$dnanexus_link": {"job": source, "field": "out"}}}
    job = await world.a_job(vault.applet, given, as_=BOB)
    inside = await world.a_job(inner, given)
    await world.lease(source)
    workspace = (await world.job_row(source)).workspace
    file = await world.a_closed_file(workspace, b"x", as_=world.token_of(source))
    assert await world.finish(source, {"out": link(file)}) == "done"
    row = await world.job_row(job)
    assert (row.state, row.failure_reason) == ("failed", "InputError")
    assert f"{vault.closed}, which is restricted" in (row.failure_message or "")
    assert await vault.contents(job) == []
    assert await vault.contents(inside) == [file]


async def test_what_is_locked_while_a_job_waits_is_not_given_to_it(
    world: World, vault: Vault
) -> None:
    first = await world.a_job(vault.applet)
    job = await world.a_job(vault.applet, {"x": link(vault.file)}, dependsOn=[first])
    await vault.lock()
    await world.finish(first)
    row = await world.job_row(job)
    assert (row.state, row.failure_reason) == ("failed", "InputError")
    assert await vault.contents(job) == []


async def test_an_applet_elsewhere_bundles_nothing_out_of_it(world: World, vault: Vault) -> None:
    """Neither the one that is run, nor one that is only an input of it."""
    bundle = [{"name": "a.tar", "id": link(vault.file)}]
    bundling = await world.an_applet(vault.elsewhere, runSpec={"bundledDepends": bundle})
    await vault.lock()
    await vault.refused(f"/{bundling}/run", {"input": {}})
    job = await world.a_job(vault.applet, {"x": link(bundling)}, as_=BOB)
    assert await vault.contents(job) == [bundling]
    inside = await world.a_job(bundling, project=vault.closed)
    assert await vault.contents(inside) == [vault.file]


async def test_a_bundle_is_free_by_a_copy_that_came_after_many_that_are_not(
    world: World, vault: Vault
) -> None:
    """Each job of the project has one of its own in its workspace."""
    bundle = [{"name": "a.tar", "id": link(vault.file)}]
    bundling = await world.an_applet(vault.elsewhere, runSpec={"bundledDepends": bundle})
    for _ in range(restricted.FIRST):
        await world.a_job(vault.applet, {"x": link(vault.file)}, project=vault.closed)
    await vault.lock()
    await vault.refused(f"/{bundling}/run", {"input": {}})
    await vault.lock(restricted=False)
    clone = {"objects": [vault.file], "project": vault.elsewhere}
    await world.call(f"/{vault.closed}/clone", clone)
    await vault.lock()
    assert await vault.contents(await world.a_job(bundling)) == [vault.file]


async def test_a_job_elsewhere_reads_no_file_of_it(world: World, vault: Vault) -> None:
    reading = {"allProjects": "VIEW", "project": "CONTRIBUTE"}
    applet = await world.an_applet(vault.elsewhere, access=reading)
    job = await world.a_job(applet, as_=BOB)
    await world.lease(job)
    token = world.token_of(job)
    assert await world.read(vault.file, as_=token) == b"secret"
    await vault.lock()
    for body in ({}, {"project": vault.closed}):
        refusal = await world.refused(f"/{vault.file}/download", body, as_=token)
        assert (refusal.type, vault.closed in refusal.message) == ("PermissionDenied", True)
    await vault.refused("/job/new", {"function": "f", "input": {"x": link(vault.file)}}, as_=token)
    for into in (vault.elsewhere, (await world.job_row(job)).workspace):
        clone = {"objects": [vault.file], "project": into}
        refusal = await world.refused(f"/{vault.closed}/clone", clone, as_=token)
        assert refusal.type == "PermissionDenied"


async def test_its_own_jobs_do_with_it_what_they_like(world: World, vault: Vault) -> None:
    await vault.lock()
    writing = {"project": "CONTRIBUTE"}
    applet = await world.an_applet(vault.closed, access=writing)
    job = await world.a_job(applet, as_=BOB)
    await world.lease(job)
    token = world.token_of(job)
    assert await world.read(vault.file, as_=token) == b"secret"
    workspace = (await world.job_row(job)).workspace
    clone = {"objects": [vault.file], "project": workspace}
    await world.call(f"/{vault.closed}/clone", clone, as_=token)
    made = await world.a_closed_file(workspace, b"new", as_=token)
    clone = {"objects": [made], "project": vault.closed}
    await world.call(f"/{workspace}/clone", clone, as_=token)
    child = await world.a_subjob(job, input={"x": link(vault.file)})
    assert await world.finish(child) == "done"


async def test_its_jobs_read_what_lies_in_the_workspaces_of_others_of_it(
    world: World, vault: Vault
) -> None:
    applet = await world.an_applet(vault.closed, access={"project": "VIEW"})
    first, second = await world.a_job(applet), await world.a_job(applet)
    outside = await world.an_applet(vault.elsewhere, access={"allProjects": "VIEW"})
    stranger = await world.a_job(outside)
    for job in (first, second, stranger):
        await world.lease(job)
    workspace = (await world.job_row(first)).workspace
    file = await world.a_closed_file(workspace, b"half", as_=world.token_of(first))
    assert await world.read(file, as_=world.token_of(stranger)) == b"half"
    await vault.lock()
    assert await world.read(file, as_=world.token_of(second)) == b"half"
    refusal = await world.refused(f"/{file}/download", as_=world.token_of(stranger))
    assert refusal.message == restricted.told(file, vault.closed)


async def test_a_project_that_only_forbids_downloads_lets_its_data_be_computed_on(
    world: World, vault: Vault
) -> None:
    """As it may be cloned out of it (contract C.8)."""
    await world.call(f"/{vault.closed}/update", {"downloadRestricted": True})
    job = await world.a_job(vault.applet, {"x": link(vault.file)}, as_=BOB)
    assert await vault.contents(job) == [vault.file]


# ------------------------------------------------------------------------------------ regions


async def test_a_run_takes_what_is_in_its_own_region_only(world: World) -> None:
    """As nothing is cloned across regions (contract C.8): neither input nor executable."""
    west = await world.a_project(region="azure:westus")
    east = await world.a_project()
    there = await world.a_closed_file(west, b"x")
    applet, western = await world.an_applet(east), await world.an_applet(west)
    workflow = await world.a_workflow(east, {"executable": applet, "id": "stage-a"})
    stage_elsewhere = await world.a_workflow(east, {"executable": western, "id": "stage-a"})
    for route, project, given in (
        (applet, east, {"x": link(there)}),
        (western, east, {}),
        (applet, west, {}),
        (workflow, west, {}),
        (workflow, east, {"stage-a.x": link(there)}),
        (stage_elsewhere, east, {}),
    ):
        refusal = await world.refused(f"/{route}/run", {"project": project, "input": given})
        assert (refusal.type, "azure:westus" in refusal.message) == ("InvalidInput", True)
    job = await world.a_job(western, {"x": link(there)}, project=west)
    assert (await world.job_row(job)).region == "azure:westus"
