"""What an analysis has put out by now, and from which other one all of it is (E.7, F.6.3, F.11)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.worlds import World

INT = [{"name": "n", "class": "int"}]
OPTIONAL = [{"name": "n", "class": "int", "optional": True}]


def out(stage: str, field: str = "n") -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": stage, "outputField": field}}


class Lab:
    """A project with an applet that takes and gives a number; runs of workflows of it."""

    def __init__(self, world: World, project: str, applet: str) -> None:
        self.world = world
        self.project = project
        self.applet = applet

    async def workflow(self, *stages: dict[str, Any], **body: Any) -> str:
        every = [{"executable": self.applet, **stage} for stage in stages]
        return await self.world.a_workflow(self.project, *every, **body)

    async def run(self, workflow: str, **body: Any) -> tuple[str, list[str]]:
        given = {"project": self.project, "input": {}, **body}
        made = await self.world.call(f"/{workflow}/run", given)
        return str(made["id"]), made["stages"]

    async def output(self, analysis: str) -> Any:
        """Return the output, which is the same however it is asked for."""
        told = (await self.world.describe(analysis))["output"]
        assert await self.world.describe(analysis, fields={"output": True}) == {"output": told}
        body = {"class": "analysis", "project": self.project, "describe": True}
        found = (await self.world.call("/system/findExecutions", body))["results"]
        assert [one["describe"]["output"] for one in found if one["id"] == analysis] == [told]
        return told


@pytest.fixture
async def lab(world: World) -> Lab:
    world.platform.limits = msgspec.structs.replace(world.platform.limits, reuse=True)
    project = await world.a_project()
    return Lab(
        world, project, await world.an_applet(project, inputSpec=OPTIONAL, outputSpec=OPTIONAL)
    )


async def test_the_outputs_of_each_stage_are_there_when_it_is_done(world: World, lab: Lab) -> None:
    workflow = await lab.workflow({"id": "a"}, {"id": "b", "input": {"n": out("a")}}, {"id": "c"})
    analysis, jobs = await lab.run(workflow, ignoreReuse=True)
    assert await lab.output(analysis) is None
    await world.finish(jobs[2], {})
    assert await lab.output(analysis) == {}
    await world.finish(jobs[0], {"n": 1})
    assert await lab.output(analysis) == {"a.n": 1}
    assert "output" not in await world.describe(analysis, io=False)
    await world.fail(jobs[1])
    assert (await world.describe(analysis))["state"] == "failed"
    assert await lab.output(analysis) == {"a.n": 1}


async def test_an_output_that_a_workflow_names_is_there_when_its_stages_are_done(
    world: World, lab: Lab
) -> None:
    outputs = [
        {"name": "first", "class": "int", "outputSource": out("a")},
        {"name": "last", "class": "int", "outputSource": out("b")},
    ]
    workflow = await lab.workflow({"id": "a"}, {"id": "b"}, outputs=outputs)
    analysis, jobs = await lab.run(workflow, ignoreReuse=True)
    assert await lab.output(analysis) is None
    await world.finish(jobs[0], {"n": 1})
    assert await lab.output(analysis) == {"first": 1}
    await world.finish(jobs[1], {"n": 2})
    assert await lab.output(analysis) == {"first": 1, "last": 2}


async def test_what_stages_of_a_workflow_within_have_put_out_is_there(
    world: World, lab: Lab
) -> None:
    inner = await lab.workflow({"id": "x"}, {"id": "y"})
    outer = await lab.workflow({"id": "in", "executable": inner}, {"id": "z"})
    analysis, _ = await lab.run(outer, ignoreReuse=True)
    below = (await world.describe(analysis))["stages"][0]["execution"]
    assert await lab.output(analysis) is None
    await world.finish(below["stages"][1]["execution"]["id"], {"n": 1})
    assert await lab.output(below["id"]) == {"y.n": 1}
    assert await lab.output(analysis) == {"in.y.n": 1}


async def test_an_analysis_whose_stages_are_all_reused_says_from_which_analysis(
    world: World, lab: Lab
) -> None:
    inner = await lab.workflow({"id": "x", "input": {"n": 7}})
    workflow = await lab.workflow(
        {"id": "a", "input": {"n": 1}},
        {"id": "b", "input": {"n": out("a")}},
        {"id": "in", "executable": inner},
    )
    first, jobs = await lab.run(workflow)
    within = (await world.describe(jobs[2]))["stages"][0]["execution"]["id"]
    for job, number in ((jobs[0], 2), (jobs[1], 3), (within, 4)):
        await world.finish(job, {"n": number})
    ran = await world.describe(first)
    assert (ran["state"], ran["outputReusedFrom"]) == ("done", None)
    for again in (await lab.run(workflow), await lab.run(workflow)):
        told = await world.describe(again[0])
        assert (told["state"], told["outputReusedFrom"]) == ("done", first)
        assert told["output"] == ran["output"] == {"a.n": 2, "b.n": 3, "in.x.n": 4}
        sources = [one["execution"]["outputReusedFrom"] for one in told["stages"]]
        assert sources == [one["execution"]["id"] for one in ran["stages"]]


async def test_an_analysis_of_which_something_ran_is_reused_from_none(
    world: World, lab: Lab
) -> None:
    workflow = await lab.workflow({"id": "a", "input": {"n": 1}}, {"id": "b", "input": {"n": 2}})
    first, jobs = await lab.run(workflow)
    for job in jobs:
        await world.finish(job, {"n": 3})
    second, jobs = await lab.run(workflow, rerunStages=["b"])
    await world.finish(jobs[1], {"n": 4})
    # the outputs of a from the first, those of b from the second
    third, _ = await lab.run(workflow)
    # one stage of the two
    part, _ = await lab.run(await lab.workflow({"id": "a", "input": {"n": 1}}))
    # the other way round
    turned = await lab.workflow({"id": "b", "input": {"n": 1}}, {"id": "a", "input": {"n": 2}})
    other, _ = await lab.run(turned)
    for analysis in (first, second, third, part, other):
        told = await world.describe(analysis)
        assert (told["state"], told["outputReusedFrom"]) == ("done", None)
