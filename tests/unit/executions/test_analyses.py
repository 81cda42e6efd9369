"""How an analysis lives and ends with the executions of its stages (contract E.7, F.9)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import links
from tests.worlds import ALICE, World

INT = [{"name": "n", "class": "int", "optional": True}]


def out(stage: str, field: str = "n") -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": stage, "outputField": field}}


class Lab:
    """A project with an applet, and workflows of it."""

    def __init__(self, world: World, project: str, applet: str) -> None:
        self.world = world
        self.project = project
        self.applet = applet

    async def run(self, *stages: dict[str, Any], **body: Any) -> tuple[str, dict[str, str]]:
        """Run a workflow of these stages; return the analysis and the executions by stage."""
        whole = [{"executable": self.applet, **stage} for stage in stages]
        workflow = await self.world.a_workflow(self.project, *whole)
        return await self.run_workflow(workflow, **body)

    async def run_workflow(
        self, workflow: str, *, as_: str | None = None, **body: Any
    ) -> tuple[str, dict[str, str]]:
        given: dict[str, Any] = {"input": {}, **body}
        if as_ is None:
            given.setdefault("project", self.project)
            made = await self.world.call(f"/{workflow}/run", given)
        else:
            made = await self.world.call(f"/{workflow}/run", given, as_=as_)
        described = await self.world.describe(made["id"])
        executions = {one["id"]: one["execution"]["id"] for one in described["stages"]}
        assert list(executions.values()) == made["stages"]
        return made["id"], executions

    async def states(self, analysis: str) -> dict[str, str]:
        """Return the states of an analysis and its stages."""
        described = await self.world.describe(analysis)
        found = {one["id"]: one["execution"]["state"] for one in described["stages"]}
        return {"": described["state"], **found}

    async def stop_all(self) -> None:
        """Let the worker end what it was told to stop."""
        for entry in (await self.world.sync())["stop"]:
            await self.world.report(entry["job"])


@pytest.fixture
async def lab(world: World) -> Lab:
    project = await world.a_project()
    return Lab(world, project, await world.an_applet(project, inputSpec=INT, outputSpec=INT))


async def test_an_analysis_is_done_when_all_its_stages_are(world: World, lab: Lab) -> None:
    analysis, jobs = await lab.run({"id": "a"}, {"id": "b", "input": {"n": out("a")}})
    assert await lab.states(analysis) == {
        "": "in_progress", "a": "runnable", "b": "waiting_on_input",
    }  # fmt: skip
    assert (await world.describe(analysis))["output"] is None
    await world.finish(jobs["a"], {"n": 5})
    assert (await world.describe(analysis))["output"] == {"a.n": 5}
    await world.finish(jobs["b"], {"n": 6})
    described = await world.describe(analysis)
    assert described["state"] == "done"
    assert described["output"] == {"a.n": 5, "b.n": 6}
    assert described["input"] == {"b.n": 5}
    moves = [move["newState"] for move in described["stateTransitions"]]
    assert moves == ["in_progress", "done"]
    assert "failureReason" not in described


async def test_stages_may_be_linked_against_their_order(world: World, lab: Lab) -> None:
    analysis, jobs = await lab.run({"id": "a", "input": {"n": out("b")}}, {"id": "b"})
    await world.finish(jobs["b"], {"n": 5})
    await world.finish(jobs["a"], {"n": 6})
    assert (await world.describe(analysis))["output"] == {"a.n": 6, "b.n": 5}


async def test_a_failing_stage_takes_the_others_with_it(world: World, lab: Lab) -> None:
    analysis, jobs = await lab.run(
        {"id": "bad"}, {"id": "alone"}, {"id": "after", "input": {"n": out("bad")}}
    )
    await world.lease(jobs["alone"])
    await world.fail(jobs["bad"], "AppError", "it broke")
    assert await lab.states(analysis) == {
        "": "partially_failed", "bad": "failed", "alone": "terminating", "after": "failed",
    }  # fmt: skip
    await lab.stop_all()
    described = await world.describe(analysis)
    assert described["state"] == "failed"
    assert described["failureReason"] == "AppError"
    assert described["failureMessage"].startswith("it broke")
    assert described["failureFrom"]["id"] == jobs["bad"]
    alone = await world.describe(jobs["alone"])
    assert alone["failureReason"] == "JobTreeFailure"
    assert jobs["bad"] in alone["failureMessage"]


@pytest.mark.parametrize("by", ["stage", "executable", "run"])
async def test_a_stage_may_fail_alone(world: World, lab: Lab, by: str) -> None:
    policy = {"onNonRestartableFailure": "failStage"}
    bad: dict[str, Any] = {"id": "bad"}
    if by == "stage":
        bad["executionPolicy"] = policy
    if by == "executable":
        bad["executable"] = await world.an_applet(
            lab.project, outputSpec=INT, runSpec={"executionPolicy": policy}
        )
    analysis, jobs = await lab.run(
        bad,
        {"id": "alone"},
        {"id": "after", "input": {"n": out("bad")}},
        {"id": "last", "input": {"n": out("after")}},
        **({"executionPolicy": policy} if by == "run" else {}),
    )
    await world.lease(jobs["alone"])
    await world.fail(jobs["bad"], "AppError", "it broke")
    assert await lab.states(analysis) == {
        "": "partially_failed", "bad": "failed", "alone": "running", "after": "failed",
        "last": "failed",
    }  # fmt: skip
    # dxpy formats both when it sees this state
    described = await world.describe(analysis)
    assert (described["failureReason"], described["failureFrom"]["id"]) == ("AppError", jobs["bad"])
    for stage, source in (("after", "bad"), ("last", "after")):
        lost = await world.describe(jobs[stage])
        assert lost["failureReason"] == "JobTreeFailure"
        assert jobs[source] in lost["failureMessage"]
    await world.finish(jobs["alone"], {"n": 1})
    described = await world.describe(analysis)
    assert (described["state"], described["output"]) == ("failed", {"alone.n": 1})


async def test_a_stage_that_fails_at_once_takes_those_made_after_it_with_it(
    world: World, lab: Lab
) -> None:
    source = await world.a_job(lab.applet)
    await world.fail(source)
    late = {"n": links.as_json(links.JobReference(source, "n"))}
    analysis, _ = await lab.run({"id": "a", "input": late}, {"id": "b"}, {"id": "c"})
    assert await lab.states(analysis) == {"": "failed", "a": "failed", "b": "failed", "c": "failed"}
    assert (await world.describe(analysis))["failureReason"] == "DependencyUnsatisfiable"


async def test_a_failing_subjob_of_a_stage_fails_the_stage_and_its_analysis(
    world: World, lab: Lab
) -> None:
    analysis, jobs = await lab.run(
        {"id": "a", "executionPolicy": {"onNonRestartableFailure": "failStage"}}, {"id": "b"}
    )
    await world.lease(jobs["a"])
    child = await world.a_subjob(jobs["a"])
    described = await world.describe(child)
    assert (described["analysis"], described["stage"]) == (analysis, "a")
    assert (described["parentAnalysis"], described["originJob"]) == (None, jobs["a"])
    assert described["rootExecution"] == analysis
    await world.fail(child, "AppError", "deep down")
    await lab.stop_all()
    assert await lab.states(analysis) == {
        "": "partially_failed", "a": "failed", "b": "running",
    }  # fmt: skip
    described = await world.describe(analysis)
    assert (described["failureReason"], described["failureFrom"]["id"]) == ("AppError", child)
    await world.finish(jobs["b"])


async def test_a_stage_with_tries_left_is_tried_again(world: World, lab: Lab) -> None:
    analysis, jobs = await lab.run(
        {"id": "a", "executionPolicy": {"restartOn": {"AppInternalError": 1}}}
    )
    await world.fail(jobs["a"], "AppInternalError")
    assert await lab.states(analysis) == {"": "in_progress", "a": "runnable"}
    await world.finish(jobs["a"])
    assert (await lab.states(analysis))[""] == "done"


async def test_an_analysis_is_terminated_with_all_below_it(world: World, lab: Lab) -> None:
    analysis, jobs = await lab.run({"id": "a"}, {"id": "b", "input": {"n": out("a")}})
    await world.lease(jobs["a"])
    child = await world.a_subjob(jobs["a"])
    await world.call(f"/{analysis}/terminate")
    assert await lab.states(analysis) == {
        "": "terminating", "a": "terminating", "b": "terminated",
    }  # fmt: skip
    await world.call(f"/{analysis}/terminate")
    await lab.stop_all()
    assert (await lab.states(analysis))[""] == "terminated"
    assert await world.state(child) == "terminated"
    assert "failureReason" not in await world.describe(analysis)
    await world.call(f"/{analysis}/terminate")


async def test_a_stage_that_is_terminated_by_itself_leaves_the_others(
    world: World, lab: Lab
) -> None:
    analysis, jobs = await lab.run({"id": "a"}, {"id": "b"})
    await world.call(f"/{jobs['a']}/terminate")
    described = await world.describe(analysis)
    assert (described["state"], described["failureReason"]) == ("partially_failed", "Terminated")
    await world.finish(jobs["b"])
    assert (await lab.states(analysis))[""] == "terminated"


async def test_workspaces_are_gone_with_the_tree_and_its_analyses(world: World, lab: Lab) -> None:
    analysis, jobs = await lab.run({"id": "a"}, {"id": "b"})
    own = (await world.describe(analysis))["workspace"]
    first = (await world.describe(jobs["a"]))["workspace"]
    await world.finish(jobs["a"])
    assert (await world.describe(own))["id"] == own
    assert (await world.describe(first))["id"] == first
    await world.finish(jobs["b"])
    for container in (own, first):
        assert (await world.refused(f"/{container}/describe")).type == "ResourceNotFound"


async def test_workspaces_are_kept_if_the_run_says_so(world: World, lab: Lab) -> None:
    analysis, jobs = await lab.run({"id": "a"}, delayWorkspaceDestruction=True)
    own = (await world.describe(analysis))["workspace"]
    await world.finish(jobs["a"])
    for container in (own, (await world.describe(jobs["a"]))["workspace"]):
        assert (await world.describe(container))["destroyAt"] > world.clock.now_ms


class TestNested:
    """A workflow as a stage is an analysis below the analysis."""

    async def nested(self, lab: Lab, **stage: Any) -> tuple[str, dict[str, str], dict[str, str]]:
        """Run `outer`: its stage `in` runs a workflow of `a` and `b`, its stage `z` uses `a`."""
        inner = await lab.world.a_workflow(
            lab.project,
            {"id": "a", "executable": lab.applet},
            {"id": "b", "executable": lab.applet, "input": {"n": out("a")}},
        )
        analysis, outer = await lab.run(
            {"id": "in", "executable": inner, **stage},
            {"id": "z", "input": {"n": out("in", "a.n")}},
            {"id": "y"},
        )
        described = await lab.world.describe(outer["in"])
        assert (described["parentAnalysis"], described["stage"]) == (analysis, "in")
        assert described["rootExecution"] == analysis
        return analysis, outer, {one["id"]: one["execution"]["id"] for one in described["stages"]}

    async def test_its_outputs_are_had_as_soon_as_they_are_there(
        self, world: World, lab: Lab
    ) -> None:
        analysis, outer, inner = await self.nested(lab)
        await world.finish(inner["a"], {"n": 4})
        assert await world.state(outer["z"]) == "runnable"
        for job in (inner["b"], outer["z"], outer["y"]):
            await world.finish(job, {"n": 5})
        described = await world.describe(analysis)
        assert described["state"] == "done"
        assert described["output"] == {"in.a.n": 4, "in.b.n": 5, "z.n": 5, "y.n": 5}
        assert described["input"]["in.b.n"] == 4

    async def test_its_failure_is_that_of_a_stage(self, world: World, lab: Lab) -> None:
        analysis, outer, inner = await self.nested(lab)
        await world.fail(inner["a"], "AppError", "it broke")
        await lab.stop_all()
        assert set((await lab.states(analysis)).values()) == {"failed"}
        described = await world.describe(analysis)
        assert described["failureFrom"]["id"] == inner["a"]
        assert (await world.describe(outer["in"]))["failureReason"] == "AppError"

    async def test_it_may_fail_alone(self, world: World, lab: Lab) -> None:
        policy = {"onNonRestartableFailure": "failStage"}
        analysis, outer, inner = await self.nested(lab, executionPolicy=policy)
        await world.fail(inner["a"], "AppError", "it broke")
        assert await lab.states(analysis) == {
            "": "partially_failed", "in": "failed", "z": "failed", "y": "running",
        }  # fmt: skip
        assert await world.state(inner["b"]) == "failed"
        await world.finish(outer["y"])
        assert (await lab.states(analysis))[""] == "failed"

    async def test_it_is_terminated_with_the_outer_one(self, world: World, lab: Lab) -> None:
        analysis, outer, inner = await self.nested(lab)
        await world.lease(inner["a"])
        await world.call(f"/{analysis}/terminate")
        assert (await lab.states(outer["in"]))[""] == "terminating"
        await lab.stop_all()
        assert set((await lab.states(analysis)).values()) == {"terminated"}

    async def test_it_can_be_terminated_by_itself(self, world: World, lab: Lab) -> None:
        analysis, outer, _ = await self.nested(lab)
        await world.call(f"/{outer['in']}/terminate")
        assert await lab.states(outer["in"]) == {
            "": "terminated", "a": "terminated", "b": "terminated",
        }  # fmt: skip
        assert await lab.states(analysis) == {
            "": "partially_failed", "in": "terminated", "z": "failed", "y": "runnable",
        }  # fmt: skip
        await world.finish(outer["y"])
        assert (await lab.states(analysis))[""] == "failed"


class TestFromAJob:
    """An analysis that a job has launched is below the job."""

    async def launched(self, lab: Lab, **stage: Any) -> tuple[str, str, dict[str, str]]:
        world = lab.world
        spec = [{"name": "n", "class": "int", "optional": True}]
        runner = await world.a_job(
            await world.an_applet(
                lab.project, outputSpec=spec, access={"project": "CONTRIBUTE"}, name="runner"
            )
        )
        await world.lease(runner)
        workflow = await world.a_workflow(
            lab.project,
            {"id": "a", "executable": lab.applet, **stage},
            {"id": "b", "executable": lab.applet},
        )
        analysis, jobs = await lab.run_workflow(workflow, as_=world.token_of(runner))
        return runner, analysis, jobs

    async def test_the_job_waits_for_it(self, world: World, lab: Lab) -> None:
        runner, analysis, jobs = await self.launched(lab)
        described = await world.describe(analysis)
        assert (described["parentJob"], described["parentJobTry"]) == (runner, 0)
        assert described["rootExecution"] == runner
        stage = await world.describe(jobs["a"])
        assert (stage["parentJob"], stage["originJob"]) == (None, jobs["a"])
        assert (await world.describe(runner))["dependsOn"] == [analysis]
        output = {"n": links.as_json(links.JobReference(analysis, "n", stage="a"))}
        assert await world.finish(runner, output) == "waiting_on_output"
        await world.finish(jobs["a"], {"n": 7})
        assert await world.state(runner) == "waiting_on_output"
        await world.finish(jobs["b"])
        described = await world.describe(runner)
        assert (described["state"], described["output"]) == ("done", {"n": 7})
        assert described["dependsOn"] == []

    async def test_what_it_cannot_put_out_fails_the_job(self, world: World, lab: Lab) -> None:
        runner, analysis, _ = await self.launched(lab)
        output = {"n": links.as_json(links.JobReference(analysis, "gone.n"))}
        await world.finish(runner, output)
        described = await world.describe(runner)
        assert described["failureReason"] == "OutputError"
        assert 'has no output "gone.n"' in described["failureMessage"]

    async def test_its_failure_is_that_of_the_jobs_tree(self, world: World, lab: Lab) -> None:
        runner, analysis, jobs = await self.launched(lab)
        await world.fail(jobs["a"], "AppError", "it broke")
        await lab.stop_all()
        assert await lab.states(analysis) == {"": "failed", "a": "failed", "b": "failed"}
        described = await world.describe(runner)
        assert described["failureReason"] == "JobTreeFailure"
        assert described["failureFrom"]["id"] == jobs["a"]

    async def test_it_fails_the_job_no_sooner_than_it_fails(self, world: World, lab: Lab) -> None:
        policy = {"onNonRestartableFailure": "failStage"}
        runner, analysis, jobs = await self.launched(lab, executionPolicy=policy)
        await world.fail(jobs["a"], "AppError", "it broke")
        assert await world.state(runner) == "running"
        await world.finish(jobs["b"])
        assert (await lab.states(analysis))[""] == "failed"
        await lab.stop_all()
        described = await world.describe(runner)
        assert described["failureReason"] == "JobTreeFailure"
        assert described["failureFrom"]["id"] == jobs["a"]
        assert analysis in described["failureMessage"]

    async def test_a_new_try_of_the_job_outlives_the_analysis_of_the_old_one(
        self, world: World, lab: Lab
    ) -> None:
        runner, analysis, jobs = await self.launched(lab)
        await world.lease(jobs["a"])
        await world.fail(runner, "ExecutionError")
        assert await world.state(runner) == "runnable"
        await lab.stop_all()
        assert (await lab.states(analysis))[""] == "failed"
        assert await world.state(runner) == "runnable"
        assert await world.finish(runner) == "done"

    async def test_it_is_terminated_with_the_job(self, world: World, lab: Lab) -> None:
        runner, analysis, jobs = await self.launched(lab)
        await world.lease(jobs["a"])
        await world.call(f"/{runner}/terminate")
        assert (await lab.states(analysis))[""] == "terminating"
        await lab.stop_all()
        assert await lab.states(analysis) == {
            "": "terminated",
            "a": "terminated",
            "b": "terminated",
        }

    async def test_a_terminated_one_lets_the_job_go_on(self, world: World, lab: Lab) -> None:
        runner, analysis, _ = await self.launched(lab)
        assert await world.finish(runner) == "waiting_on_output"
        await world.call(f"/{analysis}/terminate", as_=ALICE)
        assert await world.state(runner) == "done"

    async def test_it_may_not_wait_for_the_job_that_starts_it(self, world: World, lab: Lab) -> None:
        runner, _, _ = await self.launched(lab)
        workflow = await world.a_workflow(lab.project, {"id": "a", "executable": lab.applet})
        for body in (
            {"dependsOn": [runner]},
            {"input": {"a.n": links.as_json(links.JobReference(runner, "n"))}},
        ):
            refused = await world.refused(
                f"/{workflow}/run", {"input": {}, **body}, as_=world.token_of(runner)
            )
            assert (refused.type, runner in refused.message) == ("InvalidInput", True)
        await world.finish(runner)

    async def test_a_detached_one_is_a_tree_of_its_own(self, world: World, lab: Lab) -> None:
        runner, _, _ = await self.launched(lab)
        workflow = await world.a_workflow(lab.project, {"id": "a", "executable": lab.applet})
        analysis, jobs = await lab.run_workflow(
            workflow, as_=world.token_of(runner), detach=True, project=lab.project
        )
        described = await world.describe(analysis)
        assert (described["parentJob"], described["rootExecution"]) == (None, analysis)
        assert (described["detachedFrom"], described["detachedFromTry"]) == (runner, 0)
        await world.call(f"/{runner}/terminate")
        assert await world.finish(jobs["a"]) == "done"


class TestReferences:
    """A reference to an output of an analysis is one to that of a stage's job."""

    async def test_another_run_waits_for_the_stage_only(self, world: World, lab: Lab) -> None:
        analysis, jobs = await lab.run({"id": "a"}, {"id": "b"})
        forms = [links.JobReference(analysis, "a.n"), links.JobReference(analysis, "n", stage="a")]
        waiting = [await world.a_job(lab.applet, {"n": links.as_json(one)}) for one in forms]
        await world.finish(jobs["a"], {"n": 3})
        for job, reference in zip(waiting, forms, strict=True):
            described = await world.describe(job)
            assert (described["state"], described["input"]) == ("runnable", {"n": 3})
            assert described["runInput"] == {"n": links.as_json(reference)}

    async def test_outputs_that_a_workflow_names_mean_what_it_says(
        self, world: World, lab: Lab
    ) -> None:
        outputs = [
            {"name": "whole", "class": "int", "outputSource": out("a")},
            {"name": "lost", "class": "int", "optional": True, "outputSource": out("b")},
        ]
        workflow = await world.a_workflow(
            lab.project,
            {"id": "a", "executable": lab.applet},
            {"id": "b", "executable": lab.applet},
            outputs=outputs,
        )
        analysis, jobs = await lab.run_workflow(workflow)
        reference = links.as_json(links.JobReference(analysis, "whole"))
        waiting = await world.a_job(lab.applet, {"n": reference})
        await world.finish(jobs["a"], {"n": 3})
        assert (await world.describe(waiting))["input"] == {"n": 3}
        await world.finish(jobs["b"])
        assert (await world.describe(analysis))["output"] == {"whole": 3}

    async def test_what_it_never_puts_out_is_refused(self, world: World, lab: Lab) -> None:
        analysis, _ = await lab.run({"id": "a"})
        for field in ("n", "z.n", "a."):
            reference = links.as_json(links.JobReference(analysis, field))
            body = {"project": lab.project, "input": {"n": reference}}
            refused = await world.refused(f"/{lab.applet}/run", body)
            assert refused.type == "InvalidInput"
            assert f'has no output "{field}"' in refused.message

    async def test_a_job_may_wait_for_the_whole_analysis(self, world: World, lab: Lab) -> None:
        analysis, jobs = await lab.run({"id": "a"}, {"id": "b"})
        waiting = await world.a_job(lab.applet, dependsOn=[analysis])
        await world.finish(jobs["a"])
        assert await world.state(waiting) == "waiting_on_input"
        await world.finish(jobs["b"])
        assert await world.state(waiting) == "runnable"

    async def test_an_analysis_may_wait_for_another(self, world: World, lab: Lab) -> None:
        first, jobs = await lab.run({"id": "a"})
        second, _ = await lab.run({"id": "a"}, {"id": "b"}, dependsOn=[first])
        await world.fail(jobs["a"])
        described = await world.describe(second)
        assert (described["state"], described["failureReason"]) == (
            "failed", "DependencyUnsatisfiable",
        )  # fmt: skip
        assert first in described["failureMessage"]

    async def test_an_optional_input_may_be_left_out_by_its_source(
        self, world: World, lab: Lab
    ) -> None:
        _, jobs = await lab.run({"id": "a"}, {"id": "b", "input": {"n": out("a")}})
        await world.finish(jobs["a"], {})
        described = await world.describe(jobs["b"])
        assert (described["state"], described["input"]) == ("runnable", {})

    async def test_a_required_one_may_not(self, world: World, lab: Lab) -> None:
        needy = await world.an_applet(lab.project, inputSpec=[{"name": "n", "class": "int"}])
        analysis, jobs = await lab.run(
            {"id": "a"}, {"id": "b", "executable": needy, "input": {"n": out("a")}}
        )
        await world.finish(jobs["a"], {})
        described = await world.describe(jobs["b"])
        assert described["failureReason"] == "InputError"
        assert 'has no field "n"' in described["failureMessage"]
        assert (await lab.states(analysis))[""] == "failed"


