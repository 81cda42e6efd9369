"""What the doctor says of limits: each finding has its level and a remedy that can be typed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plasmid.cli import doctor, enforced


@pytest.mark.parametrize(
    ("controllers", "is_root", "level", "word"),
    [
        ({"cpu", "cpuset", "memory"}, True, "ok", "see their own only"),
        ({"cpu", "memory"}, True, "warn", "no cpuset"),
        (set(), False, "warn", "not enforced"),
        ({"memory", "pids"}, False, "warn", "not enforced"),
    ],
)
def test_cores(controllers: set[str], level: str, word: str, *, is_root: bool) -> None:
    found = enforced.judge_cores(controllers, is_root=is_root)
    assert (found[0], found[1]) == (level, "cores")
    assert word in found[2]
    assert bool(found[3]) == (level != "ok")


@pytest.mark.parametrize(
    ("lacking", "remedy"),
    [
        ({}, ""),
        ({"has_loop": False}, "modprobe loop"),
        ({"has_mke2fs": False}, "apt-get install e2fsprogs"),
        ({"mode": "off"}, "unset it"),
        ({"is_root": False}, "run as root"),
    ],
)
def test_disks(lacking: dict[str, bool | str], remedy: str) -> None:
    whole = {"has_loop": True, "has_mke2fs": True, "mode": "", "is_root": True}
    found = enforced.judge_disks(**{**whole, **lacking})  # type: ignore[arg-type]
    assert found[3] == remedy
    assert found[0] == ("warn" if remedy else "ok")


def test_cards(tmp_path: Path) -> None:
    assert enforced.judge_cards([])[0] == "ok"
    file = tmp_path / "x.json"
    file.touch()
    file.chmod(0o644)
    assert enforced.judge_cards([file])[0] == "ok"
    file.chmod(0o666)
    assert enforced.judge_cards([file])[3] == f"chmod go-w {file}"


def test_grants() -> None:
    assert enforced.judge_grants("")[0] == "ok"
    level, _, found, remedy = enforced.judge_grants("no such file")
    assert (level, "no such file" in found, "nft_tproxy" in remedy) == ("warn", True, True)


def test_the_doctor_has_a_line_for_each() -> None:
    machine = doctor.this_machine()
    found = doctor.check_enforced(machine)
    whats = [finding.what for finding in found]
    assert whats == ["cores", "disk of a job", "graphics cards", "access.network"]
    assert os.geteuid() != 0 or found[0].level == doctor.OK or found[0].remedy
