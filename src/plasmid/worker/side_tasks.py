"""Runs what goes on beside a job's code, so that no mistake in it can end the job."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import structlog

_log = structlog.get_logger()


async def guarded(
    what: str,
    story: Coroutine[Any, Any, None],
    *,
    on_trouble: Callable[[str], None] | None = None,
) -> None:
    """Run a story to its end; what breaks it is logged, told as one line, and goes no further.

    `what` names the story in the log, in snake_case. A cancellation passes.
    """
    try:
        await story
    except Exception as error:
        _log.exception("side_task_broke", what=what)
        if on_trouble is not None:
            _tell(on_trouble, what, error)


def _tell(on_trouble: Callable[[str], None], what: str, error: Exception) -> None:
    kind = type(error).__name__
    try:
        on_trouble(f"{what.replace('_', ' ')} has broken off ({kind}): the worker's log says why")
    except Exception:
        # Whoever is told may be what is broken: the machine's disk is full, say.
        _log.exception("side_task_trouble_not_told", what=what)
