"""Packages are installed by argument lists, and a failure says what to do."""

from __future__ import annotations

import ast
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
        for entry in sorted((inside_out.RUNTIME / "installers").iterdir()):
            if entry.is_file():
                inside_out.put(
                    root, f"installers/{entry.name}", f"/opt/plasmid/installers/{entry.name}"
                )
        # This machine's own packages are nobody's business here.
        apt = root / "opt/plasmid/installers/apt.py"
        apt.write_text(apt.read_text().replace('"/var/', f'"{root}/var/'))
        names = ("apt-get", "apt-cache", "dpkg", "dpkg-query", "pip", "pip3", "gem", "cpanm", "git")
        for name in (*names, "Rscript", "make"):
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

    def install(
        self, *groups: dict[str, Any], mirrors: object = None, lock: object = None
    ) -> subprocess.CompletedProcess[str]:
        (self.root / "answers").write_text(json.dumps(self.answers))
        environment = {"http_proxy": "http://p"}
        plan = {"groups": groups, "environment": environment, "mirrors": mirrors, "lock": lock}
        (self.root / "opt/plasmid/dependencies.json").write_text(json.dumps(plan))
        (self.root / "tmp").mkdir(exist_ok=True)
        return inside_out.run(
            sys.executable,
            self.script,
            env={"PATH": str(self.programs), "TMPDIR": str(self.root / "tmp")},
        )

    @property
    def calls(self) -> list[list[str]]:
        """The calls of managers, without the questions about what is installed."""
        told = [json.loads(line) for line in self.calls_path.read_text().splitlines()]
        quiet = {"list", "environment", "-c", "--version", "--print-architecture"}
        return [c for c in told if c[0] not in ("dpkg-query", "apt-cache") and c[1] not in quiet]

    @property
    def failure(self) -> str:
        return (self.root / "opt/plasmid/failure").read_text()


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def group(manager: str, *packages: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"manager": manager, "index": index, "packages": list(packages)}


APT = ["apt-get", "install", "--yes", "--no-install-recommends"]
APT += ["-o", "APT::Keep-Downloaded-Packages=false", "--"]


def test_apt_updates_old_lists_and_installs_versions(box: Box) -> None:
    done = box.install(group("apt", {"name": "ab"}, {"name": "bc", "version": "1.2-3"}))
    assert done.returncode == 0, done.stdout + done.stderr
    assert box.calls == [["apt-get", "update"], [*APT, "ab", "bc=1.2-3"]]
    assert "Installing apt packages ab, bc" in done.stdout


def test_apt_goes_by_young_lists_and_updates_them_if_that_fails(box: Box) -> None:
    lists = box.root / "var/lib/apt/lists"
    (lists / "partial").mkdir(parents=True)
    (lists / "mirror_Packages").touch()
    assert box.install(group("apt", {"name": "ab"})).returncode == 0
    assert box.calls == [[*APT, "ab"]]
    box.answers["apt-get"] = ("install", "E: Unable to locate package ab")
    box.calls_path.write_text("")
    assert box.install(group("apt", {"name": "ab"})).returncode == 1
    assert [call[1] for call in box.calls] == ["install", "update", "install"]


def test_apt_asks_the_closest_mirror_first_if_there_is_one(box: Box) -> None:
    near = box.root / "nucleus.list"
    near.touch()
    module = box.root / "opt/plasmid/installers/apt.py"
    text = module.read_text()
    module.write_text(text.replace("/etc/apt/sources.list.d/nucleus.list", str(near)))
    box.answers["apt-get"] = ("install", "E: Unable to locate package ab")
    assert box.install(group("apt", {"name": "ab"})).returncode == 1
    assert [call[1] for call in box.calls] == ["update", "install", "update", "install"]
    assert any("nucleus.list" in word for word in box.calls[0])
    assert box.calls[2] == ["apt-get", "update"]


