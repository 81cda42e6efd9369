"""The first process of a sandbox that builds a layer: one step, and why it failed."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.unit.runtime import inside_out


@pytest.fixture
def root(tmp_path: Path) -> Path:
    state = tmp_path / "opt/plasmid"
    (state / "downloads").mkdir(parents=True)
    inside_out.put(tmp_path, "build.sh", "/opt/plasmid/build.sh")
    inside_out.put(tmp_path, "dx_unpack.py", "/usr/bin/dx-unpack")
    inside_out.put(tmp_path, "archive_limits.py", "/opt/plasmid/archive_limits.py")
    # Archives are unpacked in a folder instead of in this machine's root.
    build = state / "build.sh"
    build.write_text(build.read_text().replace("cd / ||", f"cd {tmp_path} ||"))
    return tmp_path


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return inside_out.run("/bin/sh", root / "opt/plasmid/build.sh", *arguments)


def failure(root: Path) -> str:
    return (root / "opt/plasmid/failure").read_text()


def test_an_archive_is_unpacked_at_the_root_and_its_name_is_told(root: Path) -> None:
    (root / "made").write_text("content")
    with tarfile.open(root / "opt/plasmid/downloads/0", "w:gz") as archive:
        archive.add(root / "made", "f")
    done = run(root, "unpack", "a b.tar.gz")
    assert (done.returncode, done.stdout) == (0, ">>> Unpacking a b.tar.gz to /\n")
    assert (root / "f").read_text() == "content"


def test_an_archive_that_cannot_be_unpacked_fails_the_step_by_name(root: Path) -> None:
    (root / "opt/plasmid/downloads/0").write_text("no archive")
    done = run(root, "unpack", "a.tar.gz")
    told = failure(root)
    assert done.returncode == 1
    assert "a.tar.gz could not be unpacked: unpack a.tar.gz: it is damaged" in told
    assert told in done.stderr


def test_an_installer_that_says_why_is_believed(root: Path) -> None:
    why = root / "opt/plasmid/failure"
    installer = root / "opt/plasmid/install-dependencies"
    installer.write_text(f"open({str(why)!r}, 'w').write('no such package\\n')\nexit(1)\n")
    assert run(root, "install").returncode == 1
    assert failure(root) == "no such package\n"


def test_an_installer_that_says_nothing_is_still_a_failure_of_dependencies(root: Path) -> None:
    (root / "opt/plasmid/install-dependencies").write_text("exit(1)\n")
    assert run(root, "install").returncode == 1
    assert failure(root).startswith("DXExecDependencyError: the dependencies could not be")


def test_an_installer_that_succeeds_ends_the_step_well(root: Path) -> None:
    (root / "opt/plasmid/install-dependencies").write_text("print('done')\n")
    done = run(root, "install")
    assert (done.returncode, done.stdout) == (0, "done\n")
