"""Folders of runs: one that lives is never taken for dead, one that is dead is found."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from plasmid.cli import throwaway


def test_a_folder_is_there_for_the_block_and_then_gone(tmp_path: Path) -> None:
    with throwaway.scratch_in(tmp_path / "runs") as made:
        assert made.stat().st_mode & 0o777 == 0o711
    assert not made.exists()


def test_only_folders_that_nobody_holds_are_dead(tmp_path: Path) -> None:
    (tmp_path / "dead").mkdir()
    with throwaway.scratch_in(tmp_path), throwaway.scratch_in(tmp_path) as own:
        assert list(throwaway.dead_beside(own)) == [tmp_path / "dead"]


def test_a_sweep_does_not_find_a_folder_that_is_not_locked_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, may_go_on, sweeps = threading.Event(), threading.Event(), threading.Event()
    take = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir() and operation == fcntl.LOCK_EX and not made.is_set():
            made.set()
            assert may_go_on.wait(60)
        elif not path.is_dir() and made.is_set():
            sweeps.set()
        take(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    found: list[Path] = []

    def live() -> None:
        with throwaway.scratch_in(tmp_path):
            assert swept.wait(60)

    def sweep() -> None:
        found.extend(throwaway.dead_beside(tmp_path / "own"))
        swept.set()

    swept = threading.Event()
    living, sweeping = threading.Thread(target=live), threading.Thread(target=sweep)
    living.start()
    assert made.wait(60)
    sweeping.start()
    sweeps.wait(1)  # it waits for its turn, or has none to wait for
    may_go_on.set()
    sweeping.join(60)
    living.join(60)
    assert found == []
