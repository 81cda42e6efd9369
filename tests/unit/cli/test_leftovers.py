"""What a run may leave behind, on trees of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.cli import leftovers


def test_a_loop_device_over_an_image_in_the_folder_is_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    for number, image in enumerate(
        (f"{home}/work/j.0/sandbox/disk.img", "/other/disk.img", f"{home}/x/disk.img (deleted)")
    ):
        device = tmp_path / "block" / f"loop{number}" / "loop"
        device.mkdir(parents=True)
        (device / "backing_file").write_text(f"{image}\n")
    (tmp_path / "block" / "sda").mkdir()
    monkeypatch.setattr(leftovers, "SYS_BLOCK", tmp_path / "block")
    found = leftovers.find_loops(home)
    assert sorted(line.split(":")[0] for line in found) == [
        "loop device loop0",
        "loop device loop2",
    ]
    assert leftovers.find_loops(tmp_path / "hom") == []
