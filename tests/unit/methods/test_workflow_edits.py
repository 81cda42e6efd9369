"""What changes a workflow (contract E.6)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worlds import BOB, World

INT = [{"name": "n", "class": "int"}]


def out(stage: str, field: str = "n") -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": stage, "outputField": field}}


class Bench:
    """A workflow of two stages, the second of which needs the first, and two applets."""

    def __init__(self, world: World, project: str, applet: str, workflow: str) -> None:
        self.world = world
        self.project = project
        self.applet = applet
        self.workflow = workflow
        self.version = 0

    async def edit(self, verb: str, **body: Any) -> dict[str, Any]:
        """Change the workflow, which must succeed."""
        given = {"editVersion": self.version, **body}
        answer = await self.world.call(f"/{self.workflow}/{verb}", given)
        self.version += 1
        assert answer == {"id": self.workflow, "editVersion": self.version, **answer}
        return dict(answer)

    async def refused(self, verb: str, type_: str, **body: Any) -> str:
        """Fail to change the workflow, and see that it is as it was; return the message."""
        before = await self.world.describe(self.workflow)
        given = {"editVersion": self.version, **body}
        refusal = await self.world.refused(f"/{self.workflow}/{verb}", given)
        assert refusal.type == type_, refusal.message
        assert await self.world.describe(self.workflow) == before
        return refusal.message

    async def stages(self) -> list[dict[str, Any]]:
        """Return the stages as described."""
        described = await self.world.describe(self.workflow)
        assert described["editVersion"] == self.version
        return list(described["stages"])

    async def stage(self, stage_id: str) -> dict[str, Any]:
        """Return one stage as described."""
        return next(stage for stage in await self.stages() if stage["id"] == stage_id)


@pytest.fixture
async def bench(world: World) -> Bench:
    project = await world.a_project()
    applet = await world.an_applet(project, inputSpec=INT, outputSpec=INT)
    workflow = await world.a_workflow(
        project,
        {"id": "a", "executable": applet, "input": {"n": 1}},
        {"id": "b", "executable": applet, "input": {"n": out("a")}},
    )
    return Bench(world, project, applet, workflow)


async def test_a_stage_is_added_behind_the_others(bench: Bench) -> None:
    added = await bench.edit(
        "addStage", executable=bench.applet, name="N", folder="x", input={"n": out("b")},
        systemRequirements={"*": {"instanceType": "mem2_hdd2_x2"}},
    )  # fmt: skip
    stages = await bench.stages()
    assert [stage["id"] for stage in stages] == ["a", "b", added["stage"]]
    assert stages[2]["systemRequirements"] == {"*": {"instanceType": "mem2_hdd2_x2"}}
    assert (await bench.edit("addStage", executable=bench.applet, id="my_id"))["stage"] == "my_id"


@pytest.mark.parametrize(
    ("body", "type_", "text"),
    [
        ({}, "InvalidInput", 'property "executable"'),
        ({"executable": f"applet-{'0' * 24}"}, "ResourceNotFound", "applet-000"),
        ({"executable": "$", "id": "a"}, "InvalidInput", "unique"),
        ({"executable": "$", "id": "0"}, "InvalidInput", "matches"),
        ({"executable": "$", "input": {"m": 1}}, "InvalidInput", "which has n"),
        ({"executable": "$", "input": {"n": out("c")}}, "InvalidInput", 'no "c"'),
        ({"executable": "$", "input": {"n": out("a", "m")}}, "InvalidInput", 'no output "m"'),
        (
            {"executable": "$", "systemRequirements": {"*": {"instanceType": "foo"}}},
            "InvalidInput",
            "foo",
        ),
        ({"executable": "$", "id": "c", "input": {"n": out("c")}}, "InvalidInput", "c needs c"),
    ],
)
async def test_a_stage_that_is_wrong_is_not_added(
    bench: Bench, body: dict[str, Any], type_: str, text: str
) -> None:
    given = {**body, "executable": bench.applet} if body.get("executable") == "$" else body
    assert text in await bench.refused("addStage", type_, **given)


async def test_an_edit_from_an_old_version_is_refused(bench: Bench) -> None:
    await bench.edit("update", title="T")
    edits: dict[str, dict[str, Any]] = {
        "addStage": {"executable": bench.applet},
        "removeStage": {"stage": "b"},
        "moveStage": {"stage": "a", "newIndex": 1},
        "update": {"title": "U"},
        "updateStageExecutable": {"stage": "a", "executable": bench.applet},
        "overwrite": {"from": {"id": bench.workflow}},
        "isStageCompatible": {"stage": "a", "executable": bench.applet},
    }
    for verb, body in edits.items():
        text = await bench.refused(verb, "InvalidState", **{**body, "editVersion": 0})
        assert "editVersion 1, not 0" in text
        assert "editVersion" in await bench.refused(verb, "InvalidInput", editVersion=None)
        await bench.refused(verb, "InvalidInput", editVersion="1")


async def test_edits_need_contribute(bench: Bench) -> None:
    for level, allowed in (("VIEW", False), ("UPLOAD", False), ("CONTRIBUTE", True)):
        await bench.world.a_member(bench.project, level)
        body = {"editVersion": 0, "title": "T"}
        if allowed:
            await bench.world.call(f"/{bench.workflow}/update", body, as_=BOB)
        else:
            refusal = await bench.world.refused(f"/{bench.workflow}/update", body, as_=BOB)
            assert refusal.type == "PermissionDenied", level


async def test_what_was_bound_to_a_removed_stage_is_bound_to_nothing(bench: Bench) -> None:
    await bench.edit("update", ignoreReuse=["a"])
    await bench.edit("removeStage", stage="a")
    (stage,) = await bench.stages()
    assert (stage["id"], stage["input"]) == ("b", {})
    described = await bench.world.describe(bench.workflow)
    assert described["ignoreReuse"] == []
    assert [field["name"] for field in described["inputSpec"]] == ["b.n"]


async def test_a_stage_that_an_output_comes_from_is_not_removed(bench: Bench) -> None:
    await bench.edit("update", outputs=[{"name": "g", "class": "int", "outputSource": out("b")}])
    assert '"g"' in await bench.refused("removeStage", "InvalidState", stage="b")
    await bench.edit("update", outputs=None)
    await bench.edit("removeStage", stage="b")


async def test_a_stage_moves_to_any_place(bench: Bench) -> None:
    await bench.edit("addStage", executable=bench.applet, id="c")
    for stage, index, expected in (("a", 2, "bca"), ("a", 1, "bac"), ("b", 0, "bac")):
        await bench.edit("moveStage", stage=stage, newIndex=index)
        assert "".join(one["id"] for one in await bench.stages()) == expected
    for wrong in (3, -1, "0", None):
        await bench.refused("moveStage", "InvalidInput", stage="a", newIndex=wrong)


@pytest.mark.parametrize("verb", ["removeStage", "moveStage", "updateStageExecutable"])
async def test_a_stage_that_is_not_there_is_not_found(bench: Bench, verb: str) -> None:
    body = {"stage": "z", "newIndex": 0, "executable": bench.applet}
    assert "its stages are a, b" in await bench.refused(verb, "ResourceNotFound", **body)


async def test_an_update_changes_what_it_names(bench: Bench) -> None:
    await bench.edit(
        "update", title="T", summary="S", description="D", outputFolder="/o",
        inputs=[{"name": "f", "class": "int"}], treeTurnaroundTimeThreshold=3,
        stages={"a": {"name": "A", "folder": "x", "input": {"n": None}}},
    )  # fmt: skip
    described = await bench.world.describe(bench.workflow)
    assert (described["title"], described["outputFolder"]) == ("T", "/o")
    stage = await bench.stage("a")
    assert (stage["name"], stage["folder"], stage["input"]) == ("A", "x", {})
    await bench.edit("update", title=None, outputFolder=None, inputs=None, stages={"a": {}})
    described = await bench.world.describe(bench.workflow)
    assert (described["title"], described["outputFolder"]) == ("a workflow", None)
    assert (described["inputs"], described["summary"]) == (None, "S")
    assert (await bench.stage("a"))["name"] == "A"


async def test_an_update_that_is_wrong_in_one_part_changes_nothing(bench: Bench) -> None:
    for stages, type_ in (
        ({"z": {}}, "ResourceNotFound"),
        ({"a": {"name": "A"}, "b": {"folder": ".."}}, "InvalidInput"),
        ({"a": {"input": {"n": out("b")}}}, "InvalidInput"),
        ({"a": {"input": {"m": 1}}}, "InvalidInput"),
        ({"a": 3}, "InvalidInput"),
        ([], "InvalidInput"),
    ):
        await bench.refused("update", type_, title="T", stages=stages)


async def test_a_compatible_executable_takes_the_place_of_another(bench: Bench) -> None:
    spec = [*INT, {"name": "more", "class": "string", "optional": True}]
    other = await bench.world.an_applet(bench.project, inputSpec=spec, outputSpec=INT)
    body = {"stage": "a", "executable": other}
    asked = {"editVersion": 0, **body}
    told = await bench.world.call(f"/{bench.workflow}/isStageCompatible", asked)
    assert told == {"id": bench.workflow, "compatible": True}
    await bench.edit("updateStageExecutable", **body)
    stage = await bench.stage("a")
    assert (stage["executable"], stage["input"]) == (other, {"n": 1})
    assert (await bench.world.describe(bench.workflow))["links"] == [other, bench.applet]


async def test_an_executable_that_is_not_compatible_is_forced_and_loses_what_it_does_not_take(
    bench: Bench,
) -> None:
    other = await bench.world.an_applet(bench.project, inputSpec=[], outputSpec=[])
    body = {"stage": "a", "executable": other}
    asked = {"editVersion": 0, **body}
    told = await bench.world.call(f"/{bench.workflow}/isStageCompatible", asked)
    assert told["compatible"] is False
    refusal = await bench.world.refused(f"/{bench.workflow}/updateStageExecutable", asked)
    assert refusal.type == "InvalidState"
    assert "compatible" in refusal.message
    assert refusal.details == {"incompatibilities": told["incompatibilities"]}
    assert len(told["incompatibilities"]) == 2
    await bench.edit("updateStageExecutable", **body, force=True)
    assert [stage["input"] for stage in await bench.stages()] == [{}, {}]


async def test_an_executable_that_is_gone_can_be_replaced_by_force(bench: Bench) -> None:
    other = await bench.world.an_applet(bench.project, inputSpec=INT, outputSpec=INT)
    await bench.world.call(f"/{bench.project}/removeObjects", {"objects": [bench.applet]})
    body = {"stage": "a", "executable": other}
    text = await bench.refused("updateStageExecutable", "InvalidState", **body)
    assert "cannot be seen" in text
    await bench.edit("updateStageExecutable", **body, force=True)
    assert (await bench.stage("a"))["input"] == {"n": 1}


async def test_a_workflow_cannot_run_itself_even_through_others(bench: Bench) -> None:
    own = {"executable": bench.workflow}
    assert "loop" in await bench.refused("addStage", "InvalidInput", **own)
    outer = await bench.world.a_workflow(bench.project, {"id": "x", **own})
    assert "loop" in await bench.refused("addStage", "InvalidInput", executable=outer)
    body = {"stage": "a", "executable": outer, "force": True}
    assert "loop" in await bench.refused("updateStageExecutable", "InvalidInput", **body)
    source = {"from": {"id": outer}}
    assert "loop" in await bench.refused("overwrite", "InvalidInput", **source)


async def test_workflows_are_not_nested_too_deep(bench: Bench) -> None:
    executable = bench.applet
    for _ in range(8):
        stage = {"id": "in", "executable": executable}
        executable = await bench.world.a_workflow(bench.project, stage)
    text = await bench.refused("addStage", "InvalidInput", executable=executable)
    assert "at most 8 deep" in text


async def test_an_overwritten_workflow_has_the_content_of_the_other_and_its_own_name(
    bench: Bench,
) -> None:
    stage = {"id": "x", "executable": bench.applet}
    inputs = [{"name": "f", "class": "int"}]
    other = await bench.world.a_workflow(
        bench.project, stage, name="other", title="T", inputs=inputs
    )
    await bench.edit("overwrite", **{"from": {"id": other, "project": bench.project}})
    described = await bench.world.describe(bench.workflow)
    assert (described["name"], described["title"]) == ("a workflow", "T")
    assert [stage["id"] for stage in described["stages"]] == ["x"]
    assert described["inputs"] == inputs
    assert described["initializedFrom"]["id"] == other
    for wrong in (None, 3, {}, {"id": bench.applet}):
        await bench.refused("overwrite", "InvalidInput", **{"from": wrong})


async def test_an_edit_is_a_modification_and_closing_is_none_of_the_version(bench: Bench) -> None:
    bench.world.clock.advance(5)
    before = await bench.world.describe(bench.workflow)
    await bench.edit("update", title="T")
    after = await bench.world.describe(bench.workflow)
    assert after["modified"] == before["modified"] + 5
    await bench.world.call(f"/{bench.workflow}/close")
    assert (await bench.world.describe(bench.workflow))["editVersion"] == 1


async def test_what_is_nested_too_deep_is_refused_in_words(bench: Bench) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    body = {"executable": bench.applet, "input": {"n": deep}}
    assert "levels" in await bench.refused("addStage", "InvalidInput", **body)
