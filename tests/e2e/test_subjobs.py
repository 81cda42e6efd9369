"""Jobs that start jobs: by the helper, by dxpy, by `dx run`; what binds them (F.1, F.9)."""

from __future__ import annotations

import pytest

from tests.e2e.driver import Dx, field, until

pytestmark = pytest.mark.e2e

BASH = r"""
main() {
  echo "from main" > shared.txt
  shared=$(dx upload shared.txt --brief --wait)
  jobs=()
  for i in 1 2 3; do
    jobs+=("$(dx-jobutil-new-job work -in=$i -if="$shared" --tag part --name "part $i")")
  done
  gather=$(dx-jobutil-new-job gather -ins="${jobs[0]}:n" -ins="${jobs[1]}:n" -ins="${jobs[2]}:n")
  dx-jobutil-add-output total "$gather:total" --class jobref
  dx-jobutil-add-output each "${jobs[0]}:n" --class jobref --array
  dx-jobutil-add-output each "${jobs[2]}:n" --class jobref --array
  dx-jobutil-add-output report "$gather:report" --class jobref
}
work() {
  echo "workspace $DX_WORKSPACE_ID host $(hostname)"
  dx cat "$f"
  dx-jobutil-add-output n $((n * 10)) --class int
}
gather() {
  total=0
  for each in "${ns[@]}"; do total=$((total + each)); done
  echo "$total" > report.txt
  dx-jobutil-add-output total "$total" --class int
  dx-jobutil-add-output report "$(dx upload report.txt --brief)" --class file
}
"""
PYTHON = """
@dxpy.entry_point("work")
def work(i):
    return {"r": i * 10}

@dxpy.entry_point("gather")
def gather(rs):
    return {"total": sum(rs), "count": len(rs)}

@dxpy.entry_point("main")
def main():
    jobs = [dxpy.new_dxjob({"i": i}, "work", name=f"w{i}") for i in range(3)]
    refs = [job.get_output_ref("r") for job in jobs]
    last = dxpy.new_dxjob({"rs": refs}, "gather", depends_on=jobs)
    return {"total": last.get_output_ref("total"), "each": refs}
"""
BOTH = [field("total", "int"), field("each", "array:int")]


def children(dx: Dx, job: str) -> dict[str, dict[str, object]]:
    found = dx.call("/system/findExecutions", {"parentJob": job, "describe": True})["results"]
    return {entry["describe"]["name"]: entry["describe"] for entry in found}


def test_bash_scatters_and_gathers(dx: Dx) -> None:
    ended = dx.ran(BASH, name="scatter", outputSpec=[*BOTH, field("report", "file")])
    assert ended.output["total"] == 60, ended.why
    assert ended.output["each"] == [10, 30]
    assert dx("cat", "report.txt").out == "60\n"
    found = children(dx, ended.describe["id"])
    assert set(found) == {"part 1", "part 2", "part 3", "scatter:gather"}
    assert {child["workspace"] for child in found.values()} == {ended.describe["workspace"]}
    part = dx.site.ended(str(found["part 1"]["id"]))
    workspace, job = part.describe["workspace"], part.describe["id"]
    assert part.said() == [f"workspace {workspace} host {job}", "from main"]
    assert (part.describe["tags"], part.describe["function"]) == (["part"], "work")
    assert part.describe["rootExecution"] == ended.describe["id"]


def test_python_scatters_and_gathers(dx: Dx) -> None:
    ended = dx.ran(PYTHON, interpreter="python3", outputSpec=BOTH)
    assert ended.output == {"total": 30, "each": [0, 10, 20]}, ended.why


def test_a_parent_waits_for_children_that_it_does_not_name(dx: Dx) -> None:
    code = "main() { dx-jobutil-new-job late; }\nlate() { dx-jobutil-add-output o 1 --class int; }"
    ended = dx.ran(code)
    states = [entry["newState"] for entry in ended.describe["stateTransitions"]]
    assert states == ["runnable", "running", "waiting_on_output", "done"]


def test_one_failed_child_fails_the_tree(dx: Dx) -> None:
    code = """
main() { dx-jobutil-new-job slow; dx-jobutil-new-job bad; sleep 1000; }
bad() { exit 3; }
slow() { sleep 1000; }
"""
    ended = dx.ran(code, name="tree")
    bad = children(dx, ended.describe["id"])["tree:bad"]
    assert ended.why.startswith(f"JobTreeFailure: {bad['id']} (tree:bad) failed first")
    assert ended.describe["failureFrom"]["id"] == bad["id"]
    assert ended.describe["failureFrom"]["failureReason"] == "AppInternalError"
    slow = children(dx, ended.describe["id"])["tree:slow"]
    assert slow["failureReason"] == "JobTreeFailure"


def test_an_applet_runs_another_and_takes_its_output(dx: Dx) -> None:
    inner = dx.applet(
        'echo inner > i.txt; dx-jobutil-add-output o "$(dx upload i.txt --brief)"',
        name="inner",
        outputSpec=[field("o", "file")],
    )
    code = f"""
main() {{
  job=$(dx run {inner} -y --brief)
  dx wait "$job"
  dx cat "$job:o"
  dx-jobutil-add-output o "$job:o" --class jobref
}}
"""
    ended = dx.ran(code, outputSpec=[field("o", "file")])
    assert ended.state == "done", ended.why
    assert "inner" in ended.said()
    (child,) = children(dx, ended.describe["id"]).values()
    assert child["workspace"] != ended.describe["workspace"]
    assert dx("cat", "i.txt").out == "inner\n"


def test_a_detached_job_is_a_root_of_its_own(dx: Dx) -> None:
    inner = dx.applet("true", name="inner detached")
    code = f"dx run {inner} -y --brief --detach --project $DX_PROJECT_CONTEXT_ID"
    ended = dx.ran(code, access={"project": "CONTRIBUTE"})
    assert ended.state == "done", ended.said("STDERR")
    job = ended.said()[0]
    found = dx.site.ended(job).describe
    assert (found["rootExecution"], found["parentJob"]) == (job, None)
    assert found["detachedFrom"] == ended.describe["id"]


def test_a_parent_and_its_children_never_keep_each_other_waiting(dx: Dx) -> None:
    """More jobs in one tree than may run at once, each waiting for those below it."""
    code = """
main() { wait_for $(for i in 1 2 3 4; do dx-jobutil-new-job middle -in=$i; done); }
middle() { wait_for $(for i in 1 2; do dx-jobutil-new-job leaf; done); }
leaf() { true; }
wait_for() { dx wait "$@" > /dev/null; }
"""
    job = dx.run(dx.applet(code, name="deep"))
    assert dx.site.ended(job).state == "done"
    found = dx.call("/system/findExecutions", {"rootExecution": job})["results"]
    assert len(until(lambda: found)) == 13
