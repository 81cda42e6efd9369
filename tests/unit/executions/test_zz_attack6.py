from __future__ import annotations
import time
from typing import Any
import pytest, msgspec
from plasmid.domain import links
from tests.worlds import ALICE, BOB, World
from tests.unit.executions.test_analyses import Lab, INT, out, lab

ARR = [{"name": "x", "class": "array:int", "optional": True}]
HASH = [{"name": "x", "class": "hash", "optional": True}]

def inp(stage, field="x"):
    return {"$dnanexus_link": {"stage": stage, "inputField": field}}

@pytest.mark.parametrize("spec", [ARR, HASH])
async def test_laughs(world: World, lab: Lab, spec) -> None:
    applet = await world.an_applet(lab.project, inputSpec=spec, outputSpec=INT)
    n = 60
    first = [1] * n if spec is ARR else {"k": [1] * n}
    wrap = (lambda v: v) if spec is ARR else (lambda v: {"k": v})
    stages = [{"id": "s0", "executable": applet, "input": {"x": first}}]
    for i in range(1, 4):
        stages.append({"id": f"s{i}", "executable": applet, "input": {"x": wrap([inp(f"s{i-1}")] * n)}})
    wf = await world.a_workflow(lab.project, *stages)
    t = time.time()
    try:
        refused = await world.refused(f"/{wf}/run", {"project": lab.project, "input": {}})
        print("REFUSED", refused)
    finally:
        print("TOOK", time.time() - t)

@pytest.mark.parametrize("how", ["job", "analysis"])
async def test_circle(world: World, lab: Lab, how) -> None:
    job = await world.a_job(lab.applet)
    await world.lease(job)
    tok = world.token_of(job)
    wf = await world.a_workflow(lab.project, {"id": "a", "executable": lab.applet, "input": {"n": {"$dnanexus_link": {"job": job, "field": "n"}}}})
    refused = await world.refused(f"/{wf}/run", {"input": {}}, as_=tok)
    print(refused)

async def test_nested_fail_at_once(world: World, lab: Lab) -> None:
    source = await world.a_job(lab.applet)
    await world.fail(source)
    late = {"n": links.as_json(links.JobReference(source, "n"))}
    inner = await world.a_workflow(lab.project, {"id": "i", "executable": lab.applet, "input": late})
    analysis, _ = await lab.run({"id": "a", "executable": inner}, {"id": "b"}, {"id": "c"})
    s = await lab.states(analysis)
    print(s)
    assert s == {"": "failed", "a": "failed", "b": "failed", "c": "failed"}

async def test_destroy_running_nested(world: World, lab: Lab) -> None:
    inner = await world.a_workflow(lab.project, {"id": "i", "executable": lab.applet})
    wf = await world.a_workflow(lab.project, {"id": "a", "executable": inner}, {"id": "b", "executable": lab.applet}, {"id": "c", "executable": lab.applet, "input": {"n": out("b")}})
    analysis, ex = await lab.run_workflow(wf)
    await world.lease(ex["b"])
    await world.call(f"/{lab.project}/destroy", {"terminateJobs": True})
    await lab.stop_all()
    print(await world.rows("SELECT id, state, root_execution FROM analyses"), await world.rows("SELECT state FROM jobs"), await world.rows("SELECT id FROM containers"))
    assert {r[0] for r in await world.rows("SELECT state FROM analyses")} == {"terminated"}

async def test_dry_view(world: World, lab: Lab) -> None:
    wf = await world.a_workflow(lab.project, {"id": "a", "executable": lab.applet})
    await world.a_member(lab.project, "VIEW")
    found = await world.call(f"/{wf}/dryRun", {"project": lab.project, "input": {}}, as_=BOB)
    assert len(found["stages"]) == 1
