"""The same run twice: the second is given the outputs of the first, in a moment (F.11)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid.cli import leftovers
from tests.e2e.driver import Dx, field, opened, user

pytestmark = pytest.mark.e2e

CODE = """
main() {
  echo "this is really run"
  dx download "$reads" -o in.txt
  mkdir -p out/out/deep
  tr a-z A-Z < in.txt > out/out/deep/loud.txt
  dx-upload-all-outputs
}
"""


@pytest.fixture
def lab(images_folder: Path, tmp_path: Path) -> Iterator[Dx]:
    """The client of a site that reuses."""
    with opened(images_folder, PLASMID_JOBS_REUSE="true") as site:
        yield user(site, tmp_path, "lab")


def test_the_second_run_has_the_outputs_of_the_first_within_a_second(lab: Dx) -> None:
    spec = {"inputSpec": [field("reads", "file")], "outputSpec": [field("out", "file")]}
    folder = lab.write_applet("loud", {"src/code.sh": CODE}, **spec)
    lab.build(folder)
    lab.upload("one.txt", "one\n")
    lab.upload("two.txt", "two\n")
    run = ("run", "loud", "-ireads=one.txt", "-y")
    first = lab.id(*run, "--folder", "/first")
    lab("wait", first)
    other = lab.id("new", "project", "other")

    begun = time.monotonic()
    second = lab.id(*run, "--folder", f"{other}:/second")
    told = lab.json("describe", second)
    seconds = time.monotonic() - begun
    assert (told["state"], told["outputReusedFrom"]) == ("done", first)
    assert told["output"] == lab.json("describe", first)["output"]
    assert told["modified"] - told["created"] < 1000, seconds
    assert not leftovers.find_processes(second)
    assert not (lab.site.data / "work" / f"{second}.0").exists()
    assert lab("cat", f"{other}:/second/deep/loud.txt").out == "ONE\n"

    watched = lab("watch", second)
    assert f"Output reused from {first}" in watched.out
    assert "this is really run" in watched.out
    found = lab("find", "jobs", "--project", other).text
    assert "[loud] (done)" in found
    assert "(cached)" in found
    [line] = lab.site.log(second)
    assert line.msg.startswith(f"Outputs reused from {first} (loud, done ")

    # what differs is run, and its log says why
    third = lab.id("run", "loud", "-ireads=two.txt", "-y")
    assert f'Not reused: compared with {first}, input "reads" is file-' in lab("watch", third).text
    fourth = lab.id(*run, "--ignore-reuse")
    assert "Not reused: the run says ignoreReuse" in lab("watch", fourth).text
    # and so is what has lost its outputs, also the older of two
    lab("rm", "-r", "/first", "/deep")
    lab("rm", "-r", f"{other}:/second")
    fifth = lab.id(*run)
    assert "is equal, but its output" in lab("watch", fifth).text
    assert lab.site.ended(fifth).state == "done"
