"""Floods wait while a try is being started, and not for ever."""

from __future__ import annotations

import asyncio

import pytest

from plasmid.worker import starts


async def test_nothing_waits_when_no_try_is_being_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plasmid.worker.starts.WAIT_SECONDS_MAX", 3600.0)
    async with asyncio.timeout(60):
        await starts.Starts().give_way()


async def test_a_flood_waits_until_the_last_start_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plasmid.worker.starts.WAIT_SECONDS_MAX", 60.0)
    going = starts.Starts()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        with going.one():
            with going.one():
                waiting = group.create_task(going.give_way())
            done, _ = await asyncio.wait({waiting}, timeout=0.02)
            assert not done
        await waiting


async def test_a_long_start_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plasmid.worker.starts.WAIT_SECONDS_MAX", 0.01)
    going = starts.Starts()
    with going.one():
        async with asyncio.timeout(60):
            await going.give_way()
