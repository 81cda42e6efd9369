"""conmon's command line, its report and its files; a stand-in plays conmon."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid.engines import conmon, engine


@pytest.fixture
def files(tmp_path: Path) -> conmon.Files:
    made = conmon.Files(tmp_path, "job-1")
    made.bundle.mkdir()
    return made


def create(files: conmon.Files, script: str) -> None:
    """Let a shell script play conmon; it reports at descriptor $_OCI_SYNCPIPE."""
    conmon.create(["/bin/bash", "-c", script], files, {"PATH": os.environ["PATH"]})


def test_the_runtime_gets_its_options_one_by_one(files: conmon.Files) -> None:
    made = conmon.command("conmon", files, "job-1", ["/bin/sh", "-c", "exec x"])
    assert made[made.index("--runtime") + 1] == "/bin/sh"
    assert made[-2:] == ["--runtime-arg=-c", "--runtime-arg=exec x"]
    assert f"k8s-file:{files.log}" in made
    assert made[made.index("--bundle") + 1] == str(files.bundle)


@pytest.mark.parametrize("key", ["data", "pid"])
def test_a_sandbox_that_was_made_is_reported_by_its_pid(files: conmon.Files, key: str) -> None:
    create(files, f"echo '{{\"{key}\": 123}}' >&$_OCI_SYNCPIPE")


def test_the_runtimes_own_words_come_out(files: conmon.Files) -> None:
    said = '{"pid": -1, "message": "exec: no such file"}'
    with pytest.raises(engine.EngineError, match=r"exec: no such file$"):
        create(files, f"echo '{said}' >&$_OCI_SYNCPIPE")


def test_conmons_own_error_comes_out_if_it_reports_nothing(files: conmon.Files) -> None:
    with pytest.raises(engine.EngineError, match="conmon: bad option"):
        create(files, "echo 'conmon: bad option' >&2; exit 1")


@pytest.mark.parametrize("report", ["nonsense", "[1]", '{"data": "x"}', "null"])
def test_a_report_that_makes_no_sense_is_an_error(files: conmon.Files, report: str) -> None:
    with pytest.raises(engine.EngineError, match="could not make the sandbox"):
        create(files, f"echo '{report}' >&$_OCI_SYNCPIPE")


def test_pids_and_exit_codes_are_none_until_written(files: conmon.Files) -> None:
    assert conmon.read_pid(files.conmon_pid) is None
    assert conmon.read_exit_code(files) is None
    files.conmon_pid.write_text("12\n")
    files.exit_folder.mkdir()
    files.exit_code.write_text("3")
    assert conmon.read_pid(files.conmon_pid) == 12
    assert conmon.read_exit_code(files) == 3
    files.exit_code.write_text("")
    assert conmon.read_exit_code(files) is None


@pytest.fixture
def sleeper(files: conmon.Files) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the bundle in its command line, like conmon, and ends with its input."""
    command = ["/bin/sh", "-c", "echo ready; read line", "sh", "--bundle", str(files.bundle)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.communicate()


def test_conmon_is_told_from_others_by_its_bundle(
    files: conmon.Files, sleeper: subprocess.Popen[bytes]
) -> None:
    files.conmon_pid.write_text(str(sleeper.pid))
    pidfd = conmon.open_pidfd(files)
    assert pidfd is not None
    os.close(pidfd)
    other = conmon.Files(files.bundle, "other")
    other.conmon_pid.write_text(str(sleeper.pid))
    assert conmon.open_pidfd(other) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="being somebody else needs root")
def test_what_runs_as_somebody_else_is_not_conmon(files: conmon.Files) -> None:
    command = ["/bin/sh", "-c", "echo ready; read line", "sh", str(files.bundle)]
    forger = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=300000, cwd="/"
    )
    assert forger.stdout is not None
    forger.stdout.readline()
    files.conmon_pid.write_text(str(forger.pid))
    assert conmon.open_pidfd(files) is None
    forger.communicate()


def test_a_pid_that_another_process_has_now_is_not_conmons(files: conmon.Files) -> None:
    files.conmon_pid.write_text(str(os.getpid()))
    assert conmon.open_pidfd(files) is None


def test_a_pid_that_is_gone_is_not_conmons(files: conmon.Files) -> None:
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    files.conmon_pid.write_text(str(ended.pid))
    assert conmon.open_pidfd(files) is None
