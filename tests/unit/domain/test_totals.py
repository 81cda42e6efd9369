"""What a try has used in all, in words that help to choose an instance type."""

from __future__ import annotations

import msgspec
import pytest

from plasmid.domain import totals
from plasmid.domain.instance_types import GB, GIB

HAD = "mem1_ssd1_v2_x4"  # 4 cores, 8 GiB, 100 GB
USED = totals.Totals(
    measured_ms=3_600_000,
    cores=4,
    cpu_ms=9_720_000,
    average_cores=2.7,
    peak_cores=3.9,
    peak_memory_bytes=int(3.1 * GIB),
    memory_limit_bytes=8 * GIB,
    peak_disk_bytes=12 * GB,
    disk_limit_bytes=100 * GB,
    disk_read_bytes=1_200_000_000,
    disk_write_bytes=3_400_000_000,
    network_in_bytes=500_000_000,
    network_out_bytes=12_300,
)


def changed(**values: object) -> totals.Totals:
    return msgspec.structs.replace(USED, **values)


def test_the_last_line_says_what_was_used_of_what() -> None:
    (line,) = totals.lines(USED, HAD)
    assert line == (
        "Used at most 3.1 of 8.0 GiB memory (39 %), 12.0 of 100 GB disk, 2.7 of 4 cores on average "
        "(peak 3.9); read 1.2 GB, wrote 3.4 GB, received 500 MB, sent 12 kB"
    )


def test_what_is_not_known_is_not_said() -> None:
    unknown = changed(
        cores=1,
        peak_memory_bytes=None,
        peak_disk_bytes=None,
        disk_read_bytes=None,
        network_in_bytes=0,
    )
    (line,) = totals.lines(unknown, HAD)
    assert line == ("Used at most 2.7 of 1 core on average (peak 3.9); received 0 MB, sent 12 kB")


LITTLE = {"peak_memory_bytes": GIB, "peak_cores": 1.2, "average_cores": 0.9}
NOTHING = ""


@pytest.mark.parametrize(
    ("values", "instance_type", "expected"),
    [
        (
            LITTLE,
            HAD,
            "A smaller instance type would have done: mem1_ssd1_v2_x2 has 2 cores, 4 GiB",
        ),
        # it would not have had room to spare
        ({**LITTLE, "peak_cores": 1.61}, HAD, NOTHING),
        ({**LITTLE, "peak_disk_bytes": 41 * GB}, HAD, NOTHING),
        ({**LITTLE, "peak_memory_bytes": int(3.3 * GIB)}, HAD, NOTHING),
        # too short or unknown
        ({**LITTLE, "measured_ms": 59_000}, HAD, NOTHING),
        ({**LITTLE, "peak_disk_bytes": None}, HAD, NOTHING),
        (LITTLE, "no_such_type", NOTHING),
        (LITTLE, "mem2_ssd2_gpu1_x4", NOTHING),
        # the smallest there is
        ({**LITTLE, "cores": 2, "peak_cores": 0.5}, "mem1_ssd1_v2_x2", NOTHING),
        # too small
        (
            {"out_of_memory_kills": 1},
            HAD,
            "More memory would help: mem2_ssd1_v2_x4 has 4 cores, 16",
        ),
        ({"peak_memory_bytes": int(7.9 * GIB)}, HAD, "More memory would help: mem2_ssd1_v2_x4"),
        ({"peak_disk_bytes": 99 * GB}, HAD, "More disk would help: mem2_ssd1_v2_x4"),
        # the machine gave less than the type has: no other type gets more
        ({"out_of_memory_kills": 1, "memory_limit_bytes": 4 * GIB}, HAD, NOTHING),
    ],
)
def test_another_instance_type_is_named_when_it_is_clear(
    values: dict[str, object], instance_type: str, expected: str
) -> None:
    _, *hints = totals.lines(changed(**values), instance_type)
    assert len(hints) == bool(expected)
    assert all(hint.startswith(expected) for hint in hints)


def test_its_describe_has_the_names_of_the_api() -> None:
    found = msgspec.to_builtins(USED)
    assert found["peakMemoryBytes"] == int(3.1 * GIB)
    assert {"memoryLimitBytes", "cpuMs", "peakDiskBytes", "averageCores"} < set(found)
    assert {"diskReadBytes", "diskWriteBytes", "networkInBytes", "networkOutBytes"} < set(found)
