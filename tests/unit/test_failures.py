"""A test that fails fails alone: a whole run of pytest with our conftest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
# The socket is closed when somebody collects the cycle, which warns: an error, wherever that is.
LEAVES_ONE_OPEN = """
import gc, socket

class Holder:
    def __init__(self):
        self.socket, self.me = socket.socket(), self

def test_that_fails():
    holder = Holder()
    assert not holder

def test_after_it():
    gc.collect()
"""


def test_what_a_failed_test_leaves_open_fails_no_other(tmp_path: Path) -> None:
    shutil.copy(TESTS / "conftest.py", tmp_path)
    (tmp_path / "allowed_skips.txt").write_text("")
    (tmp_path / "test_one.py").write_text(LEAVES_ONE_OPEN)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "--rootdir", ".", "-W", "error"]
    command = [sys.executable, "-m", "pytest", *options]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 failed, 1 passed" in ran.stdout, ran.stdout