async def test_a_workflow_within_that_fails_at_once_takes_the_stages_made_after_it_with_it(
    world: World, lab: Lab
) -> None:
    source = await world.a_job(lab.applet)
    await world.fail(source)
    late = {"n": links.as_json(links.JobReference(source, "n"))}
    failing = {"id": "x", "executable": lab.applet, "input": late}
    inner = await world.a_workflow(lab.project, failing)
    deeper = await world.a_workflow(lab.project, {"id": "y", "executable": inner})
    analysis, _ = await lab.run({"id": "a", "executable": deeper}, {"id": "b"}, {"id": "c"})
    assert await lab.states(analysis) == {"": "failed", "a": "failed", "b": "failed", "c": "failed"}
    alone = {"onNonRestartableFailure": "failStage"}
    analysis, _ = await lab.run(
        {"id": "a", "executable": deeper, "executionPolicy": alone}, {"id": "b"}
    )
    assert await lab.states(analysis) == {"": "partially_failed", "a": "failed", "b": "runnable"}


async def test_an_output_that_a_workflow_within_has_no_more_keeps_no_stage_from_its_end(
    world: World, lab: Lab
) -> None:
    stage = {"id": "x", "executable": lab.applet}
    outputs = [{"name": "o", "class": "int", "outputSource": out("x")}]
    inner = await world.a_workflow(lab.project, stage, outputs=outputs)
    bare = await world.a_workflow(lab.project, stage)
    outputs = [{"name": "p", "class": "int", "outputSource": out("a", "o")}]
    outer = await world.a_workflow(lab.project, {"id": "a", "executable": inner}, outputs=outputs)
    version = (await world.describe(outer))["editVersion"]
    await world.call(
        f"/{outer}/updateStageExecutable",
        {"editVersion": version, "stage": "a", "executable": bare, "force": True},
    )
    analysis, executions = await lab.run_workflow(outer)
    job = (await world.describe(executions["a"]))["stages"][0]["execution"]["id"]
    await world.finish(job, {"n": 1})
    described = await world.describe(analysis)
    assert (described["state"], described["output"]) == ("done", {})


