"""What a sandbox left: told entry by entry, and taken out without following anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plasmid.environments import trees


def inside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    (made / "usr/bin").mkdir(parents=True)
    (made / "usr/bin/tool").write_bytes(b"tool")
    (made / "usr/link").symlink_to("/etc/passwd")
    return made


def test_a_manifest_has_a_record_for_every_entry(tree: Path) -> None:
    records = trees.manifest(tree).split(b"\0")[:-1]
    assert [record.split(b" ", 7)[-1] for record in records] == [
        b".", b"usr", b"usr/bin", b"usr/link", b"usr/bin/tool",
    ]  # fmt: skip


@pytest.mark.parametrize("change", ["flip", "mode", "link", "new", "gone", "attribute"])
def test_any_change_changes_manifest_and_stamp(tree: Path, change: str) -> None:
    before = (trees.manifest(tree), trees.stamp(tree))
    tool = tree / "usr/bin/tool"
    times = (tool.stat().st_atime_ns, tool.stat().st_mtime_ns)
    match change:
        case "flip":
            tool.write_bytes(b"t0ol")
            os.utime(tool, ns=times)
        case "mode":
            tool.chmod(0o4755)
        case "link":
            (tree / "usr/link").unlink()
            (tree / "usr/link").symlink_to("/etc/shadow")
        case "new":
            (tree / "usr/bin/x").touch()
        case "gone":
            tool.unlink()
        case "attribute":
            os.setxattr(tool, "user.x", b"1")
    after = (trees.manifest(tree), trees.stamp(tree))
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_the_first_difference_names_the_file(tree: Path) -> None:
    before = trees.manifest(tree)
    (tree / "usr/bin/tool").write_bytes(b"other")
    assert trees.first_difference(before, trees.manifest(tree)) == "/usr/bin/tool"


def test_names_that_are_no_text_are_entries_like_others(tree: Path) -> None:
    Path(os.fsdecode(bytes(tree) + b"/usr/\xff\n")).write_bytes(b"x")
    assert b"usr/\xff\n" in trees.manifest(tree)
    assert trees.stamp(tree)


def test_what_is_taken_out_is_never_behind_a_link(tmp_path: Path, tree: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "hosts").write_text("mine")
    (tree / "etc").symlink_to(outside)
    assert not trees.take_out(tree, "/etc/hosts")
    trees.empty(tree, "/etc")
    trees.take_out_same(tree, {"/etc/hosts": b"mine"})
    trees.take_out_if_empty(tree, "/etc")
    assert not trees.has(tree, "/etc/hosts")
    assert (outside / "hosts").read_text() == "mine"


def test_a_link_is_taken_out_itself(tree: Path) -> None:
    assert trees.take_out(tree, "/usr/link")
    assert Path("/etc/passwd").exists()
    assert not (tree / "usr/link").is_symlink()


def test_only_files_that_are_still_as_we_put_them_are_taken_out(tree: Path) -> None:
    (tree / "usr/bin/ours").write_bytes(b"ours")
    trees.take_out_same(tree, {"/usr/bin/ours": b"ours", "/usr/bin/tool": b"too", "/none": b""})
    assert inside(tree / "usr/bin") == ["tool"]


def test_a_folder_is_taken_out_only_if_nothing_is_in_it(tree: Path) -> None:
    (tree / "opt/empty").mkdir(parents=True)
    for path in ("/opt/empty", "/usr", "/none/at/all"):
        trees.take_out_if_empty(tree, path)
    assert inside(tree) == ["opt", "usr"]
    assert inside(tree / "opt") == []


def test_a_folder_is_emptied_and_stays(tree: Path) -> None:
    trees.empty(tree, "/usr")
    assert inside(tree / "usr") == []
