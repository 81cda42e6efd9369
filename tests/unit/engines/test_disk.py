"""Disks of sandboxes, as far as no file system has to be mounted; the rest is in tests/contract."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plasmid.engines import disk, quota

GB = 10**9


def test_a_limit_that_the_site_turned_off_is_named(tmp_path: Path) -> None:
    (reason,) = disk.Disks(disk.OFF).unenforced(tmp_path, 50 * GB)
    assert reason == "disk: 50 GB is no limit: [jobs] disk_limit is off"
    assert disk.Disks(disk.OFF).kind(tmp_path) == disk.OFF


def test_quotas_go_first_and_whether_they_bind_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []

    def binds(folder: Path) -> bool:
        tried.append(folder)
        return True

    monkeypatch.setattr(quota, "binds", binds)
    disks = disk.Disks()
    assert [disks.kind(tmp_path) for _ in range(3)] == [disk.QUOTA] * 3
    assert tried == [tmp_path]
    limited: list[tuple[object, ...]] = []
    monkeypatch.setattr(quota, "limit", lambda *given: limited.append(given))
    made = disks.make(tmp_path, 5 * GB, kind=disk.QUOTA, name="job-1.0")
    assert limited == [(made, quota.project_of("job-1.0"), 5 * GB)]
    assert made == tmp_path / disk.MOUNT


def test_a_site_that_wants_quotas_and_has_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota, "binds", lambda _: False)
    (reason,) = disk.Disks(disk.QUOTA).unenforced(tmp_path, GB)
    assert reason == "disk: 1 GB is no limit: no project quotas here: mount its disk with prjquota"


def test_a_machine_that_cannot_says_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_LOOP_CONTROL", str(tmp_path / "none"))
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/sbin/mke2fs")
    (reason,) = disk.Disks().unenforced(tmp_path, 50 * GB)
    assert reason.startswith("disk: 50 GB is no limit: no loop devices: modprobe loop")
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert disk.problem() == "no mke2fs: apt-get install e2fsprogs"
    assert disk.Disks().kind(tmp_path) == disk.OFF
    assert disk.Disks(disk.LOOP).kind(tmp_path) == disk.LOOP


def test_a_disk_above_what_the_machine_has_left_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "room", lambda _: 7 * GB)
    monkeypatch.setattr(disk, "problem", lambda: None)
    (reason,) = disk.Disks(disk.LOOP).unenforced(tmp_path, 8 * GB)
    assert "8 GB is more than the 7 GB that are left" in reason
    assert disk.Disks(disk.LOOP).unenforced(tmp_path, 7 * GB) == []


@pytest.mark.parametrize("free_bytes", [0, 1 << 20, 1 << 30, 1 << 40])
def test_some_room_is_kept_for_what_lies_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int
) -> None:
    figures = (4096, 4096, free_bytes, 0, free_bytes // 4096, 0, 0, 0, 0, 255)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(figures))
    left = disk.room(tmp_path)
    assert left <= free_bytes
    assert free_bytes - left <= 256 << 20
    assert free_bytes == 0 or left < free_bytes


def test_no_space_at_all_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "room", lambda _: 1000)
    with pytest.raises(OSError, match="no space left for a sandbox's disk"):
        disk.Disks().make(tmp_path, 50 * GB, kind=disk.LOOP, name="j")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_disk_has_lost_nothing_and_nothing_to_remove(tmp_path: Path) -> None:
    assert not disk.has_lost_writes(tmp_path)
    disk.remove(tmp_path)
    (tmp_path / disk.MOUNT).mkdir()
    (tmp_path / disk.IMAGE).touch()
    assert not disk.has_lost_writes(tmp_path)
    disk.remove(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [disk.MOUNT]


def test_an_empty_file_system_of_a_size_is_formatted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if disk.problem() is not None:
        pytest.skip(str(disk.problem()))
    disks = disk.Disks()
    first = disks._blocks(64 << 20, tmp_path)
    assert 0 < sum(len(content) for _, content in first) < 1 << 20
    monkeypatch.setattr(disk, "_formatted", lambda *_: pytest.fail("formatted again"))
    assert disks._blocks(64 << 20, tmp_path) is first
    assert list(tmp_path.iterdir()) == []
