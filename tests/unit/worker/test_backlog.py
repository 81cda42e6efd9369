"""Who writes faster than it can be kept waits; nobody else does, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from plasmid.domain import assignments, errors
from plasmid.engines import engine
from plasmid.worker import backlog, holes, log_pump, platform, spool, try_folder
from tests.unit.worker import fake_platform
from tests.unit.worker.fake_platform import HELD, JOB
from tests.unit.worker.test_log_limit import as_conmon, numbered, text
from tests.unit.worker.test_spool import FullDisk


class Valve:
    """What an engine was told, and when."""

    def __init__(self) -> None:
        self.told: list[bool] = []
        self.news = asyncio.Condition()
        self.breaks = False

    async def hold(self, is_held: bool) -> None:
        if self.breaks:
            raise engine.EngineError("cannot")
        async with self.news:
            self.told.append(is_held)
            self.news.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60), self.news:
            await self.news.wait_for(condition)


async def test_writers_wait_from_a_limit_on_to_half_of_it() -> None:
    valve, holder, limit = Valve(), backlog.Holder(), backlog.OUTPUT_BYTES_MAX
    amounts = iter([0, limit, limit + 1, limit * 3 // 4, limit // 2, limit * 3 // 4, limit + 1])
    holder.attach(valve.hold)
    told: list[list[bool]] = []

    def waiting() -> int:
        told.append(list(valve.told))
        holder.look()
        return next(amounts)

    async with asyncio.TaskGroup() as group:
        holder.look()
        running = group.create_task(holder.run(waiting))
        await valve.until(lambda: len(valve.told) == 4)
        running.cancel()
    assert valve.told == [False, True, False, True]
    assert [len(each) for each in told] == [0, 1, 1, 2, 2, 3, 3]


async def test_what_an_earlier_worker_has_held_goes_on_at_once() -> None:
    valve, holder = Valve(), backlog.Holder()
    holder.attach(valve.hold)
    holder.look()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(holder.run(lambda: 0))
        await valve.until(lambda: valve.told == [False])
        running.cancel()


async def test_a_flood_waits_while_the_server_is_away_and_loses_nothing(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backlog, "OUTPUT_BYTES_MAX", 200_000)
    is_away = True

    def away(_: str) -> None:
        if is_away:
            raise errors.ServiceUnavailable("away")

    server.before = away
    log, valve = tmp_path / "log", Valve()
    log.touch()
    wanted = numbered(20_000)
    pump = log_pump.LogPump(link, HELD, folder)
    pump.attach_output(log, valve.hold)
    async with asyncio.TaskGroup() as group:
        group.create_task(pump.run())
        await valve.until(lambda: valve.told == [False])
        log.write_bytes(as_conmon(text(wanted)))
        pump.wake()
        await valve.until(lambda: valve.told == [False, True])
        is_away = False
        await valve.until(lambda: valve.told == [False, True, False])
        pump.finish()
    assert server.messages(JOB) == wanted


async def test_an_engine_that_cannot_hold_stops_no_log(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
) -> None:
    valve = Valve()
    valve.breaks = True
    (tmp_path / "log").write_bytes(as_conmon(text(numbered(100))))
    pump = log_pump.LogPump(link, HELD, folder)
    pump.attach_output(tmp_path / "log", valve.hold)
    pump.finish()
    await pump.run()
    assert server.messages(JOB) == numbered(100)


async def test_what_is_kept_takes_no_disk_and_is_not_missed(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(holes, "STEP_BYTES", 1 << 20)
    log = tmp_path / "log"
    wanted = [f"{number:08} {'x' * 2000}" for number in range(6_000)]
    log.write_bytes(as_conmon(text(wanted) + b"half "))
    on_disk = log.stat().st_blocks * 512
    if not can_punch(tmp_path):
        pytest.skip("this file system frees no part of a file")
    first = log_pump.LogPump(link, HELD, folder)
    first.attach_output(log)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(first.run())
        await server.until(lambda: len(server.lines[JOB]) == len(wanted))
        running.cancel()
    first.close()
    assert log.stat().st_blocks * 512 < on_disk // 2
    with log.open("ab") as more:
        more.write(as_conmon(b"a line\nnew\n", first=900_000))
    second = log_pump.LogPump(link, HELD, folder)
    await second.recover()
    second.attach_output(log)
    second.finish()
    await second.run()
    assert server.messages(JOB) == [*wanted, "half a line", "new"]


def can_punch(folder: Path) -> bool:
    path = folder / "punched"
    path.write_bytes(b"x" * (4 << 20))
    opened = os.open(path, os.O_RDWR)
    step = holes.Beginning(0).free(opened, 4 << 20)
    assert step is not None
    step()
    os.close(opened)
    return path.stat().st_blocks == 0


async def test_a_spool_that_is_full_has_no_room_before_half_of_it_is_sent(
    link: platform.Platform, folder: try_folder.TryFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "SPOOL_BYTES_MAX", 10_000)
    pump = log_pump.LogPump(link, HELD, folder)
    told: list[bool] = []
    pump.listen(lambda: told.append(pump.has_room("bulk")))
    line = assignments.LogEntry(1, "DX_APP", "INFO", "x" * 5_000)
    pump.add_messages("bulk", [spool.Message(1, [line])])
    assert pump.has_room("bulk")
    pump.add_messages("bulk", [spool.Message(2, [line])])
    assert not pump.has_room("bulk")
    assert pump.has_room("priority")
    pump.finish()
    await pump.run()
    assert told == [True]


async def test_writers_go_on_although_letting_them_go_failed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backlog, "RETRY_SECONDS", 0)
    valve, holder = Valve(), backlog.Holder()

    def waiting() -> int:
        valve.breaks = not valve.breaks  # the first call fails
        return 0

    holder.attach(valve.hold)
    holder.look()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(holder.run(waiting))
        await valve.until(lambda: valve.told == [False])
        running.cancel()


async def test_who_waits_for_a_full_disk_goes_on_when_it_has_room(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_pump, "FULL_DISK_SECONDS", 0.01)
    disk = FullDisk(monkeypatch, room=0)
    pump = log_pump.LogPump(link, HELD, folder)
    line = assignments.LogEntry(1, "DX_APP", "INFO", "x" * 200_000)
    heard = asyncio.Event()
    pump.listen(lambda: heard.set() if pump.has_room("bulk") else None)
    async with asyncio.TaskGroup() as group:
        group.create_task(pump.run())
        for stamp in range(1, 4):
            pump.add_messages("bulk", [spool.Message(stamp, [line])])
        assert not pump.has_room("bulk")
        assert pump.has_room("priority")
        await server.until(lambda: len(server.lines[JOB]) == 3)
        assert not heard.is_set()
        disk.room = 1 << 30
        async with asyncio.timeout(60):
            await heard.wait()
        pump.finish()
