"""The site's folder of assets: whole changes or none, bytes by their hash, real archives."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from plasmid.domain.site_assets import SiteProject, StandIn
from plasmid.environments import site_assets
from plasmid.environments.site_assets import SiteAssets, SiteAssetsError

PROJECT = SiteProject("project-" + "0" * 24, "assets", "aws:us-east-1")


@pytest.fixture
def store(tmp_path: Path) -> SiteAssets:
    return SiteAssets(tmp_path / "assets")


def a_stand_in(content: str, number: int = 0) -> StandIn:
    return StandIn(id=f"file-{number:024d}", project=PROJECT.id, folder="/", content=content)


def test_a_site_without_a_folder_has_nothing(store: SiteAssets, tmp_path: Path) -> None:
    assert store.table().entries() == []
    assert not (tmp_path / "assets").exists()


def test_a_change_is_kept_with_its_bytes(store: SiteAssets, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_bytes(b"bytes")
    with store.changing() as table:
        content, size_bytes = store.keep(given)
        table.projects.append(PROJECT)
        table.stand_ins.append(a_stand_in(content))
    assert (content, size_bytes) == (hashlib.sha256(b"bytes").hexdigest(), 5)
    assert store.content(content).read_bytes() == b"bytes"
    assert store.table().stand_ins == [a_stand_in(content)]
    assert (tmp_path / "assets").stat().st_mode & 0o077 == 0


def test_a_change_that_fails_changes_nothing(store: SiteAssets) -> None:
    def fail() -> None:
        with store.changing() as table:
            table.projects.append(PROJECT)
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail()
    assert store.table().projects == []


def test_bytes_that_nothing_names_any_more_go(store: SiteAssets, tmp_path: Path) -> None:
    contents = []
    for number in (0, 1):
        given = tmp_path / "given"
        given.write_bytes(b"%d" % number)
        with store.changing() as table:
            contents.append(store.keep(given)[0])
            table.stand_ins.append(a_stand_in(contents[-1], number))
    with store.changing() as table:
        del table.stand_ins[0]
    assert [path.name for path in (tmp_path / "assets" / "content").iterdir()] == [contents[1]]
    with pytest.raises(SiteAssetsError, match="import it again"):
        store.content(contents[0])


def test_a_table_that_is_damaged_is_named(store: SiteAssets, tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "table.json").write_text('{"projects": 5}')
    with pytest.raises(SiteAssetsError, match=r"table\.json cannot be read"):
        store.table()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_of_any_packing_is_an_archive(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "archive"
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name in ("a", "../b"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert site_assets.require_archive(path) == 2


def test_what_is_no_whole_archive_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.tar.gz"
    with tarfile.open(whole, "w:gz") as tar:
        entry = tarfile.TarInfo("a")
        entry.size = 1 << 20
        tar.addfile(entry, io.BytesIO(bytes(range(256)) * 4096))
    for name, content in {
        "text": b"hello", "cut": whole.read_bytes()[:-900], "none": b"",
    }.items():  # fmt: skip
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(SiteAssetsError, match="is no whole tar archive"):
            site_assets.require_archive(path)
    with pytest.raises(SiteAssetsError, match="nothing"):
        site_assets.require_archive(tmp_path / "nothing")
