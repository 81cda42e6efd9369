"""Nothing in a sandbox's root leads a reader astray."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from plasmid.worker import inside

PATH = "/home/dnanexus/job_output.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "home/dnanexus").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    return tmp_path


def inner(root: Path) -> Path:
    return root / PATH.removeprefix("/")


def test_a_plain_file_is_read(root: Path) -> None:
    inner(root).write_text('{"a": "ü"}')
    assert inside.read_text(root, PATH) == '{"a": "ü"}'


def test_a_file_that_is_not_there_is_none(root: Path) -> None:
    assert inside.read(root, PATH) is None
    assert inside.read(root, "/no/such/folder") is None


def make_link(root: Path) -> None:
    inner(root).symlink_to(root / "secret")


def make_dangling_link(root: Path) -> None:
    inner(root).symlink_to("/no/such/file")


def make_link_of_a_folder(root: Path) -> None:
    (root / "other").mkdir()
    (root / "other/job_output.json").write_text("secret")
    (root / "home/dnanexus").rmdir()
    (root / "home/dnanexus").symlink_to(root / "other")


def make_fifo(root: Path) -> None:
    os.mkfifo(inner(root))


def make_folder(root: Path) -> None:
    inner(root).mkdir()


def make_socket(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        folder = os.open(inner(root).parent, os.O_RDONLY)
        bound.bind(f"/proc/self/fd/{folder}/job_output.json")
        os.close(folder)


def make_file_for_a_folder(root: Path) -> None:
    (root / "home/dnanexus").rmdir()
    (root / "home/dnanexus").write_text("x")


@pytest.mark.parametrize(
    "trap",
    [
        make_link,
        make_dangling_link,
        make_link_of_a_folder,
        make_fifo,
        make_folder,
        make_socket,
        make_file_for_a_folder,
    ],
)
def test_a_trap_is_refused_and_named(root: Path, trap: Callable[[Path], None]) -> None:
    trap(root)
    with pytest.raises(inside.UnreadableError, match=r"job_output\.json"):
        inside.read(root, PATH)


def test_a_device_is_refused(root: Path) -> None:
    try:
        os.mknod(inner(root), 0o666 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("making devices needs root")
    with pytest.raises(inside.UnreadableError):
        inside.read(root, PATH)


def test_endless_content_stops_at_the_limit(root: Path) -> None:
    with inner(root).open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(inside.UnreadableError, match="larger than 16 MiB"):
        inside.read(root, PATH)


def test_exactly_the_limit_is_read(root: Path) -> None:
    inner(root).write_bytes(b"x" * 10)
    assert inside.read(root, PATH, bytes_max=10) == b"x" * 10
    with pytest.raises(inside.UnreadableError):
        inside.read(root, PATH, bytes_max=9)


def test_bytes_that_are_no_text_are_told_with_their_place(root: Path) -> None:
    inner(root).write_bytes(b"ab\xff")
    with pytest.raises(inside.UnreadableError, match="byte 2"):
        inside.read_text(root, PATH)


def test_no_descriptor_stays_open(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    inner(root).write_text("x")
    inside.read(root, PATH)
    inside.read(root, "/no/such")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
