"""What supervises is kept apart from what it supervises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plasmid.engines import cgroups, protection

SOURCES = Path(__file__).resolve().parents[3] / "src"
PROTECTED = """
from pathlib import Path
from plasmid.engines import protection
def told():
    print(Path("/proc/self/cgroup").read_text().replace("\\n", " "))
with protection.protected():
    told()
    with protection.protected():
        told()
told()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes control groups")
def test_a_process_is_in_a_group_of_its_own_for_the_time_of_the_block() -> None:
    if not any(h.version == 1 for h in cgroups.find_hierarchies()):
        pytest.skip("where version 2 rules, a service manager has chosen our group")
    argv = [sys.executable, "-c", PROTECTED]
    environ = os.environ | {"PYTHONPATH": str(SOURCES)}
    said = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True).stdout
    first, second, after = said.splitlines()
    if "cpu:/ " not in after:
        pytest.skip("this process is in a group of processors already")
    assert f"cpu:/{protection.GROUP} " in first
    assert second == first


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process in the root of a machine that has version 2 only, which `tmp_path` stands for."""
    hierarchy = cgroups.Hierarchy(2, str(tmp_path), ("cpu",))
    monkeypatch.setattr(cgroups, "find_hierarchies", lambda: (hierarchy,))
    (tmp_path / "cgroup.subtree_control").touch()
    made = tmp_path / "process"
    made.mkdir()
    (made / "cgroup").write_text("0::/\n")
    return made


def test_in_version_2_the_group_has_a_weight(tmp_path: Path, process: Path) -> None:
    group = tmp_path / protection.GROUP
    with protection.protected(process=process):
        assert (group / "cpu.weight").read_text() == str(protection.CPU_WEIGHT)
        assert (group / "cgroup.procs").read_text() == str(os.getpid())
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu"
    assert not (group / "cpu.shares").exists()
    assert (tmp_path / "cgroup.procs").read_text() == str(os.getpid())


def test_who_was_moved_to_make_room_for_the_group_goes_back_to_there(
    tmp_path: Path, process: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = tmp_path / f"{cgroups.PARENT_NAME}-host"
    monkeypatch.setattr(cgroups, "offer", lambda *_: host.mkdir())
    with protection.protected(process=process):
        assert (tmp_path / protection.GROUP / "cgroup.procs").exists()
    assert (host / "cgroup.procs").read_text() == str(os.getpid())
    assert not (tmp_path / "cgroup.procs").exists()


def test_what_is_not_allowed_is_left_out(tmp_path: Path) -> None:
    with protection.protected(process=tmp_path / "none"):
        assert list(tmp_path.iterdir()) == []
