"""A skip that nobody explained fails CI: whole runs of pytest with our conftest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
SKIPPED = "test_one.py::test_b"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with our conftest and a test that is skipped."""
    shutil.copy(TESTS / "conftest.py", tmp_path)
    (tmp_path / "test_one.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip('not here')\n"
    )
    return tmp_path


def run(folder: Path, allowed: str, **extra: str) -> tuple[int, str]:
    """Return exit code and output of a run with these lines in allowed_skips.txt."""
    (folder / "allowed_skips.txt").write_text(allowed)
    environ = {key: value for key, value in os.environ.items() if key != "CI"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    ran = subprocess.run(
        command, cwd=folder, env=environ | extra, capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stdout


def test_an_unexplained_skip_fails_ci_and_is_named(folder: Path) -> None:
    code, said = run(folder, "", CI="true")
    assert (code, f"{SKIPPED}: Skipped: not here" in said) == (1, True)


def test_an_unexplained_skip_is_only_named_at_a_desk(folder: Path) -> None:
    code, said = run(folder, "")
    assert (code, SKIPPED in said) == (0, True)


def test_a_line_with_a_reason_explains_a_skip(folder: Path) -> None:
    code, said = run(folder, f"# a comment\n\n{SKIPPED}  # no such engine here\n", CI="true")
    assert (code, SKIPPED in said) == (0, False)


def test_a_line_without_a_reason_explains_nothing(folder: Path) -> None:
    assert run(folder, f"{SKIPPED}\n", CI="true")[0] == 1
