"""An image that is written to a file is the image that is read from it."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid.environments import builder, exporting, importing, shifted_ids
from tests import image_files
from tests.image_files import SYSTEM, entry
from tests.small_disk import small_disk

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking an image needs root")
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw=ep


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    """A stored root with what is easily lost: links, setuid, a capability, an owner."""
    twin = entry("bin/twin", tarfile.LNKTYPE, linkname="bin/sh")
    link = entry("bin/link", tarfile.SYMTYPE, linkname="/bin/sh")
    mighty = entry("bin/mighty", mode=0o4755, uid=5, gid=6)
    file = tmp_path / "first.tar"
    file.write_bytes(image_files.tar(SYSTEM, twin, link, mighty))
    root = tmp_path / "root"
    await importing.unpack(file, root)
    os.setxattr(root / "bin/twin", "security.capability", CAPABILITY)
    builder.finish(root, ())
    return root


def state(root: Path) -> Iterator[tuple[object, ...]]:
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        target = path.readlink() if path.is_symlink() else ""
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        capability = shifted_ids.read_capability(str(path)) if content else None
        owner = (status.st_uid, status.st_gid, status.st_mode)
        yield (str(path.relative_to(root)), *owner, status.st_nlink, target, content, capability)


@pytest.mark.parametrize("name", ["image.tar", "image.tar.gz"])
async def test_what_is_imported_is_what_was_exported(root: Path, tmp_path: Path, name: str) -> None:
    exporting.write(root, tmp_path / name)
    await importing.unpack(tmp_path / name, tmp_path / "again")
    builder.finish(tmp_path / "again", ())
    assert list(state(tmp_path / "again")) == list(state(root))


def test_ids_are_written_as_inside(root: Path, tmp_path: Path) -> None:
    exporting.write(root, tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:
        owners = {member.name: (member.uid, member.gid, member.mode) for member in archive}
    assert owners["./bin/mighty"] == (5, 6, 0o4755)
    assert owners["./etc/os-release"][:2] == (0, 0)


def test_a_full_disk_leaves_no_half_a_file(root: Path, tmp_path: Path) -> None:
    (root / "big").write_bytes(os.urandom(1 << 20))
    with small_disk(tmp_path / "small", size_bytes=1 << 19) as small:
        with pytest.raises(OSError, match="No space left"):
            exporting.write(root, small / "image.tar")
        assert list(small.iterdir()) == []
