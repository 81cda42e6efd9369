"""What goes on beside a job's code cannot end it, and what breaks is told."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import CapturingLogger

from plasmid.worker import side_tasks


async def breaks() -> None:
    raise RuntimeError("nobody\nthought of this")


async def test_what_breaks_is_logged_with_its_traceback_and_told_as_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    logger = CapturingLogger()
    monkeypatch.setattr(side_tasks, "_log", logger)
    await side_tasks.guarded("ssh_login", breaks(), on_trouble=told.append)
    assert told == ["ssh login has broken off (RuntimeError): the worker's log says why"]
    # `exception` is what adds the traceback
    assert [(call.method_name, call.kwargs) for call in logger.calls] == [
        ("exception", {"what": "ssh_login"})
    ]


async def test_what_goes_on_beside_it_goes_on() -> None:
    told = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(told.wait())
        group.create_task(
            side_tasks.guarded("sampler", breaks(), on_trouble=lambda _line: told.set())
        )
    assert waiting.result()


async def test_a_listener_that_breaks_too_does_no_harm() -> None:
    def full(_line: str) -> None:
        raise OSError("no space")

    await side_tasks.guarded("sampler", breaks(), on_trouble=full)


async def test_a_cancellation_passes_and_is_no_trouble() -> None:
    told: list[str] = []
    entered = asyncio.Event()

    async def waits() -> None:
        entered.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(side_tasks.guarded("web", waits(), on_trouble=told.append))
        await entered.wait()
        task.cancel()
    assert task.cancelled()
    assert told == []
