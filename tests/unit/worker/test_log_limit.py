"""Beyond its limit a log has exact counts and the last lines, whatever breaks on the way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmid.domain import assignments, errors
from plasmid.worker import log_limit, log_pump, output_log, platform, spool, try_folder
from tests.unit.worker import fake_platform
from tests.unit.worker.fake_platform import HELD, JOB

LEFT_OUT = re.compile(r"Left out here: (\d+) lines \((\d+) bytes\)")


def stamp(number: int) -> bytes:
    return b"2026-01-02T03:04:05.%09d+00:00" % number


def as_conmon(data: bytes, stream: bytes = b"stdout", *, first: int = 0, size: int = 8192) -> bytes:
    """Return what conmon writes of a stream that it reads by so many bytes."""
    written = []
    for number, start in enumerate(range(0, len(data), size)):
        head = stamp(first + number) + b" " + stream + b" "
        *whole, rest = data[start : start + size].split(b"\n")
        written += [head + b"F " + line + b"\n" for line in whole]
        written += [head + b"P " + rest + b"\n"] if rest else []
    return b"".join(written)


def numbered(count: int, first: int = 0) -> list[str]:
    return [f"{number:08} {'x' * (number % 60)}" for number in range(first, first + count)]


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def a_pump(
    link: platform.Platform, folder: try_folder.TryFolder, bytes_max: int = 100_000
) -> log_pump.LogPump:
    return log_pump.LogPump(link, HELD, folder, bytes_max=bytes_max, now_ms=lambda: 7)


def check(
    said: list[assignments.LogEntry], wanted: list[str], *, level: str = "STDOUT"
) -> tuple[int, int]:
    """See that the log has the first lines, one exact count, and the last ones."""
    lines = [line.msg for line in said if line.level == level]
    reached = [line for line in said if line.msg.startswith("The log has reached its limit of ")]
    (marker,) = [line for line in said if line.source == "SYSTEM" and LEFT_OUT.match(line.msg)]
    found = LEFT_OUT.match(marker.msg)
    assert found is not None
    count, size = int(found[1]), int(found[2])
    place = said.index(marker)
    head = [line.msg for line in said[:place] if line.level == level]
    tail = lines[len(head) :]
    assert len(reached) == 1
    assert marker.level == reached[0].level == "WARNING"
    assert head == wanted[: len(head)]
    assert tail == wanted[len(wanted) - len(tail) :]
    gone = wanted[len(head) : len(wanted) - len(tail)]
    assert (count, size) == (len(gone), sum(len(line.encode()) for line in gone))
    return len(head), len(tail)


async def test_beyond_its_limit_a_log_has_one_exact_count_and_the_last_lines(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
) -> None:
    wanted = numbered(50_000)
    (tmp_path / "log").write_bytes(as_conmon(text(wanted)))
    pump = a_pump(link, folder)
    pump.attach_output(tmp_path / "log")
    pump.finish()
    await pump.run()
    head, tail = check(server.lines[JOB], wanted)
    assert 500 < head < 1500
    assert log_limit.TAIL_LINES <= tail < log_limit.TAIL_LINES + 500
    assert [line.level for line in server.lines[JOB]].count("WARNING") == 2


async def test_a_log_below_its_limit_has_no_marker(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
) -> None:
    (tmp_path / "log").write_bytes(as_conmon(text(numbered(500))))
    pump = a_pump(link, folder)
    pump.attach_output(tmp_path / "log")
    pump.finish()
    await pump.run()
    assert server.messages(JOB) == numbered(500)


async def test_a_line_that_looks_like_the_marker_is_the_jobs_own(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
) -> None:
    fakes = [log_limit.left_out(5, 6, 7), log_limit.reached(8)]
    (tmp_path / "log").write_bytes(as_conmon(text(fakes)))
    pump = a_pump(link, folder)
    pump.attach_output(tmp_path / "log")
    pump.finish()
    await pump.run()
    assert [(line.source, line.msg) for line in server.lines[JOB]] == [
        ("DX_APP_STREAM", fake) for fake in fakes
    ]


async def test_urgent_lines_and_the_platforms_own_stay(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
) -> None:
    (tmp_path / "log").write_bytes(as_conmon(text(numbered(50_000))))
    pump = a_pump(link, folder)
    pump.attach_output(tmp_path / "log")
    async with asyncio.TaskGroup() as group:
        group.create_task(pump.run())
        await server.until(lambda: any(m.startswith("The log has") for m in server.messages(JOB)))
        urgent = assignments.LogEntry(1, "DX_APP", "CRITICAL", "urgent")
        pump.add_messages("priority", [spool.Message(1, [urgent])])
        await server.until(lambda: "urgent" in server.messages(JOB))
        pump.end_output()
        pump.say("AppError: told last", "ERROR")
        pump.finish()
    check(server.lines[JOB], numbered(50_000))
    assert server.messages(JOB)[-1] == "AppError: told last"


async def test_even_urgent_lines_end_at_twice_the_limit(
    server: fake_platform.FakePlatform, link: platform.Platform, folder: try_folder.TryFolder
) -> None:
    wanted = numbered(50_000)
    lines = [assignments.LogEntry(n, "DX_APP", "CRITICAL", line) for n, line in enumerate(wanted)]
    pump = a_pump(link, folder)
    for start in range(0, len(lines), 100):
        pump.add_messages("priority", [spool.Message(start + 1, lines[start : start + 100])])
    pump.finish()
    await pump.run()
    assert len(server.messages(JOB)) < len(wanted)
    check(server.lines[JOB], wanted, level="CRITICAL")


async def test_lines_by_the_bulk_socket_are_counted_too(
    server: fake_platform.FakePlatform, link: platform.Platform, folder: try_folder.TryFolder
) -> None:
    wanted = numbered(60_000)
    lines = [assignments.LogEntry(n, "DX_APP", "INFO", line) for n, line in enumerate(wanted)]
    pump = a_pump(link, folder)
    for start in range(0, len(lines), 500):
        pump.add_messages("bulk", [spool.Message(start + 1, lines[start : start + 500])])
    pump.finish()
    await pump.run()
    said = [line for line in server.lines[JOB] if line.source != "SYSTEM" or "Left" in line.msg]
    reached = [line for line in server.lines[JOB] if line not in said]
    check([*reached, *said], wanted, level="INFO")


async def test_the_last_lines_of_a_stream_that_has_little_to_say_stay(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
) -> None:
    flood = as_conmon(text(numbered(50_000)))
    middle = flood.index(b"\n", len(flood) * 3 // 4) + 1
    errors_said = as_conmon(b"Traceback\nValueError\n", b"stderr", first=500_000)
    (tmp_path / "log").write_bytes(flood[:middle] + errors_said + flood[middle:])
    pump = a_pump(link, folder)
    pump.attach_output(tmp_path / "log")
    pump.finish()
    await pump.run()
    check(server.lines[JOB], numbered(50_000))
    assert server.messages(JOB, "STDERR") == ["Traceback", "ValueError"]


async def test_one_line_without_an_end_is_cut_and_counted(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    tmp_path: Path,
) -> None:
    line = b"".join(b"%09d " % number for number in range(500_000))
    (tmp_path / "log").write_bytes(as_conmon(line + b"\nlast\n"))
    pump = a_pump(link, folder)
    pump.attach_output(tmp_path / "log")
    pump.finish()
    await pump.run()
    said = server.lines[JOB]
    marker = next(at for at, one in enumerate(said) if LEFT_OUT.match(one.msg))
    found = LEFT_OUT.match(said[marker].msg)
    assert found is not None
    head = "".join(one.msg for one in said[:marker] if one.level == "STDOUT")
    tail = "".join(one.msg for one in said[marker:-1] if one.level == "STDOUT")
    assert said[-1].msg == "last"
    assert line.startswith(head.encode())
    assert line.endswith(tail.encode())
    assert (int(found[1]), int(found[2])) == (0, len(line) - len(head) - len(tail))


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


@pytest.mark.parametrize("pattern", ["..x", "..l", "..lx", "x.l.l", ".l.x.l.x.l", "..l.l.l.l"])
async def test_counts_are_exact_when_calls_and_replies_get_lost(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    monkeypatch: pytest.MonkeyPatch,
    pattern: str,
) -> None:
    monkeypatch.setattr(log_pump, "SKIPPED_BYTES", 200_000)
    trouble = Trouble(pattern)
    server.before, server.after = trouble.before, trouble.after
    (folder.path.parent / "log").write_bytes(as_conmon(text(numbered(30_000))))
    pump = a_pump(link, folder)
    pump.attach_output(folder.path.parent / "log")
    pump.finish()
    await pump.run()
    check(server.lines[JOB], numbered(30_000))


@pytest.mark.parametrize("killed_after", [1, 2, 3, 5, 8])
async def test_counts_are_exact_when_workers_are_killed_while_the_job_writes(
    server: fake_platform.FakePlatform,
    link: platform.Platform,
    folder: try_folder.TryFolder,
    monkeypatch: pytest.MonkeyPatch,
    killed_after: int,
) -> None:
    monkeypatch.setattr(log_pump, "SKIPPED_BYTES", 100_000)
    whole = as_conmon(text(numbered(30_000)))
    log = folder.path.parent / "log"
    log.touch()
    written = 0
    while written < len(whole):
        calls = 0

        def counted(route: str) -> None:
            nonlocal calls
            calls += route.endswith("/log")
            if calls > killed_after:
                raise KilledError

        with log.open("ab") as more:
            written += more.write(whole[written : written + 700_000])
        pump = a_pump(link, folder)
        await pump.recover()
        pump.attach_output(log)
        server.after = counted
        async with asyncio.TaskGroup() as group:
            running = group.create_task(until_killed(pump))
            await asyncio.wait({running}, timeout=0.05)
            running.cancel()
        server.after = lambda _: None
        pump.close()
    pump = a_pump(link, folder)
    await pump.recover()
    pump.attach_output(log)
    pump.finish()
    await pump.run()
    check(server.lines[JOB], numbered(30_000))


class KilledError(Exception):
    """What a kill looks like from inside."""


async def until_killed(pump: log_pump.LogPump) -> None:
    try:
        await pump.run()
    except KilledError:
        return


records = st.lists(
    st.tuples(st.sampled_from([b"stdout", b"stderr"]), st.integers(0, 400), st.booleans()),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(given=records, data=st.data())
def test_what_is_skipped_and_what_is_left_is_all_there_is(
    tmp_path_factory: pytest.TempPathFactory,
    given: list[tuple[bytes, int, bool]],
    data: st.DataObject,
) -> None:
    """Read some, skip some by several readers, read the rest: nothing is missing or double."""
    path = tmp_path_factory.mktemp("log") / "log"
    written = [
        b" ".join([stamp(at // 5), name, b"F" if ends else b"P", b"%04d" % at + b"y" * size])
        for at, (name, size, ends) in enumerate(given)
    ]
    path.write_bytes(b"".join(record + b"\n" for record in written))
    with pytest.MonkeyPatch.context() as monkey:
        monkey.setattr(log_limit, "TAIL_LINES", 3)
        monkey.setattr(log_limit, "TAIL_BYTES", 700)
        monkey.setattr(output_log, "RECORD_BYTES_MAX", 512)
        cursors: dict[str, int] = {}
        lines = size = 0
        for _ in range(data.draw(st.integers(1, 3))):
            log = output_log.OutputLog(path, cursors)
            log.begin_skipping()
            for _ in range(data.draw(st.integers(0, 20))):
                log.skip(0)
            more_lines, more_bytes = log.left_out
            lines, size, cursors = lines + more_lines, size + more_bytes, log.cursors
            log.close()
        log = output_log.OutputLog(path, cursors)
        entries: list[assignments.LogEntry] = []
        while more := log.read(0, is_final=True):
            entries += more
        log.close()
    assert size + sum(len(entry.msg) for entry in entries) == sum(4 + n for _, n, _ in given)
    ended = sum(ends for _, _, ends in given)
    open_lines = len(entries) - (ended - lines)
    assert 0 <= open_lines <= 2


def test_a_reader_that_starts_with_a_stream_that_lags_takes_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lagging = stamp(0) + b" stdout P " + b"y" * 600 + b"\n"
    path.write_bytes(lagging * 200 + as_conmon(b"taken\n", b"stderr", first=3))
    taken = path.stat().st_size
    log = output_log.OutputLog(path, {"stdout": 0, "stderr": taken})
    log.begin_skipping()
    log.skip(0)
    assert log.cursors["stderr"] == taken
    log.close()
