"""What only the store in a folder can get wrong: leftovers, damage, threads that are cut off."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plasmid.blobs import store
from plasmid.blobs.folder import BATCH_BYTES, FolderStore

NAME = "blob-" + "B" * 24


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def test_what_a_killed_process_has_left_half_written_is_swept(tmp_path: Path) -> None:
    first = FolderStore(tmp_path)
    await first.write(NAME, stream(b"whole"), 5)
    (tmp_path / "incoming" / "blob-half").write_bytes(b"half")
    second = FolderStore(tmp_path)
    await second.sweep()
    assert files_in(tmp_path) == [NAME]


async def test_bytes_are_synced_before_they_get_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    rename, fdatasync, fsync = Path.rename, os.fdatasync, os.fsync

    def note_rename(path: Path, target: Path) -> Path:
        done.append("renamed")
        return rename(path, target)

    def note_fdatasync(descriptor: int) -> None:
        done.append("bytes synced")
        fdatasync(descriptor)

    def note_fsync(descriptor: int) -> None:
        done.append(f"{Path(f'/proc/self/fd/{descriptor}').readlink().name} synced")
        fsync(descriptor)

    monkeypatch.setattr(Path, "rename", note_rename)
    monkeypatch.setattr(os, "fdatasync", note_fdatasync)
    monkeypatch.setattr(os, "fsync", note_fsync)
    blobs = FolderStore(tmp_path / "blobs")
    await blobs.write(NAME, stream(b"x"), 1)
    # the new folder's own name has to last as well
    assert done == ["bytes synced", "blobs synced", "renamed", "BB synced"]
    done.clear()
    await blobs.write("blob-" + "C" * 22 + "BB", stream(b"x"), 1)
    assert done == ["bytes synced", "renamed", "BB synced"]


@pytest.mark.parametrize("failing", ["fdatasync", "fsync"])
@pytest.mark.parametrize(
    ("number", "raised"),
    [(errno.ENOSPC, store.NoSpaceError), (errno.EDQUOT, store.NoSpaceError), (errno.EIO, OSError)],
)
async def test_a_disk_that_fails_at_the_last_moment_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
    number: int,
    raised: type[Exception],
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    blobs = FolderStore(tmp_path)
    neighbour = "blob-" + "C" * 22 + "BB"
    for before in ([], [neighbour]):
        with monkeypatch.context() as patched:
            patched.setattr(os, failing, fail)
            with pytest.raises(raised):
                await blobs.write(NAME, stream(b"x"), 1)
        assert files_in(tmp_path) == before
        await blobs.write(neighbour if not before else NAME, stream(b"x"), 1)
    assert files_in(tmp_path) == [NAME, neighbour]


@pytest.mark.parametrize("at", ["write", "fdatasync"])
async def test_a_write_that_is_cancelled_leaves_nothing_though_its_thread_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    blobs = FolderStore(tmp_path)
    original = os.fdatasync

    def slow_fdatasync(descriptor: int) -> None:
        entered.set()
        go_on.wait(60)
        original(descriptor)

    async def slow_stream() -> AsyncIterator[bytes]:
        yield b"x" * (3 << 20)
        entered.set()
        await asyncio.Event().wait()

    if at == "fdatasync":
        monkeypatch.setattr(os, "fdatasync", slow_fdatasync)
    content = stream(b"x") if at == "fdatasync" else slow_stream()
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(blobs.write(NAME, content, 1 << 30))
        await asyncio.to_thread(entered.wait, 10)
        writing.cancel()
        go_on.set()
    blobs._threads.shutdown(wait=True)
    assert files_in(tmp_path) == []


async def test_bytes_go_to_disk_while_the_stream_goes_on(tmp_path: Path) -> None:
    """However large the stream, no more than two batches of it are in memory."""
    blobs = FolderStore(tmp_path)
    ahead: list[int] = []

    async def watched() -> AsyncIterator[bytes]:
        for number in range(1, 65):
            yield b"x" * (BATCH_BYTES // 4)
            written = (tmp_path / "incoming" / NAME).stat().st_size
            ahead.append(number * (BATCH_BYTES // 4) - written)

    await blobs.write(NAME, watched(), 1 << 30)
    assert max(ahead) <= 2 * BATCH_BYTES


async def test_a_blob_that_was_cut_off_from_outside_is_an_error(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path)
    await blobs.write(NAME, stream(b"12345"), 5)
    next(tmp_path.rglob(NAME)).write_bytes(b"123")
    with pytest.raises(store.MissingBlobError, match=f"{NAME} end early"):
        assert [piece async for piece in blobs.read(NAME, 0, 5)] == [b"123"]


async def test_a_name_is_written_once_at_a_time(tmp_path: Path) -> None:
    blobs = FolderStore(tmp_path)
    (tmp_path / "incoming" / NAME).touch()
    with pytest.raises(FileExistsError):
        await blobs.write(NAME, stream(b"x"), 1)
