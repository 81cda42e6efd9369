"""While a batch is on its way the next one is read, and read again if the first one got lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from plasmid.client import api
from plasmid.domain import assignments
from plasmid.worker import encoded, in_flight, log_pump, output_log, platform, try_folder
from tests.unit.worker import fake_platform
from tests.unit.worker.fake_platform import HELD, JOB
from tests.unit.worker.test_log_pump import write

LINES = [encoded.of(assignments.LogEntry(1, "DX_APP", "INFO", "x"))]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pump, "BATCH_BYTES_MAX", output_log.RECORD_BYTES_MAX)


async def test_the_next_batch_is_read_while_one_is_on_its_way(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has_read_on = asyncio.Event()
    reads = 0
    read_turn = output_log.OutputLog.read_turn

    def counted(self: output_log.OutputLog, *given: Any, **more: Any) -> Any:
        nonlocal reads
        reads += 1
        if reads == 2:
            has_read_on.set()
        return read_turn(self, *given, **more)

    add_log = link.add_log

    async def slow(
        held: assignments.HeldTry, lines: Sequence[bytes], cursors: dict[str, int], **more: Any
    ) -> None:
        async with asyncio.timeout(60):
            await has_read_on.wait()
        await add_log(held, lines, cursors, **more)

    monkeypatch.setattr(output_log.OutputLog, "read_turn", counted)
    link.add_log = slow  # type: ignore[method-assign]
    wanted = [f"line {number}" for number in range(8000)]
    write(tmp_path / "log", *wanted)
    pump = log_pump.LogPump(link, HELD, folder)
    pump.attach_output(tmp_path / "log")
    pump.finish()
    await pump.run()
    assert server.messages(JOB) == wanted


async def test_of_two_batches_the_second_waits_for_the_first(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
) -> None:
    under_way = most = 0
    add_log = link.add_log

    async def counted(
        held: assignments.HeldTry, lines: Sequence[bytes], cursors: dict[str, int], **more: Any
    ) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await add_log(held, lines, cursors, **more)
        under_way -= 1

    link.add_log = counted  # type: ignore[method-assign]
    write(tmp_path / "log", *["x" * 100] * 8000)
    pump = log_pump.LogPump(link, HELD, folder)
    pump.attach_output(tmp_path / "log")
    pump.finish()
    await pump.run()
    assert len(server.messages(JOB)) == 8000
    assert most == 1


async def test_a_flood_of_a_try_that_was_taken_away_ends(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
) -> None:
    write(tmp_path / "log", *["x" * 100] * 8000)
    server.after = lambda _: server.revoked.add(JOB)
    pump = log_pump.LogPump(link, HELD, folder)
    pump.attach_output(tmp_path / "log")
    with pytest.raises(platform.RevokedError):
        await pump.run()


async def test_what_became_of_a_batch_is_told_once(link: platform.Platform) -> None:
    flight = in_flight.InFlight(link, HELD)
    async with asyncio.TaskGroup() as group:
        flight.start(group, LINES, cursors={"bulk": 1}, since={})
        assert flight.is_any
        assert await flight.outcome() == {"bulk": 1}
    assert not flight.is_any


async def test_a_batch_whose_outcome_is_unknown_says_so(link: platform.Platform) -> None:
    flight = in_flight.InFlight(link, HELD)

    async def add_log(*_: Any, **__: Any) -> None:
        raise api.Unreachable("cut")

    link.add_log = add_log  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        flight.start(group, LINES, cursors={"bulk": 1}, since={})
        assert await flight.outcome() is None
