"""dx-unpack takes every format of contract I.7, and always removes the archive."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.archives import formats
from tests.unit.runtime import inside_out

FILES = {"d/f": b"content"}


@pytest.fixture
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    inside_out.put(root, "archive_limits.py", "/opt/plasmid/archive_limits.py")
    return inside_out.put(root, "dx_unpack.py", "/usr/bin/dx-unpack")


@pytest.fixture
def unpack(tmp_path: Path, program: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        return inside_out.run(sys.executable, "-IB", program, *arguments, cwd=cwd)

    return run


Unpack = Callable[..., subprocess.CompletedProcess[str]]
TAR = formats.tar([formats.folder("d"), formats.file("d/f", b"content")])

ARCHIVES: dict[str, bytes] = {
    "a.tar": TAR,
    "a.tar.gz": gzip.compress(TAR),
    "a.tgz": gzip.compress(TAR),
    "a.tar.bz2": bz2.compress(TAR),
    "a.tbz2": bz2.compress(TAR),
    "a.tbz": bz2.compress(TAR),
    "a.tar.xz": lzma.compress(TAR),
    "a.tar.lzma": lzma.compress(TAR, format=lzma.FORMAT_ALONE),
    "a.zip": formats.zipped(FILES),
    "a.ZIP": formats.zipped(FILES),
    "a.jar": formats.zipped(FILES),
    "test 'bundle' \"with\" @#^&%()[]{} spaces.tar.gz": gzip.compress(TAR),
    "-x.tar": TAR,
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_unpacked_and_removed(tmp_path: Path, unpack: Unpack, name: str) -> None:
    (tmp_path / name).write_bytes(ARCHIVES[name])
    done = unpack(name)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "d" / "f").read_text() == "content"
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("f.gz", gzip.compress(b"content")),
        ("f.gz", gzip.compress(b"con") + gzip.compress(b"tent")),
        ("f.bz2", bz2.compress(b"content")),
        ("f.xz", lzma.compress(b"content")),
        ("f.lzma", lzma.compress(b"content", format=lzma.FORMAT_ALONE)),
    ],
    ids=["gz", "gz in pieces", "bz2", "xz", "lzma"],
)
def test_a_packed_file_is_written_without_its_extension(
    tmp_path: Path, unpack: Unpack, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    assert unpack(name).returncode == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"f": b"content"}


@pytest.mark.parametrize("kind", ["gnu", "bsd"])
def test_an_ar_archive_is_unpacked(tmp_path: Path, unpack: Unpack, kind: str) -> None:
    made = {"f": b"odd", "a name that is longer than its field": b"content"}
    (tmp_path / "x.deb").write_bytes(formats.ar(made, kind))
    done = unpack("x.deb")
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == made


@pytest.mark.parametrize("name", ["a.7z", "a.lha"])
def test_an_archive_of_another_program_is_unpacked(
    tmp_path: Path, unpack: Unpack, name: str
) -> None:
    if not (shutil.which("bsdtar") or shutil.which("7z")):
        pytest.skip("there is no program for it here; the test of hostile archives has one")
    (tmp_path / name).write_bytes(formats.OTHERS[name.rpartition(".")[2]](FILES))
    done = unpack(name)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "d" / "f").read_text() == "content"


def test_an_unknown_format_is_told_and_the_file_is_removed(tmp_path: Path, unpack: Unpack) -> None:
    (tmp_path / "data.txt").write_text("x")
    done = unpack("data.txt")
    assert done.stdout == "unpack data.txt: file format not recognized. Ignoring.\n"
    assert (done.returncode, list(tmp_path.iterdir())) == (0, [])


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.xz", "a.zip", "a.deb", "a.gz"])
def test_a_broken_archive_fails_and_is_removed(tmp_path: Path, unpack: Unpack, name: str) -> None:
    (tmp_path / name).write_bytes(b"no archive at all")
    done = unpack("--failure", f"{tmp_path}/failure", name)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"unpack {name}: it is ")
    assert (tmp_path / "failure").read_text() == done.stderr.splitlines()[-1] + "\n"
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["a.rar", "a.7z", "a.lha"])
def test_a_format_without_its_program_says_which_is_missing(
    tmp_path: Path, program: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"x")
    done = inside_out.run(
        sys.executable, "-IB", program, name, cwd=tmp_path, env={"PATH": "/nowhere"}
    )
    assert done.returncode == 1
    assert "is not installed here" in done.stderr
    assert not (tmp_path / name).exists()


def test_content_from_elsewhere_is_unpacked_here_and_stays(tmp_path: Path, unpack: Unpack) -> None:
    source = tmp_path / "0"
    source.write_bytes(gzip.compress(TAR))
    target = tmp_path / "target"
    target.mkdir()
    assert unpack("--from", str(source), "my files.tar.gz", cwd=target).returncode == 0
    assert (target / "d" / "f").exists()
    assert source.exists()


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_the_systems_folders_keep_their_links_and_modes(
    tmp_path: Path, unpack: Unpack, kind: str
) -> None:
    made = tmp_path / "made"
    for name in ("lib", "tmp"):
        (made / name).mkdir(parents=True)
        (made / name / "f").write_text("x")
    made.chmod(0o700)
    if kind == "tar":
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            archive.add(made, ".")
    else:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
            for path in (made / "lib", made / "lib/f", made / "tmp", made / "tmp/f"):
                zipped.write(path, path.relative_to(made))
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    root.chmod(0o755)
    done = unpack("--from", str(tmp_path / f"a.{kind}"), f"a.{kind}", cwd=root)
    assert (done.returncode, done.stderr) == (0, "")
    assert (root / "lib").is_symlink()
    assert (root / "usr/lib/f").exists()
    assert [oct(path.stat().st_mode & 0o7777) for path in (root, root / "tmp")] == [
        "0o755",
        "0o1777",
    ]


def test_owners_are_not_restored(tmp_path: Path, unpack: Unpack) -> None:
    info = tarfile.TarInfo("owned")
    info.uid = info.gid = 12345
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(info)
    unpack("a.tar")
    assert (tmp_path / "owned").stat().st_uid == os.geteuid()


def test_a_zipped_program_stays_one_and_a_zipped_link_is_one(
    tmp_path: Path, unpack: Unpack
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, mode, content in (("run", 0o100755, "x"), ("link", 0o120777, "run")):
            info = zipfile.ZipInfo(name, (2020, 2, 3, 4, 5, 6))
            info.external_attr = mode << 16
            archive.writestr(info, content)
    assert unpack("a.zip").returncode == 0
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "link").readlink() == Path("run")
