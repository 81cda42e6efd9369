"""Root file systems from files that nobody vouches for."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import lzma
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from plasmid.environments import archives, importing
from plasmid.environments.commands import BuildError
from tests import image_files
from tests.image_files import SYSTEM, entry
from tests.small_disk import small_disk

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking an image needs root")


def written(folder: Path, content: bytes) -> Path:
    path = folder / "image.tar"
    path.write_bytes(content)
    return path


async def unpacked(folder: Path, content: bytes) -> Path:
    await importing.unpack(written(folder, content), folder / "root")
    return folder / "root"


async def refused(folder: Path, content: bytes) -> str:
    with pytest.raises(BuildError) as caught:
        await unpacked(folder, content)
    return str(caught.value)


async def test_a_root_tar_is_unpacked_and_says_what_it_is(tmp_path: Path) -> None:
    files = {**SYSTEM, "usr/local/bin/dx": b"", "usr/share/plasmid-packages": b"jq 1.6 amd64\n"}
    files["etc/apt/sources.list"] = b"deb http://mirror.test/debian bookworm main\n"
    found = await importing.unpack(
        written(tmp_path, image_files.tar(files, entry("a", uid=7, gid=100000))), tmp_path / "root"
    )
    assert (found.distribution, found.release) == ("Debian", "12")
    assert (found.packages, found.apt_hosts) == (("jq 1.6 amd64",), ("mirror.test",))
    assert found.has_client
    status = (tmp_path / "root/a").stat()
    assert (status.st_uid, status.st_gid) == (7, 65534)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
async def test_a_packed_file_is_the_same_image(tmp_path: Path, pack: object) -> None:
    content = image_files.tar(SYSTEM)
    plain = await importing.unpack(written(tmp_path, content), tmp_path / "plain")
    packed = pack(content)  # type: ignore[operator]
    assert await importing.unpack(written(tmp_path, packed), tmp_path / "packed") == plain


async def test_a_file_packed_by_zstd_is_the_same_image(tmp_path: Path) -> None:
    assert (await unpacked(tmp_path, zstd(image_files.tar(SYSTEM))) / "bin/sh").exists()


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-c"], input=content, capture_output=True, check=True).stdout


@pytest.mark.parametrize("make", [image_files.oci, image_files.docker])
async def test_layers_lie_over_each_other_and_take_away(tmp_path: Path, make: object) -> None:
    lower = image_files.tar({**SYSTEM, "a/one": b"1", "a/two": b"2", "b/old": b"", "c": b"file"})
    gone = {"a/.wh.one": b"", "b/.wh..wh..opq": b"", "b/new": b""}
    upper = image_files.tar(gone, entry("c", tarfile.DIRTYPE))
    root = await unpacked(tmp_path, image_files.tar(make([lower, upper])))  # type: ignore[operator]
    assert sorted(p.name for p in (root / "a").iterdir()) == ["two"]
    assert [p.name for p in (root / "b").iterdir()] == ["new"]
    assert (root / "c").is_dir()


async def test_nothing_outside_the_root_can_be_meant(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("untouched")
    inside = entry(str(victim).lstrip("/"), tarfile.DIRTYPE)
    link = entry("link", tarfile.SYMTYPE, linkname=str(victim))
    through = entry("link/file", tarfile.SYMTYPE, linkname="/etc/passwd")
    root = await unpacked(tmp_path, image_files.tar(SYSTEM, inside, link, through))
    assert [p.read_text() for p in victim.iterdir()] == ["untouched"]
    assert (root / str(victim).lstrip("/") / "file").is_symlink()  # the root's own


async def test_what_lies_behind_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    link = entry("link", tarfile.SYMTYPE, linkname=str(victim))
    why = await refused(tmp_path, image_files.tar(SYSTEM, link, entry("link/file")))
    assert "'link/file' lies below what is no folder" in why
    assert list(victim.iterdir()) == []


@pytest.mark.parametrize(
    "member, told",
    [
        (entry("../out"), r"'\.\./out' leads out of the archive"),
        (entry("a/../../out"), "leads out"),
        (entry("/etc/out"), "'/etc/out' is an absolute name"),
        (entry("hard", tarfile.LNKTYPE, linkname="../out"), "leads out"),
        (entry("hard", tarfile.LNKTYPE, linkname="/etc/passwd"), "absolute"),
        (entry("disk", tarfile.BLKTYPE), "'disk' is a block device"),
        (entry("usr/null", tarfile.CHRTYPE), "is a character device"),
        (entry("etc/apt", tarfile.SYMTYPE, linkname="/etc/apt"), "its /etc/apt is no folder"),
    ],
)
async def test_what_no_image_may_hold_is_refused_by_name(
    tmp_path: Path, member: tarfile.TarInfo, told: str
) -> None:
    assert re.search(told, await refused(tmp_path, image_files.tar(SYSTEM, member)))
    assert not (tmp_path / "out").exists()


async def test_devices_below_dev_are_left_out(tmp_path: Path) -> None:
    member = entry("dev/null", tarfile.CHRTYPE)
    root = await unpacked(tmp_path, image_files.tar(SYSTEM, member))
    assert list((root / "dev").iterdir()) == []


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.98])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
async def test_a_truncated_file_is_refused(tmp_path: Path, kept: float, pack: object) -> None:
    content = pack(image_files.tar({**SYSTEM, "big": os.urandom(1 << 20)}))  # type: ignore[operator]
    assert "truncated" in await refused(tmp_path, content[: int(len(content) * kept)])


async def test_a_file_that_ends_between_two_members_is_truncated(tmp_path: Path) -> None:
    content = image_files.tar(SYSTEM)
    whole = content.rstrip(b"\0")
    assert "truncated" in await refused(tmp_path, whole + bytes(-len(whole) % 512))


@pytest.mark.parametrize("content", [b"", b"no archive at all", os.urandom(4096)])
async def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "is no image" in await refused(tmp_path, content)


async def test_what_is_no_root_file_system_is_refused(tmp_path: Path) -> None:
    assert "it has no /bin/sh" in await refused(tmp_path, image_files.tar({"readme": b""}))


async def test_an_image_for_another_machine_is_refused(tmp_path: Path) -> None:
    foreign = bytearray(image_files.SHELL)
    foreign[18:20] = (8).to_bytes(2, "little")
    assert "this machine is" in await refused(tmp_path, image_files.tar({"bin/sh": bytes(foreign)}))


async def test_an_archive_for_another_machine_is_refused(tmp_path: Path) -> None:
    files = image_files.oci([image_files.tar(SYSTEM)], architecture="s390x")
    assert "it is for linux on s390x" in await refused(tmp_path, image_files.tar(files))


@pytest.mark.parametrize("make", [image_files.oci, image_files.docker])
async def test_changed_bytes_of_a_layer_are_found(tmp_path: Path, make: object) -> None:
    files = make([image_files.tar({**SYSTEM, "a": b"x" * 4096})])  # type: ignore[operator]
    name = max(files, key=lambda name: len(files[name]))
    changed = bytearray(files[name])
    changed[len(changed) // 2] ^= 1
    why = await refused(tmp_path, image_files.tar({**files, name: bytes(changed)}))
    assert "damaged" in why


@pytest.mark.parametrize(
    "change, told",
    [
        ({"index.json": b"{"}, "index.json is no JSON"),
        ({"index.json": b'{"manifests": [{"digest": "md5:1"}]}'}, "no sha256 digest"),
        ({"index.json": b'{"manifests": []}'}, "it holds 0 images"),
        ({"index.json": b"{}"}, "lacks 'config'"),
    ],
)
async def test_a_manifest_that_is_none_is_refused(
    tmp_path: Path, change: dict[str, bytes], told: str
) -> None:
    files = {**image_files.oci([image_files.tar(SYSTEM)]), **change}
    assert told in await refused(tmp_path, image_files.tar(files))


async def test_a_full_disk_is_said(tmp_path: Path) -> None:
    file = written(tmp_path, image_files.tar({**SYSTEM, "big": bytes(8 << 20)}))
    with (
        small_disk(tmp_path / "small", size_bytes=4 << 20) as small,
        pytest.raises(BuildError, match="No space left on device"),
    ):
        await importing.unpack(file, small / "root")


async def test_an_interrupted_import_stops_in_order(tmp_path: Path) -> None:
    # A pipe that nobody closes: the import is still reading when it is cancelled.
    file = written(tmp_path, image_files.tar({**SYSTEM, "big": bytes(64 << 20)}))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await importing.unpack(file, tmp_path / "root")
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    named = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children]
    assert not any(b"unpacking" in line for line in named)


def test_a_docker_archive_without_its_layer_is_refused(tmp_path: Path) -> None:
    files = image_files.docker([image_files.tar(SYSTEM)])
    del files["0/layer.tar"]
    with pytest.raises(archives.ArchiveError, match=r"it has no 0/layer\.tar"):
        archives.layers(written(tmp_path, image_files.tar(files)))
