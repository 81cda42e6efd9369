"""What a job has of its instance type, through the real client: seen, kept to, and told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid.engines import disk
from tests.e2e.driver import Dx, opened, user

pytestmark = pytest.mark.e2e

SMALL = "mem1_ssd1_x2"
HUGE = "mem1_ssd1_v2_x72"
LOOK = """
main() {
    nproc; grep -c ^processor /proc/cpuinfo; free -b | awk '/^Mem/ {print $2}'
    df -B1 --output=size / | tail -1
}
"""
# So small that each machine has it, and so large that the platform's own parts fit in.
STRICT = {
    "PLASMID_JOBS_FIT": "false",
    "PLASMID_JOBS_CORES": "1",
    "PLASMID_JOBS_MEMORY_BYTES": str(1 << 30),
    "PLASMID_JOBS_DISK_BYTES": str(10**9),
}


@pytest.fixture(scope="module")
def strict(images_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dx]:
    """A user of a platform on a tiny machine that lets no larger job run."""
    with opened(images_folder, **STRICT) as site:
        yield user(site, tmp_path_factory.mktemp("strict"), "strict")


@pytest.fixture(scope="module")
def fitting(images_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dx]:
    """A user of the same tiny machine where larger jobs run with what there is."""
    with opened(images_folder, **{**STRICT, "PLASMID_JOBS_FIT": "true"}) as site:
        yield user(site, tmp_path_factory.mktemp("fitting"), "fitting")


def test_a_type_that_is_larger_than_the_machine_is_refused_with_the_ways_out(strict: Dx) -> None:
    applet = strict.applet(LOOK)
    said = strict("run", applet, "-y", "--brief", "--instance-type", HUGE, code=None)
    assert said.code != 0
    for part in (f"{HUGE} has 72 cores", "1 core, 1 GiB of memory and 1 GB of disk", "--fit"):
        assert part in said.text


def test_a_gpu_that_is_not_here_is_refused_and_cdi_is_named(strict: Dx, fitting: Dx) -> None:
    for dx in (strict, fitting):
        said = dx(
            "run", dx.applet(LOOK), "-y", "--brief", "--instance-type", "mem2_ssd1_gpu_x16",
            code=None,
        )  # fmt: skip
        assert said.code != 0
        assert "CDI" in said.text


def test_what_asks_for_nothing_runs_on_the_smallest_machine_and_is_told(strict: Dx) -> None:
    ended = strict.ran(LOOK)
    assert ended.describe["instanceType"] == "mem1_ssd1_v2_x2"
    assert ended.describe["plasmid"]["fitted"]["cores"] == 1
    told = ended.said("INFO")
    assert any("The usual mem1_ssd1_v2_x4 is larger than this machine" in line for line in told)


def test_a_fitted_job_sees_what_it_has_and_says_so(fitting: Dx) -> None:
    job = fitting.id("run", fitting.applet(LOOK), "-y", "--instance-type", HUGE)
    ended = fitting.site.ended(job)
    assert ended.describe["instanceType"] == HUGE
    assert any(
        f"Instance type {HUGE} has 72 cores" in line and "runs with 1 core" in line
        for line in ended.said("INFO")
    )
    cores, processors, memory, size = map(int, ended.said())
    assert (cores, processors, memory) == (1, 1, 1 << 30)
    if disk.problem() is None and os.geteuid() == 0:
        assert size == pytest.approx(10**9, rel=0.01)
        assert "notEnforced" not in ended.describe["plasmid"]
    else:
        assert any("disk" in reason for reason in ended.describe["plasmid"]["notEnforced"])
    assert ended.describe["plasmid"]["fitted"] == {
        "cores": 1, "memoryBytes": 1 << 30, "diskBytes": 10**9,
    }  # fmt: skip
    assert "plasmid" in fitting("describe", job).out


@pytest.mark.skipif(disk.problem() is not None, reason="disks cannot be limited here")
def test_a_job_that_fills_its_disk_fails_for_that_and_the_next_one_runs(fitting: Dx) -> None:
    code = "main() { echo begun; dd if=/dev/zero of=/tmp/big bs=1M; }"
    job = fitting.run(fitting.applet(code), executionPolicy={"restartOn": {}})
    ended = fitting.site.ended(job)
    assert ended.why.startswith("AppInsufficientResourceError: The job used up its disk of 1 GB (/")
    assert "begun" in ended.said()
    assert fitting.ran("echo fine").said() == ["fine"]


def test_sub_jobs_have_machines_of_their_own_size(fitting: Dx) -> None:
    needs = {
        "main": {"instanceType": "mem1_ssd1_x4"},
        "work": {"instanceType": SMALL},
        "picky": {"instanceTypeSelector": {"allowedInstanceTypes": [HUGE, "mem2_hdd2_x1"]}},
    }
    code = "main() { for e in work picky other; do dx-jobutil-new-job $e; done; }"
    applet = fitting.applet(code, run={"systemRequirements": needs})
    job = fitting.run(applet)
    fitting.site.ended(job)
    found = fitting.call("/system/findJobs", {"rootExecution": [job], "describe": True})["results"]
    types = {one["describe"]["function"]: one["describe"]["instanceType"] for one in found}
    assert types == {
        "main": "mem1_ssd1_x4", "work": SMALL, "picky": HUGE, "other": "mem1_ssd1_v2_x2",
    }  # fmt: skip
