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


def test_what_is_not_allowed_is_left_out(tmp_path: Path) -> None:
    with protection.protected(process=tmp_path / "none"):
        assert list(tmp_path.iterdir()) == []
