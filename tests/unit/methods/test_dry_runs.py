"""What a dry run says of reuse, and that it is nowhere to be seen afterwards (E.6, F.11)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.executions import world as executions
from tests.worlds import World

INT = [{"name": "n", "class": "int"}]


def out(stage: str) -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": stage, "outputField": "n"}}


@pytest.fixture
async def project(world: World) -> str:
    world.platform.limits = msgspec.structs.replace(world.platform.limits, reuse=True)
    return await world.a_project()


@pytest.fixture
async def applet(world: World, project: str) -> str:
    return await world.an_applet(project, inputSpec=INT, outputSpec=INT)


async def ask(world: World, workflow: str, project: str, **body: Any) -> dict[str, Any]:
    """Make a dry run, of which nothing may be left but its answer."""
    counted = "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM analyses), count(*)"
    before = await world.rows(f"{counted} FROM containers")
    given = {"project": project, "input": {}, **body}
    answer: dict[str, Any] = await world.call(f"/{workflow}/dryRun", given)
    assert await world.rows(f"{counted} FROM containers") == before
    return answer


def reused(answer: dict[str, Any]) -> dict[str, str]:
    """Return what the client takes for the stages that will not run, and what has."""
    return {
        stage["id"]: stage["execution"]["id"]
        for stage in answer["stages"]
        if stage["execution"]["parentAnalysis"] != answer["id"]
    }


async def test_a_dry_run_names_the_executions_whose_outputs_a_run_would_get(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(
        project,
        {"id": "a", "executable": applet, "name": "first"},
        {"id": "b", "executable": applet, "input": {"n": out("a")}},
    )
    assert reused(await ask(world, workflow, project, input={"a.n": 1})) == {}
    made = await world.call(f"/{workflow}/run", {"project": project, "input": {"a.n": 1}})
    a, b = made["stages"]
    await world.finish(a, {"n": 2})
    assert reused(await ask(world, workflow, project, input={"a.n": 1})) == {"a": a}
    await world.finish(b, {"n": 3})
    answer = await ask(world, workflow, project, input={"a.n": 1})
    assert reused(answer) == {"a": a, "b": b}
    assert answer["stages"][0]["execution"] == await world.describe(a)
    again = await ask(world, workflow, project, input={"a.n": 1}, rerunStages=["b"])
    assert reused(again) == {"a": a}
    assert reused(await ask(world, workflow, project, input={"a.n": 5})) == {}
    assert reused(await ask(world, workflow, project, input={"a.n": 1}, ignoreReuse=True)) == {}


async def test_a_dry_run_names_what_stages_of_workflows_within_would_get(
    world: World, project: str, applet: str
) -> None:
    inner = await world.a_workflow(
        project,
        {"id": "x", "executable": applet, "input": {"n": 1}},
        {"id": "y", "executable": applet, "input": {"n": 2}},
    )
    workflow = await world.a_workflow(
        project,
        {"id": "in", "executable": inner},
        {"id": "z", "executable": applet, "input": {"n": 3}},
    )
    made = await world.call(f"/{workflow}/run", {"project": project, "input": {}})
    x, y = [one["execution"]["id"] for one in (await world.describe(made["stages"][0]))["stages"]]
    await world.finish(x, {"n": 1})
    answer = await ask(world, workflow, project)
    assert reused(answer) == {}
    assert reused(answer["stages"][0]["execution"]) == {"x": x}
    await world.finish(y, {"n": 1})
    assert reused(await ask(world, workflow, project)) == {"in": made["stages"][0]}


async def test_a_dry_run_of_a_job_shows_no_execution_that_the_job_may_not_see(
    world: World, project: str, applet: str
) -> None:
    workflow = await world.a_workflow(project, {"id": "a", "executable": applet})
    elsewhere = await world.a_project()
    made = await world.a_job(applet, {"n": 1}, project=elsewhere, properties={"secret": "s"})
    await world.finish(made, {"n": 2})
    assert reused(await ask(world, workflow, project, input={"a.n": 1})) == {"a": made}
    job = await world.a_job(applet, {"n": 5})
    await world.lease(job)
    as_ = world.token_of(job)
    assert (await world.refused(f"/{made}/describe", as_=as_)).type == "PermissionDenied"
    answer = await world.call(f"/{workflow}/dryRun", {"input": {"a.n": 1}}, as_=as_)
    assert reused(answer) == {}
    assert "secret" not in str(answer)


class Log:
    """The platform's own log, kept instead of written."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def info(self, event: str, **told: Any) -> None:
        self.lines.append((event, told.get("job") or told["analysis"], told["state"]))


async def test_the_platforms_log_has_no_executions_that_never_were(
    world: World, project: str, applet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    monkeypatch.setattr(executions, "_log", log)
    stage = {"id": "a", "executable": applet, "input": {"n": 1}}
    workflow = await world.a_workflow(project, stage)
    await ask(world, workflow, project)
    # one that is refused when its first stage was made already, too
    wrong = await world.a_workflow(project, stage, {"id": "b", "executable": applet})
    await world.refused(f"/{wrong}/run", {"project": project, "input": {}})
    assert log.lines == []
    made = await world.call(f"/{workflow}/run", {"project": project, "input": {}})
    await world.finish(made["stages"][0], {"n": 1})
    assert log.lines[0] == ("job_moved", made["stages"][0], "runnable")
    assert log.lines[-1] == ("analysis_moved", made["id"], "done")
