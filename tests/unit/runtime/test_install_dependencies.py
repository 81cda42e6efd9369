"""Packages are installed by argument lists, and a failure says what to do."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.runtime import inside_out

RECORDER = """#!{python}
import json, os, sys
with open({calls!r}, "a") as calls:
    calls.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
name = os.path.basename(sys.argv[0])
answer = json.load(open({answers!r})).get(name)
if answer and answer[0] in " ".join(sys.argv):
    print(answer[1])
    sys.exit(100)
"""


class Box:
    """A folder that stands for a sandbox whose package managers only take notes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls_path = root / "calls"
        self.calls_path.touch()
        self.answers: dict[str, tuple[str, str]] = {}
        self.programs = root / "bin"
        self.programs.mkdir()
        self.script = inside_out.put(root, "install_dependencies.py", "/opt/plasmid/install")
        for name in ("apt-get", "pip", "pip3", "gem", "cpanm", "R", "git"):
            self.add_program(name)

    def add_program(self, name: str) -> None:
        path = self.programs / name
        path.write_text(
            RECORDER.format(
                python=sys.executable,
                calls=str(self.calls_path),
                answers=str(self.root / "answers"),
            )
        )
        path.chmod(0o755)

    def install(self, *groups: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        (self.root / "answers").write_text(json.dumps(self.answers))
        plan = {"groups": list(groups), "environment": {"http_proxy": "http://p"}}
        (self.root / "opt/plasmid/dependencies.json").write_text(json.dumps(plan))
        (self.root / "tmp").mkdir(exist_ok=True)
        return inside_out.run(
            sys.executable,
            self.script,
            env={"PATH": str(self.programs), "TMPDIR": str(self.root / "tmp")},
        )

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.calls_path.read_text().splitlines()]

    @property
    def failure(self) -> str:
        return (self.root / "opt/plasmid/failure").read_text()


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def group(manager: str, *packages: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"manager": manager, "index": index, "packages": list(packages)}


APT = ["apt-get", "install", "--yes", "--no-install-recommends", "--"]


def test_apt_updates_and_installs_versions(box: Box) -> None:
    done = box.install(group("apt", {"name": "a"}, {"name": "b", "version": "1.2-3"}))
    assert done.returncode == 0
    assert box.calls == [["apt-get", "update"], [*APT, "a", "b=1.2-3"]]
    assert "Installing apt packages a, b" in done.stdout


def test_apt_asks_the_closest_mirror_first_if_there_is_one(box: Box) -> None:
    near = box.root / "nucleus.list"
    near.touch()
    text = box.script.read_text()
    box.script.write_text(text.replace("/etc/apt/sources.list.d/nucleus.list", str(near)))
    box.answers["apt-get"] = ("install", "E: Unable to locate package a")
    assert box.install(group("apt", {"name": "a"})).returncode == 1
    assert [call[1] for call in box.calls] == ["update", "install", "update", "install"]
    assert any("nucleus.list" in word for word in box.calls[0])
    assert box.calls[2] == ["apt-get", "update"]


@pytest.mark.parametrize("manager", ["pip", "pip3"])
def test_pip_upgrades(box: Box, manager: str) -> None:
    box.install(group(manager, {"name": "a", "version": "2"}, {"name": "b"}))
    assert box.calls == [[manager, "install", "--upgrade", "a==2", "b"]]


def test_gem_installs_one_by_one_and_cpan_together(box: Box) -> None:
    box.install(
        group("gem", {"name": "a", "version": "1"}, {"name": "b"}),
        group("cpan", {"name": "C::D", "version": "3"}, {"name": "E"}, index=1),
    )
    assert box.calls == [
        ["gem", "install", "a", "--version", "1"],
        ["gem", "install", "b"],
        ["cpanm", "--notest", "C::D~3", "E"],
    ]


def test_r_installs_devtools_for_a_certain_version(box: Box) -> None:
    box.install(group("cran", {"name": "a"}, {"name": "b", "version": "1"}))
    calls = [call[-1].split("; ")[-1] for call in box.calls]
    assert calls == [
        'install.packages("devtools")',
        'install.packages("a")',
        'devtools::install_version("b", version="1")',
    ]


def test_git_clones_checks_out_and_builds(box: Box, tmp_path: Path) -> None:
    target = tmp_path / "src"
    (target / "r").mkdir(parents=True)
    package = {
        "name": "r",
        "url": "https://host/some/r.git",
        "tag": "v1",
        "destdir": str(target),
        "build_commands": f"pwd > {tmp_path}/built",
    }
    assert box.install(group("git", package)).returncode == 0
    assert box.calls == [
        ["git", "--version"],
        ["git", "clone", "--", "https://host/some/r.git", str(target / "r")],
        ["git", "checkout", "v1", "--"],
    ]
    assert (tmp_path / "built").read_text() == f"{target}/r\n"


def test_no_shell_reads_a_packages_name(box: Box) -> None:
    name = "a; touch b $(touch c) && true"
    box.install(group("apt", {"name": name}))
    assert box.calls[-1][-1] == name


def test_a_failure_names_the_packages_shows_the_last_lines_and_a_remedy(box: Box) -> None:
    box.answers["apt-get"] = ("install", "E: Unable to locate package nosuch")
    done = box.install(group("apt", {"name": "nosuch"}, index=2), group("pip", {"name": "b"}))
    assert done.returncode == 1
    assert "DXExecDependencyError: Error while installing apt packages nosuch" in box.failure
    assert "E: Unable to locate package nosuch" in box.failure
    assert "no package of that name" in box.failure
    assert box.failure.count("\n") == 1
    assert (box.root / "tmp/dx_apt_install_2.log").exists()
    assert "E: Unable to locate" in done.stdout
    assert not any(call[0] == "pip" for call in box.calls)


def test_a_manager_that_is_not_there_is_told(box: Box) -> None:
    (box.programs / "cpanm").unlink()
    box.install(group("cpan", {"name": "A"}))
    assert "cpanm cannot be run in this base image" in box.failure


def test_a_refused_host_points_to_the_access_of_the_executable(box: Box) -> None:
    box.answers["pip"] = ("install", "403 Forbidden")
    box.install(group("pip", {"name": "a"}))
    assert "access.network" in box.failure


def test_what_is_installed_is_told_to_the_log_socket(box: Box) -> None:
    folder = box.root / "opt/dnanexus/log"
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bulk:
        bulk.bind(str(folder / "bulk"))
        box.install(group("apt", {"name": "a"}))
        said = json.loads(bulk.recv(1 << 16))
    assert (said["level"], said["msg"]) == ("info", "Installing apt packages a")
