"""Takes the error of a task out of the group that asyncio.TaskGroup wraps it in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def unwrapped() -> Iterator[None]:
    """Raise the first error itself when the block raises a group of errors."""
    try:
        yield
    except ExceptionGroup as group:
        error: Exception = group
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from group
