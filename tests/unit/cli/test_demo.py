"""The demo's own parts: what it says, what it reads from `plasmid env`, what it would find left."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from plasmid.cli import demo, leftovers, terminal
from plasmid.engines import cgroups


def test_steps_are_numbered_timed_and_summed() -> None:
    said, ticks = io.StringIO(), iter([0.0, 1.5, 2.0, 4.0])
    steps = terminal.Steps(2, stream=said, clock=lambda: next(ticks))
    with steps.step("first"):
        steps.note("detail")
    with steps.step("second one"):
        pass
    assert said.getvalue().split("\n") == [
        *("", "[1/2] first", "      detail", "      (1.5 s)"),
        *("", "[2/2] second one", "      (2.0 s)", ""),
    ]
    assert steps.table().splitlines() == [
        "  first            1.5 s",
        "  second one       2.0 s",
        "  all together     3.5 s",
    ]


def test_a_step_that_fails_is_not_said_to_be_done() -> None:
    said = io.StringIO()
    steps = terminal.Steps(1, stream=said, clock=lambda: 0.0)
    with pytest.raises(ValueError, match="broken"), steps.step("first"):
        raise ValueError("broken")
    assert (said.getvalue(), steps.seconds) == ("\n[1/1] first\n", [])


def test_exported_variables_are_read_as_a_shell_would() -> None:
    shell = 'export A=1\nexport B=\'{"x": "y z"}\'\nunset C\n'
    assert demo._exported(shell) == {"A": "1", "B": '{"x": "y z"}'}


def test_inputs_that_are_there_are_not_fetched_again(tmp_path: Path) -> None:
    for name in demo.INPUTS:
        (tmp_path / name).write_text("")
    assert demo.fetch_inputs(tmp_path) == tmp_path


def test_the_applet_of_the_demo_is_in_the_checkout() -> None:
    assert (demo.APPLET / "dxapp.json").exists()


def test_a_process_of_the_folder_is_found_while_it_lives(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "input('begun\\n')", str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        (line,) = leftovers.find_processes(tmp_path, "job-nowhere")
        assert f"process {process.pid}:" in line
    finally:
        process.communicate("\n")
    assert leftovers.find_processes(tmp_path, "job-nowhere") == []


def test_mounts_groups_and_folders_of_a_job_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "memory" / cgroups.PARENT_NAME / "job-x.0"
    group.mkdir(parents=True)
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "mountinfo").write_text("30 20 0:26 / /home/demo/root rw - overlay o rw\n")
    hierarchy = cgroups.Hierarchy(1, str(tmp_path / "memory"), ("memory",))
    monkeypatch.setattr(cgroups, "find_hierarchies", lambda: (hierarchy,))
    monkeypatch.setattr(leftovers, "PROC", proc)
    assert leftovers.find_mounts(Path("/home/demo")) == ["mount /home/demo/root"]
    assert leftovers.find_groups("job-x") == [f"cgroup {group}"]
    (tmp_path / "data" / "work" / "job-x.0").mkdir(parents=True)
    assert leftovers.find(tmp_path, "job-x")[-1].startswith("folder ")
    assert leftovers.find(tmp_path / "elsewhere", "job-y") == []
