"""Each way that a try may end has one meaning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plasmid.domain import failures
from plasmid.worker import outcome


def ending(exit_code: int = 0, **known: Any) -> outcome.Ending:
    return outcome.Ending(exit_code=exit_code, **known)


def own(kind: str, message: object = "my message") -> str:
    return json.dumps({"error": {"type": kind, "message": message}})


def failure(exit_code: int = 1, **known: Any) -> tuple[str, str]:
    with pytest.raises(failures.JobFailure) as caught:
        outcome.decide(ending(exit_code, **known))
    return caught.value.reason, caught.value.message


def test_the_output_is_what_the_job_wrote() -> None:
    assert outcome.decide(ending(output_text='{"a": [1, "x"]}')) == {"a": [1, "x"]}


def test_no_output_file_is_an_empty_output() -> None:
    assert outcome.decide(ending()) == {}


def test_an_error_file_left_behind_by_a_job_that_succeeded_is_no_failure() -> None:
    assert outcome.decide(ending(error_text=own("AppError"), output_text="{}")) == {}


def test_memory_that_ran_out_for_a_child_does_not_fail_a_job_that_succeeded() -> None:
    assert outcome.decide(ending(out_of_memory=True)) == {}


@pytest.mark.parametrize("text", ["", "{", '{"a": NaN}', "[1]", "3", '"x"', "[" * 100_000])
def test_broken_output_is_an_output_error(text: str) -> None:
    reason, message = failure(0, output_text=text)
    assert (reason, "job_output.json" in message) == ("OutputError", True)


def test_output_that_cannot_be_read_says_why() -> None:
    assert failure(0, unreadable="it is a link") == ("OutputError", "it is a link")


@pytest.mark.parametrize("kind", ["AppError", "AppInternalError", "AppInsufficientResourceError"])
def test_the_app_names_its_own_failure(kind: str) -> None:
    assert failure(1, error_text=own(kind)) == (kind, "my message")


def test_a_failure_of_another_name_is_an_internal_error_of_the_app() -> None:
    assert failure(1, error_text=own("Strange")) == ("AppInternalError", "my message")


def test_a_message_that_is_no_text_is_shown_as_json() -> None:
    assert failure(1, error_text=own("AppError", {"a": 1})) == ("AppError", '{"a":1}')


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"error": 3}', '{"error": {}}'])
def test_without_a_usable_error_file_the_exit_code_is_told(text: str | None) -> None:
    reason, message = failure(3, error_text=text)
    assert reason == "AppInternalError"
    assert message.startswith("The app exited with non-zero exit status 3")


def test_a_signal_is_told_as_one() -> None:
    assert "ended by signal 11 (SIGSEGV)" in failure(128 + 11)[1]


@pytest.mark.parametrize("code", [128, 200, 255])
def test_a_code_that_no_signal_gives_is_told_as_a_code(code: int) -> None:
    assert f"non-zero exit status {code}:" in failure(code)[1]


def test_a_job_killed_for_want_of_memory_is_told_how_much_it_had() -> None:
    reason, message = failure(137, out_of_memory=True, memory_bytes=512 << 20)
    assert reason == "AppInsufficientResourceError"
    assert "512 MiB" in message
    assert "instance type" in message


def test_a_kill_from_outside_is_not_taken_for_want_of_memory() -> None:
    assert failure(137)[0] == "AppInternalError"


@pytest.mark.parametrize(
    ("full", "parts"),
    [
        (outcome.Full("/"), ("its disk of 50 GB (/ ", "instance type with more storage")),
        (
            outcome.Full("/", of_names=True),
            ("as many files as its disk of 50 GB", "fewer and larger"),
        ),
        (outcome.Full("/", size_bytes=49 * 10**9), ("its disk of 50 GB (/ ",)),
        (
            outcome.Full("/", size_bytes=20 * 10**9),
            ("20 GB in all", "not those of its instance type of 50 GB", "free some"),
        ),
        (
            outcome.Full("/dev/shm", size_bytes=1 << 30),
            ("filled /dev/shm", "of 1024 MiB in its memory", "write to /tmp"),
        ),
    ],
)
def test_a_full_file_system_is_want_of_resources_and_it_is_told_which(
    full: outcome.Full, parts: tuple[str, ...]
) -> None:
    reason, message = failure(1, full=(full,), disk_bytes=50 * 10**9)
    assert reason == "AppInsufficientResourceError"
    assert [part for part in parts if part not in message] == []
    assert message.endswith("(The app exited with non-zero exit status 1)")


def test_what_was_killed_for_memory_below_the_app_is_want_of_memory_too() -> None:
    """xargs, make and the like end with codes of their own when one of theirs is killed."""
    reason, message = failure(123, out_of_memory=True, memory_bytes=1 << 30)
    assert reason == "AppInsufficientResourceError"
    assert "1024 MiB" in message
    assert "exit status 123" in message


@pytest.mark.parametrize("text", [None, own("AppInternalError", "RuntimeError: no thread")])
def test_an_app_that_was_refused_processes_is_told_the_limit(text: str | None) -> None:
    reason, message = failure(1, processes_full=True, processes_max=16384, error_text=text)
    assert reason == "AppInternalError"
    assert "as it had 16384: start fewer at once" in message


def test_what_an_app_says_of_itself_is_left_as_it_is() -> None:
    known = {"processes_full": True, "error_text": own("AppError", "bad input")}
    assert failure(1, **known) == ("AppError", "bad input")


@pytest.mark.parametrize("code", [0, 1, 137])
def test_a_job_whose_writes_are_lost_has_failed_whatever_it_says(code: int) -> None:
    reason, message = failure(code, lost_writes=True, output_text="{}")
    assert reason == "AppInsufficientResourceError"
    assert "disk of the machine itself" in message


def test_an_unexpected_error_after_memory_ran_out_is_put_down_to_that() -> None:
    reason, message = failure(1, out_of_memory=True, error_text=own("AppInternalError"))
    assert reason == "AppInsufficientResourceError"
    assert message.startswith("my message")


def test_an_app_that_decides_to_fail_is_believed_even_if_memory_ran_out() -> None:
    assert failure(1, out_of_memory=True, error_text=own("AppError"))[0] == "AppError"


@pytest.mark.parametrize("message", ["MemoryError: ", "sort: No space left on device"])
@pytest.mark.parametrize("kind", ["AppError", "AppInternalError"])
def test_a_message_that_speaks_of_a_shortage_is_one(kind: str, message: str) -> None:
    assert failure(1, error_text=own(kind, message))[0] == "AppInsufficientResourceError"


def test_a_failed_set_up_is_told_from_a_failed_app() -> None:
    known = {"phase": "setup", "error_text": own("AppError")}
    assert failure(1, setup_failure="no such package\n", **known) == (
        "ExecutionError",
        "no such package",
    )
    assert failure(1, **known)[0] == "ExecutionError"


def test_a_timeout_comes_before_everything() -> None:
    reason, message = failure(137, timed_out=True, timeout_ms=5_400_000, out_of_memory=True)
    assert reason == "JobTimeoutExceeded"
    assert "1.5 hours" in message
