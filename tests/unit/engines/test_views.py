"""What a sandbox sees of the machine, as text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmid.engines import views
from plasmid.engines.views import MemoryUse

GIB = 1 << 30
HOST = """\
MemTotal:       24684092 kB
MemFree:        24089596 kB
MemAvailable:   20000000 kB
Buffers:            2416 kB
Cached:           135452 kB
SwapTotal:       1048576 kB
Active(anon):       1740 kB
VmallocTotal:   34359738367 kB
HugePages_Total:       7
Hugepagesize:       2048 kB
"""
CPUINFO = (
    "processor\t: 0\nmodel\t: x\n\nprocessor\t: 1\nmodel\t: y\n\nprocessor\t: 10\nmodel\t: z\n"
)


def read(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"^(\S+):\s+(\d+)", text, re.MULTILINE)}


def test_its_memory_is_the_limit_and_there_is_no_swap() -> None:
    seen = read(views.meminfo(HOST, 8 * GIB, MemoryUse()))
    assert (seen["MemTotal"], seen["MemFree"]) == (8 << 20, 8 << 20)
    assert (seen["SwapTotal"], seen["Cached"], seen["Buffers"]) == (0, 0, 0)
    assert (seen["Hugepagesize"], seen["HugePages_Total"]) == (2048, 7)


def test_what_it_uses_is_not_free_and_files_can_be_given_up() -> None:
    seen = read(views.meminfo(HOST, 8 * GIB, MemoryUse(3 * GIB, 1 * GIB)))
    assert seen["MemFree"] == 5 << 20
    assert seen["MemAvailable"] == 6 << 20
    assert (seen["Cached"], seen["Active(anon)"]) == (1 << 20, 2 << 20)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_no_figure_is_above_the_machines_or_the_limit(
    limit_bytes: int, used_bytes: int, cached_bytes: int
) -> None:
    seen = read(views.meminfo(HOST, limit_bytes, MemoryUse(used_bytes, cached_bytes)))
    assert seen["MemTotal"] <= min(limit_bytes // 1024, 24684092)
    assert seen["MemFree"] <= seen["MemTotal"]
    assert seen["MemAvailable"] <= min(seen["MemTotal"], 20000000)


@given(st.integers(0, 1 << 44), st.sampled_from([8 * GIB, 1 << 43]))
def test_the_length_never_changes_and_the_form_is_the_kernels(
    used_bytes: int, limit_bytes: int
) -> None:
    host = HOST.replace("24684092", "8589934592").replace("20000000", "8000000000")
    text = views.meminfo(host, limit_bytes, MemoryUse(used_bytes))
    assert len(text) == len(views.meminfo(host, limit_bytes, MemoryUse()))
    assert [line.partition(":")[0] for line in text.splitlines()] == [
        line.partition(":")[0] for line in HOST.splitlines()
    ]


def test_only_its_own_processors_are_listed() -> None:
    assert views.cpuinfo(CPUINFO, [1]) == "processor\t: 1\nmodel\t: y\n\n"
    assert views.cpuinfo(CPUINFO, [0, 10]).count("processor") == 2


def test_what_is_no_processor_is_kept() -> None:
    arm = f"{CPUINFO}\nHardware\t: board\n"
    assert views.cpuinfo(arm, [0]).endswith("Hardware\t: board\n\n")


def test_a_sandbox_with_all_processors_sees_the_machines_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = tmp_path / "online"
    online.write_text("0-1\n")
    monkeypatch.setattr(views, "_CPU_LISTS", (str(online),))
    all_of_them = views.make(tmp_path / "all", limit_bytes=GIB, own=[0, 1])
    assert [mount.target for mount in all_of_them] == ["/proc/meminfo"]
    one = views.make(tmp_path / "one", limit_bytes=GIB, own=[1])
    assert [mount.target for mount in one] == ["/proc/meminfo", "/proc/cpuinfo", str(online)]
    assert Path(one[2].source).read_text() == "1\n"
    assert all(mount.read_only for mount in one)


def test_memory_is_written_anew_in_place(tmp_path: Path) -> None:
    folder = tmp_path / "views"
    views.make(folder, limit_bytes=GIB, own=[0])
    file = folder / "meminfo"
    before = (file.stat().st_ino, read(file.read_text())["MemFree"])
    file.chmod(0o644)
    views.refresh(folder, limit_bytes=GIB, use=MemoryUse(GIB // 2))
    assert file.stat().st_ino == before[0]
    assert read(file.read_text())["MemFree"] < before[1]
    views.refresh(tmp_path / "gone", limit_bytes=GIB, use=MemoryUse())
