"""The demo's own parts: what it says, what it reads from `plasmid env`, what it would find left."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from plasmid import config
from plasmid.cli import demo, images, leftovers, terminal
from plasmid.engines import cgroups
from plasmid.environments.images import Image, Images


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
        (line,) = leftovers.find_processes("job-nowhere", tmp_path)
        assert f"process {process.pid}:" in line
    finally:
        process.communicate("\n")
    assert leftovers.find_processes("job-nowhere", tmp_path) == []


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


def test_a_stand_in_is_added_to_what_the_user_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLASMID_CONFIG", raising=False)
    text = 'engine = "auto"\n[images]\n"Debian 12" = "ours"\n[jobs]\nrunning_max = 3\n'
    (tmp_path / "plasmid.toml").write_text(text)
    settings = config.load({"PLASMID_HOME": str(tmp_path)})
    table = {**settings.images, "Ubuntu 24.04": demo.STAND_IN}
    folder = tmp_path / "demo"
    folder.mkdir()
    variables = demo._settings(settings, table, folder)
    found = config.load({"PLASMID_HOME": str(tmp_path), **variables})
    assert found.images == {"Debian 12": "ours", "Ubuntu 24.04": "debian-12"}
    assert found.jobs.running_max == 3


def test_without_a_stand_in_the_users_settings_are_taken_as_they_are(tmp_path: Path) -> None:
    settings = config.load({"PLASMID_HOME": str(tmp_path)})
    assert demo._settings(settings, settings.images, tmp_path) == {}


@pytest.mark.parametrize("answers, made", [(True, "ubuntu-24.04"), (False, "debian-12")])
def test_only_a_mirror_that_does_not_answer_makes_a_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, answers: bool, made: str
) -> None:
    asked: list[str] = []

    async def can_build(_: object, name: str, *, seconds: float) -> bool:
        asked.append(f"{name} {seconds}")
        return answers

    async def ensure(chosen: config.Config, distribution: str, release: str, version: str) -> None:
        name = images.of(chosen).name_for(distribution, release, version)
        (tmp_path / "images" / name).mkdir(parents=True)
        found = Image(name, name, "", distribution, release, 0, 0, (), (), {})
        (tmp_path / "images" / name / "image.json").write_bytes(msgspec.json.encode(found))

    monkeypatch.setattr(Images, "can_build", can_build)
    monkeypatch.setattr(images, "ensure", ensure)
    settings = config.load({"PLASMID_HOME": str(tmp_path)})
    table, name = demo._make_image(settings, terminal.Steps(1))
    assert name == made
    assert name in demo.MAPPED
    assert (
        images.of(msgspec.structs.replace(settings, images=table)).name_for(*demo.RELEASE) == made
    )
    assert asked == ["ubuntu-24.04 20"]
