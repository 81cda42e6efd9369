"""The table of instance types: their names, and how many cores, how much memory and disk (E.2).

Applets name an instance type to say what they need, and read cores and memory from its name
(`sed 's/mem.*x//'`), so the names are kept. Families are regular: a row gives memory and disk
per core. Memory is what the client shows within a few per cent; disk is the usual of the family.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import errors

DEFAULT: Final = "mem1_ssd1_v2_x4"
# What a job gets whose executable is for one of the releases of before 2016.
DEFAULT_OF_OLD_RELEASES: Final = "mem2_hdd2_x2"
OLD_RELEASES: Final = ("12.04", "14.04")

GIB: Final = 1024**3
GB: Final = 10**9
MIB: Final = 1024**2


class InstanceType(msgspec.Struct, frozen=True):
    """What a job on this instance type may count on."""

    name: str
    cores: int
    memory_bytes: int
    disk_bytes: int
    gpus: int = 0
    fpgas: int = 0


class _Family(msgspec.Struct, frozen=True):
    """Instance types that differ in their number of cores; disk and memory grow with it."""

    prefix: str
    memory_gib: float
    disk_gb: float
    cores: str
    gpus: int = 0
    fpgas: int = 0
    disk_gb_min: int = 0


# fmt: off
_FAMILIES: Final = (
    #       prefix                 GiB/core  GB/core  cores
    _Family("mem1_ssd1_v2",             2.0,    25.0, "2 4 8 16 36 72"),
    _Family("mem1_ssd2_v2",             2.0,    80.0, "2 4 8 16 36 72"),
    _Family("mem1_ssd2_v3",             2.0,   59.38, "2 4 8 16 32 48 64 96 128"),
    _Family("mem2_ssd1_v2",             4.0,    37.5, "2 4 8 16 32 48 64 96"),
    _Family("mem2_ssd2_v2",             4.0,    80.0, "2 4 8 16 32 48 64 96"),
    _Family("mem2_ssd2_v3",             4.0,   59.38, "2 4 8 16 32 48 64 96 128"),
    _Family("mem3_ssd1_v2",             8.0,    37.5, "2 4 8 16 32 48 64 96"),
    _Family("mem3_ssd2_v2",           7.625,   237.5, "2 4 8 16 32 64"),
    _Family("mem3_ssd2_v3",             8.0,   59.38, "2 4 8 16 32 48 64 96 128"),
    _Family("mem3_ssd3",                8.0,   625.0, "2 4 8 12 24 48 96"),
    _Family("mem4_ssd1",              15.25,    30.0, "128"),
    # The first generation.
    _Family("mem1_ssd1",              1.875,    20.0, "2 4 8 16 32 36"),
    _Family("mem1_ssd2",              1.875,    80.0, "2 4 8 16 36"),
    _Family("mem2_ssd1",               3.75,    20.0, "2 4 8"),
    _Family("mem2_ssd2",                4.0,    80.0, "2 4 8 16 40 64"),
    _Family("mem3_ssd1",              7.625,    20.0, "2 4 8 16 32"),
    _Family("mem3_ssd2",              7.625,   200.0, "4 8 16 32"),
    _Family("mem1_hdd1",              1.875,   100.0, "2 4 8 16 36"),
    _Family("mem1_hdd1_v2",             2.0,   100.0, "2 4 8 16 36 72 96"),
    _Family("mem1_hdd2",                1.7,   160.0, "1"),
    _Family("mem1_hdd2",              0.875,   210.0, "8"),
    _Family("mem2_hdd2",               3.75,   410.0, "1 2 4"),
    _Family("mem2_hdd2_v2",             4.0,   500.0, "2 4"),
    _Family("mem3_hdd2",               8.55,   210.0, "2 4 8"),
    _Family("mem3_hdd2_v2",             8.0,   250.0, "2 4 8"),
    # With graphics cards or gate arrays.
    _Family("mem2_ssd1_gpu",            4.0,    14.0, "16 32 64", gpus=1),
    _Family("mem2_ssd1_gpu1",           4.0,    14.0, "32 64", gpus=1),
    _Family("mem2_ssd1_gpu",            4.0,   18.75, "48", gpus=4),
    _Family("mem2_ssd1_gpu4",           4.0,   18.75, "48", gpus=4),
    _Family("mem2_ssd2_gpu1",           4.0,    29.0, "4 8 16 32 64", gpus=1),
    _Family("mem2_ssd2_gpu4",           4.0,    39.5, "48 96", gpus=4),
    _Family("mem2_ssd2_gpu8",           4.0,    39.5, "192", gpus=8),
    _Family("mem2_ssd2_gpu1_v2",        4.0,    29.0, "4 8 16 32 64", gpus=1),
    _Family("mem2_ssd2_gpu4_v2",        4.0,    39.0, "48 96", gpus=4),
    _Family("mem2_ssd2_gpu8_v2",        4.0,    39.0, "192", gpus=8),
    _Family("mem3_ssd1_gpu",          7.625,    20.0, "8 32 64", gpus=1),
    _Family("mem3_ssd1_gpu1",           8.0,    28.0, "16 32", gpus=1),
    _Family("mem3_ssd2_fpga1",       10.667,    39.0, "24", fpgas=1),
    _Family("mem3_ssd2_fpga2",       10.667,    39.0, "48", fpgas=2),
    _Family("mem3_ssd2_fpga8",       10.667,    39.0, "192", fpgas=8),
    # Azure.
    _Family("azure:mem1_ssd1",         1.96,    16.0, "2 4 8 16"),
    _Family("azure:mem2_ssd1",          3.5,    32.0, "1 2 4 8 16", disk_gb_min=128),
    _Family("azure:mem3_ssd1",          7.0,    32.0, "2 4 8 16 20", disk_gb_min=128),
    _Family("azure:mem4_ssd1",         14.0,    32.0, "2 4 8 16 32", disk_gb_min=128),
    _Family("azure:mem5_ssd2",         28.0,   128.0, "64 128"),
    _Family("azure:mem3_ssd2_gpu4",   7.625,    32.0, "64", gpus=4),
    # Oracle.
    _Family("oci:mem1_ssd1_v3i",       1.95,    25.0, "2 4 8 16 36"),
    _Family("oci:mem1_ssd2_v3i",       1.95,    80.0, "2 4 8 16 36"),
    _Family("oci:mem2_ssd1_v3i",        3.9,    37.5, "2 4 8 16 32"),
    _Family("oci:mem3_ssd1_v3i",        7.8,    37.5, "2 4 8 16 32"),
    _Family("oci:mem3_ssd2_v3i",        7.8,   237.5, "2 4 8 16 32"),
    _Family("oci:mem3_ssd3_v3i",        7.8,   625.0, "2 4 8 12 24 32"),
    _Family("oci:mem2_ssd1_GPU_v2",    2.93,    20.0, "24", gpus=1),
    _Family("oci:mem3_ssd1_GPU_v3",   7.325,    20.0, "12", gpus=1),
    _Family("oci:mem3_ssd1_GPU_v3",   7.325,    20.0, "24", gpus=2),
    _Family("oci:mem3_ssd1_GPU_v3",   7.325,    20.0, "48", gpus=4),
    _Family("oci:mem3_ssd2_GPU_vA10", 7.813,    32.0, "30", gpus=1),
    _Family("oci:mem3_ssd2_GPU_vA10", 7.813,    32.0, "60", gpus=2),
)
# fmt: on


def _members(family: _Family) -> list[InstanceType]:
    return [
        InstanceType(
            name=f"{family.prefix}_x{cores}",
            cores=cores,
            memory_bytes=int(cores * family.memory_gib * GIB),
            disk_bytes=max(int(cores * family.disk_gb), family.disk_gb_min) * GB,
            gpus=family.gpus,
            fpgas=family.fpgas,
        )
        for cores in map(int, family.cores.split())
    ]


ALL: Final = {member.name: member for family in _FAMILIES for member in _members(family)}


def get(name: object, key: str = "instanceType", where: str = "input") -> InstanceType:
    """Return an instance type by its name; raises InvalidInput that names the nearest ones."""
    found = ALL.get(name) if isinstance(name, str) else None
    if found is None:
        message = f'Expected key "{key}" of {where} to be the name of an instance type'
        raise errors.InvalidInput(f'{message}, got "{name}"{_alike(str(name))}')
    return found


def _alike(name: str) -> str:
    """Return the known members of a name's family, as a hint."""
    prefix = name.rpartition("_x")[0]
    members = [known for known in ALL if prefix and known.rpartition("_x")[0] == prefix]
    return f": there are {', '.join(members)}" if members else f", for example {DEFAULT}"


def default_for(release: str | None) -> str:
    """Return what a job gets whose executable is for this release of Ubuntu and asks for nothing.

    The old default belongs to the releases of its time.
    """
    return DEFAULT_OF_OLD_RELEASES if release in OLD_RELEASES else DEFAULT


def described() -> dict[str, dict[str, Any]]:
    """Return the table as the describe of a project shows it (`availableInstanceTypes`, C.2)."""
    systems = [
        {"distribution": "Ubuntu", "release": release, "version": "0"}
        for release in ("24.04", "20.04")
    ]
    return {
        name: {
            "internalName": name,
            "traits": [],
            "services": [],
            "os": systems,
            "numCores": found.cores,
            "totalMemoryMB": found.memory_bytes // MIB,
            "ephemeralStorageGB": found.disk_bytes // GB,
        }
        for name, found in ALL.items()
    }
