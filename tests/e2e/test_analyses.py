"""Workflows run by the real client: files between stages, failures, nesting, jobs that run them."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.e2e.driver import JOB_SECONDS_MAX, Dx, Site, field, until

pytestmark = pytest.mark.e2e

FILE = field("text", "file")
COUNT = """
main() {
  dx download "$text" -o in.txt
  wc -l < in.txt | tee count.txt
  dx-jobutil-add-output counted "$(dx upload count.txt --brief)" --class file
  dx-jobutil-add-output n "$(cat count.txt)" --class int
}
"""
DOUBLE = """
main() {
  dx download "$counted" -o in.txt
  echo "$(( $(cat in.txt) + n ))" > doubled.txt
  dx-jobutil-add-output doubled "$(dx upload doubled.txt --brief)" --class file
}
"""
# Ends well when the project says so.
WAITS = """
main() {
  until dx ls "$DX_PROJECT_CONTEXT_ID:/$go" 2> /dev/null; do sleep 0.1; done
  dx-jobutil-add-output n 1 --class int
}
"""


def out(stage: str, name: str) -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": stage, "outputField": name}}


def workflow(dx: Dx, name: str, *stages: dict[str, Any], **body: Any) -> str:
    """Make a workflow by the API."""
    given = {"project": dx.project, "name": name, "stages": list(stages), **body}
    return str(dx.call("/workflow/new", given)["id"])


@pytest.fixture(scope="module")
def two(dx: Dx) -> str:
    """A workflow whose second stage takes a file and a number of the first."""
    counted = [field("counted", "file"), field("n", "int")]
    count = dx.applet(COUNT, name="count", inputSpec=[FILE], outputSpec=counted)
    double = dx.applet(
        DOUBLE, name="double", inputSpec=counted, outputSpec=[field("doubled", "file")]
    )
    bound = {"counted": out("first", "counted"), "n": out("first", "n")}
    return workflow(
        dx,
        "two",
        {"id": "first", "executable": count, "folder": "counts"},
        {"id": "second", "executable": double, "folder": "/else", "input": bound},
        outputFolder="/results",
    )


@pytest.fixture(scope="module")
def text(dx: Dx) -> str:
    return dx.upload("lines.txt", "a\nb\nc\n")


def waits(dx: Dx, go: str) -> str:
    code = WAITS.replace("$go", go)
    return dx.applet(code, name=f"waits for {go}", inputSpec=[], outputSpec=[field("n", "int")])


def let_go(dx: Dx, go: str) -> None:
    dx.call(f"/{dx.project}/newFolder", {"folder": f"/{go}"})


def done(dx: Dx, execution: str) -> None:
    """Wait for the good end of an execution; the client would look more and more seldom."""
    state = until(lambda: over(dx, execution), JOB_SECONDS_MAX)
    assert state == "done", dx("describe", execution).out


def over(dx: Dx, execution: str) -> str | None:
    """Return the state of an execution if it is over."""
    state = str(dx.call(f"/{execution}/describe", {"fields": {"state": True}})["state"])
    return state if state in ("done", "failed", "terminated", "partially_failed") else None


def states(dx: Dx, analysis: str) -> dict[str, str]:
    """Return the states of an analysis and of its stages."""
    described = dx.json("describe", analysis)
    found = {one["id"]: one["execution"]["state"] for one in described["stages"]}
    return {"": described["state"], **found}


def test_files_pass_from_stage_to_stage_and_lie_in_the_stages_folders(
    dx: Dx, two: str, text: str
) -> None:
    analysis = dx.id("run", two, f"-ifirst.text={text}", "-y", "--tag", "mine")
    done(dx, analysis)
    assert dx("cat", "/else/doubled.txt").out == "6\n"
    assert dx("cat", "/results/counts/count.txt").out == "3\n"
    shown = dx("describe", analysis).text
    assert "State done" in shown
    assert "first.n = 3" in shown
    tree = dx("find", "executions", "--tag", "mine").out
    assert [tree.count(name) for name in ("two", "count", "double")] == [1, 1, 1]
    assert dx("find", "analyses", "--tag", "mine", "--brief").out.split() == [analysis]
    again = dx.id("run", "--clone", analysis, "-y")
    first, second = dx.json("describe", analysis), dx.json("describe", again)
    assert second["input"]["first.text"] == first["input"]["first.text"]
    assert second["name"] == "two (re-run)"
    dx("terminate", again)


@pytest.mark.parametrize("policy", ["failAllStages", "failStage"])
def test_a_failing_stage_ends_the_others_or_those_that_need_it(dx: Dx, policy: str) -> None:
    bad = dx.applet(
        "main() { dx-jobutil-report-error 'no good' AppError; }",
        name="bad", inputSpec=[], outputSpec=[field("n", "int")],
    )  # fmt: skip
    needs = dx.applet("main() { true; }", inputSpec=[field("n", "int")], outputSpec=[])
    analysis = dx.id(
        "run",
        workflow(
            dx,
            f"with {policy}",
            {"id": "bad", "executable": bad,
             "executionPolicy": {"onNonRestartableFailure": policy}},
            {"id": "alone", "executable": waits(dx, policy)},
            {"id": "needs", "executable": needs, "input": {"n": out("bad", "n")}},
        ),
        "-y",
    )  # fmt: skip
    until(lambda: over(dx, analysis), JOB_SECONDS_MAX)
    said = dx("wait", analysis, code=3)
    assert "Analysis has failed because of AppError: no good" in said.text
    if policy == "failStage":
        assert states(dx, analysis) == {
            "": "partially_failed", "bad": "failed", "alone": "running", "needs": "failed",
        }  # fmt: skip
        let_go(dx, policy)
    until(lambda: states(dx, analysis)[""] == "failed", JOB_SECONDS_MAX)
    alone = "done" if policy == "failStage" else "failed"
    assert states(dx, analysis) == {
        "": "failed", "bad": "failed", "alone": alone, "needs": "failed",
    }  # fmt: skip


def test_an_analysis_is_terminated_with_its_jobs(dx: Dx) -> None:
    stages = ({"id": name, "executable": waits(dx, name)} for name in ("never", "ever"))
    analysis = dx.id("run", workflow(dx, "endless", *stages), "-y")
    until(lambda: "running" in states(dx, analysis).values(), JOB_SECONDS_MAX)
    dx("terminate", analysis)
    assert "Analysis was terminated" in dx("wait", analysis, code=3).text
    assert set(states(dx, analysis).values()) == {"terminated"}


def test_a_workflow_is_a_stage_and_a_job_runs_one_and_waits(dx: Dx, two: str, text: str) -> None:
    double = dx.json("describe", two)["stages"][1]["executable"]
    bound = {"counted": out("in", "first.counted"), "n": out("in", "first.n")}
    outer = workflow(
        dx,
        "outer",
        {"id": "in", "executable": two, "folder": "inner"},
        {"id": "again", "executable": double, "input": bound},
    )
    code = f"""
