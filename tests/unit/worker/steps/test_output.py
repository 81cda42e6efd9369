"""What is read from an ended sandbox: files that may be traps, and file systems that were full."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.engines import engine
from plasmid.worker import outcome
from plasmid.worker.steps import output, workspace
from tests.unit.worker import fake_platform

HEAD = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"


def read(root: Path, *, exit_code: int = 1, disks: str | None = None) -> outcome.Ending:
    if disks is not None:
        place = root / workspace.DISKS.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(disks + " " * 100)
    ended = engine.Exit(exit_code, out_of_memory=False, peak_memory_bytes=None)
    return output.read(fake_platform.an_assignment(), root, ended, timed_out=False)


def test_a_file_system_that_is_gone_by_now_is_told_by_df(tmp_path: Path) -> None:
    ending = read(tmp_path, disks=HEAD + "shm 65536 65000 536 100% /dev/shm\n")
    assert ending.full == (outcome.Full("/dev/shm", size_bytes=64 << 20),)


@pytest.mark.parametrize(
    "disks",
    [
        None,
        "",
        "\0" * 50,
        HEAD,
        HEAD + "shm 65536 0 65536 0% /dev/shm\n",
        HEAD + "shm x y z 0% /dev/shm\n",
        HEAD + "shm 65536 65000 -5 100% /dev/shm\n",
        HEAD + "other 10 10 0 100% /data\n",
        HEAD + "tmpfs 0 0 0 - /dev\n",
    ],
)
def test_nothing_is_called_full_that_is_not_said_to_be(tmp_path: Path, disks: str | None) -> None:
    assert read(tmp_path, disks=disks).full == ()


def test_a_job_that_did_well_is_asked_nothing(tmp_path: Path) -> None:
    full = HEAD + "shm 65536 65536 0 100% /dev/shm\n"
    assert read(tmp_path, exit_code=0, disks=full).full == ()


def test_the_disk_itself_is_asked_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "DISK_FREE_BYTES_MIN", 1 << 62)
    assert [full.place for full in read(tmp_path).full] == ["/"]
