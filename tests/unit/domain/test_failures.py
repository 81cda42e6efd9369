"""Why jobs fail."""

from __future__ import annotations

from plasmid.domain import failures
from plasmid.executions import restarts


def test_the_reasons_have_the_apis_names() -> None:
    assert {
        "AppError", "AppInternalError", "AppInsufficientResourceError", "AuthError",
        "DependencyUnsatisfiable", "ExecutionError", "IncompleteUploads", "InputError",
        "JobTimeoutExceeded",
        "JobTreeFailure", "JMInternalError", "OutputError", "Terminated", "UnresponsiveWorker",
    } == failures.ALL  # fmt: skip


def test_a_failure_says_its_reason_and_message() -> None:
    failure = failures.JobFailure("AppError", "it broke")
    assert (failure.reason, failure.message) == ("AppError", "it broke")
    assert str(failure) == "AppError: it broke"


def test_every_reason_to_restart_is_a_reason() -> None:
    assert restarts.RESTARTABLE_REASONS < failures.ALL
