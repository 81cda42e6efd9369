"""A skip that nobody explained is found, by the pure function and by a whole run of pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import skips

TESTS = Path(__file__).resolve().parents[1]


def test_a_skip_is_explained_by_a_pattern_with_a_reason_only() -> None:
    allowed = skips.reasons("tests/a.py::*  # no engine\ntests/b.py::*\n# a comment\n\n")
    skipped = {"tests/a.py::test_x": "why", "tests/b.py::test_y": "why not"}
    assert skips.unexplained(skipped, allowed) == ["tests/b.py::test_y: why not"]


def test_an_unexplained_skip_fails_the_run_in_ci_only(tmp_path: Path) -> None:
    for name in ("conftest.py", "skips.py"):
        (tmp_path / name).write_text((TESTS / name).read_text())
    (tmp_path / "allowed_skips.txt").write_text("")
    (tmp_path / "test_one.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip('not here')\n"
    )
    assert run(tmp_path, {"CI": "true"}) == 1
    assert run(tmp_path, {}) == 0
    (tmp_path / "allowed_skips.txt").write_text("test_one.py::test_b  # told so\n")
    assert run(tmp_path, {"CI": "true"}) == 0


def run(folder: Path, extra: dict[str, str]) -> int:
    environ = {key: value for key, value in os.environ.items() if key != "CI"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    ran = subprocess.run(
        command, cwd=folder, env=environ | extra, capture_output=True, text=True, check=False
    )
    return ran.returncode
