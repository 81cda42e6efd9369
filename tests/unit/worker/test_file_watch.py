"""A file that grows is told at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plasmid.worker import file_watch


async def test_only_the_file_that_grew_is_told(tmp_path: Path) -> None:
    watch = file_watch.FileWatch()
    first, second = tmp_path / "a", tmp_path / "b"
    grown = asyncio.Event()
    others = []
    for path in (first, second):
        path.touch()
    watch.add(first, grown.set)
    watch.add(second, lambda: others.append(1))
    first.write_text("x")
    async with asyncio.timeout(60):
        await grown.wait()
    assert others == []
    watch.close()


async def test_a_file_that_was_removed_from_the_watch_is_not_told(tmp_path: Path) -> None:
    watch = file_watch.FileWatch()
    path, other = tmp_path / "a", tmp_path / "b"
    path.touch()
    other.touch()
    told: list[str] = []
    seen = asyncio.Event()
    number = watch.add(path, lambda: told.append("a"))
    watch.add(other, seen.set)
    watch.remove(number)
    watch.remove(number)
    path.write_text("x")
    other.write_text("x")
    async with asyncio.timeout(60):
        await seen.wait()
    assert told == []
    watch.close()


async def test_a_file_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    watch = file_watch.FileWatch()
    with pytest.raises(FileNotFoundError):
        watch.add(tmp_path / "none", lambda: None)
    watch.close()