async def test_outputs_do_not_lead_through_analyses_without_end(world: World, lab: Lab) -> None:
    workflow = await world.a_workflow(
        lab.project,
        {"id": "a", "executable": lab.applet},
        inputs=[{"name": "i", "class": "int"}],
        outputs=[
            {
                "name": "o",
                "class": "int",
                "outputSource": {"$dnanexus_link": {"workflowInputField": "i"}},
            }
        ],
    )
    source = await world.a_job(lab.applet)
    given = links.as_json(links.JobReference(source, "n"))
    for _ in range(3):
        analysis, _ = await lab.run_workflow(workflow, input={"i": given})
        kept = await world.rows(
            f"SELECT json_extract(settings, '$.outputs.o') FROM analyses WHERE id = '{analysis}'"
        )
        assert source in kept[0][0]
        given = links.as_json(links.JobReference(analysis, "o"))


async def test_a_project_is_destroyed_with_all_that_runs_for_its_analyses(
    world: World, lab: Lab
) -> None:
    inner = await world.a_workflow(lab.project, {"id": "x", "executable": lab.applet})
    _, executions = await lab.run(
        {"id": "a", "executable": inner}, {"id": "b"}, {"id": "c", "input": {"n": out("b")}}
    )
    await world.lease(executions["b"])
    await world.call(f"/{lab.project}/destroy", {"terminateJobs": True})
    await lab.stop_all()
    assert set(await world.rows("SELECT state FROM analyses")) == {("terminated",)}
    assert await world.rows("SELECT id FROM containers WHERE project IS NOT NULL") == []
