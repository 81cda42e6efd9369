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


USUAL = [LogEntry(n, "DX_APP_STREAM", "STDOUT", f"line {n}") for n in (1, 1_700_000_000_000, -5)]
ODD_TEXTS = (
    "", '"}\n{"timestamp":1,"source":"s","level":"l","msg":"x', '","msg":"', '\\","msg":"\\',
    "\x1b[1m\x00\x7f\r\n\t", "wörld \u2028 \U0001f600", '{"level":"METRICS"}', '"level":"METRICS"',
)  # fmt: skip
ODD = [
    *(LogEntry(1, "DX_APP", "INFO", text) for text in ODD_TEXTS),
    *(LogEntry(1, text, "INFO", "source") for text in ODD_TEXTS),
    *(LogEntry(1, "DX_APP", text, "level") for text in ODD_TEXTS),
]


@pytest.mark.parametrize("entries", [USUAL, LINES, USUAL + ODD, *([*USUAL, odd] for odd in ODD)])
def test_plain_text_that_is_cut_out_is_that_of_decoded_lines(entries: list[LogEntry]) -> None:
    lines = [msgspec.json.encode(entry) for entry in entries]
    expected = [f"{entry.level} {entry.msg}\n" for entry in entries if entry.level != metrics.LEVEL]
    printer = Printer(Wanted(), Form())
    assert printer.text_of(b"".join(line + b"\n" for line in lines)).decode() == "".join(expected)


@pytest.mark.parametrize(
    "line",
    [
        b'{"msg":"m","level":"INFO","source":"s","timestamp":1}\n',
        b'{"timestamp": 1, "source": "s", "level": "INFO", "msg": "m"}\n',
        b'{"timestamp":1,"source":"s","level":"INFO","msg":"m","new":"field"}\n',
    ],
)
def test_lines_of_another_form_are_printed_too(line: bytes) -> None:
    usual = msgspec.json.encode(USUAL[0]) + b"\n"
    printer = Printer(Wanted(), Form())
    for data in (line, usual + line, line + usual, usual + line + usual):
        expected = data.replace(line, b"INFO m\n").replace(usual, b"STDOUT line 1\n")
        assert printer.text_of(data) == expected


def test_lines_in_their_usual_form_are_not_decoded_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_choice, "_decode", None)
    data = b"".join(msgspec.json.encode(entry) + b"\n" for entry in USUAL + ODD[:5])
    assert Printer(Wanted(), Form()).text_of(data).startswith(b"STDOUT line 1\nSTDOUT line 17")


@pytest.mark.parametrize(
    "options, form",
    [
        ({"grep": "x"}, Form()),
        ({"since": "1s"}, Form()),
        ({"levels": ["INFO"]}, Form()),
        ({}, Form(as_json=True)),
        ({}, Form(timestamps=True)),
        ({}, Form(for_terminal=True)),
    ],
)
def test_only_all_lines_as_they_are_can_be_cut_out(options: dict[str, Any], form: Form) -> None:
    assert Printer(wanted(), Form()).is_plain
    assert not Printer(wanted(**options), form).is_plain
