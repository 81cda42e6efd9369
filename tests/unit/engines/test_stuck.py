"""Which file systems are ended; that it helps is tested in tests/e2e/test_kills.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plasmid.engines import stuck

SANDBOX = """\
59 130 0:45 / /tmp/mute rw,relatime - fuse mute rw,user_id=0
60 130 0:46 / /tmp/a\\040b rw,relatime shared:1 - fuse.dxfuse x rw
61 130 0:47 / /data rw,relatime - fuse.sshfs of-the-machine rw
125 132 0:6 /fuse /dev/fuse rw,relatime - devtmpfs devtmpfs rw
62 130 0:48 / /sys/fs/fuse rw - fusectl none rw
"""


def test_only_file_systems_of_the_sandbox_alone_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("7", SANDBOX), ("self", SANDBOX.splitlines(keepends=True)[2])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mountinfo").write_text(text)
    called: list[list[str]] = []
    monkeypatch.setattr("plasmid.engines.stuck._PROC", tmp_path)
    monkeypatch.setattr("subprocess.run", lambda argv, **_: called.append(argv))
    assert stuck.end_waits([7, 8]) == [45, 46]
    assert [argv[-2:] for argv in called] == [["45", "46"]]


def test_where_there_are_none_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", pytest.fail)
    assert stuck.end_waits([os.getpid()]) == []
