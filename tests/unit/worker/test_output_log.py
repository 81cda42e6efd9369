"""conmon's log becomes lines, each exactly once, wherever reading stops and starts again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmid.domain import assignments
from plasmid.worker import output_log

STAMP = b"2026-01-02T03:04:05.678901234+01:00"
STAMP_MS = 1767319445678


def record(content: bytes, mark: bytes = b"F", stream: bytes = b"stdout") -> bytes:
    return b" ".join([STAMP, stream, mark, content]) + b"\n"


def read_all(path: Path, content: bytes, **options: Any) -> list[assignments.LogEntry]:
    path.write_bytes(content)
    log = output_log.OutputLog(path, **options)
    entries: list[assignments.LogEntry] = []
    while more := log.read(0, is_final=True):
        entries += more
    log.close()
    return entries


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_line_has_its_time_stream_and_text(path: Path) -> None:
    entries = read_all(path, record(b"hello  there ") + record(b"oops", stream=b"stderr"))
    assert [(e.timestamp, e.source, e.level, e.msg) for e in entries] == [
        (STAMP_MS, "DX_APP_STREAM", "STDOUT", "hello  there "),
        (STAMP_MS, "DX_APP_STREAM", "STDERR", "oops"),
    ]


def test_an_empty_line_is_a_line(path: Path) -> None:
    assert [e.msg for e in read_all(path, record(b"") + record(b""))] == ["", ""]


def test_parts_of_a_line_are_joined_by_stream(path: Path) -> None:
    content = (
        record(b"a", b"P")
        + record(b"x", b"P", b"stderr")
        + record(b"b")
        + record(b"y", b"F", b"stderr")
    )
    assert [e.msg for e in read_all(path, content)] == ["ab", "xy"]


def test_a_line_that_never_ends_is_told_at_the_end(path: Path) -> None:
    assert [e.msg for e in read_all(path, record(b"prompt> ", b"P"))] == ["prompt> "]


def test_half_a_record_of_a_killed_conmon_is_kept(path: Path) -> None:
    content = record(b"a", b"P") + record(b"bcdef")[:-4]
    assert [e.msg for e in read_all(path, content)] == ["abc"]


def test_nothing_is_told_twice_or_early_while_the_log_grows(path: Path) -> None:
    path.touch()
    log = output_log.OutputLog(path)
    seen = []
    content = record(b"one") + record(b"tw", b"P") + record(b"o") + record(b"three")
    for end in range(len(content) + 1):
        path.write_bytes(content[:end])
        seen += [e.msg for e in log.read(0)]
    assert seen == ["one", "two", "three"]


def test_long_lines_are_split_at_8_kib_between_characters(path: Path) -> None:
    text = "ü" * 10_000
    entries = read_all(path, record(text.encode()))
    assert "".join(e.msg for e in entries) == text
    assert all(len(e.msg.encode()) <= 8192 for e in entries)


def test_a_line_that_fills_a_piece_leaves_no_empty_line(path: Path) -> None:
    content = record(b"x" * 8192, b"P") + record(b"") + record(b"next")
    assert [len(e.msg) for e in read_all(path, content)] == [8192, 4]


def test_bytes_that_are_no_text_are_shown_somehow(path: Path) -> None:
    assert [e.msg for e in read_all(path, record(b"a\xffb\0c"))] == ["a\ufffdb\0c"]


lines = st.lists(
    st.tuples(
        st.sampled_from([b"stdout", b"stderr"]),
        st.one_of(
            st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=20),
            st.integers(8000, 17_000).map(lambda n: ("aü€😀" * n)[:n]),
        ),
        st.booleans(),
    ),
    max_size=6,
)


def as_records(given: list[tuple[bytes, str, bool]], size: int) -> bytes:
    """Return what conmon writes if it reads `size` bytes at once; P alone for a line cut there."""
    written = b""
    for stream, text, ends in given:
        data = text.encode()
        starts = range(0, max(len(data), 1), size)
        written += b"".join(record(data[at : at + size], b"P", stream) for at in starts[:-1])
        written += record(data[starts[-1] :], b"F" if ends else b"P", stream)
    return written


def streams(entries: list[assignments.LogEntry]) -> dict[str, str]:
    joined = {"STDOUT": "", "STDERR": ""}
    for entry in entries:
        joined[entry.level] += entry.msg
    return joined


@settings(max_examples=40, deadline=None)
@given(given=lines, size=st.sampled_from([500, 8192, 32768]), data=st.data())
def test_a_new_reader_goes_on_exactly_where_the_last_one_was_kept(
    tmp_path_factory: pytest.TempPathFactory,
    given: list[tuple[bytes, str, bool]],
    size: int,
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(as_records(given, size))
    expected = {
        level: "".join(text for stream, text, _ in given if stream == name)
        for name, level in output_log.STREAMS.items()
    }
    entries: list[assignments.LogEntry] = []
    cursors: dict[str, int] = {}
    is_final = False
    while True:
        log = output_log.OutputLog(path, cursors)
        more: list[assignments.LogEntry] = []
        for _ in range(data.draw(st.integers(1, 3))):
            more += log.read(0, is_final=is_final)
        entries += more
        cursors = log.cursors
        log.close()
        if not more and is_final:
            break
        is_final = is_final or not more
    assert streams(entries) == expected
    assert all(len(entry.msg.encode()) <= 8192 for entry in entries)


def test_one_streams_open_line_does_not_hold_up_the_other_streams_cursor(path: Path) -> None:
    path.write_bytes(record(b"open", b"P") + record(b"err", b"F", b"stderr"))
    log = output_log.OutputLog(path)
    assert [e.msg for e in log.read(0)] == ["err"]
    assert log.cursors["stderr"] == path.stat().st_size
    cursors = log.cursors
    with path.open("ab") as more:
        more.write(record(b"ed"))
    second = output_log.OutputLog(path, cursors)
    assert [e.msg for e in second.read(0)] == ["opened"]


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (b"1970-01-01T00:00:01.002000000Z", 1002),
        (b"1970-01-01T05:30:01.002000000+05:30", 1002),
        (b"1969-12-31T19:00:01.002000000-05:00", 1002),
        (b"garbage", 0),
    ],
)
def test_times_are_read_with_their_zones(path: Path, stamp: bytes, expected: int) -> None:
    assert read_all(path, stamp + b" stdout F x\n")[0].timestamp == expected


def test_what_conmon_never_wrote_is_passed_over(path: Path) -> None:
    damaged = record(b"before") + b"\0" * 300_000 + b"\n" + record(b"after")
    assert [e.msg for e in read_all(path, damaged)] == ["before", "after"]
    log = output_log.OutputLog(path)
    log.begin_skipping()
    while log.skip(0):
        pass
    log.rewind(log.cursors)
    assert [e.msg for e in log.read(0, is_final=True)] == ["before"]
    assert [e.msg for e in log.read(0, is_final=True)] == ["after"]
    log.close()


def test_records_of_a_coarse_clock_are_told_by_their_streams_and_marks(path: Path) -> None:
    content = (record(b"a") + record(b"b", b"P")) * 3 + record(b"e", stream=b"stderr")
    content += record(b"c") + record(b"d", b"P") + record(b"") + record(b"f")
    entries = read_all(path, content)
    assert [e.msg for e in entries if e.level == "STDOUT"] == ["a", "ba", "ba", "bc", "d", "f"]
    assert [e.msg for e in entries if e.level == "STDERR"] == ["e"]
