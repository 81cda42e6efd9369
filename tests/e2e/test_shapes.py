"""Applets written as those of the wild are: declarations, helpers, pipes, properties, packages."""

from __future__ import annotations

import pytest

from tests.e2e import fixtures
from tests.e2e.driver import Dx, field

pytestmark = pytest.mark.e2e

SAMTOOLS = {"execDepends": [{"name": "samtools"}]}
MAPPINGS = [field("mappings_bam", "file", patterns=["*.bam"], help="BAM format file.")]
COUNTS = [field("counts_txt", "file", patterns=["*.txt"])]
TOP_LEVEL = """#!/bin/bash
# Downloads by hand, adds its output by hand, has no main.
set -e -x -o pipefail
dx download "$mappings_bam" -o mappings.bam
readcount=$(samtools view -c mappings.bam)
echo "Total reads: ${readcount}" > counts.txt
counts_txt=$(dx upload counts.txt --brief)
dx-jobutil-add-output counts_txt "$counts_txt" --class=file
"""
HELPERS = """
main() {
  dx-download-all-inputs
  mkdir -p out/counts_txt
  samtools view -c "${mappings_bam_path}" > "out/counts_txt/${mappings_bam_prefix}.txt"
  dx-upload-all-outputs
}
"""
PIPES = """
set -e -o pipefail
main() {
  mkdir workspace; mkfifo "workspace/${mappings_bam_name}"
  dx cat "${mappings_bam}" > "workspace/${mappings_bam_name}" & input=$!
  mkdir -p out/counts_txt; counts="out/counts_txt/${mappings_bam_prefix}_counts.txt"
  mkfifo "$counts"
  samtools view -c "workspace/${mappings_bam_name}" > "$counts" & process=$!
  dx-upload-all-outputs & upload=$!
  wait -n; wait -n; wait -n
}
"""
PROPERTIES = """
set -x -e
main() {
  dx download "$bamfile" -o - | samtools view -H - > header
  SM=$(grep '^@RG' header | perl -ne 'print $1 if (/SM:([^\\t]+)/)')
  PU=$(grep '^@RG' header | perl -ne 'print $1 if (/PU:([^\\t]+)/)')
  id=$(grep -Po 'file-\\w+' <<< "$bamfile")
  dx set_properties "$DX_PROJECT_CONTEXT_ID:$id" "SAMPLE_NAME=${SM}" "RG_PU_FIELD=${PU}"
}
"""
PYSAM = """
import dxpy
import pysam

@dxpy.entry_point("main")
def main(mappings_bam, canonical=False):
    bam = dxpy.DXFile(mappings_bam)
    dxpy.download_dxfile(bam.get_id(), "in.bam")
    pysam.index("in.bam")
    with pysam.AlignmentFile("in.bam", "rb") as mappings, open("counts.txt", "w") as out:
        for stats in mappings.get_index_statistics():
            out.write(f"{stats.contig} {stats.total}\\n")
        out.write(f"total {mappings.mapped}\\n")
    counts = dxpy.upload_local_file("counts.txt")
    return {"counts_txt": dxpy.dxlink(counts)}

dxpy.run()
"""
PARALLEL = """
set -e -o pipefail
main() {
  dx-download-all-inputs --parallel
  mkdir -p out/lengths
  count() { echo "$(($(zcat "$1" | wc -l) / 4))" > "out/lengths/$(basename "$1" .fastq.gz).txt"; }
  export -f count
  printf '%s\\n' "${reads_path[@]}" | xargs -P 2 -I {} bash -c 'count {}'
  parallel -j 2 echo seen {} ::: "${reads_prefix[@]}" | sort
  dx-upload-all-outputs --parallel
}
"""
LIKE_SWISS_ARMY_KNIFE = """
# Every new file in the home folder is an output.
main() {
  for i in "${!in[@]}"; do dx download "${in[$i]}" -o "${in_name[$i]}"; done
  touch .mark
  eval "$cmd"
  find . -maxdepth 1 -type f -newer .mark ! -name ".*" ! -name "job*" ! -name "dnanexus*" |
    sort | while read -r made; do
    dx-jobutil-add-output out "$(dx upload "$made" --brief)" --class=array:file
  done
}
"""


