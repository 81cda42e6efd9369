"""I5: bytes that are gone, changed or nobody's are found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from plasmid.blobs.folder import FolderStore
from plasmid.integrity import checking, files
from plasmid.integrity.finding import Finding
from tests.unit.integrity.conftest import Damaged

PARTS = "SELECT blob FROM parts"


async def a_file(damaged: Damaged) -> tuple[str, str]:
    """Return a closed file and the name of its only part's bytes."""
    file = await damaged.world.a_closed_file(await damaged.world.a_project(), b"hello")
    assert await damaged.find() == []
    [(blob,)] = await damaged.world.rows(PARTS)
    return file, blob


async def test_a_file_whose_bytes_are_gone_is_found(damaged: Damaged) -> None:
    file, blob = await a_file(damaged)
    await damaged.world.blobs.remove(blob)
    assert await damaged.found() == [("I5", file)]


async def test_a_file_whose_bytes_are_cut_is_found(damaged: Damaged) -> None:
    file, blob = await a_file(damaged)
    damaged.world.blobs._blobs[blob] = b"hell"
    assert await damaged.found() == [("I5", file)]


async def test_changed_bytes_are_found_by_a_deep_check(damaged: Damaged) -> None:
    file, blob = await a_file(damaged)
    damaged.world.blobs._blobs[blob] = b"hallo"
    assert await damaged.find() == []
    stored = msgspec.structs.replace(damaged.world.stored(), is_deep=True)
    assert [finding.subject for finding in await checking.find(stored)] == [file]


@pytest.mark.parametrize(
    "damage, detail",
    [
        ("UPDATE parts SET state = 'pending'", "was never uploaded"),
        ("UPDATE objects SET size_bytes = 7 WHERE class_name = 'file'", "another sum"),
        ("DELETE FROM parts", "another sum"),
    ],
)
async def test_a_closed_file_without_all_its_parts_is_found(
    damaged: Damaged, damage: str, detail: str
) -> None:
    file, _ = await a_file(damaged)
    await damaged.falsify(damage)
    assert ("I5", file) in await damaged.found()
    assert detail in await damaged.details()


async def test_bytes_of_no_file_are_found_and_removed(damaged: Damaged) -> None:
    _, blob = await a_file(damaged)
    damaged.world.blobs._blobs["blob-left"] = b"left"
    assert await damaged.found() == [("I5", "blob-left")]
    assert await damaged.repair() == 0
    assert list(damaged.world.blobs._blobs) == [blob]


async def test_bytes_that_became_a_files_in_the_meantime_stay(damaged: Damaged) -> None:
    _, blob = await a_file(damaged)
    damaged.world.blobs._blobs["blob-late"] = b"late!"
    found = await damaged.find()
    await damaged.falsify("UPDATE parts SET blob = 'blob-late'")
    await checking.repair(found, damaged.world.workshop())
    assert set(damaged.world.blobs._blobs) == {blob, "blob-late"}


async def bytes_of(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_an_upload_that_broke_off_is_found_and_removed_and_a_young_one_is_not(
    damaged: Damaged, tmp_path: Path
) -> None:
    store = FolderStore(tmp_path)
    await store.write("blob-nobodys", bytes_of(b"x"), 10)
    (tmp_path / "incoming" / "blob-half").write_bytes(b"ha")

    async def found(before_ms: int) -> list[Finding]:
        kept = [one async for one in store.every()]
        reader = damaged.world.database.reader
        return [one async for one in files.check_kept(reader, kept, before_ms=before_ms)]

    assert await found(0) == []
    left = await found(1 << 62)
    assert [finding.subject for finding in left] == ["blob-half", "blob-nobodys"]
    damaged.world.blobs = store  # type: ignore[assignment]
    await checking.repair(left, damaged.world.workshop())
    assert await found(1 << 62) == []
