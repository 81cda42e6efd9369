"""The checks together: an unsound database is not looked into, what passes is no finding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from plasmid.integrity import checking
from plasmid.metadata import inspection, schema
from plasmid.metadata.database import Database, DatabaseUnusableError, Prepared, Reader
from tests.unit.integrity.conftest import Damaged


async def test_a_database_of_another_version_is_not_looked_into(damaged: Damaged) -> None:
    await damaged.falsify("UPDATE alembic_version SET version_num = '9999'")
    await damaged.falsify("DELETE FROM objects")
    assert await damaged.found() == [("database", "plasmid.sqlite")]


async def test_a_database_that_is_not_made_yet_is_sound_unless_there_are_bytes(
    damaged: Damaged,
) -> None:
    await damaged.falsify("DROP TABLE alembic_version")
    assert await damaged.find() == []
    damaged.world.blobs._blobs["blob-x"] = b"x"
    assert await damaged.found() == [("database", "plasmid.sqlite")]


async def test_flipped_bytes_of_a_database_are_found(damaged: Damaged, tmp_path: Path) -> None:
    path = tmp_path / "plasmid.sqlite"
    database = Database(path)
    async with database.transaction() as tx:
        for number in range(6000):
            await tx.execute(
                damaged_insert(), {"container": f"project-{number:024}", "path": "/some/folder"}
            )
    database.close()
    with inspection.picture(path) as reader:
        assert await inspection.find_damage(reader) == []
    content = bytearray(path.read_bytes())
    middle = len(content) * 2 // 3
    content[middle : middle + 3000] = b"\xff" * 3000
    path.write_bytes(content)
    with inspection.picture(path) as reader:
        stored = msgspec.structs.replace(
            damaged.world.stored(), picture=lambda: contextlib.nullcontext(reader)
        )
        found = await checking.find(stored)
    assert found
    assert {finding.invariant for finding in found} == {"database"}


def damaged_insert() -> Prepared:
    return Prepared(schema.folders.insert())


async def test_a_file_that_is_no_database_cannot_be_checked(tmp_path: Path) -> None:
    path = tmp_path / "plasmid.sqlite"
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(DatabaseUnusableError, match="restore it"), inspection.picture(path):
        pass


async def test_a_picture_does_not_change_while_it_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "plasmid.sqlite"
    database = Database(path)
    with inspection.picture(path) as reader:
        async with database.transaction() as tx:
            await tx.execute(damaged_insert(), {"container": "project-x", "path": "/a"})
        assert await inspection.find_job_facts(reader) == {}
        rows = await reader.rows(schema.folders.select())
        assert rows == []
    database.close()


async def test_on_a_live_platform_only_what_stays_wrong_is_a_finding(
    damaged: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "PAUSE_SECONDS", 0)
    project = await damaged.world.a_project()
    for name in ("passes", "stays"):
        await damaged.falsify(f"INSERT INTO links VALUES ('{name}', '{project}')")
    looks = 0

    @contextlib.contextmanager
    def picture() -> Iterator[Reader]:
        nonlocal looks
        looks += 1
        if looks == 3:
            damaged.world.database._writer.execute("DELETE FROM links WHERE source = 'passes'")
        yield damaged.world.database.reader

    stored = msgspec.structs.replace(damaged.world.stored(), picture=picture, is_live=True)
    assert [finding.subject for finding in await checking.find(stored)] == ["stays"]
    assert looks == checking.LOOKS_MAX
