"""The tools for containers are made once, of this machine's programs, and use nothing else."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from pathlib import Path

import pytest

from plasmid.environments import containers

INNER = containers.INSIDE.lstrip("/")


@pytest.fixture
def has_tools() -> None:
    if problems := containers.Tools.problems():
        pytest.skip(problems[0])


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def what_it_loads(program: Path) -> subprocess.CompletedProcess[str]:
    options = ["--print-needed", "--print-rpath", "--print-interpreter"]
    return subprocess.run(
        ["patchelf", *options, program], capture_output=True, text=True, check=False
    )


@pytest.mark.usefixtures("has_tools")
async def test_whoever_asks_gets_the_same_and_it_is_made_once(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(containers.Tools(tmp_path).ready()) for _ in range(4)]
    (root,) = {task.result() for task in asked}
    assert listed(tmp_path) == [root.parent.name]
    made_ns = (root / INNER).stat().st_mtime_ns
    assert await containers.Tools(tmp_path).ready() == root
    assert (root / INNER).stat().st_mtime_ns == made_ns


@pytest.mark.usefixtures("has_tools")
async def test_every_program_finds_its_loader_and_libraries_in_the_folder(tmp_path: Path) -> None:
    root = await containers.Tools(tmp_path).ready()
    assert {"podman", "conmon", "crun"} <= set(listed(root / INNER / "bin"))
    owner = 300000 if os.geteuid() == 0 else os.geteuid()
    for program in (root / INNER / "bin").iterdir():
        status = program.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o755, owner)
        done = await asyncio.to_thread(what_it_loads, program)
        if done.returncode == 0:
            told = done.stdout.split()
            paths = [line for line in told if "/" in line]
            assert all(path.startswith(f"{containers.INSIDE}/lib") for path in paths), paths
            names = {line for line in told if "/" not in line}
            assert names <= set(listed(root / INNER / "lib"))


@pytest.mark.usefixtures("has_tools")
async def test_what_a_killed_process_has_left_is_made_anew(tmp_path: Path) -> None:
    key = containers._key()
    half = tmp_path / f".build-{key}" / "whole" / "root" / INNER / "bin"
    half.mkdir(parents=True)
    (half / "podman").write_text("half")
    root = await containers.Tools(tmp_path).ready()
    assert (root / INNER / "bin/podman").stat().st_size > 1_000_000
    assert listed(tmp_path) == [key]


async def test_a_program_that_is_missing_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "_FOLDERS", str(tmp_path))
    with pytest.raises(containers.ToolsError, match="no podman: apt-get install podman"):
        await containers.Tools(tmp_path / "tools").ready()
    assert not (tmp_path / "tools").exists()