def test_gem_installs_one_by_one_and_cpan_together(box: Box) -> None:
    done = box.install(
        group("gem", {"name": "a", "version": "1"}, {"name": "b"}),
        group("cpan", {"name": "C::D", "version": "3"}, {"name": "E"}, index=1),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, third = box.calls
    assert first == ["gem", "install", "a", "--version", "1", "--no-document"]
    assert second == ["gem", "install", "b", "--no-document"]
    assert third[:2] == ["cpanm", "--notest"]
    assert third[-2:] == ["C::D~3", "E"]


def test_mirrors_are_told_to_those_who_read_no_file(box: Box) -> None:
    broken = {"gem": ["http://127.0.0.1:9/"], "timeout_seconds": 1}
    done = box.install(group("gem", {"name": "a"}), mirrors=broken)
    assert done.returncode == 1
    assert "the mirror does not answer: http://127.0.0.1:9/specs.4.8.gz" in box.failure
    assert "[mirrors] gem" in box.failure


def test_r_gets_names_and_versions_as_arguments(box: Box) -> None:
    box.install(group("cran", {"name": "a"}, {"name": "b", "version": "1"}))
    assert [call[-2:] for call in box.calls] == [["a", "-"], ["b", "1"]]
    assert all(call[0] == "Rscript" for call in box.calls)


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
    done = box.install(group("git", package))
    assert done.returncode == 0, done.stdout + done.stderr
    assert box.calls == [
        ["git", "clone", "--", "https://host/some/r.git", str(target / "r")],
        ["git", "checkout", "v1", "--"],
        ["git", "rev-parse", "HEAD"],
    ]
    assert (tmp_path / "built").read_text() == f"{target}/r\n"


@pytest.mark.parametrize("manager", ["apt", "pip", "pip3", "gem", "cpan", "cran"])
def test_a_name_that_is_none_reaches_no_manager(box: Box, manager: str) -> None:
    for name in ("a; touch b", "--option", "$(touch c)", "a\nb"):
        assert box.install(group(manager, {"name": name})).returncode == 1
        assert "is refused" in box.failure
    assert box.calls == []


@pytest.mark.parametrize(
    "url", ["ext::sh -c x", "file:///srv", "/srv", "--upload-pack=x", "https://h/ x"]
)
def test_a_url_that_is_none_for_a_network_reaches_no_git(box: Box, url: str) -> None:
    assert box.install(group("git", {"name": "r", "url": url})).returncode == 1
    assert box.calls == []
    assert "the url" in box.failure


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


def test_a_manager_that_is_not_there_is_installed_first_and_that_is_told(box: Box) -> None:
    (box.programs / "cpanm").unlink()
    done = box.install(group("cpan", {"name": "A"}))
    assert "The base image has no cpanm: installing cpanminus first" in done.stdout
    assert [*APT, "cpanminus"] in box.calls
    assert "cpanm cannot be run in this base image" in box.failure


def test_a_refused_host_points_to_the_access_of_the_executable(box: Box) -> None:
    box.answers["gem"] = ("install", "403 Forbidden")
    box.install(group("gem", {"name": "a"}))
    assert "access.network" in box.failure


def test_what_is_installed_is_told_to_the_log_socket(box: Box) -> None:
    folder = box.root / "opt/dnanexus/log"
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bulk:
        bulk.bind(str(folder / "bulk"))
        box.install(group("apt", {"name": "ab"}))
        said = json.loads(bulk.recv(1 << 16))
    assert (said["level"], said["msg"]) == ("info", "Installing apt packages ab")


def test_the_program_is_plain_text_for_the_oldest_python() -> None:
    files = [inside_out.RUNTIME / "install_dependencies.py"]
    files += (inside_out.RUNTIME / "installers").glob("*.py")
    for path in files:
        text = path.read_bytes()
        assert text.isascii(), path.name
        assert b"unicode_literals" in text or path.name == "__init__.py", path.name
        kinds = {type(node) for node in ast.walk(ast.parse(text))}
        assert not kinds & {ast.JoinedStr, ast.AnnAssign, ast.Starred, ast.Nonlocal}, path.name