main() {{
  A=$(dx run {outer} -iin.first.text="$text" --brief -y)
  echo '{{"n": {{"$dnanexus_link": {{"analysis": "'$A'", "stage": "in", "field": "first.n"}}}},
    "doubled": {{"$dnanexus_link": {{"analysis": "'$A'", "field": "again.doubled"}}}}}}' \
    > job_output.json
}}
"""
    runner = dx.applet(
        code, name="runner", inputSpec=[FILE], access={"project": "CONTRIBUTE"},
        outputSpec=[field("n", "int"), field("doubled", "file")],
    )  # fmt: skip
    job = dx.id("run", runner, f"-itext={text}", "--folder", "/run", "-y")
    (analysis,) = until(lambda: dx.json("describe", job)["dependsOn"], JOB_SECONDS_MAX)
    tree = dx("find", "executions", "--id", job).out
    assert [tree.count(name) for name in ("runner", "outer", "two", "count")] == [1, 1, 1, 1]
    done(dx, job)
    described = dx.json("describe", job)
    assert described["output"]["n"] == 3
    assert dx("cat", "/run/doubled.txt").out == "6\n"
    assert dx.json("describe", analysis)["state"] == "done"


def test_an_analysis_outlives_a_killed_server(own_site: Site, own_dx: Dx) -> None:
    dx = own_dx
    needs = dx.applet(
        "main() { dx-jobutil-add-output n $((n + 1)) --class int; }",
        inputSpec=[field("n", "int")], outputSpec=[field("n", "int")],
    )  # fmt: skip
    made = workflow(
        dx,
        "long",
        {"id": "a", "executable": waits(dx, "go")},
        {"id": "b", "executable": needs, "input": {"n": out("a", "n")}},
    )
    body = {"project": dx.project, "input": {}, "nonce": "once"}
    analysis = dx.call(f"/{made}/run", body)["id"]
    until(lambda: states(dx, analysis)["a"] == "running", JOB_SECONDS_MAX)
    own_site.stop(signal.SIGKILL)
    own_site.start()
    assert dx.call(f"/{made}/run", body)["id"] == analysis
    let_go(dx, "go")
    done(dx, analysis)
    assert json.loads(dx("describe", analysis, "--json").out)["output"] == {"a.n": 1, "b.n": 2}
