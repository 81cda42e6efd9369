"""Project quotas: what is asked of the kernel, and what is concluded where it has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plasmid.engines import quota


def test_projects_are_far_above_numbers_of_people_and_differ() -> None:
    numbers = {quota.project_of(f"job-{number}.0") for number in range(1000)}
    assert len(numbers) == 1000
    assert all(0x50000000 <= number < 0x60000000 for number in numbers)


def test_a_quota_binds_only_if_a_write_beyond_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(quota, "limit", lambda folder, _, size: asked.append((folder.name, size)))
    monkeypatch.setattr(quota, "release", lambda folder, _: asked.append((folder.name, 0)))
    assert not quota.binds(tmp_path)
    assert [size for _, size in asked] == [1 << 20, 0]
    assert asked[1][0] == tmp_path.name
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_quotas_is_known_as_one(tmp_path: Path) -> None:
    if quota.binds(tmp_path):
        pytest.skip("this one has quotas")
    with pytest.raises(OSError, match=r".+"):
        quota.limit(tmp_path, quota.project_of("j"), 1 << 20)
    quota.release(tmp_path, quota.project_of("j"))
    quota.release(tmp_path / "gone", quota.project_of("j"))


class Capabilities:
    """The two calls of the C library, on a thread that has everything."""

    def __init__(self) -> None:
        self.held = b"\xff" * 24

    def capget(self, _: bytes, into: Any) -> int:
        into[:24] = self.held
        return 0

    def capset(self, _: bytes, given: bytes) -> int:
        self.held = given[:24]
        return 0


def test_the_power_to_exceed_quotas_is_laid_down_for_the_block_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread = Capabilities()
    monkeypatch.setattr(quota, "_libc", thread)
    with quota.without_override():
        assert int.from_bytes(thread.held[:4], "little") == 0xFFFFFFFF & ~(1 << 24)
        assert thread.held[4:] == b"\xff" * 20
    assert thread.held == b"\xff" * 24
    with pytest.raises(ZeroDivisionError), quota.without_override():
        _ = 1 / 0
    assert thread.held == b"\xff" * 24


def test_the_real_calls_change_nothing_that_lasts() -> None:
    status = Path("/proc/thread-self/status")
    before = status.read_text().split("CapEff:")[1].split()[0]
    with quota.without_override():
        assert int(status.read_text().split("CapEff:")[1].split()[0], 16) & 1 << 24 == 0
    assert status.read_text().split("CapEff:")[1].split()[0] == before
