"""One tree of jobs for each of: every form of reference, dxpy, what is kept of a tree (F.1-F.8)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.driver import Dx, Ended, field, file

pytestmark = pytest.mark.e2e

INNER_SPEC = [
    field("reads", "file"),
    field("sample", "string", default={"$dnanexus_link": {"input": "reads", "metadata": "name"}}),
]
INNER_OUT = [field("o", "file"), field("ns", "array:int"), field("said", "string")]
INNER = """
main() {
  mkdir -p out/o/deep
  echo "of $sample" > out/o/deep/inner.txt
  dx-upload-all-outputs
  for n in 1 2 3; do dx-jobutil-add-output ns $n --class=array:int; done
  dx-jobutil-add-output said "$sample" --class=string
}
"""
# A tree in bash: `dx run` with a folder, the helper, and the bare route with nested references.
BASH = r"""
main() {
  inner=$(dx run INNER -ireads=READS --folder /launched --instance-type mem2_ssd1_x2 -y --brief)
  helped=$(dx-jobutil-new-job work -in="$inner:ns.1" -ifile="$inner:o" \
    --instance-type mem1_hdd2_x1 --name helped)
  bare=$(dx api job new "$(jq -n --arg job "$inner" '{function: "look", name: "bare", input: {
    last: {"$dnanexus_link": {job: $job, field: "ns", index: 2}},
    name: {"$dnanexus_link": {job: $job, field: "o", metadata: "name"}},
    spliced: [0, {job: $job, field: "ns"}, 4],
    nested: {deep: [{"$dnanexus_link": {job: $job, field: "said"}}]}}}')" | jq -r .id)
  dx-jobutil-add-output twice "$helped:twice" --class=jobref
  dx-jobutil-add-output all "$bare:all" --class=jobref --array
  dx-jobutil-add-output all "$inner:ns" --class=jobref --array
  dx-jobutil-add-output file "$helped:file" --class=jobref
}
work() {
  echo "on $(dx describe "$DX_JOB_ID" --json | jq -r .instanceType)"
  dx cat "$file"
  dx ls -l "$DX_WORKSPACE_ID:/launched/deep"
  dx-jobutil-add-output twice $((n * 2)) --class=int
  echo "made by a sub-job" > made.txt
  dx-jobutil-add-output file "$(dx upload made.txt --path /sub/ --parents --brief)" --class=file
}
look() {
  jq -c .input dnanexus-job.json
  for n in $(jq -r '.input.spliced[]' dnanexus-job.json); do
    dx-jobutil-add-output all "$n" --class=array:int
  done
}
"""
BASH_OUT = [field("twice", "int"), field("all", "array:int"), field("file", "file")]
PYTHON = """
import dxpy

@dxpy.entry_point("work")
def work(name, first, files, note):
    job = dxpy.DXJob(dxpy.JOB_ID).describe()
    print("work on", job["instanceType"], job["workspace"] == dxpy.WORKSPACE_ID, note)
    return {"said": "%s %d %s" % (name, first, dxpy.DXFile(files[0]).read().strip()),
            "files": files}

@dxpy.entry_point("main")
def main():
    reads = {"reads": dxpy.dxlink("READS", project_id=dxpy.PROJECT_CONTEXT_ID)}
    inner = dxpy.DXApplet("INNER").run(reads, instance_type="mem2_ssd1_x2", tags=["launched"])
    sub = dxpy.new_dxjob(
        {"name": inner.get_output_ref("o", metadata="name"),
         "first": inner.get_output_ref("ns", index=0),
         "files": [inner.get_output_ref("o")], "note": {"a": inner.get_output_ref("said")}},
        "work", instance_type={"work": "mem1_hdd2_x1"}, depends_on=[inner],
    )
    print("waits for", dxpy.describe(dxpy.JOB_ID)["dependsOn"] == [inner.get_id()])
    return {"said": sub.get_output_ref("said"), "one": sub.get_output_ref("files", index=0)}
