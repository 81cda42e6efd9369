"""The table of instance types."""

from __future__ import annotations

import re

import pytest

from plasmid.domain import errors, instance_types
from plasmid.domain.instance_types import GB, GIB


@pytest.mark.parametrize(
    ("name", "cores", "memory_gib", "disk_gb"),
    [
        ("mem1_ssd1_v2_x2", 2, 4, 50),
        ("mem1_ssd1_v2_x4", 4, 8, 100),
        ("mem1_ssd1_v2_x36", 36, 72, 900),
        ("mem1_ssd1_v2_x72", 72, 144, 1800),
        ("mem2_ssd1_v2_x32", 32, 128, 1200),
        ("mem3_ssd1_v2_x8", 8, 64, 300),
        ("mem2_ssd2_v2_x4", 4, 16, 320),
        ("mem1_ssd2_v3_x128", 128, 256, 7600),
        ("mem1_ssd1_x4", 4, 7.5, 80),
        ("mem2_hdd2_x1", 1, 3.75, 410),
        ("mem2_hdd2_v2_x2", 2, 8, 1000),
        ("azure:mem2_ssd1_x1", 1, 3.5, 128),
    ],
)
def test_a_type_says_what_a_job_may_count_on(
    name: str, cores: int, memory_gib: float, disk_gb: int
) -> None:
    found = instance_types.get(name)
    assert (found.name, found.cores) == (name, cores)
    assert found.memory_bytes == memory_gib * GIB
    assert found.disk_bytes == disk_gb * GB


@pytest.mark.parametrize(
    "name",
    [
        *("mem1_ssd1_x2", "mem1_ssd1_x4", "mem1_ssd1_v2_x2", "mem1_ssd1_v2_x8", "mem2_ssd1_x2"),
        *("mem2_ssd1_v2_x2", "mem2_hdd2_x1", "mem2_hdd2_x2", "mem2_hdd2_x4", "mem2_hdd2_v2_x2"),
        *("azure:mem2_ssd1_x1", "mem1_ssd1_v2_x16", "mem3_hdd2_x8", "mem1_hdd1_v2_x4"),
        *("mem2_ssd1_gpu_x16", "mem3_ssd1_gpu_x8", "mem2_ssd2_gpu1_x4", "mem3_ssd2_fpga1_x24"),
    ],
)
def test_names_that_applets_use_are_known(name: str) -> None:
    assert instance_types.get(name).name == name


def test_cores_stand_in_the_name_and_names_are_one_each() -> None:
    for name, found in instance_types.ALL.items():
        assert name.rpartition("_x")[2] == str(found.cores)
        assert found.memory_bytes > 0
        assert found.disk_bytes > 0
    in_rows = sum(len(family.cores.split()) for family in instance_types._FAMILIES)
    assert len(instance_types.ALL) == in_rows


def test_cards_and_gate_arrays_stand_in_the_name() -> None:
    for name, found in instance_types.ALL.items():
        for kind, count in (("gpu", found.gpus), ("fpga", found.fpgas)):
            number = re.search(rf"_{kind}(\d+)_", name)
            assert number is None or int(number.group(1)) == count, name
            assert (f"_{kind}" in name.lower()) is (count > 0), name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mem1_ssd1_x3", 'got "mem1_ssd1_x3": there are mem1_ssd1_x2, mem1_ssd1_x4'),
        ("large", 'got "large", for example mem1_ssd1_v2_x4'),
        ("", 'got "", for example'),
        (None, 'got "None"'),
        (["mem1_ssd1_x2"], 'key "instanceType" of input to be the name of an instance type'),
    ],
)
def test_an_unknown_name_is_refused_with_a_hint(name: object, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        instance_types.get(name)
    assert message in caught.value.message


def test_the_default_depends_on_the_age_of_the_release() -> None:
    assert instance_types.default_for("24.04") == instance_types.DEFAULT
    assert instance_types.default_for(None) == instance_types.DEFAULT
    assert instance_types.default_for("14.04") == "mem2_hdd2_x2"


def test_the_table_is_described_as_compilers_read_it() -> None:
    described = instance_types.described()
    assert described.keys() == instance_types.ALL.keys()
    assert described["mem1_ssd1_v2_x4"] == {
        "internalName": "mem1_ssd1_v2_x4",
        "traits": [],
        "services": [],
        "os": [
            {"distribution": "Ubuntu", "release": "24.04", "version": "0"},
            {"distribution": "Ubuntu", "release": "20.04", "version": "0"},
        ],
        "numCores": 4,
        "totalMemoryMB": 8192,
        "ephemeralStorageGB": 100,
    }
