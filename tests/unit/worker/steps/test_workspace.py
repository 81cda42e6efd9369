"""The files of a sandbox before its start."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plasmid.domain import failures
from plasmid.worker.steps import workspace
from tests.unit.worker import fake_platform

JOB = "job-BBBBBBBBBBBBBBBBBBBBBBB1"
HOME = "/home/dnanexus"
FILE = "file-BBBBBBBBBBBBBBBBBBBBBBB1"


def files(*args: str, **options: Any) -> dict[str, bytes]:
    given = fake_platform.an_assignment(*args, **options)
    return workspace.files(given, variables={"PATH": "/bin"})


def test_a_bash_job_has_its_code_its_wrapper_and_its_variables() -> None:
    made = files("echo ü", input={"a": "x"})
    assert made[f"{HOME}/{JOB}.code.sh"].decode() == "echo ü"
    assert made[f"{HOME}/{JOB}"].startswith(b"#!/bin/bash")
    assert made[f"{HOME}/.bash_helper_vars"] == b"export a=x\n"
    assert b"@FUNCTION@" not in made[f"{HOME}/{JOB}"]


def test_a_python_job_has_its_code_and_its_wrapper() -> None:
    made = files("print()", interpreter="python3")
    assert made[f"{HOME}/{JOB}.code.py"] == b"print()"
    assert b"import dxpy" in made[f"{HOME}/{JOB}"]
    assert f"{HOME}/.bash_helper_vars" not in made


def test_a_function_with_a_strange_name_stays_a_word() -> None:
    made = files(function="x; touch y")
    assert b"'x; touch y'" in made[f"{HOME}/{JOB}"]


def test_the_descriptions_and_the_input_are_json_files() -> None:
    made = files(input={"n": 1})
    assert json.loads(made[f"{HOME}/job_input.json"]) == {"n": 1}
    assert json.loads(made[f"{HOME}/dnanexus-job.json"])["id"] == JOB
    assert json.loads(made[f"{HOME}/dnanexus-executable.json"])["class"] == "applet"


def test_patterns_of_the_input_spec_are_for_main_only() -> None:
    options: dict[str, Any] = {
        "input": {"f": {"$dnanexus_link": FILE}},
        "input_files": {FILE: "x.b.tar"},
        "input_spec": [{"name": "f", "class": "file", "patterns": ["*.b.tar"]}],
    }
    assert b"f_prefix=( x )" in files(**options)[f"{HOME}/.bash_helper_vars"]
    made = files(function="process", **options)
    assert b"f_prefix=( x.b )" in made[f"{HOME}/.bash_helper_vars"]


def test_a_name_of_the_environment_is_not_taken_by_an_input() -> None:
    assert b"export PATH" not in files(input={"PATH": "x"})[f"{HOME}/.bash_helper_vars"]


def test_an_input_file_that_no_folder_can_hold_fails_the_job() -> None:
    with pytest.raises(failures.JobFailure, match="InputError"):
        files(input={"f": {"$dnanexus_link": FILE}}, input_files={FILE: ".."})


def test_the_tools_that_apps_call_are_executable_by_their_first_bytes() -> None:
    made = files()
    for name in ("dx-unpack", "dx-git-ssh-helper", "dx-dstat", "pcp-dstat", "dx-mask-value"):
        assert made[f"/usr/bin/{name}"].startswith(b"#!/")


def test_sudo_keeps_the_proxy_of_a_job_with_network() -> None:
    assert "/etc/sudoers.d/plasmid" not in files()
    assert b"http_proxy" in files(network=["*"])["/etc/sudoers.d/plasmid"]


def test_the_command_names_the_interpreter() -> None:
    given = fake_platform.an_assignment(interpreter="python3")
    assert workspace.command(given) == ("/bin/sh", "/opt/plasmid/start.sh", "python3")


def test_the_code_of_a_job_that_waits_is_not_run() -> None:
    given = fake_platform.an_assignment(interpreter="python3")
    given.waits = True
    assert workspace.command(given)[2:] == ("python3", "wait")
