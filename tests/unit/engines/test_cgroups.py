"""Control groups, on mount tables and folders of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.engines import cgroups

V1 = """\
31 30 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
35 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
"""
V2 = "30 25 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"


def test_version_1_has_a_hierarchy_a_controller() -> None:
    assert cgroups.parse_hierarchies(V1) == (
        cgroups.Hierarchy(1, "/sys/fs/cgroup/cpu,cpuacct", ("cpu", "cpuacct")),
        cgroups.Hierarchy(1, "/sys/fs/cgroup/memory", ("memory",)),
        cgroups.Hierarchy(1, "/sys/fs/cgroup/pids", ("pids",)),
    )


def test_version_2_has_one_for_all() -> None:
    found = cgroups.parse_hierarchies(V2, ["cpuset", "cpu", "io", "memory", "pids"])
    (only,) = found
    assert (only.version, only.mount) == (2, "/sys/fs/cgroup")
    assert only.controllers == ("memory", "cpu", "pids", "cpuset", "io")


def test_on_a_hybrid_machine_version_1_goes_first() -> None:
    assert cgroups.parse_hierarchies(HYBRID, ["hugetlb"]) == cgroups.parse_hierarchies(V1)


def test_controllers_may_be_spread_over_both_versions() -> None:
    without_pids = HYBRID.replace("rw,pids", "rw,freezer")
    found = cgroups.parse_hierarchies(without_pids, ["pids"])
    assert found[-1] == cgroups.Hierarchy(2, "/sys/fs/cgroup/unified", ("pids",))
    assert len(found) == 3


def test_a_mount_with_a_space_in_its_name_is_found() -> None:
    (found,) = cgroups.parse_hierarchies(V2.replace("/sys/fs/cgroup", r"/my\040groups"), ["pids"])
    assert found.mount == "/my groups"


@pytest.mark.parametrize(
    ("mountinfo", "offered", "hidden"),
    [
        (HYBRID, ["hugetlb"], "/sys/fs/cgroup/unified"),
        (HYBRID, [], None),
        (V1, [], None),
        (V2, ["memory", "cpu", "pids"], None),
    ],
)
def test_crun_must_not_see_a_version_2_with_controllers_beside_version_1(
    mountinfo: str, offered: list[str], hidden: str | None
) -> None:
    assert cgroups.hidden_from_crun(mountinfo, offered) == hidden


def test_the_other_hierarchies_are_those_without_our_controllers() -> None:
    others = cgroups.other_hierarchies(HYBRID, cgroups.parse_hierarchies(HYBRID))
    assert [(h.version, h.mount, h.controllers) for h in others] == [
        (1, "/sys/fs/cgroup/systemd", ()),
        (2, "/sys/fs/cgroup/unified", ()),
    ]


def test_a_sandbox_has_one_group_a_hierarchy() -> None:
    first, *_ = cgroups.groups_of(cgroups.parse_hierarchies(V1), "job-1")
    assert first.path == "/sys/fs/cgroup/cpu,cpuacct/plasmid/job-1"
    assert first.join_file == "/sys/fs/cgroup/cpu,cpuacct/plasmid/job-1/tasks"
    (only,) = cgroups.groups_of(cgroups.parse_hierarchies(V2, ["memory"]), "job-1")
    assert only.join_file == "/sys/fs/cgroup/plasmid/job-1/cgroup.procs"


def limits(group: cgroups.Group, weight: int = 100) -> dict[str, str]:
    asked = cgroups.Limits(memory_bytes=1000, cpu_weight=weight, processes_max=20)
    return dict(cgroups.limit_files(group, asked))


def test_limits_are_written_as_each_version_names_them() -> None:
    assert limits(cgroups.Group(1, "/g", ("memory", "cpu", "pids"))) == {
        "memory.limit_in_bytes": "1000",
        "memory.memsw.limit_in_bytes": "1000",
        "cpu.shares": "1024",
        "pids.max": "20",
    }
    assert limits(cgroups.Group(2, "/g", ("memory", "cpu", "pids"))) == {
        "memory.max": "1000",
        "memory.swap.max": "0",
        "cpu.weight": "100",
        "pids.max": "20",
    }


@pytest.mark.parametrize(("weight", "kept"), [(0, "1"), (1, "1"), (400, "400"), (99999, "10000")])
def test_a_weight_stays_within_what_the_kernel_takes(weight: int, kept: str) -> None:
    assert limits(cgroups.Group(2, "/g", ("cpu",)), weight) == {"cpu.weight": kept}


def test_what_memory_a_group_used_and_whether_it_ran_out_is_read_in_both_versions(
    tmp_path: Path,
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (one / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    (one / "memory.max_usage_in_bytes").write_text("4096\n")
    (two / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n")
    (two / "memory.peak").write_text("8192\n")
    groups = [cgroups.Group(1, str(tmp_path), ("cpu",)), cgroups.Group(1, str(one), ("memory",))]
    assert cgroups.out_of_memory_kills(groups) == 2
    assert cgroups.peak_memory_bytes(groups) == 4096
    groups = [cgroups.Group(2, str(two), ("memory", "pids"))]
    assert cgroups.out_of_memory_kills(groups) == 1
    assert cgroups.peak_memory_bytes(groups) == 8192


@pytest.mark.parametrize("version", [1, 2])
def test_processes_that_were_refused_are_counted(tmp_path: Path, version: int) -> None:
    group = cgroups.Group(version, str(tmp_path), ("pids",))
    assert cgroups.refused_processes([group]) == 0
    (tmp_path / "pids.events").write_text("max 3\n")
    assert cgroups.refused_processes([group]) == 3


def test_a_kernel_that_does_not_tell_leaves_it_open(tmp_path: Path) -> None:
    groups = [cgroups.Group(2, str(tmp_path), ("memory",))]
    assert cgroups.out_of_memory_kills(groups) == 0
    assert cgroups.peak_memory_bytes(groups) is None


def test_a_group_that_is_gone_has_no_processes_and_can_be_removed_again(tmp_path: Path) -> None:
    gone = cgroups.Group(1, str(tmp_path / "plasmid" / "job"), ("memory",))
    assert cgroups.processes(gone.path) == []
    cgroups.remove([gone])


def test_a_version_2_group_is_offered_its_controllers_by_those_above(tmp_path: Path) -> None:
    parent = tmp_path / cgroups.PARENT_NAME
    parent.mkdir()
    for folder in (tmp_path, parent):
        (folder / "cgroup.subtree_control").write_text("cpu\n")
    group = cgroups.Group(2, str(parent / "job"), ("memory", "cpu"))
    cgroups.create(group, cgroups.Limits(memory_bytes=1, cpu_weight=1, processes_max=1))
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"
    assert (parent / "cgroup.subtree_control").read_text() == "+memory"
    assert (parent / "job" / "memory.max").read_text() == "1"
    assert not (parent / "job" / "memory.swap.max").exists()


@pytest.mark.parametrize(
    ("version", "written"),
    [
        (1, {"cpu.shares": "1024", "cpu.cfs_quota_us": "300000", "cpuset.cpus": "0-2"}),
        (2, {"cpu.weight": "100", "cpu.max": "300000", "cpuset.cpus": "0-2"}),
    ],
)
def test_cores_are_processor_time_and_processors(version: int, written: dict[str, str]) -> None:
    group = cgroups.Group(version, "/g", ("cpu", "cpuset"))
    asked = cgroups.Limits(memory_bytes=1, cpu_weight=100, processes_max=1, cores=3, cpus="0-2")
    assert dict(cgroups.limit_files(group, asked)) == written


def test_a_version_1_cpuset_inherits_what_it_needs_to_be_entered(tmp_path: Path) -> None:
    parent = tmp_path / cgroups.PARENT_NAME
    for folder in (parent, parent / "job"):
        folder.mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):
            (folder / name).write_text("\n")
    (tmp_path / "cpuset.cpus").write_text("0-7\n")
    (tmp_path / "cpuset.mems").write_text("0\n")
    group = cgroups.Group(1, str(parent / "job"), ("cpuset",))
    limits_of_none = cgroups.Limits(memory_bytes=1, cpu_weight=1, processes_max=1)
    cgroups.create(group, limits_of_none)
    assert (parent / "cpuset.cpus").read_text() == "0-7"
    assert (parent / "job" / "cpuset.cpus").read_text() == "0-7"
    assert (parent / "job" / "cpuset.mems").read_text() == "0"
    cgroups.create(group, cgroups.Limits(memory_bytes=1, cpu_weight=1, processes_max=1, cpus="3"))
    assert (parent / "job" / "cpuset.cpus").read_text() == "3"


def test_what_memory_is_used_now_is_read_in_both_versions(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (one / "memory.usage_in_bytes").write_text("4096\n")
    (one / "memory.stat").write_text("total_active_file 100\ntotal_inactive_file 20\nrss 9\n")
    (two / "memory.current").write_text("8192\n")
    (two / "memory.stat").write_text("anon 9\nactive_file 300\ninactive_file 4\n")
    assert cgroups.memory_use([cgroups.Group(1, str(one), ("memory",))]) == (4096, 120)
    assert cgroups.memory_use([cgroups.Group(2, str(two), ("memory",))]) == (8192, 304)
    assert cgroups.memory_use([cgroups.Group(2, str(tmp_path), ("memory",))]) == (0, 0)
    assert cgroups.memory_use([]) == (0, 0)
