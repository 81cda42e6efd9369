"""A sandbox's OCI configuration, as data."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plasmid.engines import engine, oci_config

SPEC = engine.SandboxSpec(
    name="job-1.1",
    folder=Path("/work/job-1"),
    base_image=Path("/images/x/root"),
    hostname="job-1",
    command=("/bin/sh", "/start"),
    environment={"A": "b", "EMPTY": "", "SPACED": "x y=z"},
    working_directory="/home/dnanexus",
    files={},
    memory_bytes=1 << 30,
    cpu_weight=100,
    mounts=(
        engine.Mount("/host/a", "/inside/a"),
        engine.Mount("/host/b", "/inside/b", read_only=False),
    ),
)
ROOT = Path("/work/job-1/root")


def test_root_inside_is_nobody_outside() -> None:
    made = oci_config.config(SPEC, root=ROOT, cgroups={})
    mapping = [{"containerID": 0, "hostID": 300000, "size": 65536}]
    assert made["linux"]["uidMappings"] == mapping
    assert made["linux"]["gidMappings"] == mapping
    assert made["process"]["user"] == {"uid": 0, "gid": 0}


def test_every_namespace_is_its_own() -> None:
    made = oci_config.config(SPEC, root=ROOT, cgroups={})
    kinds = {namespace["type"] for namespace in made["linux"]["namespaces"]}
    assert kinds == {"user", "pid", "mount", "uts", "ipc", "network", "cgroup"}
    assert all("path" not in namespace for namespace in made["linux"]["namespaces"])


def test_the_command_gets_what_the_spec_says() -> None:
    made = oci_config.config(SPEC, root=ROOT, cgroups={})
    assert made["process"]["args"] == ["/bin/sh", "/start"]
    assert made["process"]["env"] == ["A=b", "EMPTY=", "SPACED=x y=z"]
    assert made["process"]["cwd"] == "/home/dnanexus"
    assert made["hostname"] == "job-1"
    assert made["root"] == {"path": str(ROOT), "readonly": False}


def test_sudo_works_and_no_limit_is_raised() -> None:
    process = oci_config.config(SPEC, root=ROOT, cgroups={})["process"]
    assert process["noNewPrivileges"] is False
    assert "CAP_SETUID" in process["capabilities"]["bounding"]
    assert "rlimits" not in process


@pytest.mark.parametrize(
    "capability", ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_PTRACE"]
)
def test_what_reaches_the_kernel_is_not_given(capability: str) -> None:
    process = oci_config.config(SPEC, root=ROOT, cgroups={})["process"]
    assert all(capability not in kind for kind in process["capabilities"].values())


def test_mounts_of_the_spec_come_last_and_are_read_only_unless_said() -> None:
    mounts = oci_config.config(SPEC, root=ROOT, cgroups={})["mounts"][-2:]
    assert [(m["source"], m["destination"], "ro" in m["options"]) for m in mounts] == [
        ("/host/a", "/inside/a", True),
        ("/host/b", "/inside/b", False),
    ]


def test_the_only_memory_that_a_mount_can_fill_is_the_jobs_own_half() -> None:
    mounts = oci_config.config(SPEC, root=ROOT, cgroups={"/sys/fs/cgroup/memory": "/m"})["mounts"]
    sizes = {
        mount["destination"]: option
        for mount in mounts
        for option in mount["options"]
        if option.startswith("size=")
    }
    assert sizes == {
        "/dev": "size=65536k",
        "/dev/shm": f"size={1 << 29}",
        "/sys/fs/cgroup": "size=64k",
    }


def test_the_sandboxs_own_groups_are_seen_read_only() -> None:
    inside = {"/sys/fs/cgroup/memory": "/sys/fs/cgroup/memory/plasmid/job-1.1"}
    mounts = oci_config.config(SPEC, root=ROOT, cgroups=inside)["mounts"]
    (bound,) = [m for m in mounts if m["destination"] == "/sys/fs/cgroup/memory"]
    assert bound["source"] == "/sys/fs/cgroup/memory/plasmid/job-1.1"
    assert "ro" in bound["options"]


def test_in_pure_version_2_the_group_is_the_whole_of_the_cgroup_folder() -> None:
    mounts = oci_config.config(SPEC, root=ROOT, cgroups={"/sys/fs/cgroup": "/g"})["mounts"]
    kinds = [m["type"] for m in mounts if m["destination"] == "/sys/fs/cgroup"]
    assert kinds == ["bind"]


def test_system_and_kernel_settings_are_read_only() -> None:
    made = oci_config.config(SPEC, root=ROOT, cgroups={})
    (sysfs,) = [m for m in made["mounts"] if m["destination"] == "/sys"]
    assert "ro" in sysfs["options"]
    assert "/proc/sys" in made["linux"]["readonlyPaths"]
    assert "/proc/kcore" in made["linux"]["maskedPaths"]


def test_calls_that_no_job_needs_are_refused() -> None:
    seccomp = oci_config.config(SPEC, root=ROOT, cgroups={})["linux"]["seccomp"]
    refused = {name for rule in seccomp["syscalls"] for name in rule["names"]}
    assert {"bpf", "kexec_load", "io_uring_setup", "keyctl"} <= refused
    assert seccomp["defaultAction"] == "SCMP_ACT_ALLOW"
    assert "SCMP_ARCH_X86" in seccomp["architectures"]


def test_another_machine_names_its_own_architectures() -> None:
    seccomp = oci_config.config(SPEC, root=ROOT, cgroups={}, machine="aarch64")["linux"]["seccomp"]
    assert seccomp["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]


def test_who_runs_containers_may_mount_and_nothing_else_more() -> None:
    plain = oci_config.config(SPEC, root=ROOT, cgroups={})
    spec = msgspec.structs.replace(SPEC, runs_containers=True)
    made = oci_config.config(spec, root=ROOT, cgroups={})
    held = [set(config["process"]["capabilities"]["bounding"]) for config in (plain, made)]
    assert held[1] - held[0] == {"CAP_SYS_ADMIN"}
    for key in ("maskedPaths", "readonlyPaths", "namespaces", "uidMappings"):
        assert made["linux"][key] == plain["linux"][key]
    assert made["mounts"] == plain["mounts"]


def test_only_who_runs_containers_makes_user_namespaces() -> None:
    def rules(spec: engine.SandboxSpec) -> dict[str, list[object]]:
        calls = oci_config.config(spec, root=ROOT, cgroups={})["linux"]["seccomp"]["syscalls"]
        return {name: call.get("args", []) for call in calls for name in call["names"]}

    plain = rules(SPEC)
    flag = {"index": 0, "value": 0x10000000, "valueTwo": 0x10000000, "op": "SCMP_CMP_MASKED_EQ"}
    assert (plain["clone"], plain["unshare"], plain["clone3"]) == ([flag], [flag], [])
    given = rules(msgspec.structs.replace(SPEC, runs_containers=True))
    assert plain.keys() - given.keys() == {"clone", "unshare", "clone3"}
