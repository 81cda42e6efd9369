"""dx-unpack takes every format of contract I.7, and always removes the archive."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.runtime import inside_out

UNPACK = inside_out.RUNTIME / "dx-unpack"


def unpack(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return inside_out.run("sh", UNPACK, *arguments, cwd=folder)


def make_tar(path: Path, mode: str = "w") -> None:
    inner = path.parent / "made"
    (inner / "d").mkdir(parents=True)
    (inner / "d" / "f").write_text("content")
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        archive.add(inner / "d", "d")
    shutil.rmtree(inner)


def make_lzma_tar(path: Path) -> None:
    plain = path.with_suffix(".plain")
    make_tar(plain)
    path.write_bytes(lzma.compress(plain.read_bytes(), format=lzma.FORMAT_ALONE))
    plain.unlink()


def make_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("d/f", "content")


def make_ar(path: Path) -> None:
    if shutil.which("ar") is None:
        pytest.skip("there is no ar here")
    (path.parent / "d").mkdir()
    (path.parent / "d" / "f").write_text("content")
    subprocess.run(["ar", "qc", path.name, "d/f"], cwd=path.parent, check=True)
    shutil.rmtree(path.parent / "d")


ARCHIVES: dict[str, Callable[[Path], None]] = {
    "a.tar": make_tar,
    "a.tar.gz": lambda path: make_tar(path, "w:gz"),
    "a.tgz": lambda path: make_tar(path, "w:gz"),
    "a.tar.bz2": lambda path: make_tar(path, "w:bz2"),
    "a.tbz2": lambda path: make_tar(path, "w:bz2"),
    "a.tbz": lambda path: make_tar(path, "w:bz2"),
    "a.tar.xz": lambda path: make_tar(path, "w:xz"),
    "a.tar.lzma": make_lzma_tar,
    "a.zip": make_zip,
    "a.jar": make_zip,
    "test 'bundle' \"with\" @#^&%()[]{} spaces.tar.gz": lambda path: make_tar(path, "w:gz"),
    "-x.tar": make_tar,
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_unpacked_and_removed(tmp_path: Path, name: str) -> None:
    ARCHIVES[name](tmp_path / name)
    done = unpack(tmp_path, name)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "d" / "f").read_text() == "content"
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("f.gz", gzip.compress(b"content")),
        ("f.bz2", bz2.compress(b"content")),
        ("f.xz", lzma.compress(b"content")),
        ("f.lzma", lzma.compress(b"content", format=lzma.FORMAT_ALONE)),
    ],
    ids=["gz", "bz2", "xz", "lzma"],
)
def test_a_packed_file_is_written_without_its_extension(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    assert unpack(tmp_path, name).returncode == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"f": b"content"}


def test_an_ar_archive_is_unpacked(tmp_path: Path) -> None:
    make_ar(tmp_path / "x.a")
    assert unpack(tmp_path, "x.a").returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"f"}


def test_an_unknown_format_is_told_and_the_file_is_removed(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("x")
    done = unpack(tmp_path, "data.txt")
    assert done.stdout == "unpack data.txt: file format not recognized. Ignoring.\n"
    assert (done.returncode, list(tmp_path.iterdir())) == (0, [])


def test_a_broken_archive_fails_and_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    done = unpack(tmp_path, "a.tar.gz")
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "a.tar.gz" in done.stderr


@pytest.mark.parametrize("name", ["a.rar", "a.7z", "a.lha"])
def test_a_format_without_its_program_says_which_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "rm").symlink_to(shutil.which("rm") or "/bin/rm")
    done = inside_out.run("/bin/sh", UNPACK, name, cwd=tmp_path, env={"PATH": str(programs)})
    assert done.returncode == 1
    assert "is not installed here" in done.stderr
    assert not (tmp_path / name).exists()


def test_content_from_elsewhere_is_unpacked_here_and_stays(tmp_path: Path) -> None:
    source = tmp_path / "0"
    make_tar(source, "w:gz")
    target = tmp_path / "target"
    target.mkdir()
    assert unpack(target, "--from", str(source), "my files.tar.gz").returncode == 0
    assert (target / "d" / "f").exists()
    assert source.exists()


def test_the_systems_folders_keep_their_links_and_modes(tmp_path: Path) -> None:
    made = tmp_path / "made"
    for name in ("lib", "tmp"):
        (made / name).mkdir(parents=True)
        (made / name / "f").write_text("x")
    made.chmod(0o700)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(made, ".")
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    root.chmod(0o755)
    assert unpack(root, "--from", str(tmp_path / "a.tar"), "a.tar").returncode == 0
    assert (root / "lib").is_symlink()
    assert (root / "usr/lib/f").exists()
    assert [oct(path.stat().st_mode & 0o7777) for path in (root, root / "tmp")] == [
        "0o755",
        "0o1777",
    ]


def test_owners_are_not_restored(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    info = tarfile.TarInfo("owned")
    info.uid = info.gid = 12345
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(info)
    unpack(tmp_path, "a.tar")
    assert (tmp_path / "owned").stat().st_uid == os.geteuid()
