"""The first process of a sandbox: set-up, then the job, then its exit code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.runtime import inside_out

JOB = "job-BBBBBBBBBBBBBBBBBBBBBBB1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    state = tmp_path / "opt/plasmid"
    state.mkdir(parents=True)
    home = tmp_path / "home/dnanexus"
    home.mkdir(parents=True)
    inside_out.put(tmp_path, "start.sh", "/opt/plasmid/start.sh")
    pretender = tmp_path / "usr/bin/pcp-dstat"
    pretender.parent.mkdir(parents=True)
    pretender.write_text("#!/bin/sh\nexit 0\n")
    pretender.chmod(0o755)
    return tmp_path


def run(
    root: Path, code: str, *, shell: str = "/bin/sh", interpreter: str = "bash"
) -> subprocess.CompletedProcess[str]:
    (root / f"home/dnanexus/{JOB}").write_text(code)
    return inside_out.run(shell, root / "opt/plasmid/start.sh", interpreter, env={"DX_JOB_ID": JOB})


def state(root: Path, name: str) -> str:
    return (root / "opt/plasmid" / name).read_text()


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_the_job_runs_in_its_home_and_its_code_is_the_end(root: Path, shell: str) -> None:
    done = run(root, "pwd; exit 42", shell=shell)
    assert done.stdout == f"bash running (job ID {JOB})\n{root}/home/dnanexus\n"
    assert (done.returncode, state(root, "phase")) == (42, "running\n")


def test_a_job_that_dies_of_a_signal_ends_with_128_and_its_number(root: Path) -> None:
    assert run(root, "kill -TERM $$; echo not reached").returncode == 128 + 15


def test_an_interpreter_that_is_not_there_is_named(root: Path) -> None:
    done = run(root, "", interpreter="python1.5")
    assert (done.returncode, state(root, "phase")) == (1, "setup\n")
    assert "has no python1.5" in state(root, "failure")


def test_a_process_that_the_job_leaves_does_not_keep_it(root: Path) -> None:
    done = run(root, "sleep 30 > /dev/null 2>&1 & echo $!")
    assert done.returncode == 0
    inside_out.run("kill", done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["start.sh", "build.sh", "dx-dstat", "dx-git-ssh-helper"])
def test_the_plainest_shell_can_read_it(name: str) -> None:
    assert inside_out.run("dash", "-n", inside_out.RUNTIME / name).returncode == 0


def test_the_process_that_apps_look_for_sleeps_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "pcp-dstat"
    path.write_bytes((inside_out.RUNTIME / "pcp-dstat").read_bytes())
    path.chmod(0o755)
    with subprocess.Popen([path], stdout=subprocess.PIPE) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.kill()
    assert b"pcp-dstat" in shown
