"""Runs of workflows: what is given, what is missing, who may, what each stage gets (E.6, F.2)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.domain.placement import Machine
from tests.worlds import BOB, EVE, World

INT = [{"name": "n", "class": "int"}]
LARGE, SMALL = "mem1_ssd1_v2_x8", "mem1_ssd1_v2_x2"


def out(stage: str, field: str = "n") -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": stage, "outputField": field}}


def taken(field: str) -> dict[str, Any]:
    return {"$dnanexus_link": {"workflowInputField": field}}


@pytest.fixture
async def project(world: World) -> str:
    return await world.a_project()


@pytest.fixture
async def applet(world: World, project: str) -> str:
    return await world.an_applet(project, inputSpec=INT, outputSpec=INT)


async def run(world: World, workflow: str, project: str, **body: Any) -> dict[str, Any]:
    """Run a workflow and return the describe of the analysis."""
    made = await world.call(f"/{workflow}/run", {"project": project, "input": {}, **body})
    assert list(made) == ["id", "stages"]
    return await world.describe(made["id"])


def stage(described: dict[str, Any], name: str) -> dict[str, Any]:
    execution: dict[str, Any] = next(
        one["execution"] for one in described["stages"] if one["id"] == name
    )
    return execution


async def test_a_stage_has_what_the_workflow_binds_and_what_the_run_gives(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(
        project,
        {"id": "a", "executable": applet, "input": {"n": 1}},
        {"id": "b", "executable": applet, "input": {"n": 2}, "name": "second"},
        name="my workflow",
    )
    described = await run(world, workflow, project, input={"b.n": 3})
    assert described["input"] == described["originalInput"] == {"a.n": 1, "b.n": 3}
    assert described["runInput"] == {"b.n": 3}
    assert (described["name"], described["executableName"]) == ("my workflow", "my workflow")
    assert described["executable"] == workflow
    assert stage(described, "a")["name"] == "an applet"
    assert stage(described, "b")["name"] == "second"
    assert stage(described, "b")["input"] == {"n": 3}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ("InvalidInput", 'to have property "a.n"')),
        ({"a.n": "x"}, ("InvalidInput", 'key "n" of input of stage a to be an integer')),
        ({"a.n": 1, "a.m": 2}, ("InvalidInput", 'key "m" of input of stage a')),
        ({"a.n": 1, "a.m": 2}, ("InvalidInput", "a field of the executable's inputSpec, which")),
        ({"a.n": 1, "z.n": 2}, ("InvalidInput", 'key "z.n" of input to be an input of')),
        ({"n": 1}, ("InvalidInput", 'key "n" of input to be an input of')),
        ({"a.n": {"$dnanexus_link": f"file-{'0' * 24}"}}, ("ResourceNotFound", "found")),
        ({"a.n": {"$dnanexus_link": {"job": f"job-{'0' * 24}", "field": "n"}}},
         ("ResourceNotFound", "could not be found")),
        (None, ("InvalidInput", 'key "input" of input to be a hash')),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_the_input_is_named(
    world: World, project: str, applet: str, given: Any, said: tuple[str, str]
) -> None:
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet})
    refused = await world.refused(f"/{workflow}/run", {"project": project, "input": given})
    assert (refused.type, said[1] in refused.message) == (said[0], True), refused.message
    assert (await world.call("/system/findExecutions"))["results"] == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"editVersion": 7}, ("InvalidState", "is at editVersion 0, not 7")),
        ({"stageFolders": {"z": "/"}}, ("InvalidInput", "Stage with ID z not found")),
        ({"priority": "odd"}, ("InvalidInput", "priority")),
        ({"rank": 5000}, ("InvalidInput", "rank")),
        ({"name": 7}, ("InvalidInput", "name")),
        ({"tags": "x"}, ("InvalidInput", "tags")),
        ({"folder": "x"}, ("InvalidInput", "folder")),
        ({"details": 7}, ("InvalidInput", "details")),
        ({"costLimit": -1}, ("InvalidInput", "costLimit")),
        ({"debug": {"debugOn": ["x"]}}, ("InvalidInput", "debugOn")),
        ({"systemRequirements": {"*": {"instanceType": "x"}}}, ("InvalidInput", "instanceType")),
        ({"dependsOn": [f"analysis-{'0' * 24}"]}, ("ResourceNotFound", "could not be found")),
        ({"detach": "x"}, ("InvalidInput", "detach")),
        ({"project": None}, ("InvalidInput", 'property "project"')),
    ],
)
async def test_what_is_wrong_with_the_run_is_named(
    world: World, project: str, applet: str, body: dict[str, Any], said: tuple[str, str]
) -> None:
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet, "input": {"n": 1}})
    given = {"project": project, "input": {}, **body}
    refused = await world.refused(f"/{workflow}/run", given)
    assert (refused.type, said[1] in refused.message) == (said[0], True), refused.message


async def test_a_workflow_with_inputs_takes_those(world: World, project: str, applet: str) -> None:
    workflow = await world.a_workflow(
        project,
        {"id": "a", "executable": applet, "input": {"n": taken("foo")}},
        {"id": "b", "executable": applet, "input": {"n": taken("bar")}},
        inputs=[{"name": "foo", "class": "int"}, {"name": "bar", "class": "int", "default": 5}],
    )
    described = await run(world, workflow, project, input={"foo": 101})
    assert described["runInput"] == {"foo": 101}
    assert described["input"] == {"a.n": 101, "b.n": 5}
    refused = await world.refused(f"/{workflow}/run", {"project": project, "input": {}})
    assert 'to have property "foo"' in refused.message
    # as long as it is open, fields of stages can be given, too
    described = await run(world, workflow, project, input={"foo": 1, "b.n": 7})
    assert described["input"] == {"a.n": 1, "b.n": 7}


async def test_a_locked_workflow_takes_nothing_else(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(
        project,
        {"id": "a", "executable": applet, "input": {"n": taken("foo")}},
        inputs=[{"name": "foo", "class": "int"}],
    )
    await world.call(f"/{workflow}/close")
    body = {"project": project, "input": {"a.n": 1}}
    refused = await world.refused(f"/{workflow}/run", body)
    assert refused.type == "InvalidInput"
    assert 'The input "a.n" is private and cannot be overridden' in refused.message
    assert (await run(world, workflow, project, input={"foo": 202}))["input"] == {"a.n": 202}


async def test_an_input_may_be_that_of_another_stage(
    world: World, project: str, applet: str
) -> None:
    same = {"$dnanexus_link": {"stage": "a", "inputField": "n"}}
    workflow = await world.a_workflow(
        project,
        {"id": "a", "executable": applet},
        {"id": "b", "executable": applet, "input": {"n": same}},
    )
    described = await run(world, workflow, project, input={"a.n": 9})
    assert described["input"] == {"a.n": 9, "b.n": 9}


async def test_folders_of_stages_lie_below_that_of_the_analysis(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(
        project,
        {"id": "a", "executable": applet, "input": {"n": 1}, "folder": "own"},
        {"id": "b", "executable": applet, "input": {"n": 1}, "folder": "/else"},
        {"id": "c", "executable": applet, "input": {"n": 1}},
        outputFolder="/output",
    )

    async def folders(**body: Any) -> list[str]:
        described = await run(world, workflow, project, **body)
        own = [one["execution"]["folder"] for one in described["stages"]]
        return [described["folder"], *own]

    assert await folders() == ["/output", "/output/own", "/else", "/output"]
    assert await folders(folder="/given") == ["/given", "/given/own", "/else", "/given"]
    assert await folders(stageFolders={"*": "x", "c": "/y"}) == [
        "/output", "/output/x", "/output/x", "/y",
    ]  # fmt: skip


async def test_machines_of_stages_are_chosen_by_stage_run_and_workflow(
    world: World, project: str, applet: str
) -> None:
    machine = {"*": {"instanceType": SMALL}}
    workflow = await world.a_workflow(
        project,
        {"id": "a", "executable": applet, "input": {"n": 1}, "systemRequirements": machine},
        {"id": "b", "executable": applet, "input": {"n": 1}},
    )

    async def types(**body: Any) -> list[str]:
        described = await run(world, workflow, project, **body)
        return [one["execution"]["instanceType"] for one in described["stages"]]

    large = {"*": {"instanceType": LARGE}}
    usual = (await types())[1]
    assert await types() == [SMALL, usual]
    assert await types(systemRequirements=large) == [LARGE, LARGE]
    assert await types(stageSystemRequirements={"b": large}) == [SMALL, LARGE]
    body = {"systemRequirements": machine, "systemRequirementsByExecutable": {applet: large}}
    assert await types(**body) == [LARGE, LARGE]
    described = await run(world, workflow, project, **body)
    asked = ("runSystemRequirements", "runSystemRequirementsByExecutable",
             "mergedSystemRequirementsByExecutable", "runStageSystemRequirements")  # fmt: skip
    assert not set(asked) & set(described)
    found = await world.describe(described["id"], fields=dict.fromkeys(asked, True))
    assert found == {
        "runSystemRequirements": machine,
        "runSystemRequirementsByExecutable": {applet: large},
        "mergedSystemRequirementsByExecutable": {applet: large},
        "runStageSystemRequirements": None,
    }


async def test_what_a_run_says_is_kept_with_the_analysis_or_with_its_jobs(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet, "input": {"n": 1}})
    both = {
        "priority": "high", "rank": 7, "delayWorkspaceDestruction": True,
        "detailedJobMetrics": True, "debug": {"debugOn": ["AppError"]}, "allowSSH": ["*"],
    }  # fmt: skip
    own = {
        "name": "mine", "tags": ["t"], "properties": {"k": "v"}, "details": {"d": 1},
        "ignoreReuse": True,
    }  # fmt: skip
    described = await run(world, workflow, project, **both, **own)
    assert {name: described[name] for name in both} == both
    own["ignoreReuse"] = ["*"]
    assert {name: described[name] for name in own} == own
    job = stage(described, "a")
    assert {name: job[name] for name in both} == both
    assert (job["tags"], job["properties"], job["details"]) == ([], {}, {})
    assert job["ignoreReuse"] is True


async def test_a_run_that_is_made_again_is_the_same(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet, "input": {"n": 1}})
    body = {"project": project, "input": {}, "nonce": "once"}
    first = await world.call(f"/{workflow}/run", body)
    assert await world.call(f"/{workflow}/run", body) == first
    refused = await world.refused(f"/{workflow}/run", {**body, "name": "other"})
    assert "Nonce was reused" in refused.message


async def test_a_workflow_without_stages_is_not_run(world: World, project: str) -> None:
    workflow = await world.a_workflow(project)
    refused = await world.refused(f"/{workflow}/run", {"project": project, "input": {}})
    assert (refused.type, "has no stages" in refused.message) == ("InvalidState", True)


async def test_a_stage_that_is_inaccessible_is_not_run(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet, "input": {"n": 1}})
    await world.call(f"/{project}/removeObjects", {"objects": [applet]})
    refused = await world.refused(f"/{workflow}/run", {"project": project, "input": {}})
    assert refused.type == "InvalidState"
    assert f"The stage a of {workflow} is inaccessible" in refused.message


async def test_a_runner_needs_to_see_what_the_stages_run_and_bind(
    world: World, project: str
) -> None:
    spec = [{"name": "f", "class": "file"}]
    open_applet = await world.an_applet(project, inputSpec=spec)
    hidden = await world.a_project(name="hidden")
    hidden_applet = await world.an_applet(hidden, inputSpec=spec)
    file = {"$dnanexus_link": await world.a_closed_file(hidden)}
    await world.a_member(project, "VIEW")
    own = await world.a_project(as_=BOB)
    seen = await world.a_closed_file(own, as_=BOB)
    secret_file = await world.a_workflow(
        project, {"id": "a", "executable": open_applet, "input": {"f": file}}
    )
    secret_applet = await world.a_workflow(project, {"id": "a", "executable": hidden_applet})
    body = {"project": own, "input": {}}
    refused = await world.refused(f"/{secret_file}/run", body, as_=BOB)
    assert refused.type == "ResourceNotFound"
    given = {"project": own, "input": {"a.f": {"$dnanexus_link": seen}}}
    refused = await world.refused(f"/{secret_applet}/run", given, as_=BOB)
    assert (refused.type, "inaccessible" in refused.message) == ("InvalidState", True)
    assert (await world.refused(f"/{secret_file}/run", body, as_=EVE)).type == "ResourceNotFound"


async def test_a_runner_needs_to_contribute_to_the_project(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet, "input": {"n": 1}})
    await world.a_member(project, "UPLOAD")
    refused = await world.refused(f"/{workflow}/run", {"project": project, "input": {}}, as_=BOB)
    assert (refused.type, "CONTRIBUTE" in refused.message) == ("PermissionDenied", True)


async def test_an_app_is_a_stage_with_containers_of_its_own(
    world: World, project: str, applet: str
) -> None:
    app = await world.an_app(applet)
    workflow = await world.a_workflow(project, {"id": "a", "executable": app, "input": {"n": 1}})
    job = stage(await run(world, workflow, project), "a")
    assert (job["app"], job["executable"]) == (app, app)
    assert job["projectCache"].startswith("container-")


async def test_outputs_of_stages_lie_in_their_folders(world: World, project: str) -> None:
    spec = [{"name": "f", "class": "file"}]
    applet = await world.an_applet(project, outputSpec=spec)
    workflow = await world.a_workflow(
        project, {"id": "a", "executable": applet, "folder": "sub"}, outputFolder="/out"
    )
    described = await run(world, workflow, project)
    job = stage(described, "a")["id"]
    await world.lease(job)
    file = await world.a_closed_file(
        stage(described, "a")["workspace"], as_=world.token_of(job), name="x"
    )
    await world.finish(job, {"f": {"$dnanexus_link": file}})
    listed = await world.call(f"/{project}/listFolder", {"folder": "/out/sub"})
    assert [one["id"] for one in listed["objects"]] == [file]
    output = (await world.describe(described["id"]))["output"]
    assert output == {"a.f": {"$dnanexus_link": file}}


async def test_all_outputs_of_a_tree_can_be_kept_and_those_of_stages_lie_where_they_belong(
    world: World, project: str
) -> None:
    spec = [{"name": "f", "class": "file", "optional": True}]
    applet = await world.an_applet(project, outputSpec=spec)
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet, "folder": "sub"})
    described = await run(world, workflow, project, folder="/out", preserveJobOutputs={})
    job = stage(described, "a")
    await world.lease(job["id"])
    child = await world.a_subjob(job["id"])
    await world.lease(child)
    token = world.token_of(child)
    files = [
        await world.a_closed_file(job["workspace"], as_=token, name=name) for name in ("x", "y")
    ]
    await world.finish(child, {name: {"$dnanexus_link": file}
                               for name, file in zip("xy", files, strict=True)})  # fmt: skip
    kept = await world.call(f"/{project}/listFolder", {"folder": "/out/intermediateJobOutputs"})
    assert {one["id"] for one in kept["objects"]} == set(files)
    await world.finish(job["id"], {"f": {"$dnanexus_link": files[0]}})
    listed = await world.call(f"/{project}/listFolder", {"folder": "/out/sub"})
    assert [one["id"] for one in listed["objects"]] == [files[0]]


async def test_a_dry_run_says_what_a_run_would_do_and_leaves_nothing(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(
        project,
        {"id": "a", "executable": applet},
        {"id": "b", "executable": applet, "input": {"n": out("a")}, "name": "second"},
    )
    before = await world.rows("SELECT (SELECT count(*) FROM containers), count(*) FROM folders")
    body = {"project": project, "input": {"a.n": 1}, "folder": "/new"}
    found = await world.call(f"/{workflow}/dryRun", body)
    assert [one["id"] for one in found["stages"]] == ["a", "b"]
    assert {one["execution"]["parentAnalysis"] for one in found["stages"]} == {found["id"]}
    assert stage(found, "b")["name"] == "second"
    for what in ("jobs", "analyses", "waits"):
        assert await world.rows(f"SELECT * FROM {what}") == []
    after = await world.rows("SELECT (SELECT count(*) FROM containers), count(*) FROM folders")
    assert after == before
    refused = await world.refused(f"/{workflow}/dryRun", {**body, "input": {}})
    assert 'to have property "a.n"' in refused.message
    assert (await world.refused(f"/{workflow}/dryRun", body, as_=EVE)).type == "ResourceNotFound"


async def test_a_stage_that_asks_for_more_than_the_machine_has_is_named(
    world: World, project: str, applet: str
) -> None:
    small = Machine(6 << 30, 4, cores=2, disk_bytes=200 * 10**9)
    world.platform.limits = msgspec.structs.replace(world.platform.limits, machine=small)
    huge = {"*": {"instanceType": "mem3_ssd1_v2_x96"}}
    stages = [
        {"id": "a", "executable": applet, "input": {"n": 1}},
        {"id": "b", "executable": applet, "input": {"n": 1}, "systemRequirements": huge},
    ]
    inner = await world.a_workflow(project, *stages)
    workflow = await world.a_workflow(project, {"id": "in", "executable": inner})
    body = {"project": project, "input": {}}
    for executable, name in ((inner, "b"), (workflow, "in.b")):
        refused = await world.refused(f"/{executable}/run", body)
        assert refused.type == "InvalidInput"
        assert refused.message.startswith(f"Stage {name}: Instance type mem3_ssd1_v2_x96 has")


async def test_workflows_within_workflows_do_not_grow_without_end(
    world: World, project: str
) -> None:
    workflow = await world.an_applet(project)
    for _ in range(4):
        workflow = await world.a_workflow(
            project, *({"id": f"s{n}", "executable": workflow} for n in range(10))
        )
    refused = await world.refused(f"/{workflow}/run", {"project": project, "input": {}})
    assert (refused.type, "more than 1000 stages" in refused.message) == ("InvalidState", True)
    assert await world.rows("SELECT * FROM jobs") == []


async def test_a_project_is_destroyed_with_its_analyses(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet, "input": {"n": 1}})
    described = await run(world, workflow, project)
    refused = await world.refused(f"/{project}/destroy")
    assert refused.type == "InvalidState"
    await world.call(f"/{project}/destroy", {"terminateJobs": True})
    rows = await world.rows("SELECT state FROM analyses")
    assert rows == [("terminated",)], described["id"]


async def test_a_project_may_name_the_workflows_that_run_in_it(
    world: World, project: str, applet: str
) -> None:
    stage = {"id": "a", "executable": applet, "input": {"n": 1}}
    good, bad = [await world.a_workflow(project, stage) for _ in range(2)]
    await world.call(f"/{project}/update", {"allowedExecutables": [good]})
    await run(world, good, project)
    refused = await world.refused(f"/{bad}/run", {"project": project, "input": {}})
    assert refused.type == "PermissionDenied"


async def test_a_stage_whose_applet_is_removed_before_it_starts_fails(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet, "input": {"n": 1}})
    described = await run(world, workflow, project)
    await world.call(f"/{project}/removeObjects", {"objects": [applet]})
    await world.sync()
    await world.place()
    described = await world.describe(described["id"])
    assert (described["state"], described["failureReason"]) == ("failed", "ExecutionError")


async def test_who_may_look_at_a_project_may_make_a_dry_run_there(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet, "input": {"n": 1}})
    await world.a_member(project, "VIEW")
    body = {"project": project, "input": {}, "folder": "/new"}
    refused = await world.refused(f"/{workflow}/run", body, as_=BOB)
    assert refused.type == "PermissionDenied"
    found = await world.call(f"/{workflow}/dryRun", body, as_=BOB)
    assert [one["id"] for one in found["stages"]] == ["a"]
    assert await world.rows("SELECT path FROM folders WHERE path = '/new'") == []
    other = await world.a_project()
    refused = await world.refused(f"/{workflow}/dryRun", {**body, "project": other}, as_=BOB)
    assert refused.type == "PermissionDenied"


@pytest.mark.parametrize("class_name", ["array:int", "hash"])
@pytest.mark.parametrize("is_nested", [False, True])
async def test_links_to_arrays_of_links_do_not_grow_without_end(
    world: World, project: str, class_name: str, is_nested: bool
) -> None:
    spec = [{"name": "x", "class": class_name}]
    applet = await world.an_applet(project, inputSpec=spec)

    def value(elements: list[Any]) -> Any:
        return elements if class_name == "array:int" else {"k": elements}

    def linked(stage: str) -> dict[str, Any]:
        return {"$dnanexus_link": {"stage": stage, "inputField": "x"}}

    stages = [{"id": "s0", "executable": applet, "input": {"x": value([1] * 100)}}]
    for n in range(1, 8):
        many = value([linked(f"s{n - 1}")] * 100)
        stages.append({"id": f"s{n}", "executable": applet, "input": {"x": many}})
    workflow = await world.a_workflow(project, *stages)
    if is_nested:
        workflow = await world.a_workflow(project, {"id": "in", "executable": workflow})
    refused = await world.refused(f"/{workflow}/run", {"project": project, "input": {}})
    assert refused.type == "InvalidInput"
    assert "more than 1000000 values in all" in refused.message
    assert await world.rows("SELECT * FROM analyses") == []


@pytest.mark.parametrize("is_nested", [False, True])
async def test_a_workflow_may_not_bind_what_waits_for_who_runs_it(
    world: World, project: str, applet: str, is_nested: bool
) -> None:
    job = await world.a_job(applet, {"n": 1})
    await world.lease(job)
    late = {"n": {"$dnanexus_link": {"job": job, "field": "n"}}}
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet, "input": late})
    if is_nested:
        workflow = await world.a_workflow(project, {"id": "in", "executable": workflow})
    refused = await world.refused(f"/{workflow}/run", {"input": {}}, as_=world.token_of(job))
    assert (refused.type, "wait for each other" in refused.message) == ("InvalidInput", True)
    assert await world.rows("SELECT * FROM analyses") == []


@pytest.mark.parametrize("step", [1, -1])
async def test_links_to_deep_values_of_links_do_not_grow_without_end(
    world: World, project: str, step: int
) -> None:
    applet = await world.an_applet(project, inputSpec=[{"name": "x", "class": "hash"}])
    stages = []
    for n in range(8):
        value: Any = {"$dnanexus_link": {"stage": f"s{n - 1}", "inputField": "x"}} if n else 1
        for _ in range(180):
            value = {"k": value}
        stages.append({"id": f"s{n}", "executable": applet, "input": {"x": value}})
    workflow = await world.a_workflow(project, *stages[::step])
    refused = await world.refused(f"/{workflow}/run", {"project": project, "input": {}})
    assert (refused.type, "deeper than 200 levels" in refused.message) == ("InvalidInput", True)
