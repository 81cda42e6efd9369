"""What processes use, from a /proc of our own and from our own processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plasmid.engines import processes


def a_process(proc: Path, pid: int, *, namespace: str, name: str = "sh") -> None:
    folder = proc / str(pid)
    (folder / "ns").mkdir(parents=True)
    (folder / "ns" / "pid").symlink_to(f"pid:[{namespace}]")
    fields = ["S", *"0000000000", "150", "50", "20", "10", *"0000"]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}")
    (folder / "status").write_text("Name:\tsh\nRssAnon:\t  100 kB\nRssShmem:\t 20 kB\n")
    (folder / "io").write_text("rchar: 7\nread_bytes: 4096\nwrite_bytes: 8192\n")


def test_all_processes_of_the_namespace_count_and_no_others(tmp_path: Path) -> None:
    a_process(tmp_path, 10, namespace="1")
    a_process(tmp_path, 11, namespace="1", name="a) b 9 9")
    a_process(tmp_path, 12, namespace="2")
    (tmp_path / "13" / "ns").mkdir(parents=True)  # it ends while we look
    (tmp_path / "meminfo").touch()
    found = processes.usage(10, tmp_path)
    assert found.processes == 2
    assert (found.cpu_user_ms, found.cpu_system_ms) == (3400, 1200)
    assert found.memory_bytes == 2 * 120 * 1024
    assert (found.read_bytes, found.written_bytes) == (8192, 16384)


def test_a_first_process_that_has_ended_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        processes.usage(10, tmp_path)


def test_a_name_that_is_no_text_counts_and_an_odd_line_is_left_out(tmp_path: Path) -> None:
    a_process(tmp_path, 10, namespace="1")
    a_process(tmp_path, 11, namespace="1")
    name = b"\xff) \xfe("
    stat = (tmp_path / "11" / "stat").read_bytes()
    (tmp_path / "11" / "stat").write_bytes(stat.replace(b"(sh)", b"(%b)" % name))
    (tmp_path / "11" / "status").write_bytes(b"Name:\t%b\nRssAnon:\t  100 kB\n" % name)
    a_process(tmp_path, 12, namespace="1")
    (tmp_path / "12" / "stat").write_text("")  # it is gone, and so is what it says
    found = processes.usage(10, tmp_path)
    assert (found.processes, found.cpu_user_ms) == (2, 3400)
    assert found.memory_bytes == (120 + 100) * 1024


def test_the_real_proc_is_read() -> None:
    found = processes.usage(os.getpid())
    assert found.processes >= 1
    assert found.memory_bytes > 1 << 20
    assert found.cpu_user_ms > 0
