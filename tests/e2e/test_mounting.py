"""`dx-mount-all-inputs` and `dxfuse`: files of the platform as files of a folder, to be read."""

from __future__ import annotations

import hashlib
import random
import signal
from pathlib import Path

import pytest

from tests.e2e.driver import Dx, Ended, Site, field, file, lines_of, opened, until, user

pytestmark = pytest.mark.e2e

# Some blocks of the reader, and no whole number of them.
LARGE = random.Random(5).randbytes(7 * 1024 * 1024 + 12_345)
SUM = hashlib.md5(LARGE).hexdigest()

# The client's own test of dx-mount-all-inputs does the same.
BASIC = """
main() {
  dx-mount-all-inputs
  echo "first=$(cat in/seq1/A.txt)"
  echo "second=$(cat /home/dnanexus/in/seq2/B.txt)"
  echo "array=$(cat in/ref/0/A.txt) $(cat in/ref/1/B.txt)"
  echo "listed=$(cd in && find . -type f | sort | tr '\\n' ' ')"
  echo "size=$(stat -c %s in/seq1/A.txt) kind=$(stat -f -c %T in)"
  echo new 2> /dev/null > in/seq1/new || echo "cannot be written"
  rm in/seq1/A.txt 2> /dev/null || echo "cannot be removed"
  [ ! -e in/excluded ] && echo "nothing else"
}
"""

LARGE_FILE = """
dx download $DX_PROJECT_CONTEXT_ID:/large/big.bin
mkdir mounted
dxfuse -readOnly mounted $DX_PROJECT_CONTEXT_ID
cd mounted/*/large
echo "whole=$(md5sum < big.bin | cut -d' ' -f1)"
echo "size=$(stat -c %s big.bin)"
for at in 0 1 2097151 2097152 5000000 7352300; do
  cmp <(tail -c +$((at + 1)) big.bin | head -c 70000) \\
    <(tail -c +$((at + 1)) /home/dnanexus/big.bin | head -c 70000) && echo "same from $at"
done
for n in 1 2 3 4; do md5sum < big.bin > /tmp/sum.$n & done; wait
echo "at once=$(cat /tmp/sum.* | sort -u | cut -d' ' -f1)"
echo "empty=$(wc -c < empty.txt)"
echo "twice=$(cat same.txt 1/same.txt | sort | tr '\\n' ' ')"
sudo -u nobody cat empty.txt && echo "others may read"
cd /home/dnanexus; umount mounted && echo "unmounted $(ls mounted | wc -l)"
"""


@pytest.fixture(scope="module")
def letters(dx: Dx) -> dict[str, str]:
    return {"A": dx.upload("A.txt", "1234"), "B": dx.upload("B.txt", "ABCD")}


@pytest.fixture(scope="module")
def large(dx: Dx) -> str:
    dx.call(f"/{dx.project}/newFolder", {"folder": "/large"})
    made = {
        name: dx.upload(name, content)
        for name, content in (("big.bin", LARGE), ("empty.txt", b""), ("same.txt", "one\n"))
    }
    again = dx.upload("same.txt", "two\n")
    dx.call(f"/{dx.project}/move", {"objects": [*made.values(), again], "destination": "/large"})
    return made["big.bin"]


class TestAllInputs:
    @pytest.fixture(scope="class")
    @classmethod
    def job(cls, dx: Dx, letters: dict[str, str]) -> Ended:
        a, b = file(letters["A"]), file(letters["B"])
        spec = [field("seq1", "file"), field("seq2", "file"), field("ref", "array:file")]
        values = {"seq1": a, "seq2": b, "ref": [a, b]}
        return dx.ran(BASIC, inputSpec=spec, outputSpec=[], input=values)

    def test_every_input_is_a_file_at_its_place(self, job: Ended) -> None:
        assert job.state == "done", "\n".join(line.msg for line in job.log[-12:])
        assert {"first=1234", "second=ABCD", "array=1234 ABCD"} <= set(job.said())
        listed = "./ref/0/A.txt ./ref/1/B.txt ./seq1/A.txt ./seq2/B.txt "
        assert f"listed={listed}" in job.said()
        assert "size=4 kind=fuseblk" in job.said() or "size=4 kind=fuse" in job.said()

    def test_nothing_can_be_changed_there(self, job: Ended) -> None:
        assert {"cannot be written", "cannot be removed", "nothing else"} <= set(job.said())

    def test_the_job_needs_no_rights_to_run_containers(self, job: Ended) -> None:
        reason = "This job may run containers and mount, as its code names dx-mount-all-inputs"
        assert reason in job.said("INFO")


