"""A sandbox's root: files put into it, and its removal."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from plasmid.engines import overlay

ME = os.getuid()


def put(root: Path, files: dict[str, bytes]) -> None:
    overlay.put_files(root, files, root_id=ME)


def test_files_get_their_parents_and_modes(tmp_path: Path) -> None:
    put(tmp_path, {"/a/b/start": b"#!/bin/sh\n", "/a/data": b"data", "/top": b""})
    assert (tmp_path / "a/b/start").read_bytes() == b"#!/bin/sh\n"
    modes = {p: stat.S_IMODE((tmp_path / p).stat().st_mode) for p in ("a/b", "a/b/start", "a/data")}
    assert modes == {"a/b": 0o755, "a/b/start": 0o755, "a/data": 0o644}
    assert (tmp_path / "top").read_bytes() == b""


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    put(tmp_path, {"/closed/file": b"x"})
    assert stat.S_IMODE((tmp_path / "closed").stat().st_mode) == 0o700


def test_a_file_that_is_there_is_replaced_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"untouched")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(outside)
    os.link(outside, root / "hard")
    put(root, {"/link": b"new", "/hard": b"new"})
    assert outside.read_bytes() == b"untouched"
    assert (root / "link").read_bytes() == b"new"
    assert not (root / "link").is_symlink()


@pytest.mark.parametrize("target", ["/etc", "..", "real"])
def test_a_parent_that_is_a_link_is_an_error_that_names_it(tmp_path: Path, target: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(OSError, match="'link' is a link or no folder"):
        put(tmp_path, {"/link/file": b"x"})


def test_a_parent_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="'file' is a link or no folder"):
        put(tmp_path, {"/file/below": b"x"})


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/", ""])
def test_a_path_must_be_absolute_and_plain(tmp_path: Path, path: str) -> None:
    with pytest.raises(OSError, match="must be absolute"):
        put(tmp_path, {path: b"x"})


def test_a_large_file_is_written_whole(tmp_path: Path) -> None:
    content = os.urandom(5_000_000)
    put(tmp_path, {"/big": content})
    assert (tmp_path / "big").read_bytes() == content


def test_an_image_that_another_user_built_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    overlay.check_owner(tmp_path, ME)
    with pytest.raises(OSError, match="plasmid image build"):
        overlay.check_owner(tmp_path, ME + 1)


def test_special_characters_in_paths_are_escaped_in_mount_options() -> None:
    made = overlay.options(Path("/a:b,c"), Path("/f\\g"))
    assert made == ("lowerdir=/a\\:b\\,c,upperdir=/f\\\\g/upper,workdir=/f\\\\g/work,volatile")


def test_in_a_user_namespace_the_marks_are_user_attributes() -> None:
    assert overlay.options(Path("/l"), Path("/f"), root_id=0).endswith(",volatile,userxattr")


def test_a_tree_deeper_than_python_can_go_is_removed(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    doomed = tmp_path / "doomed"
    doomed.mkdir()
    at = os.open(doomed, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    os.close(here)
    overlay.remove_tree(doomed)
    assert not doomed.exists()


def test_removing_what_is_gone_is_fine(tmp_path: Path) -> None:
    overlay.remove_tree(tmp_path / "never")
    overlay.unmount(tmp_path / "never")
    overlay.unmount(tmp_path)


def test_a_request_to_the_program_keeps_every_byte() -> None:
    content = bytes(range(256))
    asked = json.loads(overlay.request(Path("/l"), Path("/f"), {"/x": content}))
    assert asked["files"]["/x"].encode("latin-1") == content
    assert (asked["lower"], asked["folder"]) == ("/l", "/f")


@pytest.mark.skipif(ME != 0, reason="mounting needs root")
def test_sixty_layers_with_long_paths_are_mounted_in_their_order(tmp_path: Path) -> None:
    layers = []
    for number in range(60):
        layer = tmp_path / f"{'k' * 64}{number}"
        layer.mkdir()
        (layer / f"f{number}").touch()
        (layer / "same").write_text(str(number))
        layers.append(layer)
    base, folder = tmp_path / "base", tmp_path / "sandbox"
    base.mkdir()
    folder.mkdir()
    overlay.mount(base, folder, layers=layers)
    try:
        assert len(list((folder / "root").iterdir())) == 61
        assert (folder / "root/same").read_text() == "59"
    finally:
        overlay.unmount(folder / "root")