@pytest.fixture(scope="module")
def jobs(dx: Dx) -> dict[str, str]:
    """All applets, built by the client and started at once."""
    (dx.home / "s1.bam").write_bytes(fixtures.bam())
    dx("upload", "s1.bam", "--wait", "--brief")
    for name, count in (("a", 10), ("b", 25)):
        (dx.home / f"{name}.fastq.gz").write_bytes(fixtures.fastq(count))
    dx("upload", "a.fastq.gz", "b.fastq.gz", "--wait", "--brief")
    old = {"distribution": "Ubuntu", "release": "16.04"}
    pip = {"interpreter": "python3", "file": "src/code.py"}
    pip |= {"execDepends": [{"name": "pysam", "package_manager": "pip3"}]}  # type: ignore[dict-item]
    several = [field("reads", "array:file", patterns=["*.fastq.gz"])]
    knife = [field("in", "array:file", optional=True), field("cmd", "string")]
    tables = {"lengths": [field("lengths", "array:file")], "out": [field("out", "array:file")]}
    network = {"network": ["*"]}
    write = dx.write_applet
    folders = {
        "top_level": write(
            "top_level",
            {"src/code.sh": TOP_LEVEL},
            runSpec={**SAMTOOLS, **old},
            inputSpec=MAPPINGS,
            outputSpec=COUNTS,
        ),
        "helpers": write(
            "helpers",
            {"src/code.sh": HELPERS},
            runSpec=SAMTOOLS,
            inputSpec=MAPPINGS,
            outputSpec=COUNTS,
        ),
        "pipes": write(
            "pipes", {"src/code.sh": PIPES}, runSpec=SAMTOOLS, inputSpec=MAPPINGS, outputSpec=COUNTS
        ),
        "properties": write(
            "properties",
            {"src/code.sh": PROPERTIES},
            runSpec=SAMTOOLS,
            inputSpec=[field("bamfile", "file")],
            access={"project": "CONTRIBUTE"},
        ),
        "pysam": write(
            "pysam",
            {"src/code.py": PYSAM},
            runSpec=pip,
            access=network,
            inputSpec=[*MAPPINGS, field("canonical", "boolean", default=False)],
            outputSpec=COUNTS,
        ),
        "parallel": write(
            "parallel", {"src/code.sh": PARALLEL}, inputSpec=several, outputSpec=tables["lengths"]
        ),
        "knife": write(
            "knife",
            {"src/code.sh": LIKE_SWISS_ARMY_KNIFE},
            inputSpec=knife,
            outputSpec=tables["out"],
        ),
    }
    inputs = {
        **{name: ["-imappings_bam=s1.bam"] for name in ("top_level", "helpers", "pipes", "pysam")},
        "properties": ["-ibamfile=s1.bam"],
        "parallel": ["-ireads=a.fastq.gz", "-ireads=b.fastq.gz"],
        "knife": ["-iin=a.fastq.gz", "-icmd=zcat *.gz | head -n 1 > first.txt; echo > 'a b.log'"],
    }
    return {
        name: dx.id("run", dx.build(folder), "-y", *inputs[name], "--folder", f"/of {name}")
        for name, folder in folders.items()
    }


def only_file(dx: Dx, jobs: dict[str, str], name: str) -> str:
    ended = dx.site.ended(jobs[name])
    assert ended.state == "done", ended.why
    return dx("cat", f"{jobs[name]}:counts_txt").out


def test_reads_are_counted_by_a_script_without_main(dx: Dx, jobs: dict[str, str]) -> None:
    assert only_file(dx, jobs, "top_level") == f"Total reads: {fixtures.READS}\n"
    assert any(
        "stands in for Ubuntu 16.04" in text
        for text in dx.site.ended(jobs["top_level"]).said("INFO")
    )


def test_reads_are_counted_with_the_helpers(dx: Dx, jobs: dict[str, str]) -> None:
    assert only_file(dx, jobs, "helpers") == f"{fixtures.READS}\n"
    assert dx("ls", "/of helpers").out == "s1.txt\n"


def test_reads_are_counted_through_pipes(dx: Dx, jobs: dict[str, str]) -> None:
    assert only_file(dx, jobs, "pipes") == f"{fixtures.READS}\n"


def test_reads_are_counted_by_chromosome_with_a_python_package(
    dx: Dx, jobs: dict[str, str]
) -> None:
    first, second = fixtures.READS * 2 // 3, fixtures.READS // 3
    text = only_file(dx, jobs, "pysam")
    assert text == f"chr1 {first}\nchr2 {second}\ntotal {fixtures.READS}\n"


def test_the_input_gets_properties_from_its_header(dx: Dx, jobs: dict[str, str]) -> None:
    ended = dx.site.ended(jobs["properties"])
    assert ended.output == {}, ended.why
    found = dx.json("describe", "/s1.bam")["properties"]
    assert found == {"SAMPLE_NAME": fixtures.SAMPLE, "RG_PU_FIELD": "unit.1"}


def test_many_files_are_worked_on_side_by_side(dx: Dx, jobs: dict[str, str]) -> None:
    ended = dx.site.ended(jobs["parallel"])
    assert [text for text in ended.said() if text.startswith("seen")] == ["seen a", "seen b"]
    assert dx("cat", "/of parallel/a.txt", "/of parallel/b.txt").out == "10\n25\n"


def test_every_new_file_is_an_output_of_a_free_command(dx: Dx, jobs: dict[str, str]) -> None:
    ended = dx.site.ended(jobs["knife"])
    assert len(ended.output["out"]) == 2, ended.why
    assert dx("ls", "/of knife").out.splitlines() == ["a b.log", "first.txt"]
    assert dx("cat", "/of knife/first.txt").out == "@r0\n"
