"""What a sandbox uses, read from folders of our own that look like control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.engines import cgroups, measuring

MIB = 1 << 20


def a_group(
    folder: Path, version: int, controllers: tuple[str, ...], **files: str
) -> cgroups.Group:
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return cgroups.Group(version, str(folder), controllers)


def test_version_1_tells_it_by_four_groups(tmp_path: Path) -> None:
    groups = (
        a_group(tmp_path / "cpu", 1, ("cpu",)),
        a_group(tmp_path / "cpuacct", 1, ("cpuacct",), cpuacct__stat="user 150\nsystem 30\n"),
        a_group(
            tmp_path / "memory",
            1,
            ("memory",),
            memory__usage_in_bytes=f"{10 * MIB}\n",
            memory__max_usage_in_bytes=f"{12 * MIB}\n",
            memory__stat=f"active_file 7\ntotal_active_file {MIB}\ntotal_inactive_file {MIB}\n",
            memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        ),
        a_group(tmp_path / "pids", 1, ("pids",), pids__current="5\n"),
    )
    found = measuring.measured(groups, None, is_device=False)
    assert (found.cpu_user_ms, found.cpu_system_ms) == (1500, 300)
    assert (found.memory_bytes, found.cached_bytes) == (8 * MIB, 2 * MIB)
    assert (found.peak_memory_bytes, found.out_of_memory_kills) == (12 * MIB, 2)
    assert (found.processes, found.read_bytes, found.disk_used_bytes) == (5, None, None)


def test_version_2_tells_it_by_one(tmp_path: Path) -> None:
    group = a_group(
        tmp_path / "one",
        2,
        ("memory", "cpu", "pids", "io"),
        cpu__stat="usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n",
        memory__current=f"{10 * MIB}\n",
        memory__peak=f"{11 * MIB}\n",
        memory__stat=f"active_file {MIB}\ninactive_file 0\nslab_reclaimable {2 * MIB}\n",
        memory__events="low 0\noom_kill 1\n",
        pids__current="1\n",
        io__stat="8:0 rbytes=100 wbytes=200 rios=3 wios=4 dbytes=9 dios=9\n"
        "8:16 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0 dios=0\n",
    )
    found = measuring.measured((group,), None, is_device=False)
    assert (found.cpu_user_ms, found.cpu_system_ms) == (2000, 500)
    assert (found.memory_bytes, found.cached_bytes) == (7 * MIB, 3 * MIB)
    assert (found.peak_memory_bytes, found.out_of_memory_kills) == (11 * MIB, 1)
    assert (found.read_bytes, found.written_bytes) == (101, 202)
    assert (found.reads, found.writes) == (4, 5)


def test_a_folder_that_is_a_sandboxes_own_disk_tells_what_is_used(tmp_path: Path) -> None:
    group = a_group(tmp_path / "one", 2, ("memory",))
    found = measuring.measured((group,), tmp_path, is_device=False)
    assert found.disk_total_bytes is not None
    assert found.disk_used_bytes is not None
    assert 0 < found.disk_used_bytes <= found.disk_total_bytes


def test_groups_that_are_gone_are_told_from_groups_that_used_nothing(tmp_path: Path) -> None:
    gone = cgroups.Group(1, str(tmp_path / "gone"), ("memory",))
    with pytest.raises(FileNotFoundError):
        measuring.measured((gone,), None, is_device=False)