@pytest.mark.usefixtures("large")
def test_a_project_is_read_as_it_is(dx: Dx) -> None:
    ended = dx.ran(LARGE_FILE, access={"network": [], "project": "VIEW"})
    assert ended.state == "done", "\n".join(line.msg for line in ended.log[-12:])
    assert f"whole={SUM}" in ended.said()
    assert f"at once={SUM}" in ended.said()
    assert f"size={len(LARGE)}" in ended.said()
    places = [0, 1, 2097151, 2097152, 5000000, 7352300]
    assert lines_of(ended.said(), "same from ") == [str(at) for at in places]
    assert {"empty=0", "twice=one two ", "others may read", "unmounted 0"} <= set(ended.said())


def test_what_the_job_may_not_see_cannot_be_mounted(dx: Dx) -> None:
    other = dx.call("/project/new", {"name": "not for jobs"})["id"]
    ended = dx.ran(f"mkdir m; dxfuse m {other}; echo not reached")
    assert ended.state == "failed"
    (said,) = lines_of(ended.said(), "error, ")
    assert said.endswith("nothing is mounted")
    assert "not reached" not in ended.said()


def test_a_command_line_that_is_wrong_is_refused(dx: Dx) -> None:
    ended = dx.ran(
        "mkdir m; dxfuse -version; dxfuse m || echo code=$?; dxfuse -limitedWrite m p || echo $?\n"
        "dxfuse nowhere p || echo code=$?\n"
    )
    assert [text for text in ended.said() if text.startswith("code=")] == ["code=2", "code=1"]
    assert "-limitedWrite: files can be read only here" in ended.said("STDERR")
    assert ended.said()[0].startswith("v1.")


def test_reading_fails_and_never_lies_while_the_server_is_gone(own_site: Site, own_dx: Dx) -> None:
    file_id = own_dx.upload("big.bin", LARGE)
    code = """
    answers() { curl -s -o /dev/null --max-time 5 http://127.0.0.1:8124/; }
    dx-mount-all-inputs
    echo "began with $(head -c 100 in/big/big.bin | md5sum | cut -d' ' -f1)"
    while answers; do sleep 0.1; done
    if cat in/big/big.bin > got; then echo whole > result; else echo refused > result; fi
    until answers; do sleep 0.1; done
    echo "it was $(cat result), of $(wc -c < got)"
    cmp got <(head -c $(wc -c < got) in/big/big.bin) && echo "no wrong byte"
    until sum=$(md5sum < in/big/big.bin 2> /dev/null); do sleep 0.1; done
    echo "again=${sum%% *}"
    """
    applet = own_dx.applet(code, inputSpec=[field("big", "file")], outputSpec=[])
    job = own_dx.run(applet, input={"big": file(file_id)})
    until(lambda: any(line.msg.startswith("began") for line in own_site.log(job, tail=False)))
    own_site.stop(signal.SIGKILL)  # its worker stays: without one, calls would wait for the next
    (root,) = (own_site.data / "work").glob(f"{job}.*/sandbox/root")
    until((root / "home/dnanexus/result").exists)
    own_site.start()
    ended = own_site.ended(job)
    assert ended.state == "done", "\n".join(line.msg for line in ended.log[-12:])
    (said,) = lines_of(ended.said(), "it was refused, of ")
    assert int(said) < len(LARGE)
    assert "no wrong byte" in ended.said()
    assert f"again={SUM}" in ended.said()


def test_a_site_may_switch_it_off(images_folder: Path, tmp_path: Path) -> None:
    with opened(images_folder, PLASMID_CONTAINERS_ALLOW="never") as site:
        ended = user(site, tmp_path, "own").ran("dx-mount-all-inputs || docker images")
    assert ended.state == "failed"
    reason = "containers and mounts are switched off here ([containers] allow = never)"
    assert [f"{name}: {reason}" for name in ("dxfuse", "docker")] == [
        text for text in ended.said("STDERR") if text.endswith(reason)
    ]
