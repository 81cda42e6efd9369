"""A bash executable runs as its author expects (contract I.5)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.runtime import inside_out

JOB = "job-BBBBBBBBBBBBBBBBBBBBBBB1"


def run(
    root: Path, code: str, *, function: str = "main", variables: str = "", environment: str = ""
) -> subprocess.CompletedProcess[str]:
    wrapper = f"/home/dnanexus/{JOB}"
    path = inside_out.put(root, "bash_template.sh", wrapper, FUNCTION=function)
    home = path.parent
    (home / "environment").write_text(environment)
    (home / ".bash_helper_vars").write_text(variables)
    (home / f"{JOB}.code.sh").write_text(code)
    return inside_out.run("bash", path, cwd=root)


def test_the_global_scope_runs_and_then_the_function(tmp_path: Path) -> None:
    done = run(tmp_path, "echo top\nmain() { echo in main; }\necho bottom")
    assert (done.stdout, done.returncode) == ("top\nbottom\nin main\n", 0)


def test_without_the_function_the_job_succeeds_and_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, "echo top", function="process")
    assert (done.returncode, done.stdout) == (0, "top\n")
    assert done.stderr == (
        f"{tmp_path}/home/dnanexus/{JOB}: Global scope execution complete. Not invoking entry "
        "point function process because it was not found\n"
    )


def test_names_of_files_are_those_that_messages_show(tmp_path: Path) -> None:
    done = run(tmp_path, 'echo "$0"; echo "${BASH_SOURCE[0]}"; pwd')
    home = f"{tmp_path}/home/dnanexus"
    assert done.stdout.splitlines() == [f"{home}/{JOB}", f"{home}/{JOB}.code.sh", home]


@pytest.mark.parametrize("code", ["false\necho not reached", "main() { false; echo not reached; }"])
def test_the_first_command_that_fails_ends_the_job(tmp_path: Path, code: str) -> None:
    done = run(tmp_path, code)
    assert (done.returncode, done.stdout) == (1, "")


def test_exit_ends_the_job_with_its_code(tmp_path: Path) -> None:
    assert run(tmp_path, "main() { exit 42; }").returncode == 42
    assert run(tmp_path, "exit 0\nfalse").returncode == 0


def test_options_that_the_code_sets_stay_set(tmp_path: Path) -> None:
    done = run(tmp_path, "set +e -o pipefail\nmain() { false; echo $-; false | true; }")
    assert "e" not in done.stdout
    assert done.returncode == 1


def test_only_e_is_on_by_default(tmp_path: Path) -> None:
    done = run(tmp_path, "echo $-; set -o | grep pipefail")
    assert "e" in done.stdout.splitlines()[0]
    assert "x" not in done.stdout.splitlines()[0]
    assert "off" in done.stdout


def test_arrays_and_the_environment_are_there(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        'echo "${a[1]} $DX_JOB_ID"; bash -c "echo $DX_JOB_ID"',
        variables="export a=( 1 '2 3' )\n",
        environment="export DX_JOB_ID=job-x\n",
    )
    assert done.stdout == "2 3 job-x\njob-x\n"


def test_a_variable_that_cannot_be_set_does_not_end_the_job(tmp_path: Path) -> None:
    assert run(tmp_path, "echo on", variables="export UID=5\n").stdout == "on\n"


def test_a_word_of_the_shell_may_be_no_function(tmp_path: Path) -> None:
    done = run(tmp_path, "echo top", function="ls")
    assert (done.stdout, done.returncode) == ("top\n", 0)
