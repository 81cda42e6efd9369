"""Why jobs fail (contract F.9)."""

from __future__ import annotations

from typing import Final

APP_ERROR: Final = "AppError"
APP_INTERNAL_ERROR: Final = "AppInternalError"
APP_INSUFFICIENT_RESOURCE_ERROR: Final = "AppInsufficientResourceError"
AUTH_ERROR: Final = "AuthError"
DEPENDENCY_UNSATISFIABLE: Final = "DependencyUnsatisfiable"
EXECUTION_ERROR: Final = "ExecutionError"
INCOMPLETE_UPLOADS: Final = "IncompleteUploads"
INPUT_ERROR: Final = "InputError"
JOB_TIMEOUT_EXCEEDED: Final = "JobTimeoutExceeded"
JOB_TREE_FAILURE: Final = "JobTreeFailure"
JM_INTERNAL_ERROR: Final = "JMInternalError"
OUTPUT_ERROR: Final = "OutputError"
TERMINATED: Final = "Terminated"
UNRESPONSIVE_WORKER: Final = "UnresponsiveWorker"

ALL: Final = frozenset(
    value for name, value in dict(globals()).items() if name.isupper() and isinstance(value, str)
)


class JobFailure(Exception):
    """A job has failed for a reason that its owner will read."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
