"""A folder is one process's own, until that ends."""

from __future__ import annotations

import os
from pathlib import Path

from plasmid.environments import locks


def test_a_claimed_folder_is_nobody_elses(tmp_path: Path) -> None:
    first = locks.claim(tmp_path / "f")
    assert first is not None
    assert locks.claim(tmp_path / "f") is None
    os.close(first)
    again = locks.claim(tmp_path / "f")
    assert again is not None
    os.close(again)


def test_a_folder_that_was_deleted_meanwhile_is_made_anew(tmp_path: Path) -> None:
    first = locks.claim(tmp_path / "f")
    assert first is not None
    (tmp_path / "f").rmdir()
    second = locks.claim(tmp_path / "f")
    assert second is not None
    assert (tmp_path / "f").is_dir()
    os.close(first)
    os.close(second)


def test_a_lock_is_held_for_the_block(tmp_path: Path) -> None:
    with locks.held(tmp_path / "l"):
        pass
    with locks.held(tmp_path / "l"):
        assert (tmp_path / "l").exists()
