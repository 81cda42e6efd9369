"""What a replay is made from, and the command at the end of a failure's message."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.domain import errors, failures, replays
from plasmid.domain.failures import JobFailure
from plasmid.domain.placement import Machine
from plasmid.domain.replays import Capture, Code, Container, Limits, Object, Outcome, Run

JOB = "job-" + "b" * 24
PROJECT = "project-" + "p" * 24
APPLET = "applet-" + "x" * 24
FILE = "file-" + "f" * 24


def a_capture(**changes: Any) -> Capture:
    """A capture that is right; changes are of its `run`, or with a dot of the named part."""
    run = Run(
        job=JOB,
        attempt=0,
        name="align",
        function="main",
        executable=APPLET,
        executable_name="align",
        project=PROJECT,
        workspace="container-" + "v" * 24,
        folder="/out",
        region="aws:us-east-1",
        bill_to="user-alice",
        launched_by="user-alice",
        instance_type="mem1_ssd1_v2_x2",
        given=Limits(2, 4 << 30, 50 * 10**9),
        timeout_ms=1000,
        input={"reads": {"$dnanexus_link": FILE}},
    )
    code = Code(
        id=APPLET,
        name="align",
        body={"runSpec": {"interpreter": "bash", "code": "exit 3"}},
        place=PROJECT,
    )
    item = Object(
        id=FILE, role="input", container=PROJECT, name="reads.fq", size_bytes=5, sha256="0" * 64
    )
    project = Container(PROJECT, "mine", "aws:us-east-1", "user-alice", "ADMINISTER")
    parts: dict[str, Any] = {"run": run, "code": code, "object": item, "container": project}
    for where, value in changes.items():
        part, _, name = where.rpartition("__")
        parts[part or "run"] = msgspec.structs.replace(parts[part or "run"], **{name: value})
    return Capture(
        run=parts["run"],
        code=parts["code"],
        containers=[parts["container"]],
        objects=[parts["object"]],
        outcome=Outcome(state="failed"),
    )


WRONG = {
    "job": "job-../../etc", "executable": "applet-1", "project": "container-" + "v" * 24,
    "workspace": PROJECT, "folder": "/a/../b", "region": "nowhere", "bill_to": "root",
    "launched_by": "user-a b", "attempt": -1, "timeout_ms": 0, "instance_type": "huge",
    "function": "", "resources": "x", "name": "",
    "code__id": "applet-" + "0" * 24, "code__body": {"runSpec": {"interpreter": "perl"}},
    "code__place": "nowhere", "code__folder": "/a/../b",
    "object__id": "file-..", "object__role": "virus", "object__container": "project-" + "q" * 24,
    "object__folder": "a", "object__size_bytes": -1, "object__sha256": "zz", "object__links": ["x"],
    "container__level": "GOD", "container__id": "project-/", "container__region": "x",
}  # fmt: skip


def test_a_capture_of_a_job_is_taken() -> None:
    replays.check(a_capture())


@pytest.mark.parametrize("where", WRONG)
def test_what_could_not_have_been_captured_is_refused(where: str) -> None:
    with pytest.raises(errors.InvalidInput):
        replays.check(a_capture(**{where: WRONG[where]}))


def test_the_same_object_twice_and_another_format_are_refused() -> None:
    capture = a_capture()
    twice = msgspec.structs.replace(capture, objects=capture.objects * 2)
    with pytest.raises(errors.InvalidInput, match="twice"):
        replays.check(twice)
    with pytest.raises(errors.InvalidInput, match="of format 2, and this plasmid reads 1"):
        replays.check(msgspec.structs.replace(capture, format=2))


def test_a_message_keeps_its_words_and_ends_with_the_command() -> None:
    failure = JobFailure(failures.APP_ERROR, "no reads in a.fq.")
    told = replays.with_command(failure, JOB, attempt=0, is_last=True)
    assert told.message == f"no reads in a.fq.; replay it: plasmid replay {JOB}"
    assert replays.without_command(told.message) == failure.message
    assert replays.with_command(told, JOB, attempt=0, is_last=True) is told


@pytest.mark.parametrize(
    ("attempt", "is_last", "end"), [(0, True, ""), (0, False, " --try 0"), (2, True, " --try 2")]
)
def test_a_try_is_named_unless_it_is_the_only_one(attempt: int, is_last: bool, end: str) -> None:
    failure = JobFailure(failures.APP_INTERNAL_ERROR, "m")
    told = replays.with_command(failure, JOB, attempt=attempt, is_last=is_last).message
    assert told == f"m; replay it: plasmid replay {JOB}{end}"
    assert replays.without_command(told) == "m"


@pytest.mark.parametrize("reason", ["JobTreeFailure", "InputError", "Terminated", "AuthError"])
def test_what_is_not_the_codes_doing_is_not_to_be_replayed(reason: str) -> None:
    failure = JobFailure(reason, "m")
    assert replays.with_command(failure, JOB, attempt=0, is_last=True) is failure


def test_words_of_an_app_that_look_like_the_command_are_kept() -> None:
    message = f"; replay it: plasmid replay {JOB} or not"
    assert replays.without_command(message) == message


def test_a_machine_gives_no_more_than_was_given_then() -> None:
    machine = Machine(8 << 30, 4, cores=0, disk_bytes=10**9)
    then = replays.machine_then(Limits(2, 16 << 30, 2 * 10**9), machine)
    assert (then.cores, then.memory_bytes, then.disk_bytes) == (2, 8 << 30, 10**9)
    assert replays.machine_then(Limits(), machine) == machine


def test_the_variables_hold_no_token() -> None:
    names = set(replays.variables(a_capture().run))
    assert names == {"DX_JOB_ID", "DX_WORKSPACE_ID", "DX_PROJECT_CONTEXT_ID"}
