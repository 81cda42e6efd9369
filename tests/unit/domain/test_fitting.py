"""Instance types on machines of all sizes: what runs, with what, and what is refused how."""

from __future__ import annotations

import pytest

from plasmid.domain import errors, fitting, instance_types
from plasmid.domain.instance_types import GB, GIB
from plasmid.domain.placement import Machine

LAPTOP = Machine(6 * GIB, 16, cores=2, disk_bytes=200 * GB)
SERVER = Machine(400 * GIB, 16, cores=96, disk_bytes=20_000 * GB)
UNKNOWN = Machine(0, 0)


def named(name: str) -> instance_types.InstanceType:
    return instance_types.get(name)


def refusal(name: str, machine: Machine, *, may_shrink: bool = False) -> str:
    with pytest.raises(errors.InvalidInput) as caught:
        fitting.check(named(name), machine, may_shrink=may_shrink)
    return caught.value.message


@pytest.mark.parametrize(
    ("name", "machine", "is_larger"),
    [
        ("mem1_ssd1_v2_x2", LAPTOP, False),
        ("mem1_ssd1_v2_x4", LAPTOP, True),  # cores
        ("mem3_ssd1_v2_x2", LAPTOP, True),  # memory
        ("mem1_hdd2_x8", Machine(400 * GIB, 1, cores=96, disk_bytes=GB), True),  # disk
        ("mem1_ssd1_v2_x36", SERVER, False),
        ("mem1_ssd1_v2_x72", UNKNOWN, False),
    ],
)
def test_a_type_is_larger_if_one_of_its_figures_is(
    name: str, machine: Machine, *, is_larger: bool
) -> None:
    assert fitting.is_larger(named(name), machine) == is_larger
    fitting.check(named(name), machine, may_shrink=True)
    if not is_larger:
        fitting.check(named(name), machine, may_shrink=False)
        assert fitting.notes(named(name), machine) == []


def test_a_refusal_says_what_it_has_what_the_machine_has_and_the_ways_out() -> None:
    message = refusal("mem1_ssd1_v2_x36", LAPTOP)
    assert message.startswith(
        "Instance type mem1_ssd1_v2_x36 has 36 cores, 72 GiB of memory and 900 GB of disk, and "
        "this machine gives a job at most 2 cores, 6 GiB of memory and 200 GB of disk: "
    )
    for remedy in ("smaller instance type", "plasmid serve --fit", "fit = true", "[jobs]"):
        assert remedy in message


def test_what_is_fitted_has_the_least_of_both_and_says_so() -> None:
    got = fitting.fitted(named("mem1_ssd1_v2_x36"), LAPTOP)
    assert (got.name, got.cores, got.memory_bytes, got.disk_bytes) == (
        "mem1_ssd1_v2_x36", 2, 6 * GIB, 200 * GB,
    )  # fmt: skip
    (line,) = fitting.notes(named("mem1_ssd1_v2_x36"), LAPTOP)
    assert "has 36 cores, 72 GiB" in line
    assert "runs with 2 cores, 6 GiB of memory and 200 GB of disk" in line


@pytest.mark.parametrize("may_shrink", [True, False])
def test_accelerators_that_are_not_there_are_refused_whatever_is_allowed(
    *, may_shrink: bool
) -> None:
    message = refusal("mem2_ssd1_gpu_x16", SERVER, may_shrink=may_shrink)
    assert "1 GPU and this machine has none" in message
    assert "CDI" in message
    assert "/etc/cdi" in message
    assert "FPGAs" in refusal("mem3_ssd2_fpga1_x24", SERVER, may_shrink=may_shrink)


def test_cards_are_counted() -> None:
    one = Machine(400 * GIB, 4, cores=96, gpus=("x.org/gpu=0",))
    fitting.check(named("mem2_ssd1_gpu_x16"), one, may_shrink=False)
    assert "4 GPUs and this machine has 1 " in refusal("mem2_ssd1_gpu4_x48", one)


@pytest.mark.parametrize(
    ("cores", "memory_gib", "release", "name"),
    [
        (0, 0, None, "mem1_ssd1_v2_x4"),
        (96, 400, "24.04", "mem1_ssd1_v2_x4"),
        (4, 8, "24.04", "mem1_ssd1_v2_x4"),
        (3, 8, "24.04", "mem1_ssd1_v2_x2"),
        (4, 7, "24.04", "mem1_ssd1_v2_x2"),
        (2, 4, "20.04", "mem1_ssd1_v2_x2"),
        (1, 1, "24.04", "mem1_ssd1_v2_x2"),
        (2, 8, "14.04", "mem2_hdd2_x2"),
        (2, 4, "14.04", "mem2_hdd2_x1"),
        (1, 1, "14.04", "mem2_hdd2_x1"),
    ],
)
def test_a_job_that_asks_for_nothing_gets_the_largest_of_the_family_that_fits(
    cores: int, memory_gib: int, release: str | None, name: str
) -> None:
    machine = Machine(memory_gib * GIB, 4, cores=cores, disk_bytes=GB)
    assert fitting.default(release, machine) == name


def test_another_default_than_the_usual_is_said() -> None:
    (line,) = fitting.notes(named("mem1_ssd1_v2_x2"), LAPTOP, usual="mem1_ssd1_v2_x4")
    assert (
        line == "The usual mem1_ssd1_v2_x4 is larger than this machine: this is a mem1_ssd1_v2_x2"
    )
    usual = "mem1_ssd1_v2_x4"
    assert fitting.notes(named(usual), SERVER, usual=usual) == []
