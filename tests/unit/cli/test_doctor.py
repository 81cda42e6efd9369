"""The doctor's judgements: each finding has its level and a remedy that can be typed."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from plasmid.cli import doctor

V1 = "30 20 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n"
V1_REST = "31 20 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,pids\n"
V2 = "32 20 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
ALL = ["cpu", "memory", "pids"]
TOOLS = dict.fromkeys(("crun", "runc", "conmon", "podman", "patchelf", "mmdebstrap"), "1.0")


def machine(tmp_path: Path, *, port: int = 0, **environ: str) -> doctor.Machine:
    return doctor.Machine(0, "root", tmp_path, port, environ)


def test_a_line_has_level_subject_finding_and_remedy() -> None:
    finding = doctor.Finding(doctor.FAIL, "disk", "0.1 GiB free", "free some")
    assert finding.line() == "FAIL  disk              0.1 GiB free  -> free some"
    assert doctor.Finding(doctor.OK, "disk", "9 GiB free").line().endswith("9 GiB free")


def levels(findings: list[doctor.Finding]) -> dict[str, str]:
    return {finding.what: finding.level for finding in findings}


def test_root_needs_one_oci_runtime_and_conmon() -> None:
    assert set(levels(doctor.judge_tools(TOOLS, is_root=True)).values()) == {doctor.OK}
    one = levels(doctor.judge_tools({**TOOLS, "crun": None, "podman": None}, is_root=True))
    assert one["OCI runtime"] == doctor.OK
    none = doctor.judge_tools({"mmdebstrap": "1.0"}, is_root=True)
    assert levels(none)["OCI runtime"] == levels(none)["conmon"] == doctor.FAIL
    assert all(f.remedy.startswith("apt-get install") for f in none if f.level == doctor.FAIL)


def test_who_is_not_root_needs_podman_only() -> None:
    assert levels(doctor.judge_tools({"podman": "4.3"}, is_root=False)) == {
        "podman": doctor.OK,
        "mmdebstrap": doctor.WARN,
    }
    assert levels(doctor.judge_tools({**TOOLS, "podman": None}, is_root=False))["podman"] == "FAIL"


@pytest.mark.parametrize(
    ("mountinfo", "v2", "is_root", "level", "found"),
    [
        (V2, ALL, True, doctor.OK, "v2"),
        (V1 + V1_REST, [], True, doctor.OK, "v1"),
        (V1 + V1_REST + V2, [], True, doctor.OK, "v1 and v2"),
        (V1, [], True, doctor.FAIL, "v1, without cpu, pids"),
        ("", [], True, doctor.FAIL, "not mounted"),
        (V2.replace(" rw ", " ro "), ALL, True, doctor.FAIL, "v2, read-only"),
        (V1 + V1_REST, [], False, doctor.WARN, "v1, and you are not root"),
        (V2, ALL, False, doctor.OK, "v2"),
    ],
)
def test_cgroups_are_judged_in_every_mixture(
    mountinfo: str, v2: list[str], *, is_root: bool, level: str, found: str
) -> None:
    finding = doctor.judge_cgroups(mountinfo, v2, is_root=is_root)
    assert (finding.level, finding.found) == (level, found)
    assert bool(finding.remedy) == (level != doctor.OK)


def test_the_ids_of_sandboxes_must_not_be_somebody_elses() -> None:
    assert doctor.judge_ids("ada:100000:65536\n", "root", is_root=True).level == doctor.OK
    mixed = doctor.judge_ids("ada:100000:65536\nbob:299999:65536\n", "root", is_root=True)
    assert (mixed.level, "bob" in mixed.remedy) == (doctor.WARN, True)


def test_who_is_not_root_needs_a_range_of_ids() -> None:
    assert doctor.judge_ids("ada:100000:65536\n", "ada", is_root=False).level == doctor.OK
    assert doctor.judge_ids("ada:100000:65536\n", "bob", is_root=False).level == doctor.FAIL
    assert doctor.judge_ids("not a range\n", "bob", is_root=False).level == doctor.FAIL


def test_a_full_disk_is_said_before_it_hurts() -> None:
    gib = 1024**3
    found = [doctor.judge_disk(free).level for free in (50 * gib, 5 * gib, gib)]
    assert found == [doctor.OK, doctor.WARN, doctor.FAIL]


def test_a_clock_before_the_mirrors_last_release_is_wrong() -> None:
    release = "Origin: Debian\nDate: Sat, 11 Jan 2025 10:00:00 UTC\n"
    at = 1_736_589_600
    assert doctor.judge_clock(release, at + 10).level == doctor.OK
    assert doctor.judge_clock(release, at - 3600).level == doctor.FAIL
    assert doctor.judge_clock("", 86_400).level == doctor.FAIL


def test_a_proxy_that_dx_would_use_for_this_server_is_said() -> None:
    assert doctor.judge_proxies({}) == []
    (finding,) = doctor.judge_proxies({"https_proxy": "http://proxy.example:3128"})
    assert (finding.level, "https_proxy" in finding.found) == (doctor.WARN, True)


def test_a_port_in_use_is_found(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert doctor.check_port(machine(tmp_path, port=port))[0].level == doctor.WARN
    assert doctor.check_port(machine(tmp_path, port=port))[0].level == doctor.OK


def test_a_home_that_cannot_be_made_fails_with_the_variable_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (finding,) = doctor.check_home(machine(tmp_path / "file" / "home"))
    assert (finding.level, "PLASMID_HOME" in finding.remedy) == (doctor.FAIL, True)


def test_the_doctor_needs_no_package_of_ours(tmp_path: Path) -> None:
    code = (
        "import sys; from plasmid.cli import doctor;"
        "print([n for n in ('msgspec', 'starlette', 'cyclopts') if n in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(Path(doctor.__file__).parents[2]), "PLASMID_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"
