"""Global workflows: made from workflows, named, published, found, deleted (contract E.8)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.worlds import ALICE, BOB, EVE, World

EAST, WEST = "aws:us-east-1", "azure:westus"
SPECS: dict[str, Any] = {
    "inputSpec": [{"name": "n", "class": "int"}],
    "outputSpec": [{"name": "n", "class": "int"}],
}
INVITED = {"authorizedUsers": ["user-bob"]}


async def a_workflow(world: World, project: str, *executables: str, **body: Any) -> str:
    """Return a closed workflow whose stages, s0, s1 …, run these; the applet `SPECS` if none."""
    if not executables:
        executables = (await world.an_applet(project, **SPECS),)
    stages = [{"id": f"s{i}", "executable": one} for i, one in enumerate(executables)]
    given = {"project": project, "name": "a workflow", "stages": stages, **body}
    workflow = str((await world.call("/workflow/new", given))["id"])
    await world.call(f"/{workflow}/close")
    return workflow


async def a_global(world: World, workflow: str | None = None, **body: Any) -> str:
    if workflow is None:
        workflow = await a_workflow(world, await world.a_project())
    given = {
        "name": "pipe", "version": "1.0.0", "regionalOptions": {EAST: {"workflow": workflow}},
        **body,
    }  # fmt: skip
    return await world.new("/globalworkflow/new", given)


async def published(world: World, *users: str, **body: Any) -> str:
    made = await a_global(world, **body)
    await world.call(f"/{made}/addAuthorizedUsers", {"authorizedUsers": list(users)})
    await world.call(f"/{made}/publish")
    return made


class TestMaking:
    async def test_one_is_its_workflow_and_what_is_said_of_it(self, world: World) -> None:
        project = await world.a_project()
        workflow = await a_workflow(world, project, summary="of the workflow")
        made = await a_global(
            world, workflow, title="T", details={"a": 1}, dxapi="1.0.0",
            treeTurnaroundTimeThreshold=5, tags=["dxCompiler"],
        )  # fmt: skip
        described = await world.describe(made)
        assert described == await world.describe("globalworkflow-pipe/1.0.0")
        assert described == await world.describe("globalworkflow-pipe")
        assert described["class"] == "globalworkflow"
        assert described["aliases"] == ["1.0.0", "default"]
        assert (described["title"], described["summary"]) == ("T", "of the workflow")
        assert described["details"] == {"a": 1}
        assert described["createdBy"] == described["billTo"] == "user-alice"
        assert described["treeTurnaroundTimeThreshold"] == 5
        assert [field["name"] for field in described["inputSpec"]] == ["s0.n"]
        assert described["inputs"] is described["outputs"] is None
        assert described["isDeveloperFor"] is True
        assert not {"published", "stages", "applet", "runSpec", "code"} & set(described)
        region = described["regionalOptions"][EAST]
        assert region["workflow"] == region["workflowDescribe"]["id"] == workflow
        assert region["resources"].startswith("container-")
        found = await world.describe(made, fields={"name": True, "stages": True})
        assert set(found) == {"name", "stages"}
        assert found["stages"][0]["accessible"] is True

    async def test_one_outlives_all_that_it_was_made_from(self, world: World) -> None:
        project = await world.a_project()
        bundle = await world.a_closed_file(project)
        reference = await world.a_closed_file(project)
        depends = [{"name": "b", "id": {"$dnanexus_link": bundle}}]
        inner = await world.an_applet(project, **SPECS, runSpec={"bundledDepends": depends})
        reads = [{"name": "reads", "class": "file"}]
        outer = await world.an_applet(project, inputSpec=reads, outputSpec=[])
        nested = await a_workflow(world, project, inner)
        bound = [
            {"id": "x", "executable": outer, "input": {"reads": {"$dnanexus_link": reference}}},
            {"id": "y", "executable": nested},
        ]
        made = await a_global(world, await a_workflow(world, project, stages=bound))
        await world.call(f"/{made}/addAuthorizedUsers", INVITED)
        await world.call(f"/{made}/publish")
        await world.call(f"/{project}/destroy")
        for user in (ALICE, BOB):
            described = await world.describe(made, as_=user)
            [region] = described["regionalOptions"].values()
            stages = region["workflowDescribe"]["stages"]
            assert [stage["accessible"] for stage in stages] == [True, True]
            assert [field["name"] for field in described["inputSpec"]] == ["x.reads", "y.s0.n"]
            for kept in (inner, outer, nested, bundle, reference):
                assert (await world.describe(kept, as_=user))["id"] == kept

    async def test_resources_lie_in_a_container_that_its_users_see(self, world: World) -> None:
        project = await world.a_project()
        file = await world.a_closed_file(project)
        options = {"workflow": await a_workflow(world, project), "resources": [file]}
        made = await published(world, "user-bob", regionalOptions={EAST: options})
        resources = (await world.describe(made))["regionalOptions"][EAST]["resources"]
        for user in (ALICE, BOB):
            listed = await world.call(f"/{resources}/listFolder", {"folder": "/"}, as_=user)
            assert [entry["id"] for entry in listed["objects"]] == [file]
        refused = await world.refused(f"/{resources}/listFolder", {"folder": "/"}, as_=EVE)
        assert refused.type == "PermissionDenied"

    async def test_there_may_be_a_workflow_for_each_region(self, world: World) -> None:
        east = await a_workflow(world, await world.a_project())
        west = await a_workflow(world, await world.a_project(region=WEST))
        options = {EAST: {"workflow": east}, WEST: {"workflow": west}}
        described = await world.describe(await a_global(world, regionalOptions=options))
        found = described["regionalOptions"]
        assert {region: found[region]["workflow"] for region in found} == {EAST: east, WEST: west}
        options = {WEST: {"workflow": east}}
        refused = await world.refused(
            "/globalworkflow/new", {"name": "x", "version": "1.0.0", "regionalOptions": options}
        )
        assert refused.message == f"{east} is in region {EAST}, not in {WEST}"

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"name": None}, 'Expected input to have property "name"'),
            ({"name": "a b"}, 'Expected key "name" of input to be letters, digits, ".", "_" and'),
            ({"version": None}, 'Expected input to have property "version"'),
            ({"version": "default"}, "Specified name and version conflict with an existing alias"),
            ({"regionalOptions": None}, 'Expected input to have property "regionalOptions"'),
            ({"regionalOptions": {}}, 'Expected key "regionalOptions" of input to name a region'),
            ({"regionalOptions": {"mars": {}}}, 'Expected key "regionalOptions" of input to name'),
            ({"regionalOptions": {EAST: {}}}, f"Expected regionalOptions.{EAST} to have property"),
            (
                {"regionalOptions": {EAST: {"workflow": "file-x"}}},
                f'Expected key "workflow" of regionalOptions.{EAST} to be a workflow ID',
            ),
        ],
    )
    async def test_what_is_none_is_refused_by_name(
        self, world: World, changed: dict[str, Any], said: str
    ) -> None:
        workflow = await a_workflow(world, await world.a_project())
        body = {"name": "x", "version": "1.0.0", "regionalOptions": {EAST: {"workflow": workflow}}}
        refused = await world.refused("/globalworkflow/new", {**body, **changed})
        assert refused.type == "InvalidInput"
        assert refused.message.startswith(said)

    async def test_an_open_workflow_cannot_become_global(self, world: World) -> None:
        project = await world.a_project()
        workflow = (await world.call("/workflow/new", {"project": project}))["id"]
        body = {"name": "x", "version": "1.0.0", "regionalOptions": {EAST: {"workflow": workflow}}}
        refused = await world.refused("/globalworkflow/new", body)
        assert refused.type == "InvalidState"
        assert refused.message.startswith(f"{workflow} is not closed")

    async def test_nothing_that_is_open_becomes_part_of_one(self, world: World) -> None:
        project = await world.a_project()
        applet = await world.an_applet(project, **SPECS)
        inner = await world.a_workflow(project, {"id": "s", "executable": applet})
        takes = [{"name": "r", "class": "record"}]
        outer = await world.an_applet(project, inputSpec=takes, outputSpec=[])
        record = await world.a_record(project)
        bound = {"id": "s", "executable": outer, "input": {"r": {"$dnanexus_link": record}}}
        nested = await a_workflow(world, project, inner)
        for found, workflow in (
            (inner, nested),
            (record, await a_workflow(world, project, stages=[bound])),
        ):
            body = {"regionalOptions": {EAST: {"workflow": workflow}}, "version": "1.0.0"}
            refused = await world.refused("/globalworkflow/new", {**body, "name": "x"})
            assert refused.type == "InvalidState"
            assert refused.message.startswith(f"{found}, which the workflow needs, is not closed")
        await world.call(f"/{inner}/close")
        await a_global(world, nested)

    async def test_what_many_stages_run_is_copied_once(self, world: World) -> None:
        project = await world.a_project()
        workflow = await a_workflow(world, project)
        for _ in range(4):
            workflow = await a_workflow(world, project, *[workflow] * 50)
        async with asyncio.timeout(60):  # 50 ** 4 copies take hours
            await a_global(world, workflow)

    async def test_one_cannot_come_to_run_itself(self, world: World) -> None:
        project = await world.a_project()
        made = await a_global(world)
        before = await world.describe(made)
        around = await a_workflow(world, project, await a_workflow(world, project, made))
        body = {"regionalOptions": {EAST: {"workflow": around}}}
        refused = await world.refused(f"/{made}/update", body)
        assert (refused.type, "in a loop" in refused.message) == ("InvalidInput", True)
        assert await world.describe(made) == before

    async def test_nothing_is_copied_that_the_maker_does_not_see(self, world: World) -> None:
        project = await world.a_project(as_=BOB)
        applet = await world.an_applet(project, as_=BOB, **SPECS)
        await world.call(f"/{project}/invite", {"invitee": "user-alice", "level": "VIEW"}, as_=BOB)
        workflow = await a_workflow(world, await world.a_project(), applet)
        await world.call(f"/{project}/decreasePermissions", {"user-alice": None}, as_=BOB)
        body = {"name": "x", "version": "1.0.0", "regionalOptions": {EAST: {"workflow": workflow}}}
        refused = await world.refused("/globalworkflow/new", body)
        assert refused.type == "ResourceNotFound"
        assert (await world.call("/system/findGlobalWorkflows"))["results"] == []


class TestNames:
    async def test_a_name_and_version_is_taken_once(self, world: World) -> None:
        workflow = await a_workflow(world, await world.a_project())
        await a_global(world, workflow)
        second = await a_global(world, workflow, version="2.0.0")
        assert (await world.describe(second))["aliases"] == ["2.0.0"]
        body = {
            "name": "pipe",
            "version": "2.0.0",
            "regionalOptions": {EAST: {"workflow": workflow}},
        }
        refused = await world.refused("/globalworkflow/new", body)
        assert (refused.type, refused.message) == (
            "InvalidInput", "Specified name and version conflict with an existing alias",
        )  # fmt: skip
        refused = await world.refused("/globalworkflow/new", {**body, "version": "3.0.0"}, as_=BOB)
        assert refused.type == "PermissionDenied"

    async def test_apps_and_global_workflows_share_their_names(self, world: World) -> None:
        project = await world.a_project()
        workflow = await a_workflow(world, project)
        applet = await world.an_applet(project, **SPECS)
        await a_global(world, workflow, name="taken")
        await world.an_app(applet, name="an_app")
        body = {
            "name": "an_app",
            "version": "9.0.0",
            "regionalOptions": {EAST: {"workflow": workflow}},
        }
        refused = await world.refused("/globalworkflow/new", body)
        assert refused.type == "InvalidInput"
        assert refused.message.startswith('The name "an_app" is that of an app already')
        refused = await world.refused(
            "/app/new", {"name": "taken", "version": "9.0.0", "applet": applet}
        )
        assert refused.message.startswith('The name "taken" is that of a global workflow already')

    async def test_a_name_leads_to_its_own_class_only(self, world: World) -> None:
        await a_global(world)
        for subject in ("app-pipe", "app-pipe/1.0.0"):
            refused = await world.refused(f"/{subject}/describe")
            assert refused.type == "ResourceNotFound"
        await world.an_app(await world.an_applet(await world.a_project(), **SPECS))
        refused = await world.refused("/globalworkflow-an_app/1.0.0/describe")
        assert refused.type == "ResourceNotFound"

    async def test_a_name_without_versions_may_change_its_class(self, world: World) -> None:
        project = await world.a_project()
        made = await a_global(world, await a_workflow(world, project))
        await world.call(f"/{made}/delete")
        applet = await world.an_applet(project, **SPECS)
        await world.an_app(applet, name="pipe")
        refused = await world.refused("/app/new", {"name": "pipe", "version": "2.0.0"}, as_=BOB)
        assert refused.type == "PermissionDenied"

    async def test_who_is_billed_stays(self, world: World) -> None:
        workflow = await a_workflow(world, await world.a_project())
        made = await a_global(world, workflow)
        await world.call(f"/{made}/addDevelopers", {"developers": ["user-bob"]})
        project = await world.a_project(as_=BOB)
        bobs = (await world.call("/workflow/new", {"project": project}, as_=BOB))["id"]
        await world.call(f"/{bobs}/close", as_=BOB)
        options = {EAST: {"workflow": bobs}}
        body = {
            "name": "pipe",
            "version": "2.0.0",
            "regionalOptions": options,
            "billTo": "user-bob",
        }
        second = await world.new("/globalworkflow/new", body, as_=BOB)
        assert (await world.describe(second))["billTo"] == "user-alice"
        body = {**body, "version": "3.0.0", "billTo": "user-eve"}
        refused = await world.refused("/globalworkflow/new", body, as_=BOB)
        assert refused.message == "globalworkflow-pipe is billed to user-alice already"


class TestPublishing:
    async def test_a_version_is_published_once(self, world: World) -> None:
        made = await a_global(world)
        await world.call(f"/{made}/publish", {"makeDefault": True})
        assert "default" in (await world.describe(made))["aliases"]
        refused = await world.refused(f"/{made}/publish")
        assert refused.type == "InvalidState"
        assert "Version 1.0.0 of globalworkflow-pipe is already published" in refused.message

    async def test_its_users_see_it_only_once_it_is_published(self, world: World) -> None:
        made = await a_global(world)
        await world.call(f"/{made}/addAuthorizedUsers", INVITED)
        refused = await world.refused(f"/{made}/describe", as_=BOB)
        assert refused.message == (
            "globalworkflow-pipe/1.0.0 is not published: only its developers see it"
        )
        await world.call(f"/{made}/publish")
        assert (await world.describe(made, as_=BOB))["isDeveloperFor"] is False
        refused = await world.refused(f"/{made}/describe", as_=EVE)
        assert "dx add users globalworkflow-pipe user-eve" in refused.message
        workflow = (await world.describe(made))["regionalOptions"][EAST]["workflow"]
        assert (await world.refused(f"/{workflow}/describe", as_=EVE)).type == "ResourceNotFound"

    async def test_what_is_said_may_change_and_what_is_published_is_run_as_it_is(
        self, world: World
    ) -> None:
        project = await world.a_project()
        made = await a_global(world, await a_workflow(world, project), title="old", summary="s")
        second = await a_workflow(world, project)
        options = {"regionalOptions": {EAST: {"workflow": second}}}
        await world.call(f"/{made}/update", {**options, "description": "D"})
        described = await world.describe(made)
        assert (described["title"], described["summary"]) == ("old", "s")
        assert described["description"] == "D"
        assert described["regionalOptions"][EAST]["workflowDescribe"]["id"] == second
        await world.call(f"/{made}/publish")
        assert (await world.refused(f"/{made}/update", options)).type == "InvalidState"
        await world.call(f"/{made}/update", {"title": "new", "details": {"b": 2}})
        described = await world.describe(made)
        assert (described["title"], described["details"]) == ("new", {"b": 2})

    async def test_tags_move_between_versions(self, world: World) -> None:
        workflow = await a_workflow(world, await world.a_project())
        await a_global(world, workflow)
        second = await a_global(world, workflow, version="2.0.0")
        await world.call("/globalworkflow-pipe/2.0.0/addTags", {"tags": ["default", "best"]})
        assert (await world.describe("globalworkflow-pipe/best"))["id"] == second
        assert (await world.describe("globalworkflow-pipe"))["id"] == second
        await world.call(f"/{second}/removeTags", {"tags": ["best"]})
        assert (await world.refused("/globalworkflow-pipe/best/describe")).status == 404

    async def test_a_deleted_version_says_so(self, world: World) -> None:
        made = await published(world, "PUBLIC")
        await world.call(f"/{made}/delete")
        described = await world.describe(made)
        assert described["deleted"] is True
        assert described["aliases"] == []
        assert (await world.refused(f"/{made}/describe", as_=BOB)).type == "PermissionDenied"
        assert (await world.call("/system/findGlobalWorkflows"))["results"] == []
        assert (await world.refused(f"/{made}/addTags", {"tags": ["x"]})).type == "InvalidState"

    @pytest.mark.parametrize(
        ("name", "key"),
        [("Developers", "developers"), ("AuthorizedUsers", "authorizedUsers")],
    )
    async def test_people_are_of_the_name(self, world: World, name: str, key: str) -> None:
        made = await a_global(world)
        before = (await world.call(f"/{made}/list{name}"))[key]
        await world.call(f"/globalworkflow-pipe/add{name}", {key: ["user-bob"]})
        assert await world.call(f"/{made}/list{name}") == {key: [*before, "user-bob"]}
        refused = await world.refused(f"/{made}/add{name}", {key: ["org-none"]})
        assert refused.type == "ResourceNotFound"
        await world.call(f"/{made}/remove{name}", {key: ["user-bob", "org-none"]})
        assert await world.call(f"/{made}/list{name}") == {key: before}


class TestRunning:
    async def test_its_users_run_what_they_cannot_see_elsewhere(self, world: World) -> None:
        project = await world.a_project()
        workflow = await a_workflow(world, project)
        made = await a_global(world, workflow)
        await world.call(f"/{made}/addAuthorizedUsers", INVITED)
        await world.call(f"/{made}/publish")
        await world.call(f"/{project}/destroy")
        body = {"project": await world.a_project(as_=BOB), "input": {"s0.n": 32}}
        answer = await world.call("/globalworkflow-pipe/run", {**body, "nonce": "x"}, as_=BOB)
        assert await world.call("/globalworkflow-pipe/run", {**body, "nonce": "x"}, as_=BOB) == (
            answer
        )
        analysis = await world.describe(answer["id"], as_=BOB)
        assert analysis["executable"] == made
        assert analysis["executableName"] == "pipe"
        [job] = answer["stages"]
        described = await world.describe(job, as_=BOB)
        assert described["input"] == {"n": 32}
        assert described["parentAnalysis"] == answer["id"]
        assert await world.finish(job, {"n": 32}) == "done"
        analysis = await world.describe(answer["id"], as_=BOB)
        assert (analysis["state"], analysis["output"]) == ("done", {"s0.n": 32})
        refused = await world.refused(f"/{made}/run", body, as_=EVE)
        assert refused.type == "PermissionDenied"

    async def test_it_runs_in_its_regions_only_and_not_once_it_is_deleted(
        self, world: World
    ) -> None:
        made = await a_global(world)
        body = {"project": await world.a_project(region=WEST), "input": {"s0.n": 1}}
        refused = await world.refused(f"/{made}/run", body)
        assert refused.type == "InvalidInput"
        assert f"it is made for {EAST}" in refused.message
        await world.call(f"/{made}/delete")
        refused = await world.refused(f"/{made}/run", {**body, "project": await world.a_project()})
        assert (refused.type, refused.message) == ("InvalidState", f"{made} is deleted")

    async def test_a_deleted_one_keeps_what_is_running_until_it_is_over(self, world: World) -> None:
        project = await world.a_project()
        made = await a_global(world, await a_workflow(world, project))
        resources = (await world.describe(made))["regionalOptions"][EAST]["resources"]
        await world.call(f"/{project}/destroy")
        body = {"project": await world.a_project(), "input": {"s0.n": 1}}
        answer = await world.call(f"/{made}/run", body)
        await world.call(f"/{made}/delete")
        assert await world.remove_outlived() == 0
        assert await world.finish(answer["stages"][0], {"n": 2}) == "done"
        assert await world.remove_outlived() == 2
        assert (await world.refused(f"/{resources}/describe")).type == "ResourceNotFound"
        described = await world.describe(made)
        assert described["deleted"] is True
        assert described["inputSpec"] is None


class TestFinding:
    async def test_one_finds_global_workflows_and_no_apps(self, world: World) -> None:
        project = await world.a_project()
        workflow = await a_workflow(world, project)
        first = await a_global(world, workflow)
        await a_global(world, workflow, version="2.0.0")
        await world.an_app(await world.an_applet(project, **SPECS), name="pipes")
        other = await published(world, "PUBLIC", name="other")
        for body, wanted in (
            ({}, [other, first]),
            ({"name": {"glob": "p*"}}, [first]),
            ({"published": True}, [other]),
            ({"createdBy": "user-bob"}, []),
        ):
            found = await world.call("/system/findGlobalWorkflows", body)
            assert [entry["id"] for entry in found["results"]] == wanted
            assert found["next"] is None
        every = await world.call("/system/findGlobalWorkflows", {"allVersions": True})
        assert len(every["results"]) == 3
        found = await world.call("/system/findGlobalWorkflows", {"describe": True}, as_=BOB)
        [entry] = found["results"]
        assert entry["describe"] == await world.describe(other, as_=BOB)
        names = await world.call("/system/findApps", {"name": {"glob": "*pipe*"}})
        assert len(names["results"]) == 1


async def test_a_batch_is_checked_against_the_inputs_of_the_workflow(world: World) -> None:
    made = await a_global(world)
    workflow = (await world.describe(made))["regionalOptions"][EAST]["workflow"]
    for executable in (made, "globalworkflow-pipe", workflow):
        body = {"batchInput": {"s0.n": [1, 2]}}
        answer = await world.call(f"/{executable}/validateBatch", body)
        assert answer == {"expandedBatch": [{"s0.n": 1}, {"s0.n": 2}]}
        refused = await world.refused(f"/{executable}/validateBatch", {"batchInput": {"n": [1]}})
        assert refused.message.startswith('Row 1 of the batch: Expected key "n" of input to be a f')


class TestTheCodeOfWhatItRuns:
    async def test_who_shows_no_token_sees_nothing_of_it(self, world: World) -> None:
        project = await world.a_project()
        applet = await world.an_applet(project, **SPECS)
        workflow = await a_workflow(world, project, applet)
        await published(world, "PUBLIC", regionalOptions={EAST: {"workflow": workflow}})
        for route in (f"/{applet}/describe", f"/{applet}/get", f"/{workflow}/describe"):
            assert (await world.refused(route, as_=None)).type == "ResourceNotFound"
        held = await world.rows(
            "SELECT id FROM containers WHERE app IN (SELECT id FROM apps WHERE name = 'pipe')"
        )
        assert len(held) == 2
        for (container,) in held:
            refused = await world.refused(f"/{container}/listFolder", {"folder": "/"}, as_=None)
            assert refused.type == "PermissionDenied"

    async def test_its_users_run_it_and_neither_get_nor_copy_its_code(self, world: World) -> None:
        project, own = await world.a_project(), await world.a_project(as_=BOB)
        applet = await world.an_applet(project, **SPECS)
        workflow = await a_workflow(world, project, applet)
        await published(world, "user-bob", regionalOptions={EAST: {"workflow": workflow}})
        content = (await world.describe(applet, as_=BOB))["project"]
        assert content.startswith("container-")
        mine = await world.call(
            "/workflow/new",
            {"project": own, "stages": [{"id": "s", "executable": applet}]},
            as_=BOB,
        )
        await world.call(f"/{mine['id']}/close", as_=BOB)
        clone = {"objects": [applet], "project": own, "destination": "/"}
        new_app = {"applet": applet, "name": "stolen", "version": "1.0.0"}
        regional = {EAST: {"workflow": mine["id"]}}
        for route, body in (
            (f"/{applet}/get", {}),
            (f"/{content}/clone", clone),
            ("/applet/new", {"project": own, "initializeFrom": {"id": applet}}),
            ("/app/new", new_app),
            ("/globalworkflow/new", {"name": "x", "version": "1.0.0", "regionalOptions": regional}),
        ):
            refused = await world.refused(route, body, as_=BOB)
            assert refused.type == "PermissionDenied", route
            assert "only its developers" in refused.message, route
        await world.call(f"/{applet}/run", {"project": own, "input": {"n": 1}}, as_=BOB)
        assert (await world.call(f"/{applet}/get"))["runSpec"]["code"]

    async def test_who_sees_the_applet_elsewhere_gets_it_as_before(self, world: World) -> None:
        project = await world.a_project()
        applet = await world.an_applet(project, **SPECS)
        workflow = await a_workflow(world, project, applet)
        await published(world, "user-bob", regionalOptions={EAST: {"workflow": workflow}})
        await world.a_member(project, "VIEW")
        assert (await world.call(f"/{applet}/get", as_=BOB))["runSpec"]["code"]
