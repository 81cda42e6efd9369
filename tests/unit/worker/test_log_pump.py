"""Every line arrives exactly once, in order, whatever breaks on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plasmid.domain import assignments, errors
from plasmid.worker import log_pump, platform, try_folder
from tests.unit.worker import fake_platform
from tests.unit.worker.fake_platform import HELD, JOB

STAMP = "2026-01-02T03:04:05.678901234+00:00"


def write(path: Path, *lines: str, mark: str = "F") -> None:
    with path.open("a") as log:
        for line in lines:
            log.write(f"{STAMP} stdout {mark} {line}\n")


async def test_lines_of_all_sources_are_sent_to_the_last(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
) -> None:
    write(tmp_path / "log", "out 1", "out 2")
    pump = log_pump.LogPump(link, HELD, folder, now_ms=lambda: 5)
    pump.say("first")
    pump.attach_output(tmp_path / "log")
    pump.add("bulk", [assignments.LogEntry(1, "DX_APP", "INFO", "early")])
    pump.finish()
    await pump.run()
    assert server.messages(JOB) == ["early", "first", "out 1", "out 2"]
    assert server.lines[JOB][1].source == "SYSTEM"


async def test_lines_are_sent_while_the_job_runs(
    server: fake_platform.FakePlatform, link: platform.Platform, folder: try_folder.TryFolder
) -> None:
    pump = log_pump.LogPump(link, HELD, folder)
    async with asyncio.TaskGroup() as group:
        group.create_task(pump.run())
        pump.say("one")
        await server.until(lambda: server.messages(JOB) == ["one"])
        pump.say("two")
        await server.until(lambda: server.messages(JOB) == ["one", "two"])
        pump.finish()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pump, "BATCH_BYTES_MAX", 1 << 16)


class Trouble:
    """Fails a share of the calls, some after they have taken effect."""

    def __init__(self, pattern: str) -> None:
        self.pattern: Iterator[str] = iter(pattern)

    def before(self, route: str) -> None:
        self.kind = next(self.pattern, ".")
        if self.kind == "x":
            raise errors.ServiceUnavailable("not now")

    def after(self, route: str) -> None:
        if self.kind == "l":
            raise errors.InternalError("the reply is lost")


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("pattern", ["x", "l", "xl", "lx", "ll", "lxl.l", "xxxxx", ".l.x.l"])
async def test_no_line_is_lost_or_doubled_when_calls_and_replies_get_lost(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
    pattern: str,
) -> None:
    trouble = Trouble(pattern)
    server.before, server.after = trouble.before, trouble.after
    wanted = [f"line {number}" for number in range(8000)]  # several batches
    write(tmp_path / "log", *wanted)
    pump = log_pump.LogPump(link, HELD, folder)
    pump.attach_output(tmp_path / "log")
    pump.finish()
    await pump.run()
    assert server.messages(JOB) == wanted


async def test_the_next_worker_goes_on_exactly_where_the_last_one_was_kept(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    write(log, "one")
    write(log, "op", mark="P")
    first = log_pump.LogPump(link, HELD, folder)
    first.say("system 1")
    first.attach_output(log)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(first.run())
        await server.until(lambda: len(server.messages(JOB)) == 2)
        running.cancel()
    first.say("system 2")  # on disk, never sent by the first
    first.close()
    write(log, "en", "two")
    second = log_pump.LogPump(link, HELD, folder)
    await second.recover()
    second.attach_output(log)
    second.finish()
    await second.run()
    assert sorted(server.messages(JOB)) == ["one", "open", "system 1", "system 2", "two"]


async def test_a_try_that_was_taken_away_stops_the_pump(
    server: fake_platform.FakePlatform, link: platform.Platform, folder: try_folder.TryFolder
) -> None:
    server.revoked.add(JOB)
    pump = log_pump.LogPump(link, HELD, folder)
    pump.say("x")
    with pytest.raises(platform.RevokedError):
        await pump.run()
    with pytest.raises(platform.RevokedError):
        await pump.recover()


async def test_an_order_within_a_source_outranks_its_times(
    server: fake_platform.FakePlatform, link: platform.Platform, folder: try_folder.TryFolder
) -> None:
    pump = log_pump.LogPump(link, HELD, folder)
    sent = [assignments.LogEntry(t, "DX_APP", "INFO", str(t)) for t in (9, 1, 5)]
    pump.add("bulk", sent)
    pump.finish()
    await pump.run()
    assert server.messages(JOB) == ["9", "1", "5"]


async def test_a_batch_is_bounded(
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
) -> None:
    write(tmp_path / "log", *["x" * 1000] * 2000)
    sizes = []
    add_log = link.add_log

    async def counted(
        held: assignments.HeldTry,
        lines: Sequence[bytes],
        cursors: dict[str, int],
        **more: Any,
    ) -> None:
        entries = msgspec.json.Decoder(assignments.LogEntry).decode_lines(b"".join(lines))
        sizes.append(sum(len(entry.msg) for entry in entries))
        await add_log(held, lines, cursors, **more)

    link.add_log = counted  # type: ignore[method-assign]
    pump = log_pump.LogPump(link, HELD, folder)
    pump.attach_output(tmp_path / "log")
    pump.finish()
    await pump.run()
    assert max(sizes) <= log_pump.BATCH_BYTES_MAX
    assert sum(sizes) == 2_000_000


async def test_a_line_of_the_platform_that_is_megabytes_long_holds_up_no_other(
    server: fake_platform.FakePlatform, link: platform.Platform, folder: try_folder.TryFolder
) -> None:
    pump = log_pump.LogPump(link, HELD, folder)
    pump.say("x" * (3 << 20), "ERROR")
    pump.say("after")
    pump.finish()
    await pump.run()
    *pieces, last = server.messages(JOB)
    assert last == "after"
    assert sum(map(len, pieces)) == 3 << 20
    assert max(map(len, pieces)) == 8192
