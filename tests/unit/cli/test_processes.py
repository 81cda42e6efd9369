"""Who holds a lock is told without a touch of it, and of no other file's."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from plasmid.cli import processes


def test_the_holder_of_a_lock_is_told(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert processes.holder_of(lock) is None
    with lock.open("wb") as held:
        assert processes.holder_of(lock) is None
        fcntl.flock(held, fcntl.LOCK_EX)
        assert processes.holder_of(lock) == os.getpid()
    assert processes.holder_of(lock) is None


def test_a_lock_of_the_same_number_on_another_file_system_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, locks = tmp_path / "lock", tmp_path / "locks"
    lock.touch()
    monkeypatch.setattr(processes, "LOCKS", locks)
    there = lock.stat()
    device = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}"
    locks.write_text(f"1: FLOCK  ADVISORY  WRITE 7 ff:ff:{there.st_ino} 0 EOF\n")
    assert processes.holder_of(lock) is None
    with locks.open("a") as more:
        more.write(f"1: -> FLOCK  ADVISORY  WRITE 8 {device}:{there.st_ino} 0 EOF\n")
    assert processes.holder_of(lock) is None
    with locks.open("a") as more:
        more.write(f"2: FLOCK  ADVISORY  WRITE 9 {device}:{there.st_ino} 0 EOF\n")
    assert processes.holder_of(lock) == 9


def test_the_device_is_that_of_the_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, locks, mounts = (tmp_path / name for name in ("lock", "locks", "mounts"))
    lock.touch()
    opened = os.open(lock, os.O_PATH)
    told = Path(f"/proc/self/fdinfo/{opened}").read_text().split()
    os.close(opened)
    mounts.write_text(f"{told[told.index('mnt_id:') + 1]} 1 0:171 / / rw - btrfs /dev/x rw\n")
    locks.write_text(f"1: FLOCK  ADVISORY  WRITE 9 00:ab:{lock.stat().st_ino} 0 EOF\n")
    monkeypatch.setattr(processes, "LOCKS", locks)
    monkeypatch.setattr(processes, "MOUNTS", mounts)
    assert processes.holder_of(lock) == 9


def open_files() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def test_a_process_that_has_let_go_of_a_lock_is_not_taken_for_its_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int | None] = [os.getpid(), None, os.getpid(), os.getpid() + 1, 0]
    monkeypatch.setattr(processes, "holder_of", lambda _: told.pop(0))
    before = open_files()
    while told:
        assert processes.open_holder_of(tmp_path / "lock") is None
    assert open_files() == before
