"""Every store of bytes keeps the promises of blobs/store.py."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from plasmid.blobs import folder as folder_store
from plasmid.blobs.folder import BATCH_BYTES, READ_BYTES, FolderStore
from plasmid.blobs.memory import MemoryStore
from plasmid.blobs.store import BlobStore, MissingBlobError, NoSpaceError, TooLargeError
from tests.small_disk import small_disk

NAME = "blob-" + "B" * 24
OTHER = "blob-" + "F" * 24
MAKERS: dict[str, Callable[[Path], BlobStore]] = {
    "folder": FolderStore,
    "memory": lambda _: MemoryStore(),
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return MAKERS[request.param](tmp_path / "blobs")


async def stream(content: bytes, piece: int = 64 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(content), piece):
        yield content[start : start + piece]


async def read(store: BlobStore, name: str, start: int, length: int) -> bytes:
    return b"".join([piece async for piece in store.read(name, start, length)])


def pattern(size: int) -> bytes:
    block = hashlib.sha256(str(size).encode()).digest() * 512
    return (block * (size // len(block) + 1))[:size]


@pytest.mark.parametrize(
    ("size", "piece"),
    [
        (0, 1),
        (1, 1),
        (100, 7),
        (BATCH_BYTES - 1, 64 * 1024),
        (BATCH_BYTES, BATCH_BYTES),
        (BATCH_BYTES + 1, 64 * 1024),
        (3 * BATCH_BYTES + 5, 1 << 20),
        (5 * BATCH_BYTES, 3 * BATCH_BYTES),
    ],
)
async def test_what_was_written_is_read_bit_by_bit(store: BlobStore, size: int, piece: int) -> None:
    content = pattern(size)
    written = await store.write(NAME, stream(content, piece), size)
    assert (written.name, written.size_bytes) == (NAME, size)
    assert written.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert await read(store, NAME, 0, size) == content


@pytest.mark.parametrize(
    ("start", "length"),
    [(0, 0), (0, 1), (5, 10), (READ_BYTES - 1, 2), (READ_BYTES, READ_BYTES), (2 * READ_BYTES, 7)],
)
async def test_a_range_is_read(store: BlobStore, start: int, length: int) -> None:
    content = pattern(2 * READ_BYTES + 7)
    await store.write(NAME, stream(content), len(content))
    assert await read(store, NAME, start, length) == content[start : start + length]


async def test_a_read_comes_in_pieces_of_bounded_size(store: BlobStore) -> None:
    if isinstance(store, MemoryStore):
        return  # what it holds is in memory anyway
    content = pattern(2 * READ_BYTES + 7)
    await store.write(NAME, stream(content), len(content))
    sizes = [len(piece) async for piece in store.read(NAME, 0, len(content))]
    assert sizes == [READ_BYTES, READ_BYTES, 7]


@pytest.mark.parametrize("limit", [0, 99, BATCH_BYTES, 2 * BATCH_BYTES + 99])
async def test_more_than_was_announced_is_refused_and_nothing_is_left(
    store: BlobStore, tmp_path: Path, limit: int
) -> None:
    with pytest.raises(TooLargeError, match=f"{limit} bytes that were announced"):
        await store.write(NAME, stream(pattern(limit + 1), 100), limit)
    await require_nothing(store, tmp_path)


async def require_nothing(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(MissingBlobError, match=NAME):
        await read(store, NAME, 0, 1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class GoneAwayError(Exception):
    """The client went away."""


@pytest.mark.parametrize("after", [0, 1, BATCH_BYTES, 2 * BATCH_BYTES + 1])
async def test_a_stream_that_breaks_leaves_nothing(
    store: BlobStore, tmp_path: Path, after: int
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        if after:
            yield pattern(after)
        raise GoneAwayError

    with pytest.raises(GoneAwayError):
        await store.write(NAME, broken(), 1 << 30)
    await require_nothing(store, tmp_path)
    assert (await store.write(NAME, stream(b"again"), 5)).size_bytes == 5


async def test_a_missing_blob_is_said_by_its_name(store: BlobStore) -> None:
    with pytest.raises(MissingBlobError, match=NAME):
        await read(store, NAME, 0, 1)


async def test_a_blob_that_is_shorter_than_it_was_is_an_error_and_no_silence(
    store: BlobStore,
) -> None:
    await store.write(NAME, stream(b"12345"), 5)
    with pytest.raises(MissingBlobError, match=NAME):
        await read(store, NAME, 3, 3)


async def test_a_removed_blob_is_gone_and_others_stay(store: BlobStore) -> None:
    await store.write(NAME, stream(b"one"), 3)
    await store.write(OTHER, stream(b"other"), 5)
    await store.remove(NAME)
    await store.remove(NAME)
    with pytest.raises(MissingBlobError):
        await read(store, NAME, 0, 1)
    assert await read(store, OTHER, 0, 5) == b"other"


async def test_a_read_that_has_begun_ends_well_though_the_blob_is_removed(
    store: BlobStore,
) -> None:
    content = pattern(2 * READ_BYTES)
    await store.write(NAME, stream(content), len(content))
    pieces = []
    async for piece in store.read(NAME, 0, len(content)):
        pieces.append(piece)
        await store.remove(NAME)
    assert b"".join(pieces) == content


async def test_many_writes_at_once_do_not_mix(store: BlobStore) -> None:
    contents = {f"blob-{number:024d}": pattern(BATCH_BYTES + number) for number in range(20)}

    async def write(name: str, content: bytes) -> None:
        written = await store.write(name, stream(content, 100_000), len(content))
        assert written.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()

    async with asyncio.TaskGroup() as group:
        for name, content in contents.items():
            group.create_task(write(name, content))
    for name, content in contents.items():
        assert await read(store, name, 0, len(content)) == content


async def test_sweeping_keeps_what_was_written(store: BlobStore) -> None:
    await store.write(NAME, stream(b"kept"), 4)
    await store.sweep()
    assert await read(store, NAME, 0, 4) == b"kept"


# ------------------------------------------------------------------------------------- no space


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", size_bytes=4 << 20) as mounted:
        yield mounted


@pytest.fixture(params=MAKERS)
def full(request: pytest.FixtureRequest, disk: Path) -> BlobStore:
    return MAKERS[request.param](disk / "blobs")


async def test_no_space_is_said_and_leaves_nothing(full: BlobStore, disk: Path) -> None:
    await full.write(OTHER, stream(b"before"), 6)
    if isinstance(full, MemoryStore):
        full.is_full = True
    with pytest.raises(NoSpaceError, match="full"):
        await full.write(NAME, stream(pattern(6 << 20)), 6 << 20)
    with pytest.raises(MissingBlobError):
        await read(full, NAME, 0, 1)
    assert not list(disk.rglob(f"*{NAME}*"))
    assert await read(full, OTHER, 0, 6) == b"before"
    if isinstance(full, MemoryStore):
        full.is_full = False
    written = await full.write(NAME, stream(pattern(2 << 20)), 2 << 20)
    assert written.size_bytes == 2 << 20


async def test_no_space_for_even_the_name_is_said_too(disk: Path) -> None:
    store = FolderStore(disk / "blobs")
    (disk / "filler").write_bytes(b"")
    filler = 0
    try:
        while True:
            (disk / f"filler{filler}").touch()
            filler += 1
    except OSError:
        pass
    with pytest.raises(NoSpaceError, match="full"):
        await store.write(NAME, stream(b"x"), 1)
    assert not list(disk.rglob(f"*{NAME}*"))


def test_the_batches_are_small_beside_a_machines_memory() -> None:
    assert folder_store.BATCH_BYTES <= 4 << 20
    assert folder_store.READ_BYTES <= 4 << 20


async def test_a_copy_is_the_same_and_outlives_the_first(store: BlobStore) -> None:
    content = pattern(BATCH_BYTES + 1)
    await store.write(NAME, stream(content), len(content))
    await store.copy(NAME, OTHER)
    assert await read(store, NAME, 0, len(content)) == content
    await store.remove(NAME)
    assert await read(store, OTHER, 0, len(content)) == content
    await store.remove(OTHER)
    with pytest.raises(MissingBlobError):
        await store.copy(OTHER, NAME)


async def test_all_that_is_kept_can_be_listed(store: BlobStore) -> None:
    await store.write(NAME, stream(b"abc"), 3)
    await store.write(OTHER, stream(b""), 0)
    kept = sorted([(one.name, one.size_bytes, one.is_half) async for one in store.every()])
    assert kept == sorted([(NAME, 3, False), (OTHER, 0, False)])
    found = await store.find(NAME)
    assert found is not None
    assert (found.name, found.size_bytes) == (NAME, 3)
    await store.remove(NAME)
    assert await store.find(NAME) is None
    await store.remove_half(NAME)
    assert [one.name async for one in store.every()] == [OTHER]


async def test_what_a_broken_write_left_is_listed_as_such_and_can_be_removed(
    tmp_path: Path,
) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / "incoming" / NAME).write_bytes(b"ab")
    assert [(one.name, one.is_half) async for one in store.every()] == [(NAME, True)]
    await store.remove_half(NAME)
    assert [one async for one in store.every()] == []
