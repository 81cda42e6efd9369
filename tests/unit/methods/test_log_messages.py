"""Lines as readers get them: no job ends its watchers, fakes a level, or acts on a terminal."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmid.domain import metrics
from plasmid.domain.assignments import LogEntry
from plasmid.logs.store import ALL, Piece
from plasmid.methods import log_messages

JOB = "job-" + "B" * 24
ROOM = metrics.Room(cores=2, memory_bytes=1 << 30, disk_bytes=1 << 30)
SAMPLE = metrics.entry(
    metrics.between(metrics.Reading(at_ms=0), metrics.Reading(at_ms=1000, cpu_user_ms=500), ROOM), 5
)


def told(
    *entries: LogEntry, first: int = 0, attempt: int | None = None, maker: Any = None
) -> list[Any]:
    data = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
    maker = maker or log_messages.Maker(ALL)
    made = maker.make(Piece(first, data, len(data)), JOB, attempt)
    return [msgspec.json.decode(message) for message in made]


def line(msg: str, level: str = "STDOUT", source: str = "DX_APP_STREAM") -> LogEntry:
    return LogEntry(7, source, level, msg)


@pytest.mark.parametrize("msg", ["", "plain", 'qu"ote', "back\\slash", "ünï 🧬", "{}", "\x1b[1mb"])
def test_a_message_is_the_entry_with_job_and_number(msg: str) -> None:
    assert told(line(msg), line("b"), first=40) == [
        {
            "timestamp": 7, "source": "DX_APP_STREAM", "level": "STDOUT", "msg": text, "job": JOB,
            "line": number,
        }
        for number, text in ((40, msg), (41, "b"))
    ]  # fmt: skip


def test_the_try_is_told_if_it_is_given() -> None:
    assert [message["jobTry"] for message in told(line("a"), attempt=0)] == [0]
    assert "jobTry" not in told(line("a"))[0]


@pytest.mark.parametrize("source", ["SYSTEM", "DX_APP"])
@pytest.mark.parametrize("level", ["STDOUT", "INFO"])
def test_no_line_of_a_job_is_the_end_of_the_log(source: str, level: str) -> None:
    (message,) = told(line("END_LOG", level, source))
    assert message["msg"] == "END_LOG"
    assert message["source"] != "SYSTEM"


def test_source_and_level_are_safe_too() -> None:
    (message,) = told(line("a\nb", "INFO\n", "x\x1b]0;t\x07"))
    assert (message["msg"], message["level"], message["source"]) == (
        r"a\nb", r"INFO\n", r"x\x1b]0;t\x07",
    )  # fmt: skip


@pytest.mark.parametrize("levels, expected", [(["STDERR"], ["b"]), (["NONE"], []), ([], [])])
def test_only_the_levels_asked_for_are_told_and_keep_their_numbers(
    levels: list[str], expected: list[str]
) -> None:
    maker = log_messages.Maker(log_messages.choose(levels, with_metrics=True))
    found = told(line("a"), line("b", "STDERR"), maker=maker)
    assert [message["msg"] for message in found] == expected
    assert [message["line"] for message in found] == [1] * len(expected)


def test_measurements_are_told_as_text_or_csv_with_one_header() -> None:
    (message,) = told(SAMPLE)
    assert message["level"] == "METRICS"
    assert message["msg"].startswith("** CPU usr/sys/idl/wai: 25/0/75/0% (2 cores)")
    maker = log_messages.Maker(ALL, "csv")
    first = [message["msg"] for message in told(SAMPLE, maker=maker)]
    assert first[0] == metrics.csv_header()
    assert first[1].startswith("5,2,25.0,")
    assert [message["msg"] for message in told(SAMPLE, maker=maker)] == first[1:]


def test_a_job_cannot_tell_measurements() -> None:
    assert told(line("{}", "METRICS"), line('{"a": 1}', "METRICS", "SYSTEM")) == []


def test_measurements_are_left_out_unless_wanted() -> None:
    for levels, expected in ((None, ["a"]), (["METRICS"], [])):
        maker = log_messages.Maker(log_messages.choose(levels, with_metrics=False))
        assert [message["msg"] for message in told(line("a"), SAMPLE, maker=maker)] == expected
