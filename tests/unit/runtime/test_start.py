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


DF = """#!/bin/sh
echo "Filesystem 1024-blocks Used Available Capacity Mounted on"
echo "shm 64 64 0 100% $2"
echo "shm 64 64 0 100% $3"
"""


def with_room(root: Path) -> Path:
    """Put there what the worker puts there for the end of a job that fails."""
    for name, size in (("exited", 16), ("disks", 2048)):
        (root / "opt/plasmid" / name).write_text(" " * size)
    df = root / "usr/bin/df"
    df.write_text(DF)
    df.chmod(0o755)
    return df


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_job_that_fails_leaves_what_df_says_and_its_own_code(root: Path, shell: str) -> None:
    with_room(root)
    (root / f"home/dnanexus/{JOB}").write_text("exit 3")
    env = {"DX_JOB_ID": JOB, "PATH": f"{root}/usr/bin:/usr/bin:/bin"}
    done = inside_out.run(shell, root / "opt/plasmid/start.sh", "bash", env=env)
    assert done.returncode == 3
    assert state(root, "disks").splitlines()[1:3] == [
        "shm 64 64 0 100% /dev",
        "shm 64 64 0 100% /dev/shm",
    ]
    assert len(state(root, "disks")) == 2048
    assert state(root, "exited").isspace()


def test_a_job_that_does_well_is_not_kept_waiting_for_df(root: Path) -> None:
    with_room(root)
    assert run(root, "exit 0").returncode == 0
    assert state(root, "disks").isspace()


def test_a_base_without_df_ends_with_the_jobs_code(root: Path) -> None:
    with_room(root).unlink()
    (root / f"home/dnanexus/{JOB}").write_text("exit 7")
    env = {"DX_JOB_ID": JOB, "PATH": f"{root}/usr/bin:{root}/bin"}
    (root / "bin").mkdir(exist_ok=True)
    (root / "bin/bash").symlink_to("/bin/bash")
    done = inside_out.run("/bin/sh", root / "opt/plasmid/start.sh", "bash", env=env)
    assert done.returncode == 7


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize("code", ["exit 5", "sleep 1000 > /dev/null 2>&1 & exit 5"])
def test_with_hold_a_job_that_fails_says_so_and_lives_on(root: Path, shell: str, code: str) -> None:
    with_room(root)
    (root / f"home/dnanexus/{JOB}").write_text(code)
    with inside_out.started(
        shell, root / "opt/plasmid/start.sh", "bash", "hold", env={"DX_JOB_ID": JOB}
    ) as process:
        inside_out.until(lambda: not state(root, "exited").isspace())
        assert state(root, "exited").split() == ["5"]
        assert len(state(root, "exited")) == 16
        assert process.poll() is None


def test_with_hold_a_job_that_does_well_ends(root: Path) -> None:
    with_room(root)
    (root / f"home/dnanexus/{JOB}").write_text("exit 0")
    with inside_out.started(
        "/bin/sh", root / "opt/plasmid/start.sh", "bash", "hold", env={"DX_JOB_ID": JOB}
    ) as process:
        assert process.wait(60) == 0


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
