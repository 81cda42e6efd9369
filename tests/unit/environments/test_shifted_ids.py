"""Root file systems with shifted ids."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import pytest

from plasmid.environments import shifted_ids

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
REVISION_2 = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)


@as_root
def test_owners_move_and_modes_stay(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    sudo, link = root / "bin/sudo", root / "bin/link"
    sudo.touch()
    sudo.chmod(0o4755)
    link.symlink_to("/etc/passwd")
    os.chown(root / "bin", 1000, 50)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    assert shifted_ids.shift_tree(str(root)) == 5
    assert (sudo.stat().st_uid, stat.S_IMODE(sudo.stat().st_mode)) == (300000, 0o4755)
    assert link.lstat().st_uid == 300000
    assert ((root / "bin").stat().st_uid, (root / "bin").stat().st_gid) == (301000, 300050)
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
    assert Path("/etc/passwd").stat().st_uid == 0
    assert shifted_ids.is_shifted(str(root))


@as_root
def test_a_second_run_and_a_second_name_shift_nothing_twice(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    os.link(tmp_path / "a", tmp_path / "b")
    shifted_ids.shift_tree(str(tmp_path))
    shifted_ids.shift_tree(str(tmp_path))
    assert (tmp_path / "b").stat().st_uid == 300000


@as_root
def test_file_capabilities_hold_in_the_sandboxs_namespace(tmp_path: Path) -> None:
    ping = tmp_path / "ping"
    ping.touch()
    os.setxattr(ping, "security.capability", REVISION_2)
    shifted_ids.shift_tree(str(tmp_path))
    kept = os.getxattr(ping, "security.capability")
    assert kept == shifted_ids.namespaced_capability(REVISION_2)


def test_a_capability_names_the_root_it_holds_for() -> None:
    made = shifted_ids.namespaced_capability(REVISION_2)
    magic, permitted, *_, root = struct.unpack("<IIIIII", made)
    assert (magic, permitted, root) == (0x03000001, 1 << 13, 300000)
    assert shifted_ids.namespaced_capability(made) == made


def test_ids_outside_the_range_stay() -> None:
    assert shifted_ids.shifted(0) == 300000
    assert shifted_ids.shifted(65535) == 365535
    assert shifted_ids.shifted(65536) == 65536
    assert shifted_ids.shifted(300000) == 300000


def test_an_ordinary_folder_is_not_shifted(tmp_path: Path) -> None:
    assert not shifted_ids.is_shifted(str(tmp_path))
    assert not shifted_ids.is_shifted(str(tmp_path / "none"))