"""
PYTHON_OUT = [field("said", "string"), field("one", "file")]


@pytest.fixture(scope="module")
def jobs(dx: Dx) -> dict[str, str]:
    """Both trees, started at once; the second keeps what its jobs put out."""
    reads = dx.upload("reads.fq", "reads\n")
    inner = dx.applet(INNER, name="inner", inputSpec=INNER_SPEC, outputSpec=INNER_OUT)

    def filled(code: str) -> str:
        return code.replace("INNER", inner).replace("READS", reads)

    bash = dx.applet(filled(BASH), name="sh", outputSpec=BASH_OUT)
    python = dx.applet(filled(PYTHON), name="py", interpreter="python3", outputSpec=PYTHON_OUT)
    kept = ("--preserve-job-outputs-folder", "kept")
    return {
        "bash": dx.id("run", bash, "-y", "--folder", "/bash"),
        "python": dx.id("run", python, "-y", "--folder", "/python", *kept),
        "reads": reads,
    }


def members(dx: Dx, root: str) -> dict[str, dict[str, Any]]:
    asked = {"rootExecution": root, "describe": True}
    found = dx.call("/system/findExecutions", asked)["results"]
    return {entry["describe"]["name"]: entry["describe"] for entry in found}


def ended_well(dx: Dx, job: str) -> Ended:
    ended = dx.site.ended(job)
    assert ended.state == "done", (ended.why, ended.said("STDERR"))
    return ended


def test_references_of_every_form_arrive_in_a_tree_of_bash(dx: Dx, jobs: dict[str, str]) -> None:
    ended = ended_well(dx, jobs["bash"])
    assert ended.output["twice"] == 4
    assert ended.output["all"] == [0, 1, 2, 3, 4, 1, 2, 3]
    found = members(dx, jobs["bash"])
    inner, helped, bare = found["inner"], found["helped"], found["bare"]
    assert bare["input"] == {
        "last": 3,
        "name": "inner.txt",
        "spliced": [0, 1, 2, 3, 4],
        "nested": {"deep": ["reads.fq"]},
    }
    assert json.loads(dx.site.ended(bare["id"]).said()[0]) == bare["input"]
    assert inner["input"]["sample"] == "reads.fq"  # its default, of the other input
    assert helped["runInput"]["n"] == {
        "$dnanexus_link": {"job": inner["id"], "field": "ns", "index": 1}
    }


def test_each_job_of_a_tree_has_its_own_machine_and_sub_jobs_their_parents_workspace(
    dx: Dx, jobs: dict[str, str]
) -> None:
    root = ended_well(dx, jobs["bash"]).describe
    found = members(dx, jobs["bash"])
    machines = {name: found[name]["instanceType"] for name in ("inner", "helped")}
    assert machines == {"inner": "mem2_ssd1_x2", "helped": "mem1_hdd2_x1"}
    shares = {name for name, job in found.items() if job["workspace"] == root["workspace"]}
    assert shares == {"sh", "helped", "bare"}
    said = dx.site.ended(found["helped"]["id"]).said()
    assert said[:2] == ["on mem1_hdd2_x1", "of reads.fq"]
    assert any("inner.txt" in line for line in said[2:])  # below the launched job's own folder


def test_outputs_keep_their_folders_on_the_way_up(dx: Dx, jobs: dict[str, str]) -> None:
    made = ended_well(dx, jobs["bash"]).output["file"]
    assert dx("cat", "/bash/sub/made.txt").out == "made by a sub-job\n"
    assert dx.json("describe", made["$dnanexus_link"])["folder"] == "/bash/sub"
    assert dx("ls", "/bash").out == "sub/\n"


def test_dxpy_starts_jobs_and_refers_to_what_they_put_out(dx: Dx, jobs: dict[str, str]) -> None:
    ended = ended_well(dx, jobs["python"])
    assert ended.output["said"] == "inner.txt 1 of reads.fq"
    assert "waits for True" in ended.said()
    found = members(dx, jobs["python"])
    work = dx.site.ended(found["py:work"]["id"])
    assert "work on mem1_hdd2_x1 True {'a': 'reads.fq'}" in work.said()
    assert (found["inner"]["instanceType"], found["inner"]["tags"]) == (
        "mem2_ssd1_x2",
        ["launched"],
    )
    root = jobs["python"]
    relations = [(job["parentJob"], job["originJob"]) for job in found.values()]
    assert sorted(relations, key=str) == sorted([(None, root), (root, root), (root, root)], key=str)


def test_a_tree_that_asks_for_it_keeps_the_outputs_of_all_its_jobs(
    dx: Dx, jobs: dict[str, str]
) -> None:
    ended = ended_well(dx, jobs["python"])
    assert ended.describe["preserveJobOutputs"] == {"folder": "kept"}
    # What is an output of the root, too, has been moved to the root's folder.
    assert dx.json("describe", ended.output["one"]["$dnanexus_link"])["folder"] == "/python/deep"
    assert dx("ls", "/python/kept").out == "deep/\n"
    failing = dx.applet(
        """
main() { dx wait $(dx-jobutil-new-job work); false; }
work() { echo 1 > one.txt; dx-jobutil-add-output o "$(dx upload one.txt --brief)" --class=file; }
"""
    )
    job = dx.id("run", failing, "-y", "--folder", "/failed", "--preserve-job-outputs")
    assert dx.site.ended(job).state == "failed"
    assert dx("cat", "/failed/intermediateJobOutputs/one.txt").out == "1\n"


def test_an_input_of_the_wrong_type_or_for_a_project_that_does_not_list_the_applet_is_refused(
    dx: Dx, jobs: dict[str, str]
) -> None:
    typed = dx.applet("true", inputSpec=[field("r", "file", type="Reads")])
    said = dx("run", typed, f"-ir={jobs['reads']}", "-y", "--brief", code=None)
    assert said.code != 0
    assert '"r" of input to be of type Reads' in said.text
    other = dx.call("/project/new", {"name": "listed"})["id"]
    dx("update", "project", other, "--allowed-executables", typed)
    plain = dx.applet("true")
    said = dx("run", plain, "--project", other, "-y", "--brief", code=None)
    assert "allowedExecutables" in said.text
    with_reads = dx.upload("typed.fq", "x")
    assert dx.run(plain, input={"r": file(with_reads)})
    dx.call(f"/{other}/destroy", {})
