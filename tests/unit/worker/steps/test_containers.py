"""What a sandbox gets for running containers, and what stands in its place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from plasmid.environments import containers as container_tools
from plasmid.worker.steps import containers
from tests.unit.worker import fake_platform


class Tools(container_tools.Tools):
    """Tools that are there, or are not."""

    def __init__(self, folder: Path, problem: str = "") -> None:
        super().__init__(folder)
        self.layer = folder
        self.problem = problem

    async def ready(self) -> Path:
        if self.problem:
            raise container_tools.ToolsError(self.problem)
        return self.layer


async def means(
    tmp_path: Path, code: str, *, mode: str = "auto", problem: str = ""
) -> containers.Means:
    assignment = fake_platform.an_assignment(code, job="job-1")
    below = (tmp_path / "base",)
    tools = Tools(tmp_path / "tools", problem)
    return await containers.means(assignment, below, mode=mode, tools=tools)


def ran(folder: Path, script: bytes) -> subprocess.CompletedProcess[str]:
    path = folder / "docker"
    path.write_bytes(script)
    return subprocess.run(["sh", path], capture_output=True, text=True, check=False)


async def test_a_job_that_needs_it_gets_tools_rights_and_mounts(tmp_path: Path) -> None:
    found = await means(tmp_path, "docker images")
    assert (found.layers, found.runs_containers) == ((tmp_path / "tools",), True)
    assert found.files["/usr/bin/dxfuse"].startswith(b"#!/usr/bin/python3")
    assert found.notes == ("This job may run containers and mount, as its code names docker",)


async def test_a_job_that_mounts_gets_no_tools(tmp_path: Path) -> None:
    found = await means(tmp_path, "dx-mount-all-inputs")
    assert (found.layers, found.runs_containers) == ((), True)
    assert "/usr/bin/dxfuse" in found.files


@pytest.mark.parametrize(
    ("mode", "code", "runs"),
    [("always", "true", True), ("never", "docker", False), ("auto", "true", False)],
)
async def test_the_setting_decides(tmp_path: Path, mode: str, code: str, *, runs: bool) -> None:
    assert (await means(tmp_path, code, mode=mode)).runs_containers is runs


async def test_what_is_withheld_says_why(tmp_path: Path) -> None:
    files = (await means(tmp_path, "docker", mode="never")).files
    assert sorted(files) == ["/usr/bin/docker", "/usr/bin/dxfuse", "/usr/bin/podman"]
    done = ran(tmp_path, files["/usr/bin/docker"])
    reason = "containers and mounts are switched off here ([containers] allow = never)"
    assert (done.returncode, done.stdout, done.stderr) == (127, "", f"docker: {reason}\n")


async def test_a_real_command_of_the_base_image_stays(tmp_path: Path) -> None:
    (tmp_path / "base/usr/bin").mkdir(parents=True)
    (tmp_path / "base/usr/bin/docker").symlink_to("/nowhere")
    assert "/usr/bin/docker" not in (await means(tmp_path, "true")).files


async def test_without_the_tools_a_job_runs_and_docker_names_the_remedy(tmp_path: Path) -> None:
    problem = 'no podman: "apt-get install podman" $(reboot) `x`'
    found = await means(tmp_path, "docker images", problem=problem)
    assert found.runs_containers
    assert found.notes[-1] == problem
    done = ran(tmp_path, found.files["/usr/bin/docker"])
    assert done.stderr == f"docker: {problem}\n"
