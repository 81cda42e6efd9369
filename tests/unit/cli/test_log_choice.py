"""Which lines `plasmid logs` prints, and how."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import msgspec
import pytest

from plasmid.cli import log_choice
from plasmid.cli.log_choice import Form, Printer, Wanted
from plasmid.cli.trouble import CommandError
from plasmid.domain import metrics
from plasmid.domain.assignments import LogEntry

SAMPLE = metrics.entry(
    metrics.between(
        metrics.Reading(at_ms=0),
        metrics.Reading(at_ms=1000),
        metrics.Room(cores=1, memory_bytes=1 << 30, disk_bytes=1 << 30),
    ),
    3000,
)
LINES = [
    LogEntry(1000, "DX_APP_STREAM", "STDOUT", "one"),
    LogEntry(2000, "DX_APP_STREAM", "STDERR", "two \x1b]52;c;x\x07"),
    SAMPLE,
    LogEntry(1_800_000_000_123, "SYSTEM", "INFO", "four"),
]


def wanted(**given: Any) -> Wanted:
    options: dict[str, Any] = {"since": None, "grep": None, "levels": None, "tail": None}
    return log_choice.wanted(**{**options, **given})


def printed(wanted: Wanted, form: Form | None = None) -> list[str]:
    lines = [msgspec.json.encode(entry) for entry in LINES]
    printer = Printer(wanted, form or Form())
    return [line.decode() for line in printer.printed(lines, "job-x", 1, 10)]


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, ["STDOUT one", "STDERR two \x1b]52;c;x\x07", "INFO four"]),
        ({"grep": "^o|r$"}, ["STDOUT one", "INFO four"]),
        ({"levels": ["stdout,INFO"]}, ["STDOUT one", "INFO four"]),
        ({"levels": ["STDOUT", "INFO"], "grep": "n"}, ["STDOUT one"]),
        ({"since": "2026-12-31T00:00+00:00"}, ["INFO four"]),
        ({"since": "1s"}, ["INFO four"]),
    ],
)
def test_only_wanted_lines_are_printed(options: dict[str, Any], expected: list[str]) -> None:
    assert printed(wanted(**options)) == expected


def test_measurements_are_printed_if_asked_for() -> None:
    (line,) = printed(wanted(levels=["METRICS"]))
    assert line.startswith("METRICS ** CPU usr/sys/idl/wai: ")


def test_json_is_whole_and_unchanged() -> None:
    lines = [msgspec.json.decode(line) for line in printed(wanted(), Form(as_json=True))]
    assert [line["line"] for line in lines] == [10, 11, 12, 13]
    assert lines[1] == {
        "timestamp": 2000, "source": "DX_APP_STREAM", "level": "STDERR", "job": "job-x",
        "jobTry": 1, "line": 11, "msg": "two \x1b]52;c;x\x07",
    }  # fmt: skip


def test_a_terminal_gets_nothing_that_acts_on_it() -> None:
    lines = printed(wanted(levels=["STDERR"]), Form(for_terminal=True))
    assert lines == [r"STDERR two \x1b]52;c;x\x07"]


def test_times_are_in_utc_and_odd_ones_are_printed_as_they_are() -> None:
    assert printed(wanted(grep="four"), Form(timestamps=True)) == [
        "2027-01-15T08:00:00.123Z INFO four"
    ]
    odd = msgspec.json.encode(LogEntry(1 << 60, "s", "INFO", "x"))
    printer = Printer(wanted(), Form(timestamps=True))
    assert printer.printed([odd], "j", 0, 0) == [b"%d INFO x" % (1 << 60)]


@pytest.mark.parametrize(
    "given, seconds", [("90s", 90), ("10m", 600), ("2h", 7200), ("3d", 259200)]
)
def test_since_takes_a_span(given: str, seconds: int) -> None:
    since_ms = wanted(since=given).since_ms
    assert since_ms is not None
    assert abs(time.time() * 1000 - since_ms - seconds * 1000) < 5000


def test_since_takes_a_time_here_or_with_a_zone() -> None:
    local = datetime(2026, 1, 31, 12).astimezone().timestamp() * 1000
    assert wanted(since="2026-01-31T12:00").since_ms == local
    assert wanted(since="2026-01-31T12:00:00Z").since_ms == 1_769_860_800_000


@pytest.mark.parametrize(
    "options, said",
    [
        ({"since": "soon"}, "--since takes"),
        ({"since": "10x"}, "--since takes"),
        ({"since": ""}, "--since takes"),
        ({"grep": "("}, "--grep: missing )"),
        ({"grep": r"(a)\1"}, "--grep: "),
        ({"levels": ["LOUD"]}, "--levels: there is no level LOUD"),
        ({"tail": -1}, "--tail takes"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandError, match=said.replace("(", r"\(").replace(")", r"\)")) as raised:
        wanted(**options)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)
